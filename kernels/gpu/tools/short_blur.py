"""Blurs of few taps in one pass, in place; the taps' number is compiled in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cupy

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.gpu.tools.launch import blocks, launch
from arraycon.kernels.gpu.tools.source import THREADS
from arraycon.kernels.gpu.tools.sums import MOST, add_up, of_blocks

# Taps on one side that the kernels have arguments for.
_REACH = 8
# Registers, of 4 bytes, for what a thread keeps of its columns; a block of 256 may have 255.
_REGISTERS = 128
# Shared memory that a block gets without asking.
_SHARED = 48 << 10
# Blocks that keep a device busy, and the longest band: with 640 blocks or more bands of 128 rows
# were the fastest at 80×1024×1024, and those of 16 at 20×512×512.
_BLOCKS = 640
_BAND = 128
# Blocks that blur in depth.
_MOST_BLOCKS = 1 << 14
# Rows of a band at least, in taps: the rows kept beside are then a quarter of the object at most.
_PER_TAP = 8


def fits_rows(shape: tuple[int, ...], parts: int, reach: int, itemsize: int) -> bool:
    """Whether `blur_slices` takes slices of a shape (number, ny, nx·parts)."""
    row = shape[-1]
    kept = _pixels(row) * (2 * reach + 2) * itemsize // 4
    return (
        reach <= _REACH
        and row // parts > reach
        and kept <= _REGISTERS
        and _line(row, parts, reach) * itemsize <= _SHARED
    )


def fits_columns(reach: int) -> bool:
    """Whether `blur_depth` takes that many taps."""
    return reach <= _REACH


def blur_slices(
    slices: Array, parts: int, taps: tuple[float, ...], sums: Array | None
) -> Iterator[None]:
    """Blur along the last two axes of (number, ny, nx·parts), reflecting at the edges.

    In two halves, as everything here: the second reads and writes, and has all memory that it
    needs. The first must not read: an output gets the values of the input between them.
    """
    number, ny, row = slices.shape
    reach = len(taps) // 2
    band = _band(number, ny, reach)
    bands = -(-ny // band)
    pixels = _pixels(row)
    threads = blocks(row, threads=32 * pixels) * 32
    defines = ("REACH", reach), ("PARTS", parts), ("PIXELS", pixels)
    halos = scratch_memory(
        cupy.empty, (number, bands, 2 * reach, row), slices.dtype, where=slices.device
    )
    sizes = number, ny, row // parts, band
    grid = blocks(number * bands, threads=1, most=1 << 16)
    partial = None if sums is None else of_blocks(grid)
    yield
    launch(
        "short_blur", "save_halos", slices, blocks(halos.size), slices, halos, *sizes,
        defines=defines,
    )  # fmt: skip
    given = slices, halos, *sizes, *_weights(taps)
    options: dict[str, Any] = {
        "threads": threads,
        "shared": _line(row, parts, reach) * slices.itemsize,
        "defines": defines,
    }
    if sums is None or partial is None:
        launch("short_blur", "blur_bands", slices, grid, *given, **options)
    else:
        launch("short_blur", "blur_bands_measured", slices, grid, *given, *partial[0], **options)
        add_up(slices, partial, sums)


def blur_depth(volumes: Array, taps: tuple[float, ...], sums: Array | None) -> Iterator[None]:
    """Blur along the middle axis of (volumes, nz, plane), replicating the ends."""
    number, nz, plane = volumes.shape
    defines = ("REACH", len(taps) // 2), ("PARTS", 1), ("PIXELS", 1)
    grid = blocks(number * plane, most=_MOST_BLOCKS if sums is None else MOST)
    partial = None if sums is None else of_blocks(grid)
    given = volumes, number, nz, plane, *_weights(taps)
    yield
    if sums is None or partial is None:
        launch("short_blur", "blur_depth", volumes, grid, *given, defines=defines)
    else:
        rows = partial[0]
        launch("short_blur", "blur_depth_measured", volumes, grid, *given, *rows, defines=defines)
        add_up(volumes, partial, sums)


def _band(number: int, ny: int, reach: int) -> int:
    """Rows of a band: as many as leave enough blocks."""
    band = max(_BAND, _PER_TAP * reach)
    while band // 2 >= _PER_TAP * reach and number * -(-ny // band) < _BLOCKS:
        band //= 2
    return band


def _pixels(row: int) -> int:
    return -(-row // THREADS)


def _line(row: int, parts: int, reach: int) -> int:
    """Numbers of the two lines in shared memory."""
    return 2 * (row + 2 * reach * parts)


def _weights(taps: tuple[float, ...]) -> tuple[float, ...]:
    """Return the central tap and those on one side of it, as many as the kernels have arguments."""
    half = taps[len(taps) // 2 :]
    return (*half, *(0.0,) * (_REACH + 1 - len(half)))
