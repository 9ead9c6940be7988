"""Ranges of the object's amplitude and phase."""

from __future__ import annotations

import math

from arraycon.kernels.agnostic import clamp as agnostic
from arraycon.kernels.common import arrays, check, dispatch
from arraycon.kernels.common.arrays import Array

__all__ = ["obja_thresh", "objp_postiv", "objp_thresh"]


def obja_thresh(
    amplitude: Array,
    *,
    relax: float = 0.0,
    thresh: tuple[float, float] = (0.96, 1.04),
    out: Array | None = None,
) -> Array:
    r"""Relax the amplitude into a range.

    .. math:: A' = r A + (1-r)\, \mathrm{clip}(A, t_0, t_1)

    Parameters
    ----------
    amplitude : array, any shape, float32 or float64
    relax : float
        Fraction r of the old amplitude that is kept, in [0, 1].
    thresh : tuple of float
        Lower and upper limit, ascending.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `amplitude`.

    Returns
    -------
    array

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or range; the message names it.

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): PtyRAD, of which version 1.0.0 does the same.

    Examples
    --------
    >>> import arraycon, numpy
    >>> amplitude = numpy.array([0.5, 1.0, 1.2])
    >>> arraycon.obja_thresh(amplitude, thresh=(0.96, 1.04)).round(3).tolist()
    [0.96, 1.0, 1.04]
    >>> arraycon.obja_thresh(amplitude, thresh=(0.96, 1.04), relax=0.5).round(3).tolist()
    [0.73, 1.0, 1.12]
    """
    xp = arrays.namespace(amplitude=amplitude)
    check.array("amplitude", amplitude, kind="real")
    relax = check.number("relax", relax, low=0, high=1)
    thresh = check.ascending("thresh", thresh)
    check.output(out, "amplitude", amplitude)
    return dispatch.run(
        agnostic.obja_thresh,
        amplitude,
        out=out,
        xp=xp,
        elementwise=True,
        relax=relax,
        thresh=thresh,
    )


def objp_postiv(
    phase: Array, *, relax: float = 0.0, mode: str = "clip_neg", out: Array | None = None
) -> Array:
    r"""Relax the phase towards non-negative values.

    .. math::

        φ' = r φ + (1-r) \max(φ, 0) \quad\text{or}\quad φ' = r φ + (1-r)\, (φ - \min φ)

    Parameters
    ----------
    phase : array, any shape, float32 or float64
        Phase in rad.
    relax : float
        Fraction r of the old phase that is kept, in [0, 1].
    mode : {"clip_neg", "subtract_min"}
        First or second equation; the minimum is that of the whole array.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `phase`.

    Returns
    -------
    array

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or range; the message names it.

    Notes
    -----
    The name, misspelling included, is the key in PtyRAD's parameter files.

    References
    ----------
    Positivity: J. R. Fienup, Appl. Opt. 21, 2758 (1982). PtyRAD 1.0.0 has both modes: C.-H. Lee et
    al., arXiv:2505.07814 (2025).

    Examples
    --------
    >>> import arraycon, numpy
    >>> phase = numpy.array([-0.2, 0.1, 0.4])
    >>> arraycon.objp_postiv(phase).round(3).tolist()
    [0.0, 0.1, 0.4]
    >>> arraycon.objp_postiv(phase, mode="subtract_min").round(3).tolist()
    [0.0, 0.3, 0.6]
    """
    xp = arrays.namespace(phase=phase)
    check.array("phase", phase, kind="real")
    relax = check.number("relax", relax, low=0, high=1)
    mode = check.choice("mode", mode, ("clip_neg", "subtract_min"))
    check.output(out, "phase", phase)
    return dispatch.run(
        agnostic.objp_postiv, phase, out=out, xp=xp, elementwise=True, relax=relax, mode=mode
    )


def objp_thresh(
    phase: Array,
    *,
    relax: float = 0.0,
    thresh: tuple[float, float] = (-math.pi, math.pi),
    out: Array | None = None,
) -> Array:
    r"""Relax the phase into a range.

    .. math:: φ' = r φ + (1-r)\, \mathrm{clip}(φ, t_0, t_1)

    Parameters
    ----------
    phase : array, any shape, float32 or float64
        Phase in rad.
    relax : float
        Share r of the old phase kept, in [0, 1]; 0: full effect.
    thresh : tuple of float
        Lower and upper limit in rad, ascending.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `phase`.

    Returns
    -------
    array

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or range; the message names it.

    Notes
    -----
    pty-chi's ``hard_limits_magnitude_phase.phase_lim`` clips the wrapped phase: what is just above
    π goes to the lower limit there.

    References
    ----------
    pty-chi 2.2.0: M. Du et al., arXiv:2510.20929 (2025).

    Examples
    --------
    >>> import arraycon, numpy
    >>> arraycon.objp_thresh(numpy.array([-1.0, 0.2, 4.0]), thresh=(-0.5, 3.5)).tolist()
    [-0.5, 0.2, 3.5]
    """
    xp = arrays.namespace(phase=phase)
    check.array("phase", phase, kind="real")
    relax = check.number("relax", relax, low=0, high=1)
    thresh = check.ascending("thresh", thresh)
    check.output(out, "phase", phase)
    return dispatch.run(
        agnostic.objp_thresh, phase, out=out, xp=xp, elementwise=True, relax=relax, thresh=thresh
    )
