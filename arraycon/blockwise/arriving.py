"""Arriving and leaving: a state's arrays into a store, and its results to where the user has them.

The user's arrays are written to by the process that owns them, piece by piece as they are stored,
when all passes are done.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arraycon.blockwise import files
from arraycon.blockwise.executors import Cluster, Executor
from arraycon.blockwise.files import Index, Numbers
from arraycon.blockwise.stores import Held, Scratch, Source, Store, chunks, pieces, source
from arraycon.kernels.common import elsewhere


def arrive(store: Store, arrays: Mapping[str, Any], executor: Executor, limit: int) -> None:
    """Put arrays into a store; those that cannot be read as they are are copied first.

    Parameters
    ----------
    store : Store
    arrays : mapping of str to array
        A state's, and planes of weights.
    executor : Executor
        Who is to read them.
    limit : int
        Bytes of the largest piece.

    Raises
    ------
    ValueError
        A chunk of a dask array is larger.
    """
    for name, array in arrays.items():
        found = source(array, travels=executor.travels)
        if found is None:
            found = _copied(store, name, array, executor, limit)
        store.sources[name] = found


def _copied(store: Store, name: str, array: Any, executor: Executor, limit: int) -> Numbers:
    numbers = store.new(name, tuple(array.shape), np.dtype(array.dtype).newbyteorder("="))
    if elsewhere.is_dask(array):
        _require_small(name, array, limit)
        _compute(array, numbers, executor)
    else:
        _copy(Held(array), numbers, limit)
    return numbers


def _copy(found: Source, numbers: Numbers, limit: int) -> None:
    for index in pieces(found.shape, np.dtype(found.dtype).itemsize, limit):
        numbers.write(index, found.read(index))


def _require_small(name: str, array: Any, limit: int) -> None:
    largest = math.prod(max(each, default=0) for each in array.chunks) * array.dtype.itemsize
    if largest > limit:
        raise ValueError(
            f"{name}: expected chunks of at most {limit / 1e6:.3g} MB, which is the memory for "
            f"one, got {largest / 1e6:.3g} MB; rechunk it, or allow more memory"
        )


class _Target:
    """A file as dask's `store` writes to it."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers

    def __setitem__(self, index: Index, values: Any) -> None:
        self.numbers.write(index, np.asarray(values))


def _compute(array: Any, numbers: Numbers, executor: Executor) -> None:
    """Let dask make an array, chunk by chunk, by whoever works on its blocks."""
    stored = dask_array().store(array, _Target(numbers), lock=False, compute=False)
    if isinstance(executor, Cluster):
        executor.client.compute(stored, sync=True)
    else:
        stored.compute(scheduler="synchronous" if executor.workers == 1 else "threads")


def dask_array() -> Any:
    """Return ``dask.array``, which is there where an array of it is."""
    return importlib.import_module("dask.array")


def leave(store: Store, name: str, array: Any, limit: int) -> Any:
    """Put a new version into the user's array.

    Parameters
    ----------
    store : Store
    name : str
    array : array
        The user's.
    limit : int
        Bytes of the largest piece.

    Returns
    -------
    array
        The same, or a new one of dask's.
    """
    found = store.sources[name]
    if elsewhere.is_dask(array):
        return _as_dask(store.scratch, found, array)
    numbers = files.mapped(array) if isinstance(array, np.memmap) else None
    for index in pieces(found.shape, np.dtype(found.dtype).itemsize, limit, chunks(array)):
        values = found.read(index)
        if numbers is not None:  # a page that is touched would count as memory
            numbers.write(index, values)
        else:
            array[index] = values
    return array


def _as_dask(scratch: Scratch, found: Source, old: Any) -> Any:
    """Return a result as a dask array whose graph has one task for each chunk."""
    assert isinstance(found, Numbers)
    folder = tempfile.mkdtemp(prefix=".arraycon-kept-", dir=scratch.path.parent)
    path = str(Path(folder) / Path(found.path).name)
    os.replace(found.path, path)
    kept = Kept(Numbers(path, found.offset, found.shape, found.dtype))
    weakref.finalize(kept, shutil.rmtree, folder, ignore_errors=True)
    return dask_array().from_array(kept, chunks=old.chunks, name=f"arraycon-{Path(folder).name}")


class Kept:
    """A result in a file that is removed when nobody in the process that made it has it any more.

    Parameters
    ----------
    numbers : Numbers
    """

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.shape, self.dtype, self.ndim = numbers.shape, numbers.dtype, len(numbers.shape)

    def __getitem__(self, index: Any) -> Any:
        numbers = self.numbers
        whole = np.memmap(numbers.path, numbers.dtype, "r", numbers.offset, numbers.shape)
        return np.array(whole[index])


@contextlib.contextmanager
def opened(scratch: Any, arrays: Mapping[str, Any]) -> Iterator[Store]:
    """Give a store in a scratch folder of its own, which is removed at the end.

    Parameters
    ----------
    scratch : str or path or None
    arrays : mapping of str to array
        Beside which it lies, if nothing else is said.
    """
    with Scratch(scratch, arrays.values()) as folder:
        yield Store(folder)
