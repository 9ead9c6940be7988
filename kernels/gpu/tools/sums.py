"""Σ|new - old|² and Σ|old|² of what kernels change, from the sums of their blocks."""

from __future__ import annotations

import cupy
import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools.launch import blocks, launch
from arraycon.kernels.gpu.tools.source import THREADS

MOST = 1024
"""Blocks whose sums one last block adds up."""


# Rows of blocks, each of which has planes of its own, at most.
_ROWS = 1 << 10


def planes_grid(planes: int, plane: int, *, measured: bool) -> tuple[int, int]:
    """Columns and rows of blocks for planes of so many elements."""
    return blocks(plane, most=max(1, MOST // THREADS) if measured else MOST), min(_ROWS, planes)


def of_blocks(grid: int, number: int = 1) -> Array:
    """Return memory for both sums of each block, of so many arrays: (number, 2, grid)."""
    return cupy.empty((number, 2, grid), np.float64)


def add_up(like: Array, parts: Array, sums: Array) -> None:
    """Add the blocks' sums up, in a fixed order, to (number, 2) of them."""
    for part, total in zip(parts, sums, strict=True):
        launch("metrics", "add_up", like, 1, *part, part.shape[1], total)


def compare(new: Array, old: Array, sums: Array) -> None:
    """Take the sums of two arrays by a pass over both."""
    real = old.real.dtype
    x, y = (array.reshape(-1).view(real) for array in (new, old))
    grid = blocks(x.size, most=MOST)
    parts = of_blocks(grid)
    launch("metrics", "squares", x, grid, x, y, x.size, *parts[0])
    add_up(x, parts, sums.reshape(1, 2))
