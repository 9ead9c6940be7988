"""Files of other programs: what they are, and what to do with them."""

from __future__ import annotations

from pathlib import Path

_ADVICE = (
    "expected PtyRAD's HDF5, or an .npz archive of the fields of State, as written by "
    "numpy.savez('state.npz', object_phase=…, probe=…, dx=…)"
)
_PICKLE = "which is not loaded because that could run code"
_BEGINNINGS = (
    (b"MATLAB 7.3", "a MATLAB file (v7.3), with its axes in reverse order"),
    (b"MATLAB", "a MATLAB file"),
    (b"\x93NUMPY", "a single NumPy array (.npy), which does not say what it is of"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\x80\x02", f"a Python pickle (.pt, .pkl), {_PICKLE}"),
    (b"\x80\x04", f"a Python pickle (.pkl), {_PICKLE}"),
    (b"\x80\x05", f"a Python pickle (.pkl), {_PICKLE}"),
    (b"\x89PNG", "a PNG image"),
    (b"CDF", "a netCDF file"),
)
_MRC = (208, b"MAP ")


def described(path: Path) -> str:
    """Say what a file of another program is, and what to do; empty if that is not known."""
    with path.open("rb") as file:
        beginning = file.read(_MRC[0] + 4)
    kind = next((kind for start, kind in _BEGINNINGS if beginning.startswith(start)), "")
    if not kind and beginning[_MRC[0] :] == _MRC[1]:
        kind = "an MRC image"
    return f"is {kind}; {_ADVICE}" if kind else ""


def archive(names: list[str]) -> str:
    """Say what a zip archive without any field of State is, and what to do."""
    if any(name.endswith("data.pkl") for name in names):
        return f"is a PyTorch file (.pt), {_PICKLE}; {_ADVICE}"
    return ""
