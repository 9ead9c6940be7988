"""``.npz`` archives whose members are named after the fields of `State`."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import IO, Any

import numpy as np

from arraycon.io.atomic import ReadError, WriteError, reason
from arraycon.state import ARRAYS, READ_ONLY, State

SUFFIXES = (".npz",)
NAMES = {field.name: field.name for field in dataclass_fields(State)}
"""Member (without ``.npy``) of each `State` field."""

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)


def recognises(path: Path) -> bool:
    """Whether the content is of this layout, as far as its beginning tells."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def read(path: Path) -> tuple[dict[str, Any], int | None]:
    """Return the `State` fields that the archive holds; it records no iteration.

    Raises
    ------
    ReadError
        The file is no archive, is damaged, or a field is pickled.
    """
    values: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            for name in NAMES:
                if f"{name}.npy" in members:
                    values[name] = member(archive, path, name)
    except zipfile.BadZipFile as error:
        raise ReadError(f"{path}: is not an .npz archive, or is truncated") from error
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {reason(error)}") from error
    for name in values.keys() - set(ARRAYS):
        values[name] = _plain(values[name], path, name)
    return values, None


def write(draft: Path, source: Path, state: State) -> tuple[str, ...]:
    """Make `draft` a copy of `source` with the arrays of `state`; return the members changed."""
    written = (name for name in ARRAYS if name not in READ_ONLY)
    arrays = {f"{name}.npy": getattr(state, name) for name in written}
    changed = []
    try:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(draft, "w") as new:
            new.comment = old.comment
            for info in old.infolist():
                array = arrays.get(info.filename)
                if array is not None and _replace(old, new, info, array):
                    changed.append(info.filename.removesuffix(".npy"))
                else:
                    with old.open(info) as from_file, _create(new, info) as to_file:
                        shutil.copyfileobj(from_file, to_file, 1 << 20)
    except OSError:
        raise
    except _ZIP_ERRORS as error:
        raise WriteError(f"{source}: could not be copied: {reason(error)}") from error
    return tuple(changed)


def save(draft: Path, state: State) -> None:
    """Write every field of `state` that has a value into a new archive."""
    with zipfile.ZipFile(draft, "w") as archive:
        for name in NAMES:
            value = getattr(state, name)
            if value is not None:
                # a fixed date: equal states give equal files
                with _create(archive, zipfile.ZipInfo(f"{name}.npy")) as file:
                    np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)


def _replace(old: zipfile.ZipFile, new: zipfile.ZipFile, info: zipfile.ZipInfo, array: Any) -> bool:
    with old.open(info) as file:
        before = np.lib.format.read_array(file, allow_pickle=False)
    if np.array_equal(before, array):
        return False
    with _create(new, info) as file:
        np.lib.format.write_array(file, array.astype(before.dtype, copy=False), allow_pickle=False)
    return True


def _create(archive: zipfile.ZipFile, like: zipfile.ZipInfo) -> IO[bytes]:
    info = zipfile.ZipInfo(like.filename, like.date_time)
    info.compress_type = like.compress_type
    info.external_attr = like.external_attr
    info.comment = like.comment
    return archive.open(info, "w", force_zip64=True)


def member(archive: zipfile.ZipFile, path: Path, name: str) -> Any:
    """Read one array; what may hold code is refused."""
    try:
        with archive.open(f"{name}.npy") as file:
            value = np.lib.format.read_array(file, allow_pickle=False)
    except _ZIP_ERRORS as error:
        if "allow_pickle" in str(error):
            raise ReadError(
                f"{path}: {name}: holds pickled Python objects, which are not loaded because that "
                f"could run code; expected an array of numbers"
            ) from error
        raise ReadError(f"{path}: {name}: cannot be read, the file is damaged: "
                        f"{reason(error)}") from error  # fmt: skip
    if value.dtype.kind in "fc":
        return np.asarray(value, dtype=value.dtype.newbyteorder("="), order="C")
    return value


def _plain(value: Any, path: Path, name: str) -> Any:
    """Python numbers of a calibration that was saved as an array."""
    expected = 2 if name == "scan_shape" else 1
    if value.size != expected or value.dtype.kind not in "fiu":
        numbers = "two integers" if expected == 2 else "one number"
        raise ReadError(
            f"{path}: {name}: expected {numbers}, got {value.dtype} of shape {value.shape}"
        )
    numbers_given = value.reshape(-1).tolist()
    return tuple(numbers_given) if expected == 2 else float(numbers_given[0])
