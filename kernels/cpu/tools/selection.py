"""Exact order statistics of long arrays, without a copy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.sums import keep_values

# Below this size a plain partition takes less than half a millisecond.
_LARGE = 1 << 18
# Values in the sample, and how many standard deviations of its ranks it is trusted to.
_SAMPLE = 1 << 15
_TRUST = 4.0
# Room for candidates: one for so many values; a bracket holds a hundredth of them.
_PER_CANDIDATE = 16
# Elements whose flags are written, then read, in the first-level cache.
_CHUNK = 1 << 12


def memory(size: int, dtype: Any) -> Array:
    """Return the scratch memory that `kth_smallest` of so many values needs."""
    if size < _LARGE:
        return scratch_memory(np.empty, (size,), dtype)
    candidates = len(range(0, size, _step(size))) + size // _PER_CANDIDATE
    return scratch_memory(np.empty, (candidates,), dtype)


def kth_smallest(x: Array, k: int, *, moduli: bool = False, scratch: Array | None = None) -> Any:
    """Value number `k` from the smallest, counted from 0; NaN is larger than infinity.

    With `moduli`, of the values' moduli. A sample brackets it, one pass counts what is below the
    bracket and collects what is inside. On 5.2 million float32 and two threads 2 ms; NumPy's
    partition takes 9 and a copy, and a radix selection by two histograms of 16 bits took 10.
    `scratch` is what `memory` returns.
    """
    scratch = memory(x.size, x.dtype) if scratch is None else scratch
    if x.size < _LARGE:
        return _partition(_taken(x, moduli, scratch[: x.size]), k)
    sampled = x[:: _step(x.size)]
    sample = _taken(sampled, moduli, scratch[: sampled.size])
    low, high = _bracket(sample, k / x.size)
    room = scratch[sampled.size :]
    counts: list[tuple[int, int, int, int]] = []

    def collect(start: int, stop: int) -> None:
        # of equal limits it is enough to know how many there are: phases are often 0
        first = start // _PER_CANDIDATE
        found = room[first : first if low == high else stop // _PER_CANDIDATE]
        below, inside = _collect(x[start:stop], low, high, moduli, found)
        counts.append((first, found.size, below, inside))

    threads.run(collect, x.size, grain=_LARGE)
    below, inside = (sum(count[i] for count in counts) for i in (2, 3))
    if below <= k < below + inside:
        if low == high:
            return low
        if all(number <= size for _, size, _, number in counts):
            return _partition(_moved_together(room, counts), k - below)
    # many equal values, many NaN, or a sample that misled
    return _bisect(x, k, moduli)


def _step(size: int) -> int:
    return size // _SAMPLE | 1  # an odd one does not stay in a few columns of an even image


def _taken(x: Array, moduli: bool, target: Array) -> Array:
    if moduli:
        np.abs(x, out=target)
    else:
        target[...] = x
    return target


def _moved_together(room: Array, counts: list[tuple[int, int, int, int]]) -> Array:
    """Return what has been collected in several places, at the beginning of their memory."""
    end = 0
    for first, _, _, number in sorted(counts):
        keep_values(room[first : first + number], room[end : end + number])
        end += number
    return room[:end]


def _partition(x: Array, k: int) -> Any:
    x.partition(k)
    return x[k]


def _bracket(sample: Array, share: float) -> tuple[Any, Any]:
    """Limits that the value with this share of all others below it most probably lies between."""
    sample.sort()
    place = round(share * sample.size)
    margin = math.ceil(_TRUST * math.sqrt(sample.size * share * (1 - share))) + 1
    cast = sample.dtype.type
    low = sample[place - margin] if place >= margin else cast(-math.inf)
    high = sample[place + margin] if place + margin < sample.size else cast(math.inf)
    return low, high


def _bisect(x: Array, k: int, moduli: bool) -> Any:
    """Value number `k` by halving the range of all numbers, whose bits count them.

    It needs no memory, which a partition would as much of as the array has, at a moment when the
    array has been overwritten by its spectrum; at most 32 passes in float32, 64 in float64.
    """
    cast, bits = x.dtype.type, np.dtype(f"i{x.itemsize}").type
    infinity = cast(math.inf)
    if _count(x, infinity, moduli) <= k:
        return cast(math.nan)

    def number(index: int) -> Any:
        return np.copysign(bits(abs(index)).view(cast), cast(index))

    high = int(infinity.view(bits))
    low = 0 if moduli else -high
    while low < high:
        middle = (low + high) // 2
        if _count(x, number(middle), moduli) > k:
            high = middle
        else:
            low = middle + 1
    return number(low)


def _count(x: Array, limit: Any, moduli: bool) -> int:
    counts: list[int] = []
    threads.run(
        lambda i, j: counts.append(_count_not_above(x[i:j], limit, moduli)), x.size, grain=_LARGE
    )
    return sum(counts)


@kernel
def _count_not_above(x, limit, moduli):
    number = 0
    if moduli:
        for i in range(x.size):
            number += abs(x[i]) <= limit
    else:
        for i in range(x.size):
            number += x[i] <= limit
    return number


@kernel
def _collect(x, low, high, moduli, found):
    """Count the values below and inside the bracket; copy as many of the latter as there is room.

    Comparing sixteen at a time and then looking at the flags eight at a time: a loop that tests
    each value by itself takes 2.3 ns for each, this one 0.7.
    """
    flags = np.zeros(_CHUNK, np.uint8)
    words = flags.view(np.uint64)
    below = inside = 0
    for start in range(0, x.size, _CHUNK):
        chunk = x[start : start + _CHUNK]
        for i in range(chunk.size):
            value = abs(chunk[i]) if moduli else chunk[i]
            flags[i] = (value >= low) & (value <= high)
            below += value < low
        for word in range((chunk.size + 7) // 8):
            if words[word]:
                for i in range(8 * word, min(8 * word + 8, chunk.size)):
                    if flags[i]:
                        if inside < found.size:
                            found[inside] = abs(chunk[i]) if moduli else chunk[i]
                        inside += 1
    return below, inside
