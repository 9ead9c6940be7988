"""Sparsity of the object in the discrete cosine transform."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import array_api_compat.cupy as xp
import cupy
import numpy as np

from arraycon.kernels.agnostic import dct as agnostic
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.gpu.tools import selection, transforms
from arraycon.kernels.gpu.tools.batches import at_a_time
from arraycon.kernels.gpu.tools.launch import launch, on_device

_THREADS = 32, 8
# Columns that one block goes through.
_COLUMNS = 128


@on_device
def kr_thresh(obj: Array, *, thresh: float, scope: str) -> Iterator[None]:
    """Keep the DCT coefficients of largest modulus."""
    if obj.dtype.kind == "c":
        yield
        obj[...] = agnostic.kr_thresh(obj, thresh=thresh, scope=scope, xp=xp)
        return
    slices = obj.reshape(-1, *obj.shape[-2:])
    size = obj.size if scope == "global" else slices[0].size
    n_keep = max(1, math.floor(thresh * size))
    if n_keep == size:
        yield
        return  # nothing is dropped: the two transforms would only add their rounding
    work = _Work(slices)
    batches = [slices[i : i + work.slices] for i in range(0, len(slices), work.slices)]
    at_once = len(batches[0]) if scope == "slice" else 1
    memory = selection.Memory(at_once, size, obj.dtype)
    yield
    if scope == "slice":
        for x in batches:
            work.transform(x)
            rows = x.reshape(len(x), -1)
            limits = selection.kth_smallest_of_rows(rows, size - n_keep, moduli=True, memory=memory)
            work.sparsify(x, limits)
    else:
        for x in batches:
            work.transform(x)
        flat = obj.reshape(1, -1)
        smallest_kept = selection.kth_smallest_of_rows(
            flat, size - n_keep, moduli=True, memory=memory
        )
        for x in batches:
            work.sparsify(x, smallest_kept)


class _Work:
    """DCT of some slices at a time, with the coefficients in the place of the slices.

    The last slices may be fewer: what is left over of those before is transformed with them, which
    is cheaper than plans of another size.
    """

    def __init__(self, slices: Array) -> None:
        number, (ny, nx) = len(slices), slices.shape[1:]
        nbytes = ny * nx * slices.itemsize
        self.slices = at_a_time(number, 2 * nbytes, of=nbytes)
        make = functools.partial(scratch_memory, cupy.empty, where=slices.device)
        self.reordered = make((self.slices, ny, nx), slices.dtype)
        dtype = np.result_type(slices.dtype, np.complex64)
        self.spectrum = make((self.slices, ny, nx // 2 + 1), dtype)
        transforms.prepare(self.reordered, self.spectrum)

    def transform(self, x: Array) -> None:
        """DCT of each slice."""
        self._launch("reorder", x, x, self.reordered)
        transforms.rfft(self.reordered, self.spectrum)
        self._launch("to_coefficients", x, self.spectrum, x)

    def sparsify(self, x: Array, smallest_kept: Array) -> None:
        """Invert the coefficients that are not smaller; there is one limit, or one a slice."""
        step = int(len(smallest_kept) > 1)
        self._launch("to_spectrum", x, x, self.spectrum, smallest_kept, step)
        transforms.irfft(self.spectrum, self.reordered)
        self._launch("restore", x, self.reordered, x)

    def _launch(self, name: str, x: Array, source: Array, target: Array, *options: Any) -> None:
        rows, columns = -(-len(x) * x.shape[1] // _THREADS[1]), -(-x.shape[2] // _COLUMNS)
        grid = min(rows, 1 << 20), min(columns, 1 << 15)
        launch("dct", name, x, grid, source, target, *x.shape, *options, threads=_THREADS)
