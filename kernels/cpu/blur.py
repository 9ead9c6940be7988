"""Gaussian blurs of the object, laterally and in depth, and of the tilts over the scan.

The taps are real and symmetric, so complex numbers are blurred as interleaved pairs of reals and
mirrored taps share a multiplication. One loop adds two pairs of taps: adding them one by one stores
and loads the sum again each time, and took 13.8 ms instead of 3.8 ms for five taps in depth.
"""

from __future__ import annotations

import numpy as np

from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools.compiled import kernel

# Bytes of a block of columns in depth, all slices together. 20×512×512 float32 took 5.0 ms with it,
# 6.1 with eight times as many, on arrays that were in no cache.
_DEPTH_BLOCK = 1 << 16
# Fewer elements than this, laterally and in depth, are blurred before a second thread has woken up:
# six slices of 256² took twice as long in depth with two threads.
_SMALL = 1 << 17
_SMALL_DEPTH = 1 << 19


def obj_rblur(obj: Array, *, taps: tuple[float, ...]) -> None:
    """Blur along the last two axes, reflecting at the edges without repeating the edge pixel."""
    _blur_lateral(obj.reshape(-1, *obj.shape[-2:]), taps)


def tilt_smooth(tilts: Array, *, scan_shape: tuple[int, int], taps: tuple[float, ...]) -> None:
    """Blur over the two scan axes, reflecting as `obj_rblur`."""
    # (y, x) of one tilt lie next to each other as the parts of a complex number do
    complex_dtype = np.result_type(tilts.dtype, np.complex64)
    _blur_lateral(tilts.view(complex_dtype).reshape(1, *scan_shape), taps)


def obj_zblur(obj: Array, *, taps: tuple[float, ...]) -> None:
    """Blur along axis -3, replicating the first and the last slice."""
    if len(taps) == 1:
        return
    volumes = _as_real(obj).reshape(-1, obj.shape[-3], _parts(obj) * obj.shape[-2] * obj.shape[-1])
    weights, offsets = _half(taps, volumes.dtype)
    columns = volumes.shape[2]
    width = max(256, min(columns, _DEPTH_BLOCK // (volumes.shape[1] * volumes.itemsize)))

    def work(start: int, stop: int) -> None:
        scratch = np.empty((volumes.shape[1], width), volumes.dtype)
        for volume in volumes:
            _blur_depth(volume[:, start:stop], weights, offsets, scratch)

    threads.run(work, columns, grain=max(1, _SMALL_DEPTH // (len(volumes) * volumes.shape[1])))


def _blur_lateral(slices: Array, taps: tuple[float, ...]) -> None:
    if len(taps) == 1:
        return
    parts, (ny, nx) = _parts(slices), slices.shape[-2:]
    real = _as_real(slices).reshape(-1, ny, nx * parts)
    weights, offsets = _half(taps, real.dtype)
    reach = len(taps) // 2

    def work(start: int, stop: int) -> None:
        ring = np.empty((min(len(taps), ny), nx * parts), real.dtype)
        row = np.empty((nx + 2 * reach) * parts, real.dtype)
        for plane in real[start:stop]:
            _blur_plane(plane, weights, offsets, reach, parts, ring, row)

    threads.run(work, real.shape[0], grain=max(1, _SMALL // (ny * nx)))


def _parts(x: Array) -> int:
    return 2 if x.dtype.kind == "c" else 1


def _as_real(x: Array) -> Array:
    return x.view(x.real.dtype) if x.dtype.kind == "c" else x


def _half(taps: tuple[float, ...], dtype: np.dtype) -> tuple[Array, Array]:
    """Weights and offsets of the central tap and of pairs of taps, an even number of pairs.

    The filler has weight 0 and offset 0, so that it can spread nothing that is not finite.
    """
    reach = len(taps) // 2
    filler = [0] * (reach % 2)
    weights = np.array([*taps[reach:], *filler], dtype)
    return weights, np.array([*range(reach + 1), *filler])


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
def _blur_plane(plane, weights, offsets, reach, parts, ring, row):
    """Blur a plane in place: a ring holds the blurred rows that are still needed."""
    ny, rows = plane.shape[0], ring.shape[0]
    ready = 0
    for y in range(ny):
        while ready < ny and ready <= y + reach:
            _blur_row(plane[ready], ring[ready % rows], weights, offsets, reach, parts, row)
            ready += 1
        for j in range(1, weights.size, 2):
            one, two = offsets[j], offsets[j + 1]
            a, b = ring[_reflect(y - one, ny) % rows], ring[_reflect(y + one, ny) % rows]
            c, d = ring[_reflect(y - two, ny) % rows], ring[_reflect(y + two, ny) % rows]
            if j == 1:
                centre = ring[y % rows]
                _start(plane[y], centre, a, b, c, d, weights[0], weights[1], weights[2])
            else:
                _go_on(plane[y], a, b, c, d, weights[j], weights[j + 1])


@kernel
def _blur_depth(volume, weights, offsets, scratch):
    """Blur columns (nz, n) in place, a block of columns at a time."""
    nz, n = volume.shape
    for start in range(0, n, scratch.shape[1]):
        size = min(scratch.shape[1], n - start)
        for z in range(nz):
            scratch[z, :size] = volume[z, start : start + size]
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
