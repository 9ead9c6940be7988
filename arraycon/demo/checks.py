"""What a number or an array from a file must be, each complaint in one line that names the key."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from arraycon.demo.dataset import Dataset, Truth
from arraycon.io.atomic import ReadError

_FIELD = 5  # px per side: less cannot be correlated
_OBJECT = 2  # GiB, of one reconstruction; several are done side by side
_FARTHEST = 1e9  # px: beyond it float64 loses what positions are refined by
_PHASES = (1e-6, 1e6)  # rad: the squares of what lies between can be computed with
_SAME = 1e-3  # relative difference of two pixel sizes that are one
_KINDS = {"f": "iuf", "c": "iufc"}


def number(path: Path, key: str, value: Any, expected: str, fits: Callable[[float], bool]) -> float:
    """Take one real number.

    Parameters
    ----------
    path, key
        Where it is from.
    value : object
        What a file gave.
    expected : str
        What it should be.
    fits : callable
        Whether it is; no for NaN.

    Raises
    ------
    ReadError
        It is something else, or does not fit.
    """
    found = np.asarray(value)
    if found.size != 1 or found.dtype.kind not in "iuf" or not fits(float(found.item())):
        raise ReadError(f"{path}: {key}: expected {expected}, got {_described(found)}")
    return float(found.item())


def numbers(path: Path, key: str, value: Any, dtype: Any) -> Any:
    """Convert an array to float or complex.

    Raises
    ------
    ReadError
        It is empty or of another kind, or some values are not finite in `dtype`.
    """
    dtype = np.dtype(dtype)
    if value.dtype.kind not in _KINDS[dtype.kind] or value.size == 0:
        kind = "real numbers" if dtype.kind == "f" else "numbers"
        raise ReadError(f"{path}: {key}: expected {kind}, got {_described(value)}")
    with np.errstate(all="ignore"):
        converted = value.astype(dtype)
    if not np.all(np.isfinite(converted)):
        raise ReadError(
            f"{path}: {key}: holds NaN or infinite values, expected finite ones in {dtype}"
        )
    return converted


def counts(path: Path, key: str, value: Any, expected: str, *, fits: bool) -> Any:
    """Take counts in an integer type that chance can be computed with.

    Parameters
    ----------
    path, key, value, expected
        As for `number`.
    fits : bool
        Whether the shape is as expected.

    Raises
    ------
    ReadError
        They have another shape or type, or no counts can be like that.
    """
    if value.dtype.kind not in "iu" or value.size == 0 or not fits:
        raise ReadError(f"{path}: {key}: expected {expected}, got {_described(value)}")
    if value.min() < 0 or not value.any():
        raise ReadError(f"{path}: {key}: expected counts of 0 or more that are not all 0")
    if value.max() > np.iinfo(np.int64).max:
        raise ReadError(f"{path}: {key}: expected counts below 2**63, got {value.max()}")
    # binomial numbers are drawn in int64
    return value.astype(np.int64) if value.dtype.itemsize == 8 else value


def aperture(path: Path, radius: float, window: int) -> None:
    """Refuse an aperture, its radius in pixels of the detector, that makes no probe."""
    if not 1 <= radius <= window / 2:
        raise ReadError(
            f"{path}: convergence_mrad: expected an aperture with a radius of 1 to {window / 2:g} "
            f"px on the detector, got {radius:.3g} px; so say wavelength_A and dx_A"
        )


def dataset(path: Path, data: Dataset, slices: int) -> None:
    """Refuse data that do not fit together, or that are too small or large to be reconstructed.

    Raises
    ------
    ReadError
        See above.
    """
    n, window = len(data.counts), data.counts.shape[1:]
    if data.positions.shape != (n, 2):
        raise ReadError(f"{path}: positions: expected {(n, 2)}, got {data.positions.shape}")
    if not data.probe.any():
        raise ReadError(f"{path}: probe: expected values that are not all 0")
    with np.errstate(over="ignore"):
        sides = np.ptp(data.positions, axis=0) + window
        gibibytes = slices * float(np.prod(sides)) * 8 / 2**30
    if not gibibytes <= _OBJECT:
        raise ReadError(
            f"{path}: positions: span {_size(sides)} with the window, {gibibytes:.3g} GiB for an "
            f"object of {slices} slices, expected at most {_OBJECT} GiB"
        )
    span = data.field()[1]
    if min(span) < _FIELD:
        raise ReadError(
            f"{path}: positions: span {_size(span)}, expected at least {_FIELD} x {_FIELD}"
        )
    if np.abs(data.positions).max() > _FARTHEST:
        raise ReadError(
            f"{path}: positions: expected them within {_FARTHEST:g} px of 0, "
            f"got {np.abs(data.positions).max():g}"
        )


def truth(path: Path, found: Truth, data: Dataset) -> None:
    """Refuse a truth that does not cover the data, or that holds nothing to compare with.

    Raises
    ------
    ReadError
        See above.
    """
    first, span = data.field()
    size = found.phase.shape[1:]
    if size[0] < span[0] or size[1] < span[1]:
        raise ReadError(
            f"{path}: potential_VA: expected at least {_size(span)} as the positions span, "
            f"got {_size(size)}"
        )
    with np.errstate(all="ignore"):
        largest = np.abs(found.phase).max()
        contrast = np.ptp(found.window(first, span), axis=(1, 2)).max()
    if not (largest < _PHASES[1] and contrast > _PHASES[0]):
        raise ReadError(
            f"{path}: potential_VA: expected phases up to {_PHASES[1]:g} rad that vary by more "
            f"than {_PHASES[0]:g} rad where the positions are, got up to {largest:g} rad that vary "
            f"by {contrast:g} rad"
        )


def same_pixel(path: Path, value: Any, data: Dataset) -> None:
    """Refuse the pixel size of a truth that is not that of the data, where they have one."""
    dx = number(path, "dx_A", value, "a pixel size above 0 Å", lambda dx: 0 < dx < np.inf)
    if data.dx is not None and abs(dx - data.dx) > _SAME * data.dx:
        raise ReadError(f"{path}: dx_A: expected {data.dx:g} as in the data, got {dx:g}")


def _size(shape: Any) -> str:
    return f"{shape[0]:.5g} x {shape[1]:.5g} px"


def _described(value: Any) -> str:
    """Show one number or a text, of anything else its type and shape."""
    if value.shape == () and value.dtype.kind in "iufcU":
        return reprlib.repr(value.item()) if value.dtype.kind == "U" else f"{value.item():g}"
    kind = "text" if value.dtype.kind in "US" else value.dtype
    return f"{kind} of shape {value.shape}"
