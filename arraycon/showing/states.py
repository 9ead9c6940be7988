"""A state as a table: shapes, dtypes, units, extents and memory."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import Any

from arraycon.kernels.common import arrays
from arraycon.showing.html import Markup, table
from arraycon.showing.words import readable

UNITS = {
    "object_phase": "rad",
    "position_shifts": "px",
    "tilts": "mrad",
    "dx": "Å",
    "wavelength": "Å",
    "slice_thickness": "Å",
}
_LATERAL = ("object", "object_amplitude", "object_phase", "probe", "illumination", "vacuum_mask")
"""Arrays whose last two axes are pixels of `dx`."""


def state_table(state: Any) -> Markup:
    """Make a table of the fields of a state that have a value."""
    rows: list[tuple[object, ...]] = []
    total = 0
    for field in fields(state):
        value = getattr(state, field.name)
        if value is None:
            continue
        if not hasattr(value, "dtype"):
            shown = f"{value:g}" if isinstance(value, int | float) else str(value)
            rows.append((field.name, shown, "", UNITS.get(field.name, ""), "", ""))
            continue
        size = math.prod(value.shape) * _bytes(value.dtype)
        total += size
        extent = _extent(state, field.name, value)
        kind = str(value.dtype).rpartition(".")[2]
        unit = UNITS.get(field.name, "")
        rows.append((field.name, tuple(value.shape), kind, unit, extent, readable(size)))
    headings = ("field", "shape or value", "dtype", "unit", "extent", "memory")
    notes = [f"{readable(total)} of arrays, {_where(state)}"] if total else []
    return table("State", headings, rows, right=(5,), notes=notes)


def _bytes(dtype: Any) -> int:
    """Size of an element; libraries name it alike, and have no attribute in common."""
    bits = re.search(r"(\d+)\W*$", str(dtype))
    return int(bits[1]) // 8 if bits else 1  # bool


def _extent(state: Any, name: str, array: Any) -> str:
    if name not in _LATERAL or not isinstance(state.dx, float):
        return ""
    ny, nx = array.shape[-2:]
    lateral = f"{ny * state.dx:.4g} × {nx * state.dx:.4g} Å"
    deep = name.startswith("object") and isinstance(state.slice_thickness, float)
    return lateral + (f", {array.shape[-3] * state.slice_thickness:.4g} Å deep" if deep else "")


def _where(state: Any) -> str:
    values = (getattr(state, field.name) for field in fields(state))
    array = next(value for value in values if hasattr(value, "dtype"))
    library, device = arrays.library(array), str(arrays.device(array))
    return library if device == "cpu" else f"{library} on {device}"
