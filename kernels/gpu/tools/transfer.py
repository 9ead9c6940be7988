"""Linear filters: spectra times a transfer function, which a kernel knows by some numbers.

Each axis is periodic or mirrored. Of a mirrored item the samples are put in another order, which
makes its cosine transform one pass over the spectrum, the same that multiplies it: two passes over
the samples and their spectra more than a periodic filter, but no other memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cupy
import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.gpu.tools import batches, spectra, transforms
from arraycon.kernels.gpu.tools.launch import blocks, launch

_ALONG_X = 1
LATERALLY, IN_DEPTH = 3, 4
"""Axes that are mirrored, as transfer.cu numbers them."""

Item = tuple[int, int, int]
"""Sizes (nz, ny, nx) of what is filtered at a time; nz is 1 for slices."""


def filtered(
    obj: Array, name: str, item: Item, *numbers: float, keep: float, mirrored: int = 0
) -> Iterator[None]:
    """Filter items in place by keep + (1 - keep)·T.

    Parameters
    ----------
    obj : array, shape (..., ny, nx)
        Real or complex.
    name : str
        Kernel that knows T.
    item : tuple of int
    *numbers : float
        What it knows it by.
    keep : float
    mirrored : int
        `LATERALLY`, `IN_DEPTH`, or both.
    """
    # one slice has but the frequency 0
    mirrored = mirrored if item[0] > 1 else mirrored & LATERALLY
    depths = item[0] // 2 + 1 if mirrored & IN_DEPTH else item[0]
    rows = item[1] // 2 + 1 if mirrored & LATERALLY else item[1]
    norm = 1 / math.prod(item)
    given = keep * norm, (1 - keep) * norm, *numbers
    defines = (("MIRRORED", mirrored),) if mirrored else ()

    def multiply(x: Array) -> None:
        columns = x.shape[-1]
        grid = blocks(depths * rows * columns)
        sizes = len(x), *item, columns
        launch("transfer", name, x, grid, x, *sizes, *given, defines=defines)

    if mirrored:
        return _reordered(obj, item, multiply, mirrored)
    return multiplied(obj, 2 if item[0] == 1 else 3, multiply)


def filtered_depth(
    obj: Array, name: str, *numbers: float, keep: float, mirrored: bool
) -> Iterator[None]:
    """Filter columns in place, some of them at a time: none touches another.

    They lie along x meanwhile, which is the axis that the numbers are about, and side by side along
    y; real and imaginary parts are columns of their own.
    """
    nz, real = obj.shape[-3], obj.real.dtype
    volumes = obj.view(real).reshape(-1, nz, obj.shape[-2] * obj.shape[-1] * _parts(obj))
    columns = volumes.shape[-1]
    size = nz // 2 + 1
    number = batches.at_a_time(columns, 2 * size * real.itemsize, of=nz * real.itemsize)
    dtype = np.result_type(real, np.complex64)
    memory = scratch_memory(cupy.empty, (number, size), dtype, where=obj.device)
    starts = range(0, columns, number)
    for some in (number, columns - starts[-1]):
        transforms.prepare_inplace(memory[:some], (some, nz), axes=1)
    given = keep / nz, (1 - keep) / nz, *numbers
    defines = (("MIRRORED", _ALONG_X),) if mirrored else ()
    yield
    for volume in volumes:
        for first in starts:
            slices = volume[:, first : first + number]
            some = memory[: slices.shape[1]]
            shape, rows = (len(some), nz), some.view(real).T
            _exchange(slices, rows, mirrored, back=False)
            transforms.rfft_inplace(some, shape, axes=1)
            sizes = 1, 1, *shape, size
            launch("transfer", name, some, blocks(some.size), some, *sizes, *given, defines=defines)
            transforms.irfft_inplace(some, shape, axes=1)
            _exchange(slices, rows, mirrored, back=True)


def _exchange(slices: Array, rows: Array, mirrored: bool, *, back: bool) -> None:
    """Copy slices to rows or back: mirrored, even ones first and then the odd ones backwards."""
    half = (len(slices) + 1) // 2
    pairs = [(slices, rows[: len(slices)])]
    if mirrored:
        odd = rows[half : len(slices)]
        pairs = [(slices[::2], rows[:half]), (slices[1::2][::-1], odd)]
    for there, here in pairs:
        source, target = (here, there) if back else (there, here)
        target[...] = source


def multiplied(obj: Array, axes: int, multiply: Callable[[Array], None]) -> Iterator[None]:
    """Multiply spectra over the last axes; complex arrays are transformed in place."""
    items = obj.reshape(-1, *obj.shape[-axes:])
    number = spectra.at_a_time(items)
    parts = [items[i : i + number] for i in range(0, len(items), number)]
    if obj.dtype.kind == "c":
        for x in (parts[0], parts[-1]):
            transforms.prepare_complex(x, axes=axes)
        yield
        for x in parts:
            transforms.fft(x, axes=axes)
            multiply(x)
            transforms.fft(x, axes=axes, inverse=True)
        return
    memory, spare = spectra.memory(items[:number]), spectra.spare(parts)
    for x in (parts[0], parts[-1]):
        transforms.prepare(x, memory[: len(x)], axes=axes)
    yield
    for x in parts:
        some = memory[: len(x)]
        spectra.forward(x, some, spare)
        multiply(some)
        spectra.inverse(some, x, spare)


def _reordered(
    obj: Array, item: Item, multiply: Callable[[Array], None], mirrored: int
) -> Iterator[None]:
    """Multiply spectra of samples in another order, of complex ones part by part."""
    real = obj.real.dtype
    parts, axes = _parts(obj), 2 if item[0] == 1 else 3
    items = obj.view(real).reshape(-1, math.prod(item) * parts)
    shape = *item[:-1], item[-1] // 2 + 1
    scratch = parts * math.prod(shape) * 2 * real.itemsize
    number = batches.at_a_time(len(items), scratch, of=items[0].nbytes)
    dtype = np.result_type(real, np.complex64)
    memory = scratch_memory(cupy.empty, (number * parts, *shape), dtype, where=obj.device)
    starts = range(0, len(items), number)
    for x in (items[:number], items[starts[-1] :]):
        given = len(x) * parts, *item
        transforms.prepare_inplace(memory[: len(x) * parts], given, axes=axes)
    pairs = item[0] * item[1] * ((item[2] + 1) // 2)

    def move(name: str, x: Array, spectrum: Array) -> None:
        samples = spectrum.view(real)  # which may be more than x: their length is the index's
        grid, sizes = blocks(len(x) * pairs), (len(x), *item, parts)
        defines = (("MIRRORED", mirrored),)
        launch("transfer", name, samples, grid, x, samples, *sizes, defines=defines)

    yield
    for first in starts:
        x = items[first : first + number]
        some, given = memory[: len(x) * parts], (len(x) * parts, *item)
        move("to_samples", x, some)
        transforms.rfft_inplace(some, given, axes=axes)
        multiply(some)
        transforms.irfft_inplace(some, given, axes=axes)
        move("from_samples", x, some)


def _parts(obj: Array) -> int:
    """Real numbers of an element."""
    return 2 if obj.dtype.kind == "c" else 1
