"""Meaning that arrays and numbers may carry and the kernels would drop: units, masks, labels.

Other libraries are recognised by what their objects have, and never imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_PLAIN = (np.ndarray, np.memmap)


class LostMeaningError(TypeError):
    """Says what came, and what to hand over instead."""


def array(x: Any) -> None:
    """Refuse an array that means more than its elements, or that is none.

    Raises
    ------
    LostMeaningError
        The text continues "got".
    """
    if type(x) in _PLAIN:
        return
    kind = type(x).__name__
    if isinstance(x, np.generic):
        raise LostMeaningError(f"{kind}, a single number; numpy.asarray(x) makes an array of it")
    if isinstance(x, np.ma.MaskedArray):
        text = f"{kind}, whose mask would be lost; hand over x.filled(value)"
        raise LostMeaningError(text)
    if (unit := unit_of(x)) is not None:
        raise LostMeaningError(
            f"{kind} with a unit ({unit}), which would be lost; convert it to the unit that is "
            f"documented and hand over its plain values"
        )
    if isinstance(x, np.ndarray):
        text = f"{kind}, a kind of array with rules of its own; hand over numpy.asarray(x)"
        raise LostMeaningError(text)
    if hasattr(x, "get_mask"):  # PyTorch's
        raise LostMeaningError(f"{kind}, whose mask would be lost; hand over x.to_tensor(value)")
    if hasattr(x, "to_numpy"):  # xarray, pandas
        raise LostMeaningError(f"{kind}, whose labels would be lost; hand over x.to_numpy()")


def scalar(value: Any) -> Any:
    """Return the number that a 0-d array holds, and anything else as it is.

    Raises
    ------
    LostMeaningError
        It has a unit or a mask, or it is an array of several numbers; the text continues "got".
    """
    if isinstance(value, (int, float, str)) or value is None:
        return value
    kind = type(value).__name__
    if isinstance(value, np.ma.MaskedArray):
        raise LostMeaningError("a masked number")
    if (unit := unit_of(value)) is not None:
        shown = str(value)
        shown = kind if "\n" in shown else shown
        text = f"{shown} with a unit ({unit}), which would be lost; hand over the plain number"
        raise LostMeaningError(text)
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        return value
    if tuple(shape):
        raise LostMeaningError(f"an array of shape {tuple(shape)}")
    if isinstance(value, (np.ndarray, np.generic)):
        if dtype.kind == "O" and isinstance(value.item(), (int, float, str, type(None))):
            return value.item()
        if dtype.kind not in "fiu":
            raise LostMeaningError(f"{kind} of {dtype}" if kind == "ndarray" else kind)
        return value.item() if dtype.itemsize <= 8 else float(value)
    return value


def unit_of(x: Any) -> str | None:
    """Name of the unit that astropy, unyt, pint or xarray keep with a value; None without one."""
    for name in ("unit", "units"):
        unit = getattr(x, name, None)
        if unit is not None:
            return str(unit)
    return None
