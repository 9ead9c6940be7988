"""Removal of drifts that the diffraction patterns cannot fix: depth and scan origin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arraycon.kernels.agnostic import recenter as agnostic
from arraycon.kernels.common import arrays, check, dispatch
from arraycon.kernels.common.arrays import Array

__all__ = ["obj_z_recenter", "pos_recenter"]


def obj_z_recenter(
    amplitude: Array,
    phase: Array,
    probe: Array,
    *,
    dx: float,
    wavelength: float,
    slice_thickness: float,
    thresh: float | None = 95.0,
    scale: float = 1.0,
    max_shift: float | None = 10.0,
    out: Sequence[Array | None] | None = None,
) -> tuple[Array, Array, Array, Array]:
    r"""Move the object to the middle of its slices and refocus the probe accordingly.

    Of :math:`v = \max(φ, 0)` the values below the `thresh` percentile are set to 0; with the mean
    :math:`m_z` of each slice the shift, in slices, is

    .. math::

        s = \mathrm{clip}\left(\text{scale}\left(\frac{n_z-1}{2} -
        \frac{\sum z\, m_z}{\sum m_z + 10^{-8}}\right),\,
        \pm\min(\text{max\_shift}, \tfrac{n_z-1}{2})\right)

    :math:`A e^{iφ}` is moved along z by a Fourier phase ramp; the new phase is unwrapped against
    the equally shifted real phase. The probe is propagated by :math:`-s` times the slice thickness
    with the propagator of `probe_mask_r`. Shifts below :math:`10^{-3}` slices, and objects of one
    slice or without positive phase, change nothing.

    Parameters
    ----------
    amplitude, phase : array, shape (..., nz, ny, nx), float32 or float64
        Modulus and phase (rad) of the object; one shift for all leading axes.
    probe : array, shape (pmode, ny, nx), complex64 or complex128
    dx, wavelength, slice_thickness : float
        Pixel size, wavelength and distance between slices in Å, > 0.
    thresh : float or None
        Percentile in [0, 100] below which phase does not count; None counts all.
    scale : float
        Fraction of the way to go, in [0, 1].
    max_shift : float or None
        Largest shift in slices, ≥ 0; None is no limit.
    out : tuple of three arrays, optional
        Arrays for amplitude, phase and probe; may be the inputs.

    Returns
    -------
    amplitude, phase, probe : array
    shift : array, 0-d, float64
        Shift in slices, positive towards larger z. It stays on the device: ``float(shift)`` reads
        it.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    Notes
    -----
    PtyRAD 1.0.0 wraps the moved phase into (-π, π]: 3.5 rad becomes -2.78 rad.

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): PtyRAD, version 1.0.0. Propagation between slices: A.
    M. Maiden, M. J. Humphry and J. M. Rodenburg, J. Opt. Soc. Am. A 29, 1606 (2012).

    Examples
    --------
    All phase is in the first of three slices:

    >>> import arraycon, numpy
    >>> phase = numpy.zeros((3, 4, 4))
    >>> phase[0] = 0.5
    >>> _, phase, _, shift = arraycon.obj_z_recenter(
    ...     numpy.ones((3, 4, 4)), phase, numpy.ones((1, 4, 4), complex),
    ...     dx=0.2, wavelength=0.025, slice_thickness=8,
    ... )
    >>> abs(phase.mean(axis=(1, 2))).round(6).tolist(), round(float(shift), 6)
    ([0.0, 0.5, 0.0], 1.0)
    """
    xp = arrays.namespace(amplitude=amplitude, phase=phase, probe=probe)
    check.array("amplitude", amplitude, kind="real", ndim=3)
    check.same("phase", phase, "amplitude", amplitude)
    check.modes("probe", probe)
    options: dict[str, Any] = {
        "dx": check.number("dx", dx, above=0, unit="Å"),
        "wavelength": check.number("wavelength", wavelength, above=0, unit="Å"),
        "slice_thickness": check.number("slice_thickness", slice_thickness, above=0, unit="Å"),
        "thresh": check.optional_number("thresh", thresh, low=0, high=100),
        "scale": check.number("scale", scale, low=0, high=1),
        "max_shift": check.optional_number("max_shift", max_shift, low=0),
    }
    given = {"amplitude": amplitude, "phase": phase, "probe": probe}
    changed, outs = tuple(given.values()), check.outputs(out, given)
    if amplitude.shape[-3] == 1 or any(map(arrays.is_empty, changed)):
        shift = xp.zeros((), dtype=arrays.wide(phase, xp=xp), device=arrays.device(phase))
        results = (*dispatch.unchanged(changed, outs, xp=xp), shift)
    else:
        results = dispatch.run_several(
            agnostic.obj_z_recenter, changed, outs=outs, xp=xp, **options
        )
    return results[0], results[1], results[2], results[3]


def pos_recenter(shifts: Array, *, relax: float = 0.0, out: Array | None = None) -> Array:
    r"""Remove the common drift of the probe positions.

    .. math:: s' = s - (1-r)\, \overline{s}

    with the mean over all positions, accumulated in float64.

    Parameters
    ----------
    shifts : array, shape (n, 2), float32 or float64
        Position corrections (y, x) in px.
    relax : float
        Fraction r of the mean that is kept, in [0, 1].
    out : array, optional
        Array for the result, of the same shape and dtype; may be `shifts`.

    Returns
    -------
    array, shape (n, 2)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): PtyRAD, of which version 1.0.0 does the same.

    Examples
    --------
    >>> import arraycon, numpy
    >>> shifts = numpy.array([[1.0, 2.0], [3.0, 2.0]])
    >>> arraycon.pos_recenter(shifts).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    xp = arrays.namespace(shifts=shifts)
    check.pairs("shifts", shifts)
    relax = check.number("relax", relax, low=0, high=1)
    check.output(out, "shifts", shifts)
    return dispatch.run(agnostic.pos_recenter, shifts, out=out, xp=xp, relax=relax)
