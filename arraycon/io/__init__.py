"""Reconstruction files: PtyRAD's HDF5, and ``.npz`` archives of `State` fields.

One module per layout; the content says which it is, and the suffix only where there is no content.

Reading gives a `State`. Writing puts a changed state into a copy of the file it came from, so that
everything this package does not understand stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from arraycon.io import npz, ptyrad, single
from arraycon.io.atomic import (
    OutputError,
    ReadError,
    WriteError,
    check_output,
    reason,
    replacing,
)
from arraycon.state import ARRAYS, READ_ONLY, State

__all__ = [
    "OutputError",
    "ReadError",
    "Reconstruction",
    "WriteError",
    "check_target",
    "read",
    "save",
    "write",
]

_LAYOUTS: tuple[ModuleType, ...] = (ptyrad, npz)


@dataclass(frozen=True)
class Reconstruction:
    """What one file holds.

    Parameters
    ----------
    path : Path
        The file.
    state : State
        Its arrays (NumPy, writable, native byte order) and calibrations.
    iteration : int or None
        Number of iterations done, where the format records it.
    """

    path: Path
    state: State
    iteration: int | None = None


def read(path: Path | str) -> Reconstruction:
    """Read a reconstruction.

    Parameters
    ----------
    path : Path or str
        An HDF5 file in PtyRAD's layout, or an ``.npz`` archive whose members are named after the
        fields of `State`, under whatever name. Fields that are not there are None.

    Raises
    ------
    ReadError
        The file is missing, unreadable, damaged or of an unknown format, or one of its arrays has
        an impossible shape, dtype or value. The message names the dataset.
    """
    path = Path(path)
    _require_readable(path)
    layout = _layout(path)
    fields, iteration = layout.read(path)
    if not fields:
        names = ", ".join(layout.NAMES.values())
        raise ReadError(f"{path}: holds no reconstruction: expected at least one of {names}")
    for field in ARRAYS:
        if field in fields:
            _require_finite(f"{path}: {layout.NAMES[field]}", fields[field])
    for field in READ_ONLY:
        if field in fields:
            fields[field] = single.weights(fields[field], f"{path}: {layout.NAMES[field]}")
    try:
        return Reconstruction(path, State(**fields), iteration)
    except (TypeError, ValueError) as error:
        message = str(error)
        name = layout.NAMES.get(message.partition(":")[0].partition("[")[0])
        where = f"{path}: {name}" if name and not message.startswith(name) else f"{path}"
        raise ReadError(f"{where}: {message}") from error


def check_target(path: Path | str, source: Path | str, *, in_place: bool = False) -> None:
    """Refuse an output that `write` could not or must not write.

    Raises
    ------
    OutputError
        The path cannot be written, has another format than `source`, or is `source` although
        `in_place` is False.
    """
    path, source = Path(path), Path(source)
    if in_place:
        check_output(path)
        return
    same = dict.fromkeys((*_layout(source).SUFFIXES, source.suffix.lower()))
    if path.suffix.lower() not in same:
        raise OutputError(
            f"{path}: the output has the format of the input; expected a name ending in "
            f"{', '.join(filter(None, same))}"
        )
    check_output(path, keep=source, use="use --in-place to replace it")


def write(
    path: Path | str, state: State, *, source: Path | str, in_place: bool = False
) -> tuple[str, ...]:
    """Write `state` into a copy of `source`, atomically.

    Only the arrays that differ from those in `source` are rewritten, with the dtype and storage
    they have there; the rest of the file is copied untouched.

    Parameters
    ----------
    path : Path or str
        The new file; an existing one is replaced.
    state : State
        A state read from `source`, its arrays NumPy arrays.
    source : Path or str
        The file that `state` was read from.
    in_place : bool
        Allow `path` to be `source`; its permissions are kept.

    Returns
    -------
    tuple of str
        Names of the datasets that were rewritten.

    Raises
    ------
    OutputError
        As `check_target`.
    WriteError
        Writing failed, or an array holds a NaN or infinity. `path` is as it was.
    """
    path, source = Path(path), Path(source)
    check_target(path, source, in_place=in_place)
    layout = _layout(source)
    try:
        for field in ARRAYS:
            if getattr(state, field) is not None:
                _require_finite(f"{path}: not written: {field}", getattr(state, field))
    except ReadError as error:
        raise WriteError(str(error)) from None
    with replacing(path, like=source if in_place else None) as draft:
        changed: tuple[str, ...] = layout.write(draft, source, state)
    return changed


def save(path: Path | str, state: State) -> None:
    """Write a new ``.npz`` that holds the fields of `state`, atomically.

    Raises
    ------
    OutputError, WriteError
        As `write`.
    """
    with replacing(Path(path)) as draft:
        npz.save(draft, state)


def _layout(path: Path) -> Any:
    """Return the layout of a file by its content; by its name if that says nothing."""
    found = [layout for layout in _LAYOUTS if layout.recognises(path)]
    # what is empty or damaged is told in the words of the layout that its name promises
    found += [layout for layout in _LAYOUTS if path.suffix.lower() in layout.SUFFIXES]
    if not found:
        suffixes = ", ".join(suffix for layout in _LAYOUTS for suffix in layout.SUFFIXES)
        raise ReadError(
            f"{path}: unknown format: expected an HDF5 file or an .npz archive ({suffixes})"
        )
    return found[0]


def _require_readable(path: Path) -> None:
    try:
        if path.is_dir():
            raise ReadError(f"{path}: is a folder, expected a file")
        if not path.exists():
            raise ReadError(f"{path}: no such file")
        with path.open("rb"):
            pass
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {reason(error)}") from error


def _require_finite(where: str, array: Any) -> None:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fc":
        return  # State says what is wrong with it
    bad = ~np.isfinite(array)
    count = int(np.count_nonzero(bad))
    if count:
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
        values = "value is" if count == 1 else "values are"
        raise ReadError(f"{where}: {count} {values} NaN or infinite, the first at index {index}")
