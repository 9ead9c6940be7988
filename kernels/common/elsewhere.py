"""Arrays whose values lie elsewhere: in files, or in a graph of dask's that makes them.

Recognised by their types' names, so that none of the libraries is imported.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

_MODULES = {
    "h5py": "an HDF5 dataset",
    "zarr": "a zarr array",
    "dask": "a dask array",
    "arraycon": "an array in a file",
}


def kind(x: Any) -> str:
    """Say what an array is whose values lie elsewhere, empty if it is none.

    A memory map is none: it is NumPy's, and whoever computes with it reads what he touches.
    """
    name = _of_module(type(x).__module__)
    if _is_closed(x):
        return ""
    return name if name and hasattr(x, "shape") and hasattr(x, "dtype") else ""


@functools.cache
def _of_module(name: str) -> str:
    # asked at every call of apply, for every array
    return _MODULES.get(name.partition(".")[0], "")


def is_dask(x: Any) -> bool:
    """Whether it is a dask array."""
    return kind(x) == _MODULES["dask"]


def _is_closed(x: Any) -> bool:
    return type(x).__module__.startswith("h5py.") and not x


def advice(x: Any) -> str:
    """Say what to do with such an array instead; empty for others."""
    if _is_closed(x):
        return "an HDF5 dataset of a file that is closed"
    found = kind(x)
    return found and (
        f"{found}, whose values lie elsewhere: hand it over in a State, which "
        f"Constraints.apply works on block by block, or read it first"
    )


def outline(name: str, x: Any) -> Any:
    """Return a NumPy array of the same shape and dtype that takes no memory, to be looked at only.

    What is in memory already is returned as it is.

    Raises
    ------
    ValueError
        One of dask's arrays does not know how large it is.
    """
    if not kind(x):
        return x
    if any(map(math.isnan, x.shape)):
        raise ValueError(
            f"{name}: expected an array of known size, got {kind(x)} of shape {x.shape}; "
            f"compute_chunk_sizes() finds it out"
        )
    # every element is the same one; in this machine's byte order, as they are read
    value = np.zeros((), np.dtype(x.dtype).newbyteorder("="))
    return np.broadcast_to(value, tuple(map(int, x.shape)))


def is_read_only(x: Any) -> bool:
    """Whether it lies in a file that is not to be written to; dask's arrays are replaced."""
    if kind(x) == _MODULES["h5py"]:
        return bool(x.file.mode == "r")
    return kind(x) == _MODULES["zarr"] and bool(x.read_only)


def same(x: Any, y: Any) -> bool:
    """Whether two of them are one: two names for the same dataset included."""
    return bool(kind(x)) and (x is y or (kind(x) == kind(y) == _MODULES["h5py"] and bool(x == y)))
