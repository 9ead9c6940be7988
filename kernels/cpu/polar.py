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
# Small slices are taken together until they have so many: with one at a time a hundred of 16 by 16
# took seven times as long as whole-array functions. And with fewer a second thread is not woken.
_GRAIN = 1 << 15
# Elements that stay in the first-level cache from one loop to the next.
_CHUNK = 1 << 10


def split(obj: Array, amplitude: Array | None, phase: Array) -> None:
    """Write modulus, if it is wanted, and phase within π of its slice's reference phase.

    The sums that the reference phases come from are taken along with the angles, after which most
    objects are done.
    """
    dtype, blocks = phase.dtype, _Blocks(obj.shape)
    tables = elementary.tables(dtype)
    smallest, largest = _ordinary(dtype)
    sums, near = np.empty((*blocks.sums, 2)), np.empty(blocks.sums, np.bool_)

    def take(index: Any, place: Any) -> None:
        a = None if amplitude is None else _writable(amplitude[index])
        p = _writable(phase[index])
        moduli = None if a is None else _slices(a)
        results = moduli, _slices(p), sums[place], near[place]
        _take(_numbers(obj[index]), *results, smallest, largest, tables)
        if a is not None:
            _store(a, amplitude, index)
        _store(p, phase, index)

    blocks.each(take)
    reference = _reference_phases(sums)
    near &= (np.abs(reference) <= np.pi / 2)[..., None, :]
    nearest = reference.astype(dtype)

    def turn(index: Any, place: Any) -> None:
        if not near[place].all():
            p, which = _plain(phase[index]), (*place[:-2], place[-1])
            _turn(_slices(p), near[place], nearest[which], tables)
            _store(p, phase, index)

    blocks.each(turn)


def amplitude(obj: Array, amplitude: Array) -> None:
    """Write the modulus."""
    limits = _ordinary(amplitude.dtype)

    def part(index: Any, _: Any) -> None:
        a = _writable(amplitude[index])
        _take_moduli(_numbers(obj[index]).reshape(-1), a.reshape(-1), *limits)
        _store(a, amplitude, index)

    _Blocks(obj.shape).each(part)


def phase(obj: Array, phase: Array) -> None:
    """Write the phase, within π of its slice's reference phase."""
    split(obj, None, phase)


def join(amplitude: Array, phase: Array, obj: Array) -> None:
    """Write A·exp(iφ)."""
    tables = elementary.tables(phase.dtype)

    def part(index: Any, _: Any) -> None:
        a, p = _plain(amplitude[index]), _plain(phase[index])
        target = _writable(obj[index])
        _join(a.reshape(-1), p.reshape(-1), _numbers(target).reshape(-1), tables)
        _store(target, obj, index)

    _Blocks(obj.shape).each(part)


def with_amplitude(obj: Array, amplitude: Array, target: Array) -> None:
    """Write A·exp(i arg O): O times A/|O|, which takes neither angles nor their sines."""
    _replace(_scale, obj, amplitude, target)


def with_phase(obj: Array, phase: Array, target: Array) -> None:
    """Write |O|·exp(iφ)."""
    _replace(_point, obj, phase, target)


def _replace(kernel: Callable[..., None], obj: Array, part: Array, target: Array) -> None:
    """Let a kernel write the modulus or the phase into each block of a copy of the object."""
    tables, limits = elementary.tables(part.dtype), _ordinary(part.dtype)

    def one(index: Any, _: Any) -> None:
        block = _writable(target[index])
        if target is not obj or not np.may_share_memory(block, obj):
            block[...] = obj[index]
        values = _plain(part[index]).reshape(-1)
        kernel(_numbers(block).reshape(-1), values, *limits, tables)
        _store(block, target, index)

    _Blocks(obj.shape).each(one)


def follow(amplitude: Array, phase: Array, obj: Array) -> None:
    """Write modulus and phase, each pixel's phase on the branch nearest to the one it was on."""
    tables, ordinary = elementary.tables(phase.dtype), _ordinary(phase.dtype)
    a, p, z = amplitude.reshape(-1), phase.reshape(-1), obj.view(phase.dtype).reshape(-1)

    def part(start: int, stop: int) -> None:
        here = slice(start, stop)
        _follow(z[2 * start : 2 * stop], a[here], p[here], *ordinary, tables)

    threads.run(part, p.size, grain=_GRAIN)


def _reference_phases(sums: Array) -> Array:
    """Return the slices' reference phases, (..., nz), from the sums over ranges of their rows."""
    with np.errstate(all="ignore"):
        # always the same ranges, so that the number of threads does not change the result
        real, imag = np.moveaxis(np.sum(sums, axis=-3), -1, 0)
    return agnostic.reference_phases(real, imag, xp=arrays.namespace(sums=sums))


