"""A specimen made by chance: two twisted layers, and heavy atoms between them.

It is a stack of thin planes 12 Å apart, the two layers in the first and the last of them, in the
middle of a specimen of 72 Å. The phases are those of atoms as Gaussians; no atom is in two planes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

THICKNESS = 72.0
"""Thickness of the specimen in Å, vacuum above and below the layers included."""
DEPTHS = (18.0, 30.0, 42.0, 54.0)
"""Depths of the planes in Å: two layers, and free atoms in two planes between them."""

_LATTICE = 3.2  # Å, as in a layered dichalcogenide
_TWISTS = (4.0, -11.0)  # degrees
_WIDTH = 0.28  # Å, standard deviation of an atom's phase
_METAL, _PAIR, _HEAVY = (0.55, 0.75), 0.35, 1.0  # rad, at the peak


@dataclass(frozen=True, eq=False)
class Specimen:
    """Phases of the planes, and where they are.

    Parameters
    ----------
    planes : array, shape (4, ny, nx), float32
        Phase in rad, nowhere negative.
    dx : float
        Pixel size in Å.
    """

    planes: Any
    dx: float

    def slabs(self, slices: int) -> Any:
        """Sum the planes within each of `slices` slabs of equal thickness: (slices, ny, nx)."""
        summed = np.zeros((slices, *self.planes.shape[1:]), np.float32)
        for depth, plane in zip(DEPTHS, self.planes, strict=True):
            summed[int(depth / THICKNESS * slices)] += plane
        return summed


def make(rng: np.random.Generator, *, size: int, dx: float) -> Specimen:
    """Make a specimen.

    Parameters
    ----------
    rng : Generator
        Places dopants, vacancies and free atoms.
    size : int
        Rows and columns.
    dx : float
        Pixel size in Å.
    """
    width = size * dx
    planes = np.zeros((len(DEPTHS), size, size))
    for plane, twist, metal in zip((0, -1), _TWISTS, _METAL, strict=True):
        for sites, peak in zip(_honeycomb(width, np.deg2rad(twist)), (metal, _PAIR), strict=True):
            peaks = np.full(len(sites), peak)
            chance = rng.random(len(sites))
            peaks[chance < 0.03] = 0.0  # vacancies
            peaks[chance > 0.97] = _HEAVY  # dopants
            _add_atoms(planes[plane], sites, peaks, dx)
    for plane in planes[1:-1]:
        _add_atoms(plane, rng.uniform(0.38, 0.62, (2, 2)) * width, np.full(2, _HEAVY), dx)
    return Specimen(planes.astype(np.float32), dx)


def _honeycomb(width: float, twist: float) -> tuple[Any, Any]:
    """Sites (y, x) in Å of both sublattices within a square of the given width."""
    n = int(np.ceil(width / _LATTICE)) + 2
    i, j = np.mgrid[-n : n + 1, -n : n + 1].reshape(2, -1)
    cells = np.stack([i, j], -1) @ (_LATTICE * np.array([[0.0, 1.0], [np.sqrt(3) / 2, 0.5]]))
    turn = np.array([[np.cos(twist), -np.sin(twist)], [np.sin(twist), np.cos(twist)]])
    found = []
    for basis in (0.0, _LATTICE / np.sqrt(3)):
        sites = (cells + np.array([basis, 0.0])) @ turn + width / 2
        found.append(sites[np.all((sites > -1) & (sites < width + 1), axis=1)])
    return found[0], found[1]


def _add_atoms(plane: Any, atoms: Any, peaks: Any, dx: float) -> None:
    """Add Gaussians; each is a product of two in one dimension."""
    axis = np.arange(len(plane)) * dx
    y, x = (np.exp(-(((axis - atoms[:, k, None]) / _WIDTH) ** 2) / 2) for k in (0, 1))
    plane += (y * peaks[:, None]).T @ x
