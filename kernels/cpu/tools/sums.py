"""Σ|new - old|² and Σ|old|² of what a kernel changes, taken while the old values are at hand.

Both are formed by blocks whose bounds do not depend on the number of threads, and in float64.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools.compiled import kernel, summing

# Elements of a block: with a quarter of them what is interpreted for each takes as long as a clamp.
BLOCK = 1 << 16
# Elements of which the old values stay in the first-level cache until the new ones are there.
CHUNK = 1 << 10


def run_blocks(
    work: Callable[[slice], tuple[float, ...]], size: int, sums: Array, *, grain: int
) -> None:
    """Call ``work(part)`` on parts that together cover ``range(size)``, and add up what it returns.

    Parameters
    ----------
    work : callable
        Changes a part, and returns its sums.
    size : int
        Number of elements.
    sums : array, one axis
        Where they go.
    grain : int
        Least number of elements that is worth a thread.
    """

    def several(parts: Array, first: int, last: int) -> None:
        for i in range(first, last):
            parts[i] = work(slice(i * BLOCK, (i + 1) * BLOCK))

    run_ranges(several, size, sums, grain=grain)


def run_ranges(
    work: Callable[[Array, int, int], None], size: int, sums: Array, *, grain: int
) -> None:
    """Do as `run_blocks` with compiled work on several blocks of `BLOCK` elements.

    Where each block was a call of its own, a clamp of 24 of them took 1.1 times as long.

    Parameters
    ----------
    work : callable
        ``work(parts, first, last)`` writes the sums of the blocks from `first` on, and before
        `last`, into their rows of `parts`.
    size, sums, grain
        As for `run_blocks`.
    """
    parts = np.empty((-(-size // BLOCK), len(sums)))
    several = functools.partial(work, parts)
    threads.run(several, len(parts), grain=max(1, grain // BLOCK))
    np.sum(parts, axis=0, out=sums)


def add_unchanged(array: Array, sums: Array) -> None:
    """Take the sums of an array that stays as it is: 0, or NaN where it is not finite."""
    flat = as_real(array)
    run_blocks(lambda part: squares(flat[part], flat[part]), flat.size, sums, grain=4 * BLOCK)


def as_real(array: Array) -> Array:
    """Return all numbers of a C-contiguous array, the parts of complex ones in turn."""
    return array.reshape(-1).view(array.real.dtype)


@kernel
def keep_values(values, old):
    """Copy real numbers; Numba's own assignment takes seven times as long for `CHUNK` of them."""
    for i in range(values.size):
        old[i] = values[i]


@summing
def squares(new, old):
    """Σ(new - old)² and Σold² of real numbers."""
    changed, before = 0.0, 0.0
    for i in range(new.size):
        difference, value = np.float64(new[i] - old[i]), np.float64(old[i])
        changed += difference * difference
        before += value * value
    return changed, before
