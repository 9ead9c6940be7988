"""Arriving and leaving: a state's arrays into a store, and its results to where the user has them.

The user's arrays are written to by the process that owns them, piece by piece as they are stored,
when all passes are done.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import uuid
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arraycon.blockwise import files
from arraycon.blockwise.executors import Cluster, Executor
from arraycon.blockwise.files import Index, Numbers
from arraycon.blockwise.stores import Held, Scratch, Source, Store, Stored, chunks, source
from arraycon.io.folders import Passing
from arraycon.io.pieces import pieces
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
    if isinstance(array, Stored):
        return _lasting(store.scratch, found)
    if elsewhere.is_dask(array):
        stored = _lasting(store.scratch, found)
        # a name of its own: what dask makes one of would read all values
        name = f"arraycon-{uuid.uuid4().hex}"
        return dask_array().from_array(stored, chunks=array.chunks, name=name)
    numbers = files.mapped(array) if isinstance(array, np.memmap) else None
    for index in pieces(found.shape, np.dtype(found.dtype).itemsize, limit, chunks(array)):
        values = found.read(index)
        if numbers is not None:  # a page that is touched would count as memory
            numbers.write(index, values)
        else:
            array[index] = values
    return array


def _lasting(scratch: Scratch, found: Source) -> Stored:
    """Return a result whose file is removed when nobody in this process has it any more."""
    assert isinstance(found, Numbers)
    folder = Passing(scratch.path.parent)
    path = str(folder.path / Path(found.path).name)
    os.replace(found.path, path)
    stored = Stored(Numbers(path, found.offset, found.shape, found.dtype))
    # dask's graphs and the runs that read it have the source, the array itself may be gone
    weakref.finalize(stored.source, folder.remove)
    return stored


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
