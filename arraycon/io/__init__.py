"""Reconstruction files: PtyRAD's HDF5, and ``.npz`` archives of `State` fields.

One module per layout; the content says which it is, and the suffix only where there is no content.

Reading gives a `State`. Writing puts a changed state into a copy of the file it came from, so that
everything this package does not understand stays as it is.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from arraycon.io import foreign, memory, npz, ptyrad, single
from arraycon.io.atomic import check_output, replacing
from arraycon.io.errors import OutputError, ReadError, WriteError
from arraycon.io.outline import Outline, require_order
from arraycon.io.regular import Identity, require_regular
from arraycon.state import ARRAYS, READ_ONLY, State

__all__ = [
    "OutputError",
    "ReadError",
    "Reconstruction",
    "WriteError",
    "check_output",
    "check_target",
    "outline",
    "read",
    "replacing",
    "save",
    "write",
    "written",
]

_LAYOUTS: tuple[ModuleType, ...] = (ptyrad, npz)
# what each state was read from, so that a file that was replaced meanwhile is noticed
_origins: weakref.WeakKeyDictionary[State, Identity] = weakref.WeakKeyDictionary()


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


def outline(path: Path | str) -> dict[str, Outline]:
    """Shape and dtype of each array in a reconstruction, by field of `State`; none is read.

    Raises
    ------
    ReadError
        As `read`, as far as it can be known so.
    """
    found = _outline(require_regular(Path(path)))
    require_order(Path(path), found)
    return found


def read(path: Path | str, *, arrays: Collection[str] | None = None) -> Reconstruction:
    """Read a reconstruction.

    Parameters
    ----------
    path : Path or str
        An HDF5 file in PtyRAD's layout, or an ``.npz`` archive whose members are named after the
        fields of `State`, under whatever name. Fields that are not there are None.
    arrays : collection of str, optional
        Array fields of `State` that are wanted; the others are not read, and None. By default all.

    Raises
    ------
    ReadError
        The file is missing, unreadable, damaged, of an unknown format or changed while it was read,
        or one of its arrays has an impossible shape, dtype, unit or value, or does not fit into
        memory. The message names the dataset.

    Warns
    -----
    UserWarning
        The object is smaller than the probe.
    """
    path = Path(path)
    before = Identity.of(require_regular(path))
    found, layout = _outline(path), _layout(path)
    require_order(path, found)
    wanted = [field for field in found if arrays is None or field in arrays]
    memory.require(sum(found[field].nbytes for field in wanted), f"{path}")
    fields, iteration = layout.read(path, wanted)
    errors = layout.errors(path)
    if before is None or Identity.of(path) != before:
        raise ReadError(f"{path}: was changed by another program while it was read")
    for field in wanted:
        _require_finite(f"{path}: {layout.NAMES[field]}", fields[field])
        if field in READ_ONLY:
            fields[field] = single.weights(fields[field], f"{path}: {layout.NAMES[field]}")
    try:
        state = State(**fields)
    except (TypeError, ValueError) as error:
        message = str(error)
        name = layout.NAMES.get(message.partition(":")[0].partition("[")[0])
        where = f"{path}: {name}" if name and not message.startswith(name) else f"{path}"
        raise ReadError(f"{where}: {message}") from error
    state.errors.update(errors)
    _origins[state] = before
    return Reconstruction(path, state, iteration)


def check_target(
    path: Path | str, source: Path | str, *, in_place: bool = False, replace: bool = True
) -> None:
    """Refuse an output that `write` could not or must not write.

    Raises
    ------
    OutputError
        The path cannot be written, has another format than `source`, is `source` although
        `in_place` is False, or is there already although `replace` is False.
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
    check_output(path, keep=source, use="use --in-place to replace it", replace=replace)


