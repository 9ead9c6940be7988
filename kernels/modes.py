"""Probe modes: orthogonalisation and total intensity."""

from __future__ import annotations

from typing import Literal, overload

from arraycon.kernels.agnostic import modes as agnostic
from arraycon.kernels.common import arrays, check, dispatch
from arraycon.kernels.common.arrays import Array

__all__ = ["fix_probe_int", "ortho_pmode"]


@overload
def ortho_pmode(
    probe: Array, *, return_rotation: Literal[False] = ..., out: Array | None = ...
) -> Array: ...
@overload
def ortho_pmode(
    probe: Array, *, return_rotation: Literal[True], out: Array | None = ...
) -> tuple[Array, Array]: ...
def ortho_pmode(
    probe: Array, *, return_rotation: bool = False, out: Array | None = None
) -> Array | tuple[Array, Array]:
    r"""Make the probe modes orthogonal by a unitary mix, strongest first.

    With the Gram matrix :math:`G = P P^H` over pixels (accumulated in float64) and its eigenvectors
    :math:`V`, the new modes are :math:`P' = U P` with :math:`U = V^H`, sorted by power. The free
    phase of each eigenvector is fixed so that the overlap of the new mode with the input mode it
    overlaps most is real and positive. The sum of :math:`|P|^2` over modes is kept at every pixel;
    modes that are orthogonal and sorted come back as they were. Overlaps and differences of power
    below the rounding of the dtype count as none.

    Parameters
    ----------
    probe : array, shape (pmode, ny, nx), complex64 or complex128
        Probe modes. Zero and duplicate modes are fine.
    return_rotation : bool
        Also return the unitary, so that an optimiser's moments can follow.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `probe`.

    Returns
    -------
    probe : array, shape (pmode, ny, nx)
    rotation : array, shape (pmode, pmode)
        Only with `return_rotation`: the unitary U with ``P' = U P``.

    Raises
    ------
    TypeError, ValueError
        `probe` is not a complex array of shape (pmode, ny, nx), or `out` does not match it.

    Notes
    -----
    Unlike in PtyRAD 1.0.0, which leaves the phases to the eigensolver, a second call changes
    nothing beyond rounding.

    References
    ----------
    Mixed-state probes: P. Thibault and A. Menzel, Nature 494, 68 (2013). PtyRAD: C.-H. Lee et al.,
    arXiv:2505.07814 (2025).

    Examples
    --------
    Two modes that overlap by 1. The strongest mode comes first, and the sum of intensities at each
    pixel, here 2 and 1, is kept:

    >>> import arraycon, numpy
    >>> probe = numpy.array([[[1, 0]], [[1, 1]]], complex)
    >>> new = arraycon.ortho_pmode(probe)
    >>> float(abs((new[0] * new[1].conj()).sum()).round(6))
    0.0
    >>> (abs(new) ** 2).sum(axis=(1, 2)).round(3).tolist()
    [2.618, 0.382]
    >>> (abs(new) ** 2).sum(axis=0).round(6).tolist()
    [[2.0, 1.0]]
    """
    xp = arrays.namespace(probe=probe)
    check.modes("probe", probe)
    check.output(out, "probe", probe)
    if arrays.is_empty(probe):
        rotation = xp.eye(probe.shape[0], dtype=probe.dtype, device=arrays.device(probe))
        result = dispatch.unchanged((probe,), (out,), xp=xp)[0]
    else:
        result, rotation = dispatch.run_several(agnostic.ortho_pmode, (probe,), outs=(out,), xp=xp)
    return (result, rotation) if return_rotation else result


def fix_probe_int(probe: Array, *, intensity: float, out: Array | None = None) -> Array:
    r"""Scale the probe to a total intensity.

    .. math:: P' = P \sqrt{I / \sum |P|^2}

    with the sum over all modes and pixels in float64. A probe without power is returned unchanged.

    Parameters
    ----------
    probe : array, shape (pmode, ny, nx), complex64 or complex128
    intensity : float
        Total intensity I > 0, in the units of :math:`|P|^2` (counts, mostly).
    out : array, optional
        Array for the result, of the same shape and dtype; may be `probe`.

    Returns
    -------
    array, shape (pmode, ny, nx)

    Raises
    ------
    TypeError, ValueError
        `probe` or `out` does not fit, or `intensity` is not a positive number.

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): PtyRAD, of which version 1.0.0 does the same.

    Examples
    --------
    >>> import arraycon, numpy
    >>> probe = numpy.ones((1, 2, 2), complex)
    >>> arraycon.fix_probe_int(probe, intensity=16).real.round(6).tolist()
    [[[2.0, 2.0], [2.0, 2.0]]]
    """
    xp = arrays.namespace(probe=probe)
    check.modes("probe", probe)
    intensity = check.number("intensity", intensity, above=0)
    check.output(out, "probe", probe)
    return dispatch.run(agnostic.fix_probe_int, probe, out=out, xp=xp, intensity=intensity)
