"""What is in a file: fields with their ranges, lengths, parameters, and a preview."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from arraycon import figure, io
from arraycon.blocks import ParameterWarning
from arraycon.io import ptyrad
from arraycon.params import files
from arraycon.state import ARRAYS, LENGTHS, State

_UNITS = {"object_phase": "rad", "position_shifts": "px", "tilts": "mrad"}
# shades of a terminal's preview, from dark to bright: matplotlib's magma in seven steps
_SHADES = ((0, 0, 4), (44, 17, 95), (114, 31, 129), (183, 55, 121), (241, 96, 93),
           (254, 176, 120), (252, 253, 191))  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One array: shape, type, and its least, mean and largest value, of complex ones the moduli."""

    shape: tuple[int, ...]
    dtype: str
    least: float
    mean: float
    largest: float
    unit: str


@dataclass(frozen=True)
class Contents:
    """What a reconstruction holds.

    Parameters
    ----------
    arrays : dict of Field
        By field of `State`.
    facts : dict of str
        Lengths, iterations, parameters, in words.
    state : State
        What was read.
    """

    arrays: dict[str, Field]
    facts: dict[str, str]
    state: State


def look(path: Path) -> Contents:
    """Read a reconstruction and say what it holds.

    Raises
    ------
    ReadError
        As `arraycon.io.read`.
    """
    found = io.read(path)
    state = found.state
    arrays = {name: _field(name, getattr(state, name)) for name in ARRAYS if _has(state, name)}
    facts = {name: f"{getattr(state, name):g} Å" for name in LENGTHS if _has(state, name)}
    for name in ("probe_intensity", "scan_shape"):
        if _has(state, name):
            facts[name] = str(getattr(state, name))
    facts |= _extent(state)
    if found.iteration is not None:
        facts["iterations done"] = str(found.iteration)
    if ptyrad.recognises(path) and (on := _parameters(path)):
        facts["constraints it was made with"] = on
    return Contents(arrays, facts, state)


def _has(state: State, name: str) -> bool:
    return getattr(state, name) is not None


def _field(name: str, array: Any) -> Field:
    shown = np.abs(array) if array.dtype.kind == "c" else array
    if not array.size:
        return Field(array.shape, str(array.dtype), 0.0, 0.0, 0.0, _UNITS.get(name, ""))
    numbers = (float(np.min(shown)), float(np.mean(shown, dtype=np.float64)), float(np.max(shown)))
    unit = "modulus" if array.dtype.kind == "c" else _UNITS.get(name, "")
    return Field(array.shape, str(array.dtype), *numbers, unit)


def _extent(state: State) -> dict[str, str]:
    """Size of the object in Å."""
    names = ("object", "object_phase", "object_amplitude")
    obj = next((getattr(state, name) for name in names if _has(state, name)), None)
    if obj is None or state.dx is None:
        return {}
    nz, ny, nx = obj.shape[-3:]
    lengths = [ny * state.dx, nx * state.dx]
    if state.slice_thickness is not None:
        lengths.insert(0, nz * state.slice_thickness)
    axes = "z × y × x" if len(lengths) == 3 else "y × x"
    return {f"object, {axes}": " × ".join(f"{length:.4g}" for length in lengths) + " Å"}


def _parameters(path: Path) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ParameterWarning)  # `params check` tells them
            params = files.load(path)
    except (OSError, ValueError):  # what cannot be read is told by `params check`
        return ""
    on = [name for name, block in params.blocks().items() if block.enabled and name in params.given]
    return ", ".join(on)


def preview(state: State, width: int = 60) -> Text:
    """Draw the phase summed over depth, or the first probe mode, in a terminal's colours.

    Two pixels above each other are one character: its upper half and its background.
    """
    seen = figure.snapshot(state)
    image = seen.phase
    if image is None:
        image = seen.amplitude
    if image is None and seen.modes is not None:
        image = np.abs(seen.modes[0])
    if image is None or not image.size:
        return Text("")
    small = _reduced(image, min(width, image.shape[1]))
    low, high = np.percentile(small, (0.5, 99.5))
    scaled = np.clip((small - low) / (high - low if high > low else 1.0), 0, 1)
    levels = (scaled * (len(_SHADES) - 1)).round().astype(int)
    text = Text()
    for upper, lower in zip(levels[0::2], levels[1::2], strict=False):
        for a, b in zip(upper, lower, strict=True):
            text.append("▀", style=f"{_rgb(a)} on {_rgb(b)}")
        text.append("\n")
    return text


def _rgb(level: int) -> str:
    return "rgb({},{},{})".format(*_SHADES[level])


def _reduced(image: Any, width: int) -> Any:
    """Mean over equal parts, of an even number of rows."""
    ny, nx = image.shape
    height = max(2, round(ny * width / nx / 2) * 2)
    rows, columns = (
        np.linspace(0, n, parts + 1).astype(int)[:-1] for n, parts in ((ny, height), (nx, width))
    )
    if height > ny:  # too few rows to be divided
        rows = np.arange(ny // 2 * 2) if ny > 1 else np.zeros(2, int)
        return np.add.reduceat(image[rows], columns, axis=1)
    summed = np.add.reduceat(np.add.reduceat(image, rows, axis=0), columns, axis=1)
    counts = np.outer(np.diff([*rows, ny]), np.diff([*columns, nx]))
    return summed / counts
