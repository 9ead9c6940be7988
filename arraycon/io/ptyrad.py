"""PtyRAD's HDF5 layout: where each field of `State` lies in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from arraycon.io.atomic import ReadError, WriteError, reason
from arraycon.state import State

_ARRAYS = {
    "object_amplitude": "optimizable_tensors/obja",
    "object_phase": "optimizable_tensors/objp",
    "probe": "optimizable_tensors/probe",
    "position_shifts": "optimizable_tensors/probe_pos_shifts",
    "tilts": "optimizable_tensors/obj_tilts",
}
_NUMBERS = {
    "probe_intensity": "model_attributes/probe_int_sum",
    "dx": "model_attributes/dx",
    "wavelength": "model_attributes/lambd",
    "slice_thickness": "optimizable_tensors/slice_thickness",
}
_SCAN = ("model_attributes/N_scan_slow", "model_attributes/N_scan_fast")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NONE = "__NONE__"  # how PtyRAD writes None

SUFFIXES = (".hdf5", ".h5", ".hdf")
NAMES = {**_ARRAYS, **_NUMBERS, "scan_shape": _SCAN[0]}
"""Dataset of each `State` field."""

# what h5py raises for a damaged file depends on which structure the damage hit
_H5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError)


def recognises(path: Path) -> bool:
    """Whether the content is of this layout, as far as its beginning tells."""
    with path.open("rb") as file:
        # a user block of 512, 1024, 2048 ... bytes may stand before it
        for start in (0, *(512 << n for n in range(12))):
            file.seek(start)
            if file.read(len(_SIGNATURE)) == _SIGNATURE:
                return True
    return False


def read(path: Path) -> tuple[dict[str, Any], int | None]:
    """Return the `State` fields that the file holds, and the number of iterations done.

    Raises
    ------
    ReadError
        The file is no HDF5 file, is damaged, or a dataset is not what it should be.
    """
    with opened(path) as file:
        fields = {field: _array(file, path, name) for field, name in _ARRAYS.items()}
        if all(array is None for array in fields.values()):
            return {}, None
        fields |= {field: _number(file, path, name) for field, name in _NUMBERS.items()}
        slow, fast = (_number(file, path, name) for name in _SCAN)
        if slow is not None and fast is not None:
            # State refuses a fraction, int() would hide it
            fields["scan_shape"] = tuple(int(n) if n.is_integer() else n for n in (slow, fast))
        done = _number(file, path, "niter")
    present = {field: value for field, value in fields.items() if value is not None}
    return present, None if done is None else int(done)


def write(draft: Path, source: Path, state: State) -> tuple[str, ...]:
    """Make `draft` a copy of `source` with the arrays of `state`; return the datasets changed."""
    import h5py

    shutil.copyfile(source, draft)
    with _Patient(draft) as storage:
        try:
            with h5py.File(storage, "r+") as file:
                changed = _update(file, state)
        except OSError:
            raise
        except _H5_ERRORS as error:
            raise WriteError(f"{source}: could not be updated: {reason(error)}") from error
    return changed


def _update(file: Any, state: State) -> tuple[str, ...]:
    changed = []
    for field, name in _ARRAYS.items():
        array = getattr(state, field)
        if array is None or np.array_equal(file[name][()], array):
            continue
        if file[name].shape != array.shape:
            raise ValueError(f"expected shape {file[name].shape}, got {array.shape}")
        file[name][...] = array
        changed.append(name)
    file.flush()
    return tuple(changed)


class _Patient:
    """A file that takes all of HDF5's writes, and says at the end of the block what went wrong.

    HDF5 cannot close a file whose disk is full: the failed close prints tracebacks, and crashes the
    interpreter when it exits. It never learns of failures here.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b", buffering=0)
        self._failure: BaseException | None = None

    def __enter__(self) -> _Patient:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._failure is not None:
            raise self._failure

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        size = rest.nbytes
        try:
            while rest.nbytes:
                rest = rest[self._file.write(rest) :]
        except BaseException as failure:  # a signal's exception must not reach HDF5 either
            self._failure = self._failure or failure
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._file.truncate(size)
        except BaseException as failure:
            self._failure = self._failure or failure
            return size or 0

    def flush(self) -> None:
        """Do nothing: nothing is buffered here."""


def opened(path: Path) -> Any:
    """Open a file to read, and say in the library's own words why that is not possible."""
    import h5py

    try:
        if not h5py.is_hdf5(path):
            empty = " (it is empty)" if path.stat().st_size == 0 else ""
            raise ReadError(f"{path}: is not an HDF5 file{empty}")
        return h5py.File(path, "r")
    except OSError as error:
        message = reason(error)
        if "truncated" in str(error):
            message = f"the HDF5 file is truncated, {path.stat().st_size} bytes are there"
        elif "lock" in str(error):
            message = "another program has it open for writing"
        raise ReadError(f"{path}: cannot be read: {message}") from error


def _array(file: Any, path: Path, name: str) -> Any:
    value = dataset(file, path, name)
    if value is None or value.dtype.kind not in "fc":
        return value
    return np.asarray(value, dtype=value.dtype.newbyteorder("="), order="C")


def _number(file: Any, path: Path, name: str) -> float | None:
    value = dataset(file, path, name)
    if value is None:
        return None
    if value.size != 1 or value.dtype.kind not in "fiu":
        raise ReadError(
            f"{path}: {name}: expected one number, got {value.dtype} of shape {value.shape}"
        )
    return float(value.reshape(())[()])


def dataset(file: Any, path: Path, name: str) -> Any:
    """Value of a dataset as a NumPy array, None if it is absent or holds PtyRAD's None."""
    import h5py

    try:
        item = file.get(name)
        if item is None:
            return None
        if not isinstance(item, h5py.Dataset):
            raise ReadError(f"{path}: {name}: expected a dataset, got a group")
        if item.shape is None:
            return None
        if h5py.check_string_dtype(item.dtype) is not None:
            text = item.asstr()[()]
            if isinstance(text, str) and text == _NONE:
                return None
            raise ReadError(f"{path}: {name}: expected numbers, got text")
        if item.file.filename != file.filename or item.is_virtual or item.external:
            # writing it would change that other file
            raise ReadError(f"{path}: {name}: its values lie in another file; expected them here")
        return np.asarray(item[()])
    except ReadError:
        raise
    except _H5_ERRORS as error:
        raise ReadError(f"{path}: {name}: cannot be read, the file is damaged: "
                        f"{reason(error)}") from error  # fmt: skip
