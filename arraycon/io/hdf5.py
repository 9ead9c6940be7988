"""HDF5 files: what a dataset is, before its values are read."""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from arraycon.io import units
from arraycon.io.errors import ReadError, reason

# what h5py raises for a damaged file depends on which structure the damage hit
ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError)
_NONE = "__NONE__"  # how PtyRAD writes None
_SETTINGS = 1000  # values; constraints have no more than two
_TEXT = 1 << 16  # bytes; a longer text is no None
_FILTERS = {
    32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd",
    32017: "sz", 32024: "sz3", 32026: "blosc2", 307: "bzip2", 4: "szip",
}  # fmt: skip


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file to read within a ``with`` block; what the library says of it is a ReadError.

    Damage shows where the structure that it hit is looked at, which may be anywhere in the block.
    """
    with _file(path) as file:
        try:
            yield file
        except ReadError:
            raise
        except (OSError, RuntimeError, KeyError) as error:
            raise _damaged(str(path), error) from error


def _file(path: Path) -> Any:
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


def dataset(file: Any, path: Path, name: str) -> Any:
    """Dataset of numbers of that name; None if it is absent or holds PtyRAD's None.

    Raises
    ------
    ReadError
        It is something else, or its values are not in this file, or cannot be decompressed here.
    """
    import h5py

    where = f"{path}: {name}"
    try:
        item = file.get(name)
        if item is None:
            _require_no_link(file, where, name)
            return None
        if not isinstance(item, h5py.Dataset):
            raise ReadError(f"{where}: expected a dataset, got a {type(item).__name__.lower()}")
        if item.shape is None or _is_none(item, where):
            return None
        if item.file.filename != file.filename or item.is_virtual or item.external:
            # writing it would change that other file
            raise ReadError(f"{where}: its values lie in another file; expected them here")
        if "MATLAB_class" in item.attrs:
            raise ReadError(
                f"{where}: was written by MATLAB, which reverses the axes; expected "
                f"(omode, nz, ny, nx), (pmode, ny, nx) and (n, 2) as NumPy and h5py see them"
            )
        _require_filters(item, where)
    except ReadError:
        raise
    except ERRORS as error:
        raise _damaged(where, error) from error
    return item


def number(file: Any, path: Path, name: str, field: str = "") -> float | int | None:
    """One number, in the unit of a field of `State`; its size is known before it is read."""
    item = dataset(file, path, name)
    if item is None:
        return None
    if item.size != 1 or item.dtype.kind not in "fiu":
        raise ReadError(
            f"{path}: {name}: expected one number, got {item.dtype} of shape {item.shape}"
        )
    value = np.asarray(values(item, f"{path}: {name}")).reshape(())[()].item()
    scale = _factor(item, f"{path}: {name}", field)
    return value if scale == 1.0 else float(value) * scale


def outline(item: Any, where: str, field: str) -> tuple[tuple[int, ...], Any]:
    """Shape and dtype of an array, if it is whole and of numbers in the right unit."""
    dtype = item.dtype.base
    if item.dtype.kind not in "fc":
        raise ReadError(f"{where}: expected real or complex numbers, got {dtype}")
    _factor(item, where, field)
    require_written(item, where)
    return item.shape, item.dtype.newbyteorder("=")


def values(item: Any, where: str) -> Any:
    """Values of a dataset, in native byte order."""
    try:
        value = np.asarray(item[()])
    except ERRORS as error:
        raise _damaged(where, error) from error
    return np.asarray(value, dtype=value.dtype.newbyteorder("="), order="C")


def tree(group: Any, where: str) -> dict[str, Any]:
    """Values of a group as PtyRAD's own loader gives them, None and nested groups included."""
    import h5py

    found: dict[str, Any] = {}
    try:
        for name, item in group.items():
            if isinstance(item, h5py.Group):
                found[name] = tree(item, f"{where}/{name}")
                continue
            if item.shape is None or item.size > _SETTINGS:
                raise ReadError(f"{where}/{name}: expected a setting, got {item.shape} values")
            text = h5py.check_string_dtype(item.dtype) is not None
            value = (item.asstr() if text else item)[()]
            plain = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
            found[name] = None if isinstance(plain, str) and plain == _NONE else plain
    except ReadError:
        raise
    except ERRORS as error:
        raise _damaged(where, error) from error
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two datasets are two names for the same values."""
    import h5py

    first, second = (h5py.h5o.get_info(item.id) for item in (one, other))
    return bool((first.fileno, first.addr) == (second.fileno, second.addr))


def _damaged(where: str, error: BaseException) -> ReadError:
    return ReadError(f"{where}: cannot be read, the file is damaged: {reason(error)}")


def _is_none(item: Any, where: str) -> bool:
    import h5py

    if h5py.check_string_dtype(item.dtype) is None:
        return False
    if item.shape == () and item.dtype.itemsize <= _TEXT and item.asstr()[()] == _NONE:
        return True
    raise ReadError(f"{where}: expected numbers, got text of shape {item.shape}")


def _require_no_link(file: Any, where: str, name: str) -> None:
    """Refuse a link without its target: the values were there once."""
    parts = name.split("/")
    for depth in range(1, len(parts) + 1):
        prefix = "/".join(parts[:depth])
        if file.get(prefix) is not None:
            continue
        link = file.get(prefix, getlink=True)
        if (target := getattr(link, "path", None)) is not None:
            other = getattr(link, "filename", None)
            there = f"{target} in {other}" if other else target
            raise ReadError(
                f"{where}: is a link to {there}, which is not there; expected the values in this "
                f"file, or the file that it was moved without"
            )
        return


def _require_filters(item: Any, where: str) -> None:
    """Refuse what is compressed by a filter that is not installed, and name the filter."""
    import h5py

    layout = item.id.get_create_plist()
    for index in range(layout.get_nfilters()):
        code, *_, label = layout.get_filter(index)
        if h5py.h5z.filter_avail(code) or _plugin_has(code):
            continue
        name = _FILTERS.get(code) or label.decode(errors="replace").partition(";")[0] or "unknown"
        raise ReadError(
            f"{where}: is compressed by a filter that is not installed, {name} ({code}); "
            f"pip install hdf5plugin"
        )


def _plugin_has(code: int) -> bool:
    """Whether hdf5plugin, which is no requirement, brings a filter along when it is imported."""
    import h5py

    try:
        importlib.import_module("hdf5plugin")
    except ImportError:
        return False
    return bool(h5py.h5z.filter_avail(code))


def require_written(item: Any, where: str) -> None:
    """Refuse what was declared and not filled: a few bytes can so declare any size."""
    if item.size == 0:
        return
    if item.chunks is None:
        there, expected = int(item.id.get_storage_size() > 0), 1
    else:
        there = item.id.get_num_chunks()
        expected = math.prod(
            -(-n // chunk) for n, chunk in zip(item.shape, item.chunks, strict=True)
        )
    if there < expected:
        raise ReadError(
            f"{where}: the file is incomplete: {there} of {expected} blocks of its values were "
            f"written"
        )


def _factor(item: Any, where: str, field: str) -> float:
    for name in ("units", "unit"):
        if name not in item.attrs:
            continue
        unit = item.attrs[name]
        if isinstance(unit, np.ndarray) and unit.size == 1:
            unit = unit.reshape(())[()]
        text = unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit)
        try:
            return units.factor(field, text)
        except ValueError as error:
            raise ReadError(f"{where}: {error}") from None
    return 1.0
