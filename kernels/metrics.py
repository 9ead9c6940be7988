"""Figures about arrays that stay on their device until somebody reads them."""

from __future__ import annotations

import itertools

from arraycon.kernels.agnostic.modes import mode_powers
from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace

__all__ = ["change", "mode_powers"]


def change(new: Array, old: Array, *, xp: Namespace) -> tuple[Array, Array]:
    """Σ|new - old|² and Σ|old|² as 0-d arrays, accumulated in float64.

    Slice by slice, so that the differences of large objects need little memory.
    """
    changed = xp.zeros((), dtype=arrays.wide(old, xp=xp), device=arrays.device(old))
    before = changed
    for index in itertools.product(*map(range, old.shape[:-2])):
        key = (*index, ...)
        changed = changed + _sum_of_squares(new[key] - old[key], xp)
        before = before + _sum_of_squares(old[key], xp)
    return changed, before


def _sum_of_squares(x: Array, xp: Namespace) -> Array:
    squares = arrays.abs2(x, xp=xp) if xp.isdtype(x.dtype, "complex floating") else x * x
    return xp.sum(squares, dtype=arrays.wide(x, xp=xp))
