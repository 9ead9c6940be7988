"""One array out of a file: ``FILE`` or ``FILE:dataset``, as the command's options take it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arraycon.io import hdf5, npz, ptyrad
from arraycon.io.errors import ReadError, reason

_NPY = b"\x93NUMPY"


def read(text: str, field: str) -> NDArray[Any]:
    """Read an array from a file that may hold others.

    Parameters
    ----------
    text : str
        Path of an ``.npy`` file, an ``.npz`` archive or an HDF5 file; for the latter two a colon
        and the name of the array may follow. Without one the array named `field` is read, or the
        only one that there is.
    field : str
        What it is for.

    Returns
    -------
    ndarray
        In native byte order; integers as float64.

    Raises
    ------
    ReadError
        There is no such file or array, or it does not hold finite real numbers, none of them
        negative.
    """
    path, name = _place(text)
    try:
        with path.open("rb") as file:
            start = file.read(len(_NPY))
        if start == _NPY:
            value = _npy(path, name)
        elif npz.recognises(path):
            value = _npz(path, name, field)
        elif ptyrad.recognises(path):
            value = _hdf5(path, name, field)
        else:
            raise ReadError(f"{path}: expected an .npy, .npz or HDF5 file")
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {reason(error)}") from error
    return weights(value, text)


def _place(text: str) -> tuple[Path, str]:
    # a file of that whole name comes first: a colon may be part of it, as in C:\\masks.npy
    if Path(text).exists() or ":" not in text:
        return Path(text), ""
    path, _, name = text.rpartition(":")
    return Path(path), name


def _npy(path: Path, name: str) -> Any:
    if name:
        raise ReadError(f"{path}: holds one array without a name; expected no :{name} behind it")
    try:
        return np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ReadError(f"{path}: cannot be read: {reason(error)}") from error


def _npz(path: Path, name: str, field: str) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [key[:-4] for key in archive.namelist() if key.endswith(".npy")]
            return npz.member(archive, path, _chosen(path, name, field, names))
    except zipfile.BadZipFile as error:
        raise ReadError(f"{path}: is not an .npz archive, or is truncated") from error


def _hdf5(path: Path, name: str, field: str) -> Any:
    import h5py

    names: list[str] = []
    with hdf5.opened(path) as file:
        file.visititems(
            lambda key, item: names.append(key) if isinstance(item, h5py.Dataset) else None
        )
        chosen = _chosen(path, name.strip("/"), field, names)
        item = hdf5.dataset(file, path, chosen)
        if item is None:
            raise ReadError(f"{path}: {chosen}: expected an array, got none")
        return hdf5.values(item, f"{path}: {chosen}")


def _chosen(path: Path, name: str, field: str, names: list[str]) -> str:
    if name in names:
        return name
    if not name and (field in names or len(names) == 1):
        return field if field in names else names[0]
    wanted = f"no array {name}" if name else f"several arrays and none named {field}"
    raise ReadError(f"{path}: holds {wanted}; expected FILE:NAME out of {', '.join(names)}")


def weights(value: NDArray[Any], where: str) -> NDArray[Any]:
    """Return finite real numbers ≥ 0, or bool; refuse all else.

    Raises
    ------
    ReadError
        There is something else; the message begins with `where`.
    """
    kind = value.dtype.kind
    if kind not in "bfiu":
        raise ReadError(f"{where}: expected real numbers or bool, got {value.dtype}")
    result = np.asarray(value, np.float64 if kind in "iu" else value.dtype.newbyteorder("="))
    # NaN is not ≥ 0 either
    if kind != "b" and not (np.all(result >= 0) and np.all(np.isfinite(result))):
        raise ReadError(f"{where}: expected finite numbers ≥ 0, got others among them")
    return result
