"""PtyRAD's HDF5 layout: where each field of `State` lies in it."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

from arraycon.io import apart, hdf5, memory, pieces
from arraycon.io.errors import ReadError, WriteError, reason
from arraycon.io.outline import Outline
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
_KV = "params/init_params/probe_kv"
_ILLUMINATION = "params/init_params/probe_illum_type"
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HC, _REST = 12.398419843320026, 510.99895069  # keV Å, keV (CODATA 2022)
_ERRORS = "loss_iters"
_LARGEST = 2**53  # beyond it a float does not hold every integer
PARAMETERS = "params/constraint_params"
"""Group of the constraints' parameters that the file was made with."""

SUFFIXES = (".hdf5", ".h5", ".hdf")
NAMES = {**_ARRAYS, **_NUMBERS, "scan_shape": _SCAN[0]}
"""Dataset of each `State` field."""


def recognises(path: Path) -> bool:
    """Whether the content is of this layout, as far as its beginning tells."""
    with path.open("rb") as file:
        # a user block of 512, 1024, 2048 ... bytes may stand before it
        for start in (0, *(512 << n for n in range(12))):
            file.seek(start)
            if file.read(len(_SIGNATURE)) == _SIGNATURE:
                return True
    return False


def outline(path: Path) -> dict[str, Outline]:
    """Shape and dtype of each array that the file holds.

    Raises
    ------
    ReadError
        The file is no HDF5 file, is damaged, or a dataset is not what it should be.
    """
    with hdf5.opened(path) as file:
        found = {field: hdf5.dataset(file, path, name) for field, name in _ARRAYS.items()}
        there = {field: item for field, item in found.items() if item is not None}
        _require_different(there, path)
        return {
            field: Outline(*hdf5.outline(item, f"{path}: {_ARRAYS[field]}", field))
            for field, item in there.items()
        }


def read(path: Path, arrays: Collection[str]) -> tuple[dict[str, Any], int | None]:
    """Return the numbers and some of the arrays, and how many iterations were done.

    Parameters
    ----------
    path : Path
        The file.
    arrays : collection of str
        Fields of `State` that `outline` found, and that are wanted.

    Raises
    ------
    ReadError
        As `outline`.
    """
    with hdf5.opened(path) as file:
        fields = {
            field: hdf5.values(hdf5.dataset(file, path, name), f"{path}: {name}")
            for field, name in _ARRAYS.items()
            if field in arrays
        }
        fields |= {field: _float(file, path, name, field) for field, name in _NUMBERS.items()}
        if fields["wavelength"] is None:
            fields["wavelength"] = _wavelength(file, path)
        scan = tuple(hdf5.number(file, path, name) for name in _SCAN)
        if None not in scan:
            # State refuses a fraction, int() would hide it
            fields["scan_shape"] = tuple(_whole(n) for n in scan)
        done = hdf5.number(file, path, "niter")
    present = {field: value for field, value in fields.items() if value is not None}
    return present, None if done is None else _iterations(path, done)


def errors(path: Path) -> dict[int, float]:
    """Return the losses that PtyRAD has noted, by iteration; none where they are not as it does.

    Raises
    ------
    ReadError
        The file is no HDF5 file, or is damaged.
    """
    with hdf5.opened(path) as file:
        item = hdf5.dataset(file, path, _ERRORS)
        if item is None or item.ndim != 2 or item.shape[1] != 2 or item.dtype.kind not in "fiu":
            return {}
        memory.require(item.size * item.dtype.itemsize, f"{path}: {_ERRORS}")
        rows = hdf5.values(item, f"{path}: {_ERRORS}").tolist()
    return {
        int(iteration): float(error)
        for iteration, error in rows
        if math.isfinite(iteration) and iteration == int(iteration) and 0 <= error < math.inf
    }


@contextlib.contextmanager
def datasets(path: Path, fields: Collection[str]) -> Iterator[dict[str, Any]]:
    """Give the datasets of some arrays that `outline` found, while the file is open.

    Raises
    ------
    ReadError
        As `outline`.
    """
    with hdf5.opened(path) as file:
        yield {field: hdf5.dataset(file, path, _ARRAYS[field]) for field in fields}


def _whole(number: Any) -> Any:
    return int(number) if math.isfinite(number) and number == int(number) else number


def _iterations(path: Path, number: Any) -> int:
    whole = _whole(number)
    if not isinstance(whole, int) or not 0 <= whole <= _LARGEST:
        raise ReadError(f"{path}: niter: expected a number of iterations, got {number}")
    return whole


def _float(file: Any, path: Path, name: str, field: str) -> float | None:
    value = hdf5.number(file, path, name, field)
    return None if value is None else float(value)


def _wavelength(file: Any, path: Path) -> float | None:
    """Wavelength in Å by the electrons' energy: PtyRAD 0.1.0b13 and before stored only that."""
    kind = file.get(_ILLUMINATION)
    if kind is not None and kind.shape == () and kind.asstr()[()] != "electron":
        return None
    energy = hdf5.number(file, path, _KV)
    if energy is None:
        return None
    if not 0 < energy < 1e6:
        raise ReadError(f"{path}: {_KV}: expected an energy in keV, got {energy}")
    return _HC / math.sqrt(energy * (2 * _REST + energy))


def _require_different(items: dict[str, Any], path: Path) -> None:
    """Refuse one dataset under two names: each would be written over the other."""
    seen: dict[str, Any] = {}
    for field, item in items.items():
        for other, known in seen.items():
            if hdf5.same(item, known):
                raise ReadError(
                    f"{path}: {_ARRAYS[field]}: is the same dataset as {_ARRAYS[other]}, by a "
                    f"link; expected two"
                )
        seen[field] = item


def parameters(path: Path) -> dict[str, Any]:
    """Return the parameters of constraints that PtyRAD has stored in a file.

    Raises
    ------
    ReadError
        There are none, or the file is damaged.
    """
    with hdf5.opened(path) as file:
        if PARAMETERS not in file:
            raise ReadError(f"{path}: holds no {PARAMETERS}: expected a file that PtyRAD has saved")
        found = hdf5.tree(file[PARAMETERS], f"{path}: {PARAMETERS}")
    return dict(found)


def write(draft: Path, source: IO[bytes], state: State) -> tuple[str, ...]:
    """Make `draft` a copy of `source` with the arrays of `state`; return the datasets changed."""
    with draft.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 24)

    def update() -> tuple[str, ...]:
        import h5py

        with _Patient(draft) as storage, h5py.File(storage, "r+") as file:
            return _update(file, state)

    try:
        # HDF5 itself crashes on some damage to the index of a chunked dataset, at the first write
        return apart.run(update) if _is_chunked(draft) else update()
    except OSError:
        raise
    except (*hdf5.ERRORS, apart.CrashedError) as error:
        raise WriteError(
            f"{source.name}: could not be updated, the file may be damaged: {reason(error)}"
        ) from error


def _is_chunked(path: Path) -> bool:
    import h5py

    # by way of Python's file: HDF5 would find the draft locked, by this very process
    with _Patient(path) as storage, h5py.File(storage, "r") as file:
        return any(name in file and file[name].chunks is not None for name in _ARRAYS.values())


def _update(file: Any, state: State) -> tuple[str, ...]:
    changed = []
    for field, name in _ARRAYS.items():
        array = getattr(state, field)
        if array is None:
            continue
        if file[name].shape != array.shape:
            raise ValueError(f"expected shape {file[name].shape}, got {array.shape}")
        if pieces.update(file[name], array, name):
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
