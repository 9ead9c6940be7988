"""Spectra of real slices, or volumes, some at a time: all axes but the first are an item's."""

from __future__ import annotations

import math

import cupy
import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.gpu.tools import batches, transforms


def at_a_time(items: Array) -> int:
    """Return how many items' spectra to hold at a time."""
    size = math.prod(items.shape[1:])
    nbytes = size * items.itemsize
    frequencies = size // items.shape[-1] * (items.shape[-1] // 2 + 1)
    # items that cuFFT does not take where they are have to be copied
    scratch = 2 * frequencies * items.itemsize + (0 if _aligned(items) else nbytes)
    # two items of an odd number of pixels leave the next one as aligned as the first
    return batches.at_a_time(len(items), scratch, of=nbytes, even=size % 2 == 1)


def memory(items: Array) -> Array:
    """Return memory for the spectra of items, of n//2 + 1 frequencies along the last axis."""
    shape = (*items.shape[:-1], items.shape[-1] // 2 + 1)
    dtype = np.result_type(items.dtype, np.complex64)
    return scratch_memory(cupy.empty, shape, dtype, where=items.device)


def spare(of: list[Array]) -> Array | None:
    """Return memory for items that cuFFT does not take where they are, if any are such."""
    if all(map(_aligned, of)):
        return None
    like = max(of, key=len)
    return scratch_memory(cupy.empty, like.shape, like.dtype, where=like.device)


def forward(x: Array, spectra: Array, spare: Array | None) -> None:
    """Transform items, by way of what `spare` has returned where that is needed."""
    if spare is not None and not _aligned(x):
        spare[: len(x)] = x
        x = spare[: len(x)]
    transforms.rfft(x, spectra, axes=x.ndim - 1)


def inverse(spectra: Array, x: Array, spare: Array | None) -> None:
    """Transform back, times the number of an item's pixels; `spectra` is overwritten."""
    aligned = spare is None or _aligned(x)
    y = x if spare is None or aligned else spare[: len(x)]
    transforms.irfft(spectra, y, axes=x.ndim - 1)
    if not aligned:
        x[...] = y


def _aligned(x: Array) -> bool:
    """Whether cuFFT takes these real numbers: as if they were complex, or it refuses them."""
    return bool(x.data.ptr % (2 * x.itemsize) == 0)
