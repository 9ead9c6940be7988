"""A complex object as amplitude and phase, and back, a block of a slice at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from arraycon.kernels.agnostic import polar as agnostic
from arraycon.kernels.common import arrays, threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools import elementary
from arraycon.kernels.cpu.tools.compiled import kernel, summing

# Elements of one block, which is copied where its memory is not contiguous. With half as many what
# is interpreted for each block took a third of the time.
_BLOCK = 1 << 16
# Elements that stay in the first-level cache from one loop to the next.
_CHUNK = 1 << 10


def split(obj: Array, amplitude: Array, phase: Array) -> None:
    """Write modulus and phase, the latter within π of its slice's reference phase.

    The sums that the reference phases come from are taken along with the angles, after which most
    objects are done.
    """
    dtype = phase.dtype
    tables = elementary.tables(dtype)
    smallest, largest = _ordinary(dtype)
    blocks = _Blocks(obj.shape)
    sums, near = np.empty((*blocks.counts, 2)), np.empty(blocks.counts, np.bool_)

    def take(place: Any, index: Any) -> None:
        a, p = _writable(amplitude[index]), _writable(phase[index])
        parts = a.reshape(-1), p.reshape(-1)
        near[place] = _take(_numbers(obj[index]), *parts, smallest, largest, tables)
        sums[place] = _sums(_numbers(obj[index]))
        _store(a, amplitude, index)
        _store(p, phase, index)

    blocks.each(take)
    reference = _reference_phases(sums)
    near &= (np.abs(reference) <= np.pi / 2)[..., None]

    def turn(place: Any, index: Any) -> None:
        if not near[place]:
            p = _plain(phase[index])
            _turn(p.reshape(-1), dtype.type(reference[place[:-1]]), tables)
            _store(p, phase, index)

    blocks.each(turn)


def join(amplitude: Array, phase: Array, obj: Array) -> None:
    """Write A·exp(iφ)."""
    tables = elementary.tables(phase.dtype)

    def part(_: Any, index: Any) -> None:
        a, p = _plain(amplitude[index]), _plain(phase[index])
        target = _writable(obj[index])
        _join(a.reshape(-1), p.reshape(-1), _numbers(target), tables)
        _store(target, obj, index)

    _Blocks(obj.shape).each(part)


def _reference_phases(sums: Array) -> Array:
    """Return the slices' reference phases, (..., nz), from the sums of their blocks."""
    with np.errstate(all="ignore"):
        # always the same blocks, so that the number of threads does not change the result
        real, imag = np.moveaxis(np.sum(sums, axis=-2), -1, 0)
    return agnostic.reference_phases(real, imag, xp=arrays.namespace(sums=sums))


class _Blocks:
    """Ranges of rows of each slice of an array of this shape, (..., ny, nx).

    Attributes
    ----------
    counts : tuple of int
        How many there are, (..., ranges).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        *slices, ny, nx = shape
        self._rows = max(1, _BLOCK // nx)
        self.counts = (*slices, -(-ny // self._rows))

    def each(self, part: Callable[[Any, Any], None]) -> None:
        """Call `part` with each block's place among the blocks, and its index into the array."""

        def work(start: int, stop: int) -> None:
            for i in range(start, stop):
                place = np.unravel_index(i, self.counts)
                first = place[-1] * self._rows
                part(place, (*place[:-1], slice(first, first + self._rows)))

        threads.run(work, math.prod(self.counts))


def _plain(block: Array) -> Array:
    """Return the block if compiled code for ordinary arrays takes it, else a copy that it takes."""
    return block if block.flags.carray else np.array(block, order="C")


def _writable(block: Array) -> Array:
    """Return the block itself or, for `_store`, memory of its shape that compiled code takes."""
    return block if block.flags.carray else np.empty(block.shape, block.dtype)


def _store(block: Array, target: Array, index: Any) -> None:
    if not np.may_share_memory(block, target):
        target[index] = block


def _numbers(block: Array) -> Array:
    """Real and imaginary parts in turns."""
    return _plain(block).reshape(-1).view(block.real.dtype)


def _ordinary(dtype: Any) -> tuple[Any, Any]:
    """Range of moduli whose quotients and sums are exact; beside it, 0 is ordinary too."""
    info = np.finfo(dtype)
    return info.tiny / info.eps, info.max / 4


@summing
def _sums(z: Array) -> tuple[float, float]:
    real = imag = 0.0
    for i in range(z.size // 2):
        real += np.float64(z[2 * i])
        imag += np.float64(z[2 * i + 1])
    return real, imag


@kernel
def _take(z, amplitude, phase, smallest, largest, tables):
    """Write moduli and angles; return whether all angles are within π/2."""
    near, quarter = True, tables.half_turn / 2
    for start in range(0, phase.size, _CHUNK):
        a, p = amplitude[start : start + _CHUNK], phase[start : start + _CHUNK]
        numbers = z[2 * start : 2 * (start + p.size)]
        if _all_ordinary(numbers, smallest, largest):
            for i in range(p.size):
                x, y = numbers[2 * i], numbers[2 * i + 1]
                a[i] = elementary.modulus(x, y, tables)
                p[i] = elementary.arctangent(y, x, tables)
        else:
            for i in range(p.size):
                x, y = numbers[2 * i], numbers[2 * i + 1]
                a[i] = math.hypot(x, y)
                # of negative zeros atan2 makes -π, or π instead of 0
                p[i] = math.atan2(tables.zero if y == 0 else y, tables.zero if x == 0 else x)
        for i in range(p.size):
            near &= abs(p[i]) <= quarter
    return near


@kernel
def _turn(phase, reference, tables):
    turn = tables.half_turn + tables.half_turn
    for i in range(phase.size):
        phase[i] += turn * np.rint((reference - phase[i]) / turn)


@kernel
def _all_ordinary(z, smallest, largest):
    """Whether each pixel's larger part is 0 or within the range; NaN is not."""
    fine = True
    for i in range(z.size // 2):
        a, b = abs(z[2 * i]), abs(z[2 * i + 1])
        high = b if a < b else a
        fine &= (high == 0) | ((high >= smallest) & (high <= largest) & (b == b))
    return fine


@kernel
def _join(amplitude, phase, z, tables):
    sines, cosines = np.empty(_CHUNK, phase.dtype), np.empty(_CHUNK, phase.dtype)
    for start in range(0, phase.size, _CHUNK):
        a, p = amplitude[start : start + _CHUNK], phase[start : start + _CHUNK]
        elementary.sines_and_cosines(p, sines, cosines, tables)
        numbers = z[2 * start : 2 * (start + p.size)]
        for i in range(p.size):
            numbers[2 * i], numbers[2 * i + 1] = a[i] * cosines[i], a[i] * sines[i]
