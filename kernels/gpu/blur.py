"""Gaussian blurs of the object, laterally and in depth, and of the tilts over the scan.

Blurs of the object by few taps go through it once. Otherwise each axis is blurred in place, by way
of shared memory alone. The taps are real, so complex numbers are blurred as pairs of reals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cupy

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.dispatch import serving
from arraycon.kernels.gpu.tools import short_blur
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device
from arraycon.kernels.gpu.tools.source import THREADS
from arraycon.kernels.gpu.tools.sums import compare

# Beyond, the windows in shared memory (64 kB on some devices) do not hold what the taps reach.
_MOST_TAPS = 2047
# Bytes of slices that are blurred along one axis and then, from the L2 cache, along the other.
_BATCH = 16 << 20
# Shared memory of a block, so that several fit.
_SHARED = 32 << 10
# Bytes that one access to memory brings anyway.
_SECTOR = 32
# Blocks below which narrower ones keep more of a device busy.
_FEW_BLOCKS = 1024
_MOST_BLOCKS = 1 << 16


def _few(options: dict[str, Any]) -> bool:
    return len(options["taps"]) <= _MOST_TAPS


@serving(_few)
@on_device
def obj_rblur(obj: Array, *, taps: tuple[float, ...], sums: Array | None = None) -> Iterator[None]:
    """Blur along the last two axes, reflecting at the edges without repeating the edge pixel."""
    real = _as_real(obj)
    slices, nx = real.reshape(-1, *real.shape[-2:]), obj.shape[-1]
    parts, reach = slices.shape[-1] // nx, len(taps) // 2
    if reach > 0 and short_blur.fits_rows(slices.shape, parts, reach, slices.itemsize):
        yield from short_blur.blur_slices(slices, parts, taps, sums)
        return

    def work(weights: Array) -> None:
        _blur_lateral(slices, nx, weights, reach)

    yield from _blur(obj, real, taps, sums, work)


@serving(_few)
@on_device
def obj_zblur(obj: Array, *, taps: tuple[float, ...], sums: Array | None = None) -> Iterator[None]:
    """Blur along axis -3, replicating the first and the last slice."""
    real = _as_real(obj)
    volumes = real.reshape(-1, obj.shape[-3], real.shape[-2] * real.shape[-1])
    if len(taps) > 1 and short_blur.fits_columns(len(taps) // 2):
        yield from short_blur.blur_depth(volumes, taps, sums)
        return

    def work(weights: Array) -> None:
        _blur_columns(volumes, weights, len(taps) // 2, reflect=False)

    yield from _blur(obj, real, taps, sums, work)


@serving(_few)
@on_device
def tilt_smooth(
    tilts: Array, *, scan_shape: tuple[int, int], taps: tuple[float, ...]
) -> Iterator[None]:
    """Blur over the two scan axes, reflecting as `obj_rblur`."""
    slow, fast = scan_shape

    def work(weights: Array) -> None:
        # (y, x) of one tilt lie next to each other as the parts of a complex number do
        _blur_lateral(tilts.reshape(1, slow, 2 * fast), fast, weights, len(taps) // 2)

    yield from _blur(tilts, tilts, taps, None, work)


def _blur(
    x: Array,
    real: Array,
    taps: tuple[float, ...],
    sums: Array | None,
    work: Callable[[Array], None],
) -> Iterator[None]:
    """Blur by `work`; compare if asked."""
    weights = _on_device(taps, real)
    old = x if sums is None else cupy.empty_like(x)
    yield
    if sums is not None:
        old[...] = x
    if len(taps) > 1:
        work(weights)
    if sums is not None:
        compare(x, old, sums[0])


def _blur_lateral(slices: Array, nx: int, weights: Array, reach: int) -> None:
    number = max(1, _BATCH // slices[0].nbytes)
    for i in range(0, len(slices), number):
        _blur_rows(slices[i : i + number], nx, weights, reach)
        _blur_columns(slices[i : i + number], weights, reach, reflect=True)


def _blur_rows(slices: Array, nx: int, weights: Array, reach: int) -> None:
    rows, size = slices.shape[0] * slices.shape[1], slices.shape[2]
    parts, itemsize = size // nx, slices.itemsize
    # room for eight rows, unless the taps reach far
    held = _power_of_two(min(size, max(_SHARED // (8 * itemsize), 4 * reach * parts)))
    warps = max(1, min(8, _SHARED // (held * itemsize)))
    sizes = slices, rows, nx, parts, weights, reach, held
    grid = blocks(rows, threads=warps, most=_MOST_BLOCKS)
    shared = warps * held * itemsize
    launch("blur", "blur_rows", slices, grid, *sizes, threads=(32, warps), shared=shared)


def _blur_columns(volumes: Array, weights: Array, reach: int, *, reflect: bool) -> None:
    outer, n, inner = volumes.shape
    itemsize = volumes.itemsize
    held = _power_of_two(min(n, max(64, 4 * reach)))
    quads = -(-min(n, held) // 4)  # a thread forms four neighbours
    lanes = max(32, THREADS // _power_of_two(quads))
    while lanes * itemsize > _SECTOR and outer * -(-inner // lanes) < _FEW_BLOCKS:
        lanes //= 2
    while lanes > 1 and held * _pitch(lanes) * itemsize > _SHARED:
        lanes //= 2
    sizes = volumes, outer, n, inner, weights, reach, held, int(reflect)
    grid = min(outer * -(-inner // lanes), _MOST_BLOCKS)
    shared = held * _pitch(lanes) * itemsize
    threads = lanes, min(quads, THREADS // lanes)
    launch("blur", "blur_columns", volumes, grid, *sizes, threads=threads, shared=shared)


def _pitch(lanes: int) -> int:
    return lanes + lanes // 4  # as in the kernel


def _power_of_two(n: int) -> int:
    """Return the smallest that is not less."""
    return 1 << (n - 1).bit_length()


def _as_real(x: Array) -> Array:
    return x.view(x.real.dtype) if x.dtype.kind == "c" else x


def _on_device(taps: tuple[float, ...], like: Array) -> Array:
    """Return the central tap and those on one side of it, padded to a multiple of eight."""
    half = taps[len(taps) // 2 :]
    half += (0.0,) * (-len(half) % 8)
    weights = cupy.empty(len(half), like.dtype)
    for start in range(0, len(half), 8):
        values = half[start : start + 8]
        launch("blur", "set_taps", like, 1, weights, start, *values, threads=32)
    return weights