@contextlib.contextmanager
def written(
    path: Path | str,
    state: State,
    *,
    source: Path | str,
    in_place: bool = False,
    replace: bool = True,
) -> Iterator[tuple[str, ...]]:
    """Write as `write` does, and give the file its name when the block ends well.

    Two files can so appear together or not at all.

    Yields
    ------
    tuple of str
        Names of the datasets that were rewritten.

    Raises
    ------
    OutputError, WriteError
        As `write`.
    """
    path, source = Path(path), Path(source)
    check_target(path, source, in_place=in_place, replace=replace)
    layout, origin = _layout(source), _origins.get(state)
    try:
        for field in ARRAYS:
            if getattr(state, field) is not None:
                _require_finite(f"{path}: not written: {field}", getattr(state, field))
    except ReadError as error:
        raise WriteError(str(error)) from None
    options = {"instead_of": origin} if in_place else {"replace": replace}
    with replacing(path, like=source, **options) as draft:
        changed = _copied(layout, draft, source, state, origin)
        yield changed


def write(
    path: Path | str,
    state: State,
    *,
    source: Path | str,
    in_place: bool = False,
    replace: bool = True,
) -> tuple[str, ...]:
    """Write `state` into a copy of `source`, atomically.

    Only the arrays that differ from those in `source` are rewritten, with the dtype and storage
    they have there; the rest of the file is copied untouched.

    Parameters
    ----------
    path : Path or str
        The new file; it may be read by nobody who may not read `source`.
    state : State
        A state read from `source`, its arrays NumPy arrays. Arrays that are None stay as they are.
    source : Path or str
        The file that `state` was read from.
    in_place : bool
        Allow `path` to be `source`; its permissions are kept.
    replace : bool
        Allow `path` to be there already.

    Returns
    -------
    tuple of str
        Names of the datasets that were rewritten.

    Raises
    ------
    OutputError
        As `check_target`.
    WriteError
        Writing failed, an array holds a NaN or infinity, or another program has changed `source`
        since `state` was read. `path` is as it was.
    """
    with written(path, state, source=source, in_place=in_place, replace=replace) as changed:
        return changed


def save(path: Path | str, state: State, *, replace: bool = True) -> None:
    """Write a new ``.npz`` that holds the fields of `state`, atomically.

    Raises
    ------
    OutputError, WriteError
        As `write`.
    """
    with replacing(Path(path), replace=replace) as draft:
        npz.save(draft, state)


def _outline(path: Path) -> dict[str, Outline]:
    layout = _layout(path)
    found: dict[str, Outline] = layout.outline(path)
    if not found:
        if what := foreign.described(path):
            raise ReadError(f"{path}: {what}")
        if layout is ptyrad or not layout.read(path, ())[0]:
            names = ", ".join(layout.NAMES.values())
            raise ReadError(f"{path}: holds no reconstruction: expected at least one of {names}")
    return found


def _copied(
    layout: Any, draft: Path, source: Path, state: State, origin: Identity | None
) -> tuple[str, ...]:
    """Make the draft from what was read, and from nothing else that has its name by now."""
    with source.open("rb") as file:
        opened = Identity.of(file.fileno())
        if origin is None or opened == origin:
            changed: tuple[str, ...] = layout.write(draft, file, state)
            if Identity.of(file.fileno()) == opened:
                return changed
    raise WriteError(
        f"{source}: nothing was written: another program has changed it since it was read"
    )


def _layout(path: Path) -> Any:
    """Return the layout of a file by its content; by its name if that says nothing."""
    found = [layout for layout in _LAYOUTS if layout.recognises(path)]
    if not found and (what := foreign.described(path)):
        raise ReadError(f"{path}: {what}")
    # what is empty or damaged is told in the words of the layout that its name promises
    found += [layout for layout in _LAYOUTS if path.suffix.lower() in layout.SUFFIXES]
    if not found:
        suffixes = ", ".join(suffix for layout in _LAYOUTS for suffix in layout.SUFFIXES)
        raise ReadError(
            f"{path}: unknown format: expected an HDF5 file or an .npz archive ({suffixes})"
        )
    return found[0]


def _require_finite(where: str, array: Any) -> None:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fc":
        return  # State says what is wrong with it
    bad = ~np.isfinite(array)
    count = int(np.count_nonzero(bad))
    if count:
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
        values = "value is" if count == 1 else "values are"
        raise ReadError(f"{where}: {count} {values} NaN or infinite, the first at index {index}")
