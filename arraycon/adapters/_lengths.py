"""Lengths as a `State` has them, where those of a code are as simple."""

from __future__ import annotations

import math
from collections.abc import Sequence

ANGSTROM = 1e10
"""Å per metre."""

# what slices or the sides of a pixel may differ by: constraints know one number for all of them
_ALIKE = 1e-3


def square(row: float, column: float) -> dict[str, float]:
    """Return the pixel size ``dx``, of a pixel that is square."""
    return {"dx": float(row)} if math.isclose(row, column, rel_tol=_ALIKE) else {}


def even(distances: Sequence[float]) -> dict[str, float]:
    """Return the ``slice_thickness`` of slices that are equally far from each other."""
    if not len(distances):
        return {}
    least, most = float(min(distances)), float(max(distances))
    if least > 0 and math.isclose(least, most, rel_tol=_ALIKE):
        return {"slice_thickness": least}
    return {}


def electron_wavelength(energy: float) -> float:
    """Relativistic wavelength in Å of electrons of an energy in eV."""
    momentum = math.sqrt(energy * (energy + 2 * 510_998.95))  # eV/c, from the rest energy
    return 12_398.419_84 / momentum  # hc in eV·Å
