"""Files of plain numbers, read and written region by region, from whichever process.

Not mapped: what a process touches of a mapped file counts as its memory, and is all of it in the
end. Read and written at offsets, a worker holds the blocks that it works on and nothing else.
"""

from __future__ import annotations

import io
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Index: TypeAlias = "tuple[slice, ...]"
"""One slice of step 1 for each axis."""

Empty: TypeAlias = Callable[[Any, Any], Any]
"""From a shape and a dtype to a NumPy array in memory of some kind, as ``numpy.empty``."""


@dataclass(frozen=True)
class Numbers:
    """C-ordered numbers in a file, from an offset on.

    Parameters
    ----------
    path : str
    offset : int
        Bytes before the first number.
    shape : tuple of int
    dtype : dtype
        As they are in the file; they are read in this machine's byte order.
    header : bytes
        What a file that is made begins with.
    """

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    header: bytes = b""

    def read(self, index: Index, *, empty: Empty = np.empty) -> Any:
        """Return the values of a region, in memory that `empty` gives."""
        region = bounds(self.shape, index)
        out = empty(tuple(stop - start for start, stop in region), self.dtype)
        memory = _bytes(out)
        with open(self.path, "rb", buffering=0) as file:
            for start, stop, offset in _runs(self.shape, region, self.dtype.itemsize):
                file.seek(self.offset + offset)
                while start < stop:
                    got = file.readinto(memory[start:stop])
                    if not got:
                        raise OSError(f"{self.path}: ends before its last number")
                    start += got
        return out.astype(self.dtype.newbyteorder("="), copy=False)

    def write(self, index: Index, values: Any) -> None:
        """Put values into a region; a file with a header is made if it is not there.

        Several may do so at once, and one may do it again: all write the same bytes.
        """
        region = bounds(self.shape, index)
        values = np.ascontiguousarray(values, self.dtype)
        memory = _bytes(values)
        flags = os.O_RDWR | getattr(os, "O_BINARY", 0) | (os.O_CREAT if self.header else 0)
        with open(os.open(self.path, flags, 0o600), "r+b", buffering=0) as file:
            if self.header:
                file.write(self.header)
            for start, stop, offset in _runs(self.shape, region, self.dtype.itemsize):
                file.seek(self.offset + offset)
                while start < stop:
                    start += file.write(memory[start:stop])


def npy(path: str, shape: Sequence[int], dtype: Any) -> Numbers:
    """Return what is in an ``.npy`` file of that kind, or will be."""
    shape, dtype = tuple(shape), np.dtype(dtype)
    file = io.BytesIO()
    described = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, described)
    header = file.getvalue()
    return Numbers(path, len(header), shape, dtype, header)


def mapped(array: np.memmap[Any, Any]) -> Numbers | None:
    """Return where a memory map's numbers lie in its file; None where that does not say it all."""
    base: Any = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    if not isinstance(base, np.memmap) or not base.filename or base.mode == "c":
        return None  # what is written to a copy on write is in no file
    if not array.flags.c_contiguous:
        return None
    base.flush()
    offset = base.offset + array.ctypes.data - base.ctypes.data
    return Numbers(str(base.filename), offset, array.shape, array.dtype)


def _bytes(values: Any) -> memoryview:
    return memoryview(values.reshape(-1).view(np.uint8))


def bounds(shape: tuple[int, ...], index: Index) -> tuple[tuple[int, int], ...]:
    """Return from where to where an index goes along each axis."""
    return tuple(cut.indices(n)[:2] for cut, n in zip(index, shape, strict=True))


def _runs(
    shape: tuple[int, ...], region: Sequence[tuple[int, int]], size: int
) -> Iterator[tuple[int, int, int]]:
    """Yield the bytes of a region that lie together in the file: from, to, and where in the file.

    From and to count in the region's own memory.
    """
    inner = len(shape) - 1
    while inner > 0 and region[inner] == (0, shape[inner]):
        inner -= 1
    steps = [math.prod(shape[axis + 1 :]) * size for axis in range(len(shape))]
    first, last = region[inner] if shape else (0, 1)
    length = (last - first) * steps[inner] if shape else size
    begin = first * steps[inner] if shape else 0
    start = 0
    for outer in itertools.product(*(range(*each) for each in region[:inner])):
        offset = begin + sum(i * step for i, step in zip(outer, steps, strict=False))
        yield start, start + length, offset
        start += length
