"""Values of the object: shrinkage towards vacuum, its level, and what fills regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arraycon.kernels.agnostic import values as agnostic
from arraycon.kernels.common import arrays, check, dispatch
from arraycon.kernels.common.arrays import Array

__all__ = ["obj_baseline", "obj_fill", "obj_shrink"]

_PARTS = ("phase", "amplitude")


def obj_shrink(
    obj: Array,
    *,
    amount: float = 0.01,
    rule: str = "soft",
    target: float = 0.0,
    relax: float = 0.0,
    out: Array | None = None,
) -> Array:
    r"""Shrink what distinguishes the object from vacuum.

    With :math:`d = x - t`, :math:`x' = r x + (1-r)\,(t + s(d))` and

    .. math::

        s = \begin{cases} d\,\max(|d| - a, 0)/|d| & \text{soft: the proximal map of } a|d| \\
        \max(d - a, 0) & \text{positive} \\
        d \text{ where } |d| > a, \text{ else } 0 & \text{hard} \\
        d/(1 + a) & \text{ridge: the proximal map of } a|d|^2/2 \end{cases}

    Parameters
    ----------
    obj : array, any shape, float32, float64, complex64 or complex128
        Phase (rad), amplitude or the complex object.
    amount : float
        Amount a ≥ 0, in the units of `obj`; of ``ridge`` a number.
    rule : {"soft", "positive", "hard", "ridge"}
        ``positive`` is for real arrays only.
    target : float
        Value t that is shrunk towards: 0 is vacuum for a phase, 1 for an amplitude and for a
        complex object, of which 0 is opaque.
    relax : float
        Share r of the old values kept, in [0, 1]; 0: full effect.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    array

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or range; the message names it.

    Notes
    -----
    py4DSTEM's ``shrinkage_rad`` with positivity is ``positive``; phaser's ``obj_l1`` soft with
    `target` 1 on the complex object, its ``obj_l2`` ridge. pty-chi's L1 is soft with ``amount = w /
    x.size`` and `target` 0, which pulls vacuum towards opaque.

    References
    ----------
    Soft thresholds: D. Donoho, IEEE Trans. Inf. Theory 41, 613 (1995). py4DSTEM 0.14.18: G.
    Varnavides et al., arXiv:2309.05250 (2023). phaser 0.3.1: C. Gilgenbach, M. Zhu and J. M.
    LeBeau, arXiv:2505.14372 (2025). pty-chi 2.2.0: M. Du et al., arXiv:2510.20929 (2025).

    Examples
    --------
    >>> import arraycon, numpy
    >>> arraycon.obj_shrink(numpy.array([-0.3, 0.05, 0.5]), amount=0.1).round(3).tolist()
    [-0.2, 0.0, 0.4]
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="floating")
    amount = check.number("amount", amount, low=0)
    rule = check.choice("rule", rule, ("soft", "positive", "hard", "ridge"))
    if rule == "positive" and xp.isdtype(obj.dtype, "complex floating"):
        raise ValueError("rule: expected soft, hard or ridge for a complex array, got 'positive'")
    target = check.number("target", target)
    relax = check.number("relax", relax, low=0, high=1)
    check.output(out, "obj", obj)
    options: dict[str, Any] = {"amount": amount, "rule": rule, "target": target, "relax": relax}
    return dispatch.run(agnostic.obj_shrink, obj, out=out, xp=xp, elementwise=True, **options)


def obj_fill(
    obj: Array,
    mask: Array | None = None,
    *,
    obj_type: str = "phase",
    value: float | None = None,
    slices: Sequence[int] | None = None,
    relax: float = 0.0,
    out: Array | None = None,
) -> Array:
    r"""Put a value where there is no sample.

    .. math:: x' = x + (1-r)\, m\, (v - x)

    Parameters
    ----------
    obj : array, shape (..., ny, nx), float32 or float64
        Phase (rad) or amplitude; with `slices`, shape (..., nz, ny, nx).
    mask : array, bool, float32 or float64, optional
        Weights m in [0, 1] that fit the last axes of `obj`; by default 1 everywhere.
    obj_type : {"phase", "amplitude"}
        What `obj` is.
    value : float, optional
        Value v; by default vacuum's, 0 for a phase and 1 for an amplitude.
    slices : sequence of int, optional
        Slices that are filled, negative ones counted from the end; by default all.
    relax : float
        Share r of the old values kept, in [0, 1]; 0: full effect.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    array

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    Notes
    -----
    fold_slice and quantem multiply the complex object by a mask instead: outside it becomes
    opaque, not vacuum. quantem's ``surface_zero`` is ``slices=[0, -1]``.

    References
    ----------
    fold_slice: K. Wakonig et al., J. Appl. Cryst. 53, 574 (2020), as extended by Y. Jiang. quantem
    0.1.10.

    Examples
    --------
    >>> import arraycon, numpy
    >>> mask = numpy.array([True, False])
    >>> arraycon.obj_fill(numpy.full((1, 2, 2), 0.3), mask).tolist()
    [[[0.0, 0.3], [0.0, 0.3]]]
    """
    named = {"obj": obj} if mask is None else {"obj": obj, "mask": mask}
    xp = arrays.namespace(**named)
    check.array("obj", obj, kind="real", ndim=2 if slices is None else 3)
    check.weights("mask", mask, obj)
    obj_type = check.choice("obj_type", obj_type, _PARTS)
    vacuum = float(obj_type == "amplitude")
    value = vacuum if value is None else check.number("value", value)
    relax = check.number("relax", relax, low=0, high=1)
    chosen = None if slices is None else _slices(slices, obj.shape[-3])
    check.output(out, "obj", obj)
    read = [] if mask is None else [mask]
    options: dict[str, Any] = {"value": value, "slices": chosen, "relax": relax}
    return dispatch.run(agnostic.obj_fill, obj, *read, out=out, xp=xp, **options)


