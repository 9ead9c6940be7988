"""Pieces: large arrays, some at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from arraycon.io.errors import WriteError

Index = tuple[slice, ...]
_SIZE = 1 << 24  # bytes


def pieces(
    shape: tuple[int, ...], itemsize: int, limit: int, stored: tuple[int, ...] | None = None
) -> Iterator[Index]:
    """Yield indices that cover an array in pieces of at most `limit` bytes, whole chunks if it can.

    Parameters
    ----------
    shape : tuple of int
    itemsize, limit : int
        Bytes.
    stored : tuple of int, optional
        Sizes of its chunks.
    """
    size = list(stored) if stored is not None else [1] * len(shape)
    # from the innermost axis outwards as many chunks as fit
    for axis in reversed(range(len(shape))):
        others = math.prod(min(n, m) for n, m in zip(size, shape, strict=True)) * itemsize
        times = max(1, limit // max(1, others))
        size[axis] = min(shape[axis], size[axis] * times)
    for starts in itertools.product(
        *(range(0, n, max(1, step)) for n, step in zip(shape, size, strict=True))
    ):
        yield tuple(
            slice(start, min(start + step, n))
            for start, step, n in zip(starts, size, shape, strict=True)
        )


def update(item: Any, array: Any, where: str) -> bool:
    """Write what differs in an array into a dataset; return whether anything did.

    Parameters
    ----------
    item : dataset
    array : array of the same shape
        NumPy's, or anything that gives pieces of itself.
    where : str
        For the message.

    Raises
    ------
    WriteError
        A value that is to be written is not finite.
    """
    changed = False
    for index in pieces(item.shape, item.dtype.itemsize, _SIZE, item.chunks):
        new = array[index]
        if np.array_equal(item[index], new):
            continue
        if new.dtype.kind in "fc" and not np.isfinite(new).all():
            raise WriteError(f"{where}: not written: a value is NaN or infinite")
        item[index] = new
        changed = True
    return changed