class _Blocks:
    """Blocks of an array of shape (..., nz, ny, nx): some rows of a slice, or some small slices.

    Attributes
    ----------
    sums : tuple of int
        Shape (..., ranges of rows, nz) of what there is one of for each slice in each block.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        *volumes, nz, ny, nx = shape
        self._rows = min(ny, max(1, _BLOCK // nx))
        self._slices = 1 if self._rows < ny else min(nz, max(1, _GRAIN // (ny * nx)))
        self._grain = max(1, _GRAIN // (self._slices * self._rows * nx))
        self._counts = (*volumes, -(-ny // self._rows), -(-nz // self._slices))
        self.sums = (*self._counts[:-1], nz)

    def each(self, part: Callable[[Any, Any], None]) -> None:
        """Call `part` with each block's index into the array, and the one into `sums`."""

        def work(start: int, stop: int) -> None:
            for i in range(start, stop):
                *volume, row, z = np.unravel_index(i, self._counts)
                slices = slice(z * self._slices, (z + 1) * self._slices)
                rows = slice(row * self._rows, (row + 1) * self._rows)
                part((*volume, slices, rows), (*volume, row, slices))

        threads.run(work, math.prod(self._counts), grain=self._grain)


def _plain(block: Array) -> Array:
    """Return the block if compiled code for ordinary arrays takes it, else a copy that it takes."""
    return block if block.flags.carray else np.array(block, order="C")


def _writable(block: Array) -> Array:
    """Return the block itself or, for `_store`, memory of its shape that compiled code takes."""
    return block if block.flags.carray else np.empty(block.shape, block.dtype)


def _store(block: Array, target: Array, index: Any) -> None:
    if not np.may_share_memory(block, target):
        target[index] = block


def _slices(block: Array) -> Array:
    return block.reshape(len(block), -1)


def _numbers(block: Array) -> Array:
    """Return real and imaginary parts in turns, (slices, numbers)."""
    return _slices(_plain(block)).view(block.real.dtype)


def _ordinary(dtype: Any) -> tuple[Any, Any]:
    """Range of moduli whose quotients and sums of squares are exact; 0 is ordinary too."""
    info = np.finfo(dtype)
    return np.sqrt(info.tiny / info.eps), np.sqrt(info.max / 4)


