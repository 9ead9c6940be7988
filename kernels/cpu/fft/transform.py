"""Lateral transforms of single slices, for sizes that are products of 2, 3 and 5 or far from it.

Several rows or columns are transformed at once, each in a lane of its own: with AVX-512 16 in
float32, 8 in float64. ducc0's wheel is made for processors without AVX and does 4 or 2, while Numba
compiles for the processor that is there. The lanes are copied to a tile, memory that holds
nothing else: in rows of a power of two, columns compete for few places in the cache, which slows
ducc0 down. A pair of transforms in place, ms here / by ducc0 (one thread, AVX-512; with AVX2 half
the gain, without it none):

| slice | rfft2, irfft2 | DCT-II, DCT-III | complex FFT | complex, mask in between |
|---|---|---|---|---|
| 256², float32 | 0.16 / 0.27 | 0.15 / 0.23 | 0.26 / 0.54 | 0.26 / 0.59 |
| 512², float32 | 0.68 / 1.35 | 0.72 / 1.46 | 1.8 / 4.6 | 1.6 / 4.9 |
| 1024², float32 | 3.3 / 9.7 | 4.8 / 15.8 | | |
| 300×400, float32 | 0.34 / 0.60 | 0.35 / 0.48 | | |
| 256², float64 | 0.29 / 0.39 | 0.28 / 0.35 | 0.51 / 0.80 | 0.53 / 0.93 |
| 512², float64 | 1.15 / 1.94 | 1.4 / 2.6 | 3.4 / 4.1 | 2.9 / 4.5 |

Lengths with a large prime factor, as object widths often have, become convolutions of a suitable
length. Times by ducc0 over times here, with a mask in between; DCT-II; complex FFT:

| slice | float32 | float64 |
|---|---|---|
| 614² | 1.8; 3.8; 1.3 | 1.4; 1.8; 1.0 |
| 509² | 3.3; 3.1; 1.4 | 2.1; 2.6; 1.4 |
| 254² | 2.0; 3.2; 1.6 | 1.8; 2.3; 1.2 |

All arrays are C-contiguous; Numba refuses others. A slice is the work of one thread.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.cpu.fft import butterflies as move
from arraycon.kernels.cpu.fft import lanes
from arraycon.kernels.cpu.fft.contract import InPlace
from arraycon.kernels.cpu.fft.packed import Packed
from arraycon.kernels.cpu.fft.plans import plan_of, small_factors
from arraycon.kernels.cpu.fft.tile import fft, tile_for
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.sums import keep_values, squares

_CACHE_LINE = 64
# So that a float32 vector fits into half a spectrum's row.
_SMALLEST = 32
# Lengths with a prime factor from here on are transformed by a convolution. With a smaller one
# beside 2, 3 and 5 ducc0 is as fast or faster: filter_real of 448², 296², 410² and 474² float32
# (factors 7, 37, 41 and 79) took 0.73, 0.99, 1.23 and 1.51 times as long by ducc0.
_AWKWARD = 41


def suits(ny: int, nx: int) -> bool:
    """Tell whether slices of this size are transformed faster here than by ducc0."""
    return lanes.AVX2 and min(ny, nx) >= _SMALLEST and _suits(ny) and _suits(nx)


@functools.lru_cache
def _suits(n: int) -> bool:
    rest = n // math.prod(small_factors(n))
    largest = 1
    for prime in range(2, math.isqrt(rest) + 1):
        while rest % prime == 0:
            largest, rest = prime, rest // prime
    return rest == largest == 1 or max(largest, rest) >= _AWKWARD


def spectrum_buffer(ny: int, nx: int, dtype: Any) -> Array:
    """Return memory for the spectrum of a real slice: nx//2 + 1 columns, and some unused ones.

    Rows are an odd number of cache lines, so that columns are spread over all places of the cache:
    rfft2 of 512² float32 takes 0.30 ms, into an array without unused columns 0.37.
    """
    complex_dtype = np.result_type(dtype, np.complex64)
    line = _CACHE_LINE // complex_dtype.itemsize
    width = (-(-(nx // 2 + 1) // line) | 1) * line
    memory = scratch_memory(np.empty, (ny * width + line,), complex_dtype)
    first = -memory.ctypes.data % _CACHE_LINE // memory.itemsize
    return memory[first : first + ny * width].reshape(ny, width)


def rfft2_into(x: Array, spectrum: Array) -> None:
    """FFT of a real slice; the first nx//2 + 1 columns of `spectrum` are written."""
    ny, nx = x.shape
    _forward_rows(x, spectrum, plan_of(nx, x.dtype))
    # two real rows make one complex one, and come apart as sums that are twice too large
    half = x.dtype.type(0.5)
    _columns(spectrum, nx // 2 + 1, _no_mask(x.dtype), False, half, plan_of(ny, x.dtype))


def irfft2_into(spectrum: Array, x: Array) -> None:
    """Inverse of `rfft2_into`; `spectrum` is overwritten."""
    ny, nx = x.shape
    scale = x.dtype.type(1 / x.size)
    _columns(spectrum, nx // 2 + 1, _no_mask(x.dtype), True, scale, plan_of(ny, x.dtype))
    _backward_rows(spectrum, x, plan_of(nx, x.dtype))


def filter_real(x: Array, mask: Array, spectrum: Array) -> None:
    """irfft2(rfft2(x)·mask) for a real mask (ny//2 + 1, nx//2 + 1) that is even in ky.

    Columns are transformed, multiplied and transformed back while they are in the cache.
    """
    ny, nx = x.shape
    scale = x.dtype.type(0.5 / x.size)
    _forward_rows(x, spectrum, plan_of(nx, x.dtype))
    _columns(spectrum, nx // 2 + 1, mask, False, scale, plan_of(ny, x.dtype))
    _backward_rows(spectrum, x, plan_of(nx, x.dtype))


def filter_real_measured(x: Array, mask: Array, spectrum: Array) -> tuple[float, float]:
    """`filter_real`, with Σ(new - old)² and Σold²: old rows are kept until the new ones come."""
    ny, nx = x.shape
    scale = x.dtype.type(0.5 / x.size)
    _forward_rows(x, spectrum, plan_of(nx, x.dtype))
    _columns(spectrum, nx // 2 + 1, mask, False, scale, plan_of(ny, x.dtype))
    changed, before = _backward_rows_measured(spectrum, x, plan_of(nx, x.dtype))
    return changed, before


def in_place(like: Array, mask: Array) -> InPlace | None:
    """`filter_real` without memory for a spectrum, if columns fill a vector."""
    return Packed(like, mask) if Packed.suits(like) else None


def fft2_inplace(x: Array, *, inverse: bool = False) -> None:
    """FFT of a complex slice, or its inverse."""
    ny, nx = x.shape
    real = x.real.dtype
    scale = real.type(1 / x.size if inverse else 1)
    _complex_rows(x, inverse, plan_of(nx, real))
    _columns(x, nx, _no_mask(real), inverse, scale, plan_of(ny, real))


def filter_complex(x: Array, mask: Array) -> None:
    """ifft2(fft2(x)·mask) for a real or complex mask (ny//2 + 1, nx) that is even in ky."""
    ny, nx = x.shape
    real = x.real.dtype
    _complex_rows(x, False, plan_of(nx, real))
    _columns(x, nx, mask, False, real.type(1 / x.size), plan_of(ny, real))
    _complex_rows(x, True, plan_of(nx, real))


def dct2_inplace(x: Array, *, inverse: bool = False) -> None:
    """DCT-II of a real slice, y_k = 2 Σ x_n cos(π k (2n + 1) / 2N) along each axis, or its inverse.

    After Makhoul (1980): even samples, then odd ones backwards, are transformed by an FFT.
    """
    ny, nx = x.shape
    scale = x.dtype.type(0.25 / x.size if inverse else 1)
    _cosine(x, inverse, scale, plan_of(ny, x.dtype), plan_of(nx, x.dtype))


@functools.lru_cache
def _no_mask(dtype: Any) -> Array:
    return np.empty((0, 0), dtype)


@kernel
def _forward_rows(x, spectrum, plan):
    """Twice the FFT of real rows, of which two make a complex one."""
    ny, nx = x.shape
    width, stride = nx // 2 + 1, 2 * spectrum.shape[1]
    tile, lane = tile_for(nx, plan)
    for row in range(0, ny, 2 * lane):
        for part in (0, lane):
            for column in range(0, nx, lane):
                start = min(column, nx - lane)
                move.load_rows(x, row + part, ny - 1, nx, start, tile, part, plan.natural)
        fft(tile, nx, plan)
        for column in range(0, width, lane // 2):
            k = min(column, width - lane // 2)
            move.split_rows(tile, nx, plan.frequency, spectrum, row, ny - 1, stride, k)


@kernel
def _backward_rows(spectrum, x, plan):
    """Real rows from their spectra, times nx."""
    tile, lane = tile_for(x.shape[1], plan)
    for row in range(0, x.shape[0], 2 * lane):
        _some_backward_rows(spectrum, x, row, tile, lane, plan)


@kernel
def _backward_rows_measured(spectrum, x, plan):
    ny, nx = x.shape
    tile, lane = tile_for(nx, plan)
    old = np.empty((2 * lane, nx), x.dtype)
    changed = before = 0.0
    for row in range(0, ny, 2 * lane):
        some = x[row : row + 2 * lane]
        for i in range(len(some)):
            keep_values(some[i], old[i])
        _some_backward_rows(spectrum, x, row, tile, lane, plan)
        for i in range(len(some)):
            more, size = squares(some[i], old[i])
            changed += more
            before += size
    return changed, before


@kernel
def _some_backward_rows(spectrum, x, row, tile, lane, plan):
    """As many rows as fit the tile, from this one on."""
    ny, nx = x.shape
    width, stride = nx // 2 + 1, 2 * spectrum.shape[1]
    for column in range(0, width, lane // 2):
        k = min(column, width - lane // 2)
        move.join_rows(spectrum, row, ny - 1, stride, k, tile, nx)
    fft(tile, nx, plan)
    for part in (0, lane):
        for column in range(0, nx, lane):
            start = min(column, nx - lane)
            move.store_rows(tile, part, plan.frequency, x, row + part, ny - 1, nx, start)


@kernel
def _complex_rows(x, inverse, plan):
    """FFT of complex rows, or its inverse times nx."""
    ny, nx = x.shape
    tile, lane = tile_for(nx, plan)
    real, imag = (lane, 0) if inverse else (0, lane)
    for row in range(0, ny, lane):
        for column in range(0, nx, lane // 2):
            k = min(column, nx - lane // 2)
            move.load_complex_rows(x, row, ny - 1, 2 * nx, k, tile, real, imag)
        fft(tile, nx, plan)
        for column in range(0, nx, lane // 2):
            k = min(column, nx - lane // 2)
            move.store_complex_rows(tile, real, imag, plan.frequency, x, row, ny - 1, 2 * nx, k)


@kernel
def _columns(x, width, mask, inverse, scale, plan):
    """FFT of complex columns or its inverse, times `scale`; with a mask both of them around it."""
    ny, stride = x.shape
    tile, lane = tile_for(ny, plan)
    filtered, _ = tile_for(ny if mask.size else 0, plan)
    for column in range(0, width, lane):
        start = min(column, width - lane)
        real, imag = (lane, 0) if inverse else (0, lane)
        for row in range(ny):
            move.load_columns(x, 2 * (row * stride + start), tile, row, real, imag)
        fft(tile, ny, plan)
        result = tile
        if mask.size:
            for row in range(ny):
                place = min(row, ny - row) * mask.shape[1] + start
                move.multiply(tile, plan.frequency[row], mask, place, filtered, row)
            real, imag = lane, 0
            fft(filtered, ny, plan)
            result = filtered
        for row in range(ny):
            place = 2 * (row * stride + start)
            move.store_columns(
                result, plan.frequency[row], real, imag, x, place, scale, column - start
            )


@kernel
def _cosine(x, inverse, scale, plan_y, plan_x):
    """DCT-II of rows and columns, of which two make a complex one, or the inverse."""
    ny, nx = x.shape
    tile, lane = tile_for(max(ny, nx), plan_y)
    source, target = _orders(inverse, plan_x)
    for row in range(0, ny, 2 * lane):
        for part in (0, lane):
            for column in range(0, nx, lane):
                start = min(column, nx - lane)
                move.load_rows(x, row + part, ny - 1, nx, start, tile, part, source)
        _cosine_tile(tile, nx, inverse, plan_x)
        for part in (0, lane):
            for column in range(0, nx, lane):
                start = min(column, nx - lane)
                move.store_rows(tile, part, target, x, row + part, ny - 1, nx, start)
    source, target = _orders(inverse, plan_y)
    for column in range(0, nx, 2 * lane):
        first, second = min(column, nx - lane), min(column + lane, nx - lane)
        for row in range(ny):
            move.load_real_columns(x, row * nx + first, tile, source[row], 0)
            move.load_real_columns(x, row * nx + second, tile, source[row], lane)
        _cosine_tile(tile, ny, inverse, plan_y)
        for row in range(ny):
            place = row * nx
            move.store_real_columns(tile, target[row], 0, x, place + first, scale, column - first)
            move.store_real_columns(
                tile, target[row], lane, x, place + second, scale, column + lane - second
            )


@kernel
def _orders(inverse, plan):
    """Where samples, or coefficients, go in the tile, and where they are afterwards."""
    if inverse:
        return plan.natural, plan.even_odd_result
    return plan.even_odd, plan.frequency


@kernel
def _cosine_tile(tile, n, inverse, plan):
    if inverse:
        number = 2 * lanes.BYTES // tile.itemsize
        tile[n * number : (n + 1) * number] = 0  # coefficient n
        for k in range(n // 2 + 1):
            move.from_cosine(tile, k, n, plan.quarter_wave)
    fft(tile, n, plan)
    if not inverse:
        for k in range(n // 2 + 1):
            move.to_cosine(tile, k, n, plan.frequency, plan.quarter_wave)
