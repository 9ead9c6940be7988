"""Gaussian blurs of the object, laterally and in depth, and of the tilts over the scan.

The taps are real and symmetric, so complex numbers are blurred as interleaved pairs of reals and
mirrored taps share a multiplication. One loop adds two pairs of taps: adding them one by one stores
and loads the sum again each time, and took 13.8 ms instead of 3.8 ms for five taps in depth.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.sums import add_unchanged, keep_values, squares

# Bytes of a block of columns in depth, all slices together. 20×512×512 float32 took 5.0 ms with it,
# 6.1 with eight times as many, on arrays that were in no cache.
_DEPTH_BLOCK = 1 << 16
# Fewer elements than this, laterally and in depth, are blurred before a second thread has woken up:
# six slices of 256² took twice as long in depth with two threads.
_SMALL = 1 << 17
_SMALL_DEPTH = 1 << 19


def obj_rblur(obj: Array, *, taps: tuple[float, ...], sums: Array | None = None) -> Iterator[None]:
    """Blur along the last two axes, reflecting at the edges without repeating the edge pixel."""
    yield from _blur_lateral(obj.reshape(-1, *obj.shape[-2:]), taps, sums)


def tilt_smooth(
    tilts: Array,
    *,
    scan_shape: tuple[int, int],
    taps: tuple[float, ...],
    sums: Array | None = None,
) -> Iterator[None]:
    """Blur over the two scan axes, reflecting as `obj_rblur`."""
    # (y, x) of one tilt lie next to each other as the parts of a complex number do
    complex_dtype = np.result_type(tilts.dtype, np.complex64)
    yield from _blur_lateral(tilts.view(complex_dtype).reshape(1, *scan_shape), taps, sums)


def obj_zblur(obj: Array, *, taps: tuple[float, ...], sums: Array | None = None) -> Iterator[None]:
    """Blur along axis -3, replicating the first and the last slice."""
    volumes = _as_real(obj).reshape(-1, obj.shape[-3], _parts(obj) * obj.shape[-2] * obj.shape[-1])
    weights, offsets = _half(taps, volumes.dtype)
    number, nz, columns = volumes.shape
    # always the same blocks, so that the number of threads does not change the sums
    width = max(256, min(columns, _DEPTH_BLOCK // (nz * volumes.itemsize)))
    blocks = -(-columns // width)
    grain = max(1, _SMALL_DEPTH // (number * nz * width))
    memory = threads.memory(
        lambda: scratch_memory(np.empty, (nz, width), volumes.dtype), blocks, grain=grain
    )
    changes = np.zeros((blocks, 2))
    measured = sums is not None

    def work(start: int, stop: int, scratch: Array) -> None:
        for i in range(start, stop):
            for volume in volumes:
                changes[i] += _blur_depth(volume, i * width, weights, offsets, scratch, measured)

    yield
    if len(taps) > 1:
        threads.run(work, blocks, grain=grain, memory=memory)
        if sums is not None:
            np.sum(changes, axis=0, out=sums[0])
    elif sums is not None:
        add_unchanged(obj, sums[0])


def _blur_lateral(slices: Array, taps: tuple[float, ...], sums: Array | None) -> Iterator[None]:
    parts, (ny, nx) = _parts(slices), slices.shape[-2:]
    real = _as_real(slices).reshape(-1, ny, nx * parts)
    weights, offsets = _half(taps, real.dtype)
    reach = len(taps) // 2
    grain = max(1, _SMALL // (ny * nx))
    rows = nx * parts

    def scratch() -> tuple[Array, Array, Array]:
        ring = np.empty((min(len(taps), ny), rows), real.dtype)
        row = np.empty(rows + 2 * reach * parts, real.dtype)
        return ring, row, np.empty(0 if sums is None else rows, real.dtype)

    memory = threads.memory(scratch, len(real), grain=grain)
    changes = np.empty((len(real), 2))

    def work(start: int, stop: int, memory: tuple[Array, Array, Array]) -> None:
        for i in range(start, stop):
            changes[i] = _blur_plane(real[i], weights, offsets, reach, parts, *memory)

    yield
    if len(taps) > 1:
        threads.run(work, len(real), grain=grain, memory=memory)
        if sums is not None:
            np.sum(changes, axis=0, out=sums[0])
    elif sums is not None:
        add_unchanged(slices, sums[0])


def _parts(x: Array) -> int:
    return 2 if x.dtype.kind == "c" else 1


def _as_real(x: Array) -> Array:
    return x.view(x.real.dtype) if x.dtype.kind == "c" else x


def _half(taps: tuple[float, ...], dtype: np.dtype) -> tuple[Array, Array]:
    """Weights and offsets of the central tap and of pairs of taps, an even number of pairs.

    Where one is missing, the first pair is there twice with half its weight. One of weight 0 would
    make NaN of infinities.
    """
    reach = len(taps) // 2
    weights, offsets = list(taps[reach:]), list(range(reach + 1))
    if reach % 2:
        weights[1:2] = [weights[1] / 2] * 2
        offsets[1:2] = [1, 1]
    return np.array(weights, dtype), np.array(offsets)


@kernel
def _reflect(index: int, n: int) -> int:
    period = max(2 * (n - 1), 1)
    return n - 1 - abs(index % period - (n - 1))


@kernel
def _start(total, centre, a, b, c, d, w0, w1, w2):
    for i in range(total.size):
        total[i] = w0 * centre[i] + w1 * (a[i] + b[i]) + w2 * (c[i] + d[i])


@kernel
def _go_on(total, a, b, c, d, w1, w2):
    for i in range(total.size):
        total[i] += w1 * (a[i] + b[i]) + w2 * (c[i] + d[i])


@kernel
def _blur_row(source, target, weights, offsets, reach, parts, row):
    """Blur one row into another by way of `row`, which holds it with both ends reflected."""
    size = source.size
    n = size // parts
    for i in range(size):
        row[reach * parts + i] = source[i]
    for j in range(reach):
        for k in range(parts):
            row[j * parts + k] = source[_reflect(j - reach, n) * parts + k]
            row[(reach + n + j) * parts + k] = source[_reflect(n + j, n) * parts + k]
    for j in range(1, weights.size, 2):
        one, two = offsets[j] * parts, offsets[j + 1] * parts
        middle = reach * parts
        a = row[middle - one : middle - one + size]
        b = row[middle + one : middle + one + size]
        c = row[middle - two : middle - two + size]
        d = row[middle + two : middle + two + size]
        if j == 1:
            centre = row[middle : middle + size]
            _start(target, centre, a, b, c, d, weights[0], weights[1], weights[2])
        else:
            _go_on(target, a, b, c, d, weights[j], weights[j + 1])


@kernel
def _blur_plane(plane, weights, offsets, reach, parts, ring, row, old):
    """Blur a plane in place: a ring holds the blurred rows that are still needed.

    With room for an old row, return the sums of the change.
    """
    ny, rows = plane.shape[0], ring.shape[0]
    ready = 0
    changed = before = 0.0
    for y in range(ny):
        while ready < ny and ready <= y + reach:
            _blur_row(plane[ready], ring[ready % rows], weights, offsets, reach, parts, row)
            ready += 1
        keep_values(plane[y, : old.size], old)
        for j in range(1, weights.size, 2):
            one, two = offsets[j], offsets[j + 1]
            a, b = ring[_reflect(y - one, ny) % rows], ring[_reflect(y + one, ny) % rows]
            c, d = ring[_reflect(y - two, ny) % rows], ring[_reflect(y + two, ny) % rows]
            if j == 1:
                centre = ring[y % rows]
                _start(plane[y], centre, a, b, c, d, weights[0], weights[1], weights[2])
            else:
                _go_on(plane[y], a, b, c, d, weights[j], weights[j + 1])
        more, size = squares(plane[y, : old.size], old)
        changed += more
        before += size
    return changed, before


@kernel
def _blur_depth(volume, start, weights, offsets, scratch, measured):
    """Blur a block of columns of (nz, n) in place; return the sums of the change if asked.

    Of the volume and not of the block, whose rows Numba would not know to be contiguous.
    """
    nz, n = volume.shape
    size = min(scratch.shape[1], n - start)
    changed = before = 0.0
    for z in range(nz):
        keep_values(volume[z, start : start + size], scratch[z, :size])
    for z in range(nz):
        total = volume[z, start : start + size]
        for j in range(1, weights.size, 2):
            one, two = offsets[j], offsets[j + 1]
            a, b = scratch[max(z - one, 0), :size], scratch[min(z + one, nz - 1), :size]
            c, d = scratch[max(z - two, 0), :size], scratch[min(z + two, nz - 1), :size]
            if j == 1:
                centre = scratch[z, :size]
                _start(total, centre, a, b, c, d, weights[0], weights[1], weights[2])
            else:
                _go_on(total, a, b, c, d, weights[j], weights[j + 1])
        if measured:
            more, old = squares(total, scratch[z, :size])
            changed += more
            before += old
    return changed, before
