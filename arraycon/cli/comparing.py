"""Where two files differ: arrays, numbers, and the parameters that they were made with."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arraycon import io
from arraycon.blocks import ParameterWarning
from arraycon.io import ptyrad
from arraycon.params import ConstraintParams, files
from arraycon.state import ARRAYS, FIELDS


@dataclass(frozen=True)
class Difference:
    """How much two arrays differ.

    Parameters
    ----------
    relative : float or None
        ‖B - A‖/‖A‖; None where they cannot be subtracted.
    largest : float or None
        Largest modulus of a difference.
    note : str
        What else is to be said: equal to the bit, another shape, a factor between them.
    """

    relative: float | None
    largest: float | None
    note: str = ""


@dataclass(frozen=True)
class Differences:
    """All differences of two files.

    Parameters
    ----------
    arrays : dict of Difference
        By field; those that are equal are among them.
    facts : tuple of str
        Numbers and parameters that differ, a line each.
    """

    arrays: dict[str, Difference]
    facts: tuple[str, ...]

    @property
    def any(self) -> bool:
        """Whether the files differ in anything."""
        return bool(self.facts) or any(one.note != _EQUAL for one in self.arrays.values())


_EQUAL = "equal"


def reconstructions(one: Path, other: Path) -> Differences:
    """Compare two reconstructions.

    Raises
    ------
    ReadError
        As `arraycon.io.read`.
    """
    found = io.read(one), io.read(other)
    a, b = (each.state for each in found)
    arrays = {
        name: _arrays(getattr(a, name), getattr(b, name))
        for name in ARRAYS
        if getattr(a, name) is not None or getattr(b, name) is not None
    }
    facts = [
        f"{name}: {getattr(a, name)} → {getattr(b, name)}"
        for name in FIELDS
        if name not in ARRAYS and getattr(a, name) != getattr(b, name)
    ]
    if found[0].iteration != found[1].iteration:
        facts.append(f"iterations done: {found[0].iteration} → {found[1].iteration}")
    if all(ptyrad.recognises(path) for path in (one, other)):
        facts += _parameters_of_files(one, other)
    return Differences(arrays, tuple(facts))


def _arrays(a: Any, b: Any) -> Difference:
    if a is None or b is None:
        return Difference(None, None, "only in the second" if a is None else "only in the first")
    if a.shape != b.shape:
        shapes = ["×".join(map(str, x.shape)) for x in (a, b)]
        return Difference(None, None, f"shape {shapes[0]} → {shapes[1]}")
    if a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True):
        return Difference(0.0, 0.0, _EQUAL)
    wide = np.complex128 if a.dtype.kind == "c" or b.dtype.kind == "c" else np.float64
    planes = (x.reshape(-1, *x.shape[-2:]) for x in (a, b))
    change = before = largest = 0.0
    product = complex(0)
    for x, y in zip(*planes, strict=True):  # no wide copy of the whole
        x, y = x.astype(wide), y.astype(wide)
        difference = np.abs(y - x)
        change += float(np.sum(difference**2))
        before += float(np.sum(np.abs(x) ** 2))
        largest = max(largest, float(np.max(difference, initial=0.0)))
        product += complex(np.vdot(x, y))
    relative = float(np.sqrt(change / before)) if before > 0 else float("inf")
    note = "" if a.dtype == b.dtype else f"{a.dtype} → {b.dtype}"
    angle = float(np.angle(product))
    if wide is np.complex128 and abs(angle) > 1e-3:
        note = "; ".join(filter(None, [note, f"turned by {angle:.3g} rad as a whole"]))
    return Difference(relative, largest, note)


def parameters(one: Path, other: Path) -> Differences:
    """Compare two parameter files: what each makes run, defaults included.

    Raises
    ------
    ParameterError, OSError
        As `arraycon.params.files.load`.
    """
    return Differences({}, tuple(_parameters(files.load(one), files.load(other))))


def _parameters_of_files(one: Path, other: Path) -> list[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ParameterWarning)  # `params check` tells them
            return _parameters(files.load(one), files.load(other))
    except (OSError, ValueError):  # a reconstruction without parameters, or with foreign ones
        return []


def _parameters(one: ConstraintParams, other: ConstraintParams) -> list[str]:
    a, b = one.blocks(), other.blocks()
    lines = []
    for name in dict.fromkeys((*a, *b)):
        on = [name in blocks and blocks[name].enabled for blocks in (a, b)]
        if on[0] != on[1]:
            lines.append(f"{name}: {'on → off' if on[0] else 'off → on'}")
        elif on[0]:
            old, new = (blocks[name].model_dump(mode="json") for blocks in (a, b))
            lines += [
                f"{name}.{key}: {old.get(key)} → {new.get(key)}"
                for key in dict.fromkeys((*old, *new))
                if old.get(key) != new.get(key)
            ]
    return lines
