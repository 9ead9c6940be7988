"""Constraints that couple the object's amplitude to its phase."""

from __future__ import annotations

from collections.abc import Sequence

from arraycon.kernels.agnostic import coupling as agnostic
from arraycon.kernels.common import arrays, check, dispatch
from arraycon.kernels.common.arrays import Array

__all__ = ["complex_ratio", "mirrored_amp"]


def complex_ratio(
    amplitude: Array,
    phase: Array,
    *,
    alpha1: float = 1.0,
    alpha2: float = 0.0,
    out: Sequence[Array | None] | None = None,
) -> tuple[Array, Array]:
    r"""Pull amplitude and phase towards one ratio of absorption to phase shift.

    With the amplitude A floored at :math:`10^{-6}` and one ratio
    :math:`C = \sum|\ln A| / (\sum|φ| + 10^{-8})` for the whole array,

    .. math::

        A' = \exp\left((1-α_1) \ln A - α_1 C φ\right), \quad
        φ' = (1-α_2)\, φ - \frac{α_2}{C + 10^{-8}} \ln A

    Parameters
    ----------
    amplitude, phase : array, any shape, float32 or float64
        Modulus and phase (rad) of the object.
    alpha1, alpha2 : float
        Weights of the amplitude's and of the phase's change.
    out : tuple of two arrays, optional
        Arrays for the results; may be the inputs.

    Returns
    -------
    amplitude, phase : array

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or shape; the message names it.

    Notes
    -----
    PtyRAD 1.0.0 gives NaN where A ≤ 0.

    References
    ----------
    J. N. Clark, C. T. Putkunz, M. A. Pfeifer et al., Opt. Express 18, 1981 (2010), in the form of
    PtyRAD 1.0.0: C.-H. Lee et al., arXiv:2505.07814 (2025).

    Examples
    --------
    All absorption is 0.04 and all phase 0.4 rad, so that each pixel gets a tenth of its phase:

    >>> import arraycon, numpy
    >>> absorption, phase = numpy.array([0.03, 0.01]), numpy.array([0.1, 0.3])
    >>> amplitude, phase = arraycon.complex_ratio(numpy.exp(-absorption), phase)
    >>> (-numpy.log(amplitude)).round(3).tolist()
    [0.01, 0.03]
    """
    xp = arrays.namespace(amplitude=amplitude, phase=phase)
    check.array("amplitude", amplitude, kind="real")
    check.same("phase", phase, "amplitude", amplitude)
    options = {"alpha1": check.number("alpha1", alpha1), "alpha2": check.number("alpha2", alpha2)}
    outs = check.outputs(out, {"amplitude": amplitude, "phase": phase})
    changed = (amplitude, phase)
    results = dispatch.run_several(
        agnostic.complex_ratio, changed, outs=outs, xp=xp, elementwise=True, **options
    )
    return results[0], results[1]


def mirrored_amp(
    amplitude: Array,
    phase: Array,
    *,
    relax: float = 0.1,
    scale: float = 0.03,
    power: float = 4.0,
    out: Array | None = None,
) -> Array:
    r"""Relax the amplitude towards the absorption that the positive phase predicts.

    .. math:: A' = r A + (1-r) \max(1 - s \max(φ, 0)^p,\, 0)

    Parameters
    ----------
    amplitude, phase : array, any shape, float32 or float64
        Modulus and phase (rad) of the object.
    relax : float
        Fraction r of the old amplitude that is kept, in [0, 1].
    scale : float
        Absorption s of a phase of 1 rad, ≥ 0.
    power : float
        Exponent p, ≥ 0.
    out : array, optional
        Array for the result; may be `amplitude`.

    Returns
    -------
    array
        The new amplitude.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    Notes
    -----
    As PtyRAD 1.0.0, whose amplitude however becomes negative for strong phases.

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): PtyRAD, version 1.0.0.

    Examples
    --------
    >>> import arraycon, numpy
    >>> phase = numpy.array([-0.5, 0.0, 1.0])
    >>> amplitude = numpy.array([1.1, 1.1, 1.1])
    >>> arraycon.mirrored_amp(amplitude, phase, relax=0, scale=0.03).round(3).tolist()
    [1.0, 1.0, 0.97]
    """
    xp = arrays.namespace(amplitude=amplitude, phase=phase)
    check.array("amplitude", amplitude, kind="real")
    check.same("phase", phase, "amplitude", amplitude)
    options = {
        "relax": check.number("relax", relax, low=0, high=1),
        "scale": check.number("scale", scale, low=0),
        "power": check.number("power", power, low=0),
    }
    check.output(out, "amplitude", amplitude)
    return dispatch.run(
        agnostic.mirrored_amp, amplitude, phase, out=out, xp=xp, elementwise=True, **options
    )
