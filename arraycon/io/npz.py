"""``.npz`` archives whose members are named after the fields of `State`."""

from __future__ import annotations

import contextlib
import math
import shutil
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import IO, Any

import numpy as np

from arraycon.io import foreign, memory
from arraycon.io.errors import ReadError, WriteError, reason
from arraycon.io.outline import Outline
from arraycon.state import ARRAYS, READ_ONLY, State

SUFFIXES = (".npz",)
NAMES = {field.name: field.name for field in dataclass_fields(State)}
"""Member (without ``.npy``) of each `State` field."""

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def recognises(path: Path) -> bool:
    """Whether the content is of this layout, as far as its beginning tells."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def errors(_: Path) -> dict[int, float]:
    """Return none: archives have no history."""
    return {}


def outline(path: Path) -> dict[str, Outline]:
    """Shape and dtype of each array that the archive holds.

    Raises
    ------
    ReadError
        The file is no archive, is damaged, or holds a field twice or pickled.
    """
    found: dict[str, Outline] = {}
    with _Opened(path) as archive:
        names = archive.namelist()
        if not any(f"{name}.npy" in names for name in NAMES) and (what := foreign.archive(names)):
            raise ReadError(f"{path}: {what}")
        for name in NAMES:
            if names.count(f"{name}.npy") > 1:
                raise ReadError(f"{path}: {name}: stands there twice; expected one array")
            if name in ARRAYS and f"{name}.npy" in names:
                found[name] = _outline(archive, path, name)
    return found


def read(path: Path, arrays: Collection[str]) -> tuple[dict[str, Any], int | None]:
    """Return the numbers and some of the arrays; an archive records no iteration.

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
    values: dict[str, Any] = {}
    with _Opened(path) as archive:
        members = set(archive.namelist())
        for name in NAMES:
            if name in arrays:
                values[name] = member(archive, path, name)
            elif name not in ARRAYS and f"{name}.npy" in members:
                _require_number(_outline(archive, path, name), path, name)
                values[name] = _plain(member(archive, path, name), name)
    return values, None


def write(draft: Path, source: IO[bytes], state: State) -> tuple[str, ...]:
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
        raise WriteError(f"{source.name}: could not be copied: {reason(error)}") from error
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


def member(archive: zipfile.ZipFile, path: Path, name: str) -> Any:
    """Read one array; what may hold code is refused, and what cannot fit."""
    found = _outline(archive, path, name)
    memory.require(found.nbytes, f"{path}: {name}")
    with _reading(path, name), archive.open(f"{name}.npy") as file:
        value = np.lib.format.read_array(file, allow_pickle=False)
    if value.dtype.kind in "fc":
        return np.asarray(value, dtype=value.dtype.newbyteorder("="), order="C")
    return value


class _Opened(zipfile.ZipFile):
    """An archive that says in one way what is wrong with it."""

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(path)
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise ReadError(f"{path}: is not an .npz archive, or is truncated") from error
        except OSError as error:
            raise ReadError(f"{path}: cannot be read: {reason(error)}") from error


@contextlib.contextmanager
def _reading(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except ReadError:
        raise
    except _ZIP_ERRORS as error:
        raise ReadError(
            f"{path}: {name}: cannot be read, the file is damaged: {reason(error)}"
        ) from error


def _outline(archive: zipfile.ZipFile, path: Path, name: str) -> Outline:
    """Shape and dtype by the header, which is checked against the size of the member."""
    with _reading(path, name), archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:  # only structures with names beyond ASCII need a newer one
            raise ReadError(f"{path}: {name}: expected an array of numbers, got a structure")
        shape, _, dtype = _HEADERS[version](file)
        there = archive.getinfo(f"{name}.npy").file_size - file.tell()
    if dtype.hasobject:
        raise ReadError(
            f"{path}: {name}: holds pickled Python objects, which are not loaded because that "
            f"could run code; expected an array of numbers"
        )
    found = Outline(shape, dtype)
    if found.nbytes != there:
        raise ReadError(
            f"{path}: {name}: the file is damaged: {dtype} of shape {shape} take "
            f"{found.nbytes} bytes, {there} are there"
        )
    return found


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


def _require_number(found: Outline, path: Path, name: str) -> None:
    """Refuse what is not one number, or two for a scan, before it is read."""
    expected = 2 if name == "scan_shape" else 1
    if math.prod(found.shape) != expected or found.dtype.kind not in "fiu":
        numbers = "two integers" if expected == 2 else "one number"
        raise ReadError(
            f"{path}: {name}: expected {numbers}, got {found.dtype} of shape {found.shape}"
        )


def _plain(value: Any, name: str) -> Any:
    """Python numbers of a calibration that was saved as an array."""
    numbers = value.reshape(-1).tolist()
    return tuple(numbers) if name == "scan_shape" else float(numbers[0])
