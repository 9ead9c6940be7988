"""Stores: arrays of a state by name, read region by region from wherever they lie.

What is written goes to a file of its own in a scratch folder, and takes the array's place when all
of it is there. The user's arrays are as they were until the end.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from arraycon.blockwise import files
from arraycon.blockwise.files import Empty, Index, Numbers
from arraycon.io.folders import Passing
from arraycon.kernels.common import arrays, elsewhere

# zarr's stores of one process alone, of its versions 2 and 3
_IN_MEMORY = ("dict", "KVStore", "MemoryStore", "GpuMemoryStore", "ManagedMemoryStore")


class Source(Protocol):
    """An array that is read region by region."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""

    @property
    def dtype(self) -> Any:
        """In this or the other byte order."""

    def read(self, index: Index, *, empty: Empty = np.empty) -> Any:
        """Return a region as a NumPy array of its own, in memory that `empty` gives."""


@dataclass(frozen=True, eq=False)
class Held:
    """An array that this process has, in memory or as a dataset of a file that is open here."""

    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> Any:
        """In this or the other byte order."""
        return self.array.dtype

    def read(self, index: Index, *, empty: Empty = np.empty) -> Any:
        """Return a region as a NumPy array of its own, in memory that `empty` gives."""
        found = self.array[index]
        out = empty(found.shape, np.dtype(found.dtype).newbyteorder("="))
        arrays.assign(out, np.asarray(found))
        return out


@dataclass(frozen=True)
class Dataset:
    """A dataset of an HDF5 file, which is opened for each region."""

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: Any

    def read(self, index: Index, *, empty: Empty = np.empty) -> Any:
        """Return a region as a NumPy array of its own, in memory that `empty` gives."""
        import h5py

        # the owner may have it open for writing, and writes nothing before all is read
        with h5py.File(self.path, "r", locking=False) as file:
            return Held(file[self.name]).read(index, empty=empty)


class Stored:
    """An array in a file that a run reads, and replaces by another one.

    Parameters
    ----------
    source : Source
        Where its values are.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    ndim : int
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.shape, self.ndim = tuple(source.shape), len(source.shape)
        self.dtype = np.dtype(source.dtype).newbyteorder("=")

    def __getitem__(self, index: Any) -> Any:
        """Return some of the values, by any index that NumPy knows, as an array of their own."""
        found = self.source
        if not isinstance(found, Numbers):
            index = index if isinstance(index, tuple) else (index,)
            return found.read((*index, *(slice(None),) * (self.ndim - len(index))))
        whole = np.memmap(found.path, found.dtype, "r", found.offset, found.shape)
        return np.array(whole[index], self.dtype)


def source(array: Any, *, travels: bool) -> Source | None:
    """Return how an array is read; None where other processes cannot and it has to be copied.

    Parameters
    ----------
    array : array
        Of a state.
    travels : bool
        Whether other processes are to read it.
    """
    kind = type(array).__module__.partition(".")[0]
    if isinstance(array, np.memmap):
        found = files.mapped(array)
        if found is not None:
            return found
    if isinstance(array, Stored):
        return array.source
    if kind == "h5py":
        return _of_dataset(array, travels=travels)
    if kind == "zarr" and _in_files(array):
        return Held(array)
    if kind == "dask":
        return None  # what makes its values would be done again for every region
    return None if travels else Held(array)


def _of_dataset(array: Any, *, travels: bool) -> Source | None:
    file = array.file
    on_disk = file.driver in ("sec2", "stdio") and os.path.isfile(file.filename)
    if on_disk and file.mode != "r":
        file.flush()
    if on_disk and array.chunks is None and not array.is_virtual and not array.external:
        offset = array.id.get_offset()
        if offset is not None:  # nothing is there yet otherwise: all zeros
            return Numbers(file.filename, offset, array.shape, array.dtype)
    if not travels:
        return Held(array)
    return Dataset(file.filename, array.name, array.shape, array.dtype) if on_disk else None


def _in_files(array: Any) -> bool:
    """Whether a zarr array's store is the same in another process."""
    return type(array.store).__name__ not in _IN_MEMORY


def location(array: Any) -> Path | None:
    """Folder that an array lies in; None where it is in no file that can be named."""
    kind = type(array).__module__.partition(".")[0]
    name: Any = getattr(array, "filename", None) if isinstance(array, np.memmap) else None
    if kind == "h5py":
        name = array.file.filename
    elif kind == "zarr":
        store = array.store
        name = getattr(store, "root", None) or getattr(store, "path", None)
    if not isinstance(name, (str, Path)) or not os.path.exists(name):
        return None
    return Path(name).resolve().parent


def chunks(array: Any) -> tuple[int, ...] | None:
    """Sizes of the pieces that an array is stored in; None where it is in one."""
    found = getattr(array, "chunks", None)
    if elsewhere.is_dask(array):
        return tuple(max(each, default=1) for each in array.chunks)
    return None if found is None else tuple(found)


class Scratch:
    """A folder for what is written on the way, removed at the end of the ``with`` block.

    Parameters
    ----------
    folder : str or path, optional
        Where it is made, on a disk that all workers see; by default beside the first array that
        lies in a file, else where temporary files are.
    near : iterable of array
    """

    def __init__(self, folder: Any = None, near: Iterable[Any] = ()) -> None:
        places = (place for place in map(location, near) if place is not None)
        self.above = Path(folder) if folder is not None else next(places, None)
        self.path = Path()
        self._folder: Passing | None = None
        self._number = itertools.count()

    def __enter__(self) -> Scratch:
        above = self.above
        if above is not None and not (above.is_dir() and os.access(above, os.W_OK)):
            raise ValueError(f"scratch: expected a folder that can be written to, got {above}")
        self._folder = Passing(above)
        self.path = self._folder.path
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove it with all that is in it."""
        if self._folder is not None:
            self._folder.remove()

    def require(self, needed: int) -> None:
        """Refuse to begin what its disk has no room for."""
        free = shutil.disk_usage(self.path).free
        if needed > free:
            raise ValueError(
                f"scratch: takes {needed / 1e9:.3g} GB of disk, {free / 1e9:.3g} GB are free in "
                f"{self.path.parent}; scratch=FOLDER names another one"
            )

    def new(self, name: str) -> str:
        """Return a path that nobody has."""
        return str(self.path / f"{name}-{next(self._number)}.npy")


class Store:
    """The arrays of a run by name, each in its current version.

    Parameters
    ----------
    scratch : Scratch
    """

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.sources: dict[str, Source] = {}
        self._kept: set[Source] = set()

    def new(self, name: str, shape: Sequence[int], dtype: Any) -> Numbers:
        """Return where an array's next version goes."""
        return files.npy(self.scratch.new(name), shape, dtype)

    def swap(self, new: Mapping[str, Source]) -> None:
        """Let versions that are whole take the places of the current ones."""
        for name, found in new.items():
            self._remove(self.sources.get(name))
            self.sources[name] = found

    def drop(self, names: Iterable[str]) -> None:
        """Forget arrays that nobody reads any more."""
        for name in names:
            self._remove(self.sources.pop(name, None))

    def keep(self, name: str) -> Source:
        """Return the current version of an array, which stays until it is released."""
        found = self.sources[name]
        self._kept.add(found)
        return found

    def release(self, found: Source) -> None:
        """Let go of a version that was kept."""
        self._kept.discard(found)
        if found not in self.sources.values():
            self._remove(found)

    def _remove(self, old: Source | None) -> None:
        if not isinstance(old, Numbers) or old in self._kept:
            return
        if Path(old.path).parent == self.scratch.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(old.path)