@summing
def _sum(z: Array) -> tuple[float, float]:
    real = imag = 0.0
    for i in range(z.size // 2):
        real += np.float64(z[2 * i])
        imag += np.float64(z[2 * i + 1])
    return real, imag


@kernel
def _take(z, amplitude, phase, sums, near, smallest, largest, tables):
    """Write moduli, angles, sums, and whether all angles of a slice are within π/2."""
    for i in range(len(z)):
        if amplitude is not None:
            near[i] = _to_parts(z[i], amplitude[i], phase[i], smallest, largest, tables)
        else:
            near[i] = _to_angles(z[i], phase[i], smallest, largest, tables)
        sums[i, 0], sums[i, 1] = _sum(z[i])


@kernel
def _to_parts(z, amplitude, phase, smallest, largest, tables):
    near = True
    for start in range(0, phase.size, _CHUNK):
        a, p = amplitude[start : start + _CHUNK], phase[start : start + _CHUNK]
        numbers = z[2 * start : 2 * (start + p.size)]
        if _all_ordinary(numbers, smallest, largest):
            # in one loop; in one for each they take a fifth more time
            for i in range(p.size):
                x, y = numbers[2 * i], numbers[2 * i + 1]
                a[i] = _modulus(x, y)
                p[i] = elementary.arctangent(y, x, tables)
        else:
            _moduli(numbers, a, smallest, largest)
            _angles(numbers, p, False, tables)
        near &= _all_near(p, tables)
    return near


@kernel
def _to_angles(z, phase, smallest, largest, tables):
    near = True
    for start in range(0, phase.size, _CHUNK):
        p = phase[start : start + _CHUNK]
        numbers = z[2 * start : 2 * (start + p.size)]
        _angles(numbers, p, _all_ordinary(numbers, smallest, largest), tables)
        near &= _all_near(p, tables)
    return near


@kernel
def _take_moduli(z, amplitude, smallest, largest):
    for start in range(0, amplitude.size, _CHUNK):
        a = amplitude[start : start + _CHUNK]
        _moduli(z[2 * start : 2 * (start + a.size)], a, smallest, largest)


@kernel
def _modulus(x, y):
    return math.sqrt(x * x + y * y)


@kernel
def _moduli(numbers, a, smallest, largest):
    """Write moduli, and return whether all are 0 or within the range.

    In one loop; with another one for the range, the amplitude alone took half as long again.
    """
    fine, low, high = True, smallest * smallest, largest * largest
    for i in range(a.size):
        x, y = numbers[2 * i], numbers[2 * i + 1]
        square = x * x + y * y
        a[i] = math.sqrt(square)
        fine &= ((square >= low) & (square <= high)) | ((x == 0) & (y == 0))
    if not fine:
        for i in range(a.size):
            a[i] = math.hypot(numbers[2 * i], numbers[2 * i + 1])
    return fine


@kernel
def _angles(numbers, p, fine, tables):
    if fine:
        for i in range(p.size):
            p[i] = elementary.arctangent(numbers[2 * i + 1], numbers[2 * i], tables)
    else:
        for i in range(p.size):
            x, y = numbers[2 * i], numbers[2 * i + 1]
            # of negative zeros atan2 makes -π, or π instead of 0
            p[i] = math.atan2(tables.zero if y == 0 else y, tables.zero if x == 0 else x)


@kernel
def _all_near(p, tables):
    """Whether all angles are within π/2."""
    near, quarter = True, tables.half_turn / 2
    for i in range(p.size):
        near &= abs(p[i]) <= quarter
    return near


@kernel
def _turn(phase, near, reference, tables):
    turn = tables.half_turn + tables.half_turn
    for z in range(len(phase)):
        if near[z]:
            continue
        p, mean = phase[z], reference[z]
        for i in range(p.size):
            p[i] += turn * np.rint((mean - p[i]) / turn)


@kernel
def _follow(z, amplitude, phase, smallest, largest, tables):
    turn = tables.half_turn + tables.half_turn
    before = np.empty(_CHUNK, phase.dtype)
    for start in range(0, phase.size, _CHUNK):
        a, p = amplitude[start : start + _CHUNK], phase[start : start + _CHUNK]
        for i in range(p.size):
            before[i] = p[i]
        _to_parts(z[2 * start : 2 * (start + p.size)], a, p, smallest, largest, tables)
        for i in range(p.size):
            near = p[i] + turn * np.rint((before[i] - p[i]) / turn)
            p[i] = before[i] if a[i] == 0 else near


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


@kernel
def _scale(z, amplitude, smallest, largest, tables):
    moduli, angles = np.empty(_CHUNK, amplitude.dtype), np.empty(_CHUNK, amplitude.dtype)
    for start in range(0, amplitude.size, _CHUNK):
        a = amplitude[start : start + _CHUNK]
        m, numbers = moduli[: a.size], z[2 * start : 2 * (start + a.size)]
        if _moduli(numbers, m, smallest, largest):
            everywhere = True
            for i in range(a.size):
                everywhere &= m[i] != tables.zero
                m[i] = tables.one / (tables.one if m[i] == tables.zero else m[i])
            for i in range(a.size):
                # A/|O| may overflow, x/|O| cannot
                numbers[2 * i] = a[i] * (numbers[2 * i] * m[i])
                numbers[2 * i + 1] = a[i] * (numbers[2 * i + 1] * m[i])
            if (
                not everywhere
            ):  # 0 has phase 0; in the loop above this would take half its time more
                _fill_zeros(numbers, a)
        else:
            p = angles[: a.size]
            _angles(numbers, p, False, tables)
            for i in range(a.size):
                numbers[2 * i], numbers[2 * i + 1] = a[i] * math.cos(p[i]), a[i] * math.sin(p[i])


@kernel
def _fill_zeros(numbers, a):
    for i in range(a.size):
        if numbers[2 * i] == 0 and numbers[2 * i + 1] == 0:
            numbers[2 * i] = a[i]


@kernel
def _point(z, phase, smallest, largest, tables):
    moduli = np.empty(_CHUNK, phase.dtype)
    sines, cosines = np.empty(_CHUNK, phase.dtype), np.empty(_CHUNK, phase.dtype)
    for start in range(0, phase.size, _CHUNK):
        p = phase[start : start + _CHUNK]
        m, numbers = moduli[: p.size], z[2 * start : 2 * (start + p.size)]
        _moduli(numbers, m, smallest, largest)
        elementary.sines_and_cosines(p, sines, cosines, tables)
        for i in range(p.size):
            numbers[2 * i], numbers[2 * i + 1] = m[i] * cosines[i], m[i] * sines[i]
