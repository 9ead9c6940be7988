"""Total variation of the object."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence

from arraycon.kernels.agnostic.tools import gradient
from arraycon.kernels.agnostic.tools.gradient import Gradient
from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace

Dual = dict[int, Array]
"""By axis, the dual variable times the strength."""


def obj_tv(
    obj: Array,
    *,
    weight: float,
    axes_weight: tuple[float, float, float],
    norm: str,
    solver: str,
    n_iter: int,
    relax: float,
    xp: Namespace,
) -> Array:
    """Flatten noise and keep edges."""
    limits = xp.finfo(arrays.real_dtype(obj, xp=xp))
    over = gradient.gradient(
        tuple(obj.shape),
        weight=weight,
        axes_weight=axes_weight,
        norm=norm,
        smallest=float(limits.smallest_normal),
        largest=float(limits.max),
    )
    solve = _fgp if solver == "fgp" else _chambolle
    return obj - (1 - relax) * _adjoint(solve(obj, over, n_iter, xp), over, xp)


def _fgp(obj: Array, over: Gradient, n_iter: int, xp: Namespace) -> Dual:
    """Fast gradient projection."""
    step, strength = 1 / (4 * over.square), over.strength

    def project(parts: Sequence[Array]) -> list[Array]:
        size = _modulus(parts, strength, xp)
        return [strength * (part / size) for part in parts]

    dual = ahead = {axis: xp.zeros_like(obj) for axis in over.weights}
    for momentum in gradient.momenta(n_iter):
        slopes = _slopes(obj - _adjoint(ahead, over, xp), over, xp)
        moved = {axis: ahead[axis] + step * slopes[axis] for axis in ahead}
        before, dual = dual, _by_groups(project, moved, over)
        ahead = {axis: dual[axis] + momentum * (dual[axis] - before[axis]) for axis in dual}
    return dual


def _chambolle(obj: Array, over: Gradient, n_iter: int, xp: Namespace) -> Dual:
    """Chambolle's fixed point."""
    step, strength = 1 / (2 * over.square), over.strength

    def size(parts: Sequence[Array]) -> list[Array]:
        return [strength + step * _modulus(parts, over.nothing, xp)] * len(parts)

    dual = {axis: xp.zeros_like(obj) for axis in over.weights}
    for _ in range(n_iter):
        slopes = _slopes(obj - _adjoint(dual, over, xp), over, xp)
        sizes = _by_groups(size, slopes, over)
        dual = {
            axis: strength * ((dual[axis] + step * slopes[axis]) / sizes[axis]) for axis in dual
        }
    return dual


def _by_groups(
    work: Callable[[Sequence[Array]], Sequence[Array]], parts: Dual, over: Gradient
) -> Dual:
    found: Dual = {}
    for group in over.groups:
        found |= zip(group, work([parts[axis] for axis in group]), strict=True)
    return found


def _modulus(parts: Sequence[Array], floor: float, xp: Namespace) -> Array:
    """√Σ|part|², at least `floor` > 0, without squares that overflow or vanish.

    Where it is the floor, the derivative is 0 and no NaN.
    """
    moduli = [xp.abs(part) for part in parts]
    top = functools.reduce(xp.maximum, moduli, xp.full_like(moduli[0], floor))
    square = functools.reduce(operator.add, ((modulus / top) ** 2 for modulus in moduli))
    return top * xp.sqrt(xp.maximum(square, (floor / top) ** 2))


def _slopes(u: Array, over: Gradient, xp: Namespace) -> Dual:
    """Differences to the next element, 0 at the last."""
    found = {}
    for axis, weight in over.weights.items():
        first, end, behind = _cuts(u, axis)
        steps = weight * (u[behind] - u[first])
        found[axis] = xp.concat([steps, xp.zeros_like(u[end])], axis=axis)
    return found


def _adjoint(dual: Dual, over: Gradient, xp: Namespace) -> Array:
    """Adjoint of `_slopes`; the last elements of the dual variable are 0."""
    parts = []
    for axis, weight in over.weights.items():
        p = dual[axis]
        first, end, _ = _cuts(p, axis)
        parts.append(weight * (xp.concat([xp.zeros_like(p[end]), p[first]], axis=axis) - p))
    return functools.reduce(operator.add, parts)


def _cuts(x: Array, axis: int) -> tuple[tuple[slice, ...], ...]:
    """All but the last element along an axis, the last one, and all but the first."""
    n = x.shape[axis]
    cuts = slice(0, n - 1), slice(n - 1, n), slice(1, n)
    before, behind = (slice(None),) * (x.ndim + axis), (slice(None),) * (-axis - 1)
    return tuple((*before, cut, *behind) for cut in cuts)
