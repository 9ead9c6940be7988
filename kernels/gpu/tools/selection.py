"""Exact order statistics without a copy and without waiting for the device."""

from __future__ import annotations

from typing import Any

import cupy

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools.launch import launch
from arraycon.kernels.gpu.tools.source import THREADS

# Bits of a value that one pass looks at, as in selection.cu.
_BITS = 11
# Up to this size, or from that many rows on, one block does a row in one launch.
_SMALL = 1 << 14
_MANY = 64
# Otherwise a thread has this many values, and there are at most so many blocks in all: each takes
# a few microseconds for the 2048 bins of the last pass and its own.
_VALUES = 16
_BLOCKS = 512


class Memory:
    """What the selection from so many rows of a size needs: it may be had before it is wanted."""

    def __init__(self, rows: int, size: int, dtype: Any) -> None:
        self.in_block = size <= _SMALL or rows >= _MANY
        self.found = cupy.empty(rows, dtype)
        self.passes = -(-8 * self.found.itemsize // _BITS)
        if not self.in_block:
            self.counts = cupy.empty((rows, self.passes, 1 << _BITS), "uint64")
            self.ranges = cupy.empty((rows, self.passes, 2), "uint64")


def kth_smallest(x: Array, k: int, *, moduli: bool = False) -> Array:
    """Value number `k` from the smallest, counted from 0; NaN is larger than infinity.

    With `moduli`, of the values' moduli. The result is an array of one element.
    """
    return kth_smallest_of_rows(x.reshape(1, -1), k, moduli=moduli)


def kth_smallest_of_rows(
    x: Array, k: int, *, moduli: bool = False, memory: Memory | None = None
) -> Array:
    """`kth_smallest` of each row of a C-contiguous (rows, size) array: one element for each.

    `memory` is for as many rows or more; the result is a part of it.
    """
    rows, size = x.shape
    memory = Memory(rows, size, x.dtype) if memory is None else memory
    found, passes = memory.found[:rows], memory.passes
    if memory.in_block:
        launch("selection", "select_in_block", x, rows, x, rows, size, k, int(moduli), found)
        return found
    parts = _parts(rows, size)
    counts, ranges = memory.counts[:rows], memory.ranges[:rows]
    counts.fill(0)
    for i in range(passes):
        options = (size, k, int(moduli), parts, i, passes)
        launch("selection", "count", x, rows * parts, x, *options, counts, ranges)
    launch("selection", "take", x, rows, counts, ranges, passes, found)
    return found


def pairs_of_rows(x: Array, ranks: Array, mask: Array | None, memory: Memory) -> Array:
    """Return two values of each row of a C-contiguous (rows, size) array, of ranks on the device.

    Parameters
    ----------
    x : array, shape (rows, size)
    ranks : array of int64, shape (2·rows,)
    mask : array of uint8, optional
        Of rows, which begin again behind the last: 0 where a value is to rank behind all others.
    memory : Memory
        For twice as many rows. The result is its `found`.
    """
    rows, size, passes = len(ranks), x.shape[1], memory.passes
    suffix, inside = ("", ()) if mask is None else ("_inside", (mask, mask.size))
    given = x, *inside, rows, size, ranks
    if memory.in_block:
        launch("selection", f"select_pairs{suffix}", x, rows, *given, memory.found)
        return memory.found
    parts = _parts(rows, size)
    memory.counts.fill(0)
    for i in range(passes):
        options = parts, i, passes, memory.counts, memory.ranges
        launch("selection", f"count_pairs{suffix}", x, rows * parts, *given, *options)
    launch("selection", "take", x, rows, memory.counts, memory.ranges, passes, memory.found)
    return memory.found


def _parts(rows: int, size: int) -> int:
    """Blocks of one row."""
    return max(1, min(-(-size // (THREADS * _VALUES)), _BLOCKS // rows))
