"""Filters of the object in reciprocal space, laterally and in depth.

`kr_filter` is a case of the common multiplication of spectra: as before one launch for a batch,
which reads and writes its spectra once. `kz_filter` is none up to `_DENSE` slices: there one launch
transforms in depth, multiplies and transforms back, and reads and writes the spectrum once; with
cuFFT's two passes in depth beside the multiplication it would take three launches and three times
the bytes. Beyond, cuFFT's transforms of volumes may want work memory as large as the volume.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cupy

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.gpu.tools import circulant, spectra, transfer, transforms
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device
from arraycon.kernels.gpu.tools.source import THREADS

# Up to this depth a product with the dense bases is meant to keep pace with memory.
_DENSE = 128
# Part of the columns that cuFFT transforms in depth at a time.
_PART = 12


@on_device
def kr_filter(obj: Array, *, radius: float, width: float) -> Iterator[None]:
    """Soft circular low-pass filter of each slice."""
    ny, nx = obj.shape[-2:]
    numbers = 2 / ny, 2 / nx, radius, width
    yield from transfer.filtered(obj, "soft_edge", (1, ny, nx), *numbers, keep=0.0)


@on_device
def kz_filter(
    obj: Array, *, beta: float, alpha: float, obj_type: str, boundary: str
) -> Iterator[None]:
    """Missing-wedge filter over the last three axes."""
    nz, ny, nx = obj.shape[-3:]
    volumes = obj.reshape(-1, nz, ny, nx)
    scale = 0.9 if obj_type == "amplitude" else 1.0
    # with 1 + 0.9 (F - 1) of an amplitude, and the factor that the lateral transforms leave open
    numbers = beta * beta, alpha, scale / (ny * nx), 1 - scale
    wedge = _Wedge(ny, nx, int(boundary == "mirror"), numbers)
    spectrum = spectra.memory(volumes[0])
    number = spectra.at_a_time(volumes[0])
    starts = range(0, nz, number)
    spare = spectra.spare([volume[i : i + number] for volume in volumes for i in starts])
    for i in (starts[0], starts[-1]):
        transforms.prepare(volumes[0, i : i + number], spectrum[i : i + number])
    filter_depth = _depth_filter(spectrum, wedge, boundary)
    yield
    for volume in volumes:
        for i in starts:
            spectra.forward(volume[i : i + number], spectrum[i : i + number], spare)
        filter_depth()
        for i in starts:
            spectra.inverse(spectrum[i : i + number], volume[i : i + number], spare)


def why_not_dense(nz: int) -> str:
    """Say why columns of this depth go by cuFFT, not through shared memory in one pass, or ''."""
    if nz > _DENSE:
        return f"nz = {nz} is more than {_DENSE}: products with the bases take longer than FFTs"
    return ""


class _Wedge(NamedTuple):
    """What the kernels compute Wa from."""

    ny: int
    nx: int
    mirror: int
    numbers: tuple[Any, ...]  # β², α, the factor of Wa, what is added to each voxel


def _depth_filter(spectrum: Array, wedge: _Wedge, boundary: str) -> Callable[[], None]:
    """Return what filters the spectrum in depth, with all the memory that it needs."""
    nz = len(spectrum)
    if boundary == "periodic" and circulant.fits(nz, spectrum.itemsize):
        numbers = wedge.ny, wedge.nx, wedge.numbers
        return functools.partial(circulant.filter_columns, spectrum, *numbers)
    return (_by_fft if why_not_dense(nz) else _by_bases)(spectrum, wedge)


def _by_bases(spectrum: Array, wedge: _Wedge) -> Callable[[], None]:
    """Filter in depth by products with cosines and sines, all in one pass."""
    nz, plane, mirror = len(spectrum), spectrum[0].size, wedge.mirror
    pairs = (nz + 1) // 2 if mirror else nz // 2 + 1
    quads = -(-pairs // 4)
    bases = cupy.empty((4, pairs, 4 * quads), spectrum.real.dtype)
    grid = blocks(bases[0].size)
    launch("fourier", "depth_bases", bases, grid, bases, nz, pairs, 4 * quads, mirror)
    lanes = 1 << (THREADS // quads).bit_length() - 1
    return functools.partial(
        launch,
        "fourier",
        "filter_depth",
        spectrum,
        blocks(plane, threads=lanes),
        *(spectrum, nz, wedge.ny, wedge.nx, mirror, bases, *wedge.numbers),
        threads=(lanes, quads),
        shared=2 * pairs * lanes * spectrum.itemsize,
    )


def _by_fft(spectrum: Array, wedge: _Wedge) -> Callable[[], None]:
    """Filter in depth by cuFFT, some columns at a time, laid side by side."""
    nz, plane = len(spectrum), spectrum[0].size
    number = -(-plane // _PART)
    columns = scratch_memory(cupy.empty, (number, nz), spectrum.dtype, where=spectrum.device)
    transforms.prepare_complex(columns, axes=1)

    def work() -> None:
        for first in range(0, plane, number):
            some = min(number, plane - first)  # what is left over of those before is not put back
            tiles = -(-some // 32) * -(-nz // 32)
            place = spectrum, columns, nz, plane, first, some, wedge.mirror
            grid = blocks(tiles, threads=1)
            launch("fourier", "gather_columns", spectrum, grid, *place, threads=(32, 8))
            transforms.fft(columns, axes=1)
            sizes = columns, nz, wedge.ny, wedge.nx, first, some, wedge.mirror
            filtering = blocks(some * (nz // 2 + 1))
            launch("fourier", "filter_columns", spectrum, filtering, *sizes, *wedge.numbers)
            transforms.fft(columns, axes=1, inverse=True)
            launch("fourier", "scatter_columns", spectrum, grid, *place, threads=(32, 8))

    return work
