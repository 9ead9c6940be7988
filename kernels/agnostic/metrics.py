"""Figures about arrays, by the array API alone."""

from __future__ import annotations

import itertools

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace


def change(new: Array, old: Array, *, xp: Namespace) -> tuple[Array, Array]:
    """Σ|new - old|² and Σ|old|², slice by slice, so that differences take little memory."""
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