def _slices(slices: Any, nz: int) -> tuple[int, ...]:
    if isinstance(slices, str) or not isinstance(slices, Sequence):
        raise TypeError(f"slices: expected a list of integers, got {slices!r}")
    # of an object without slices there is none to choose
    low, high = (-nz, nz - 1) if nz else (-1, 0)
    return tuple(
        check.integer(f"slices[{i}]", each, low=low, high=high) for i, each in enumerate(slices)
    )


def obj_baseline(
    obj: Array,
    mask: Array | None = None,
    *,
    obj_type: str = "phase",
    statistic: str = "mean",
    percentile: float = 10.0,
    scope: str = "slice",
    factor: float = 1.0,
    relax: float = 0.0,
    out: Array | None = None,
) -> Array:
    r"""Bring the level of vacuum to its value.

    With the level b, the weighted mean :math:`\sum m x/\sum m` (in float64) or a percentile of the
    values with m > ½ (linear interpolation), a phase and an amplitude become

    .. math::

        φ' = r φ + (1-r)(φ - f b), \qquad A' = r A + (1-r)\, A / b^f \text{ if } b > 0

    Where the weights leave nothing, nothing changes.

    Parameters
    ----------
    obj : array, shape (..., ny, nx), float32 or float64
        Phase (rad) or amplitude.
    mask : array, bool, float32 or float64, optional
        Weights m in [0, 1] that fit the last axes of `obj`; by default 1 everywhere.
    obj_type : {"phase", "amplitude"}
        What `obj` is.
    statistic : {"mean", "percentile"}
        What the level is.
    percentile : float
        In [0, 100].
    scope : {"slice", "global"}
        One level for each slice of each object mode, or one for the whole array. That of a slice is
        a free gauge of the intensities.
    factor : float
        Strength f in [0, 2].
    relax : float
        Share r of the old values kept, in [0, 1]; 0: full effect.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    array

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    Notes
    -----
    py4DSTEM's ``fix_potential_baseline`` is mean and global, quantem's likewise with `factor`;
    PtyRAD's ``subtract_min`` is percentile 0 and global.

    References
    ----------
    py4DSTEM 0.14.18: G. Varnavides et al., arXiv:2309.05250 (2023). quantem 0.1.10. PtyRAD 1.0.0:
    C.-H. Lee et al., arXiv:2505.07814 (2025).

    Examples
    --------
    The right column is vacuum, and its mean of 0.2 rad becomes 0:

    >>> import arraycon, numpy
    >>> phase = numpy.array([[[0.5, 0.1], [0.7, 0.3]]])
    >>> vacuum = numpy.array([[False, True], [False, True]])
    >>> arraycon.obj_baseline(phase, vacuum).round(3).tolist()
    [[[0.3, -0.1], [0.5, 0.1]]]
    """
    named = {"obj": obj} if mask is None else {"obj": obj, "mask": mask}
    xp = arrays.namespace(**named)
    check.array("obj", obj, kind="real", ndim=2)
    check.weights("mask", mask, obj)
    options: dict[str, Any] = {
        "obj_type": check.choice("obj_type", obj_type, _PARTS),
        "statistic": check.choice("statistic", statistic, ("mean", "percentile")),
        "percentile": check.number("percentile", percentile, low=0, high=100),
        "scope": check.choice("scope", scope, ("slice", "global")),
        "factor": check.number("factor", factor, low=0, high=2),
        "relax": check.number("relax", relax, low=0, high=1),
    }
    check.output(out, "obj", obj)
    read = [] if mask is None else [mask]
    return dispatch.run(agnostic.obj_baseline, obj, *read, out=out, xp=xp, **options)
