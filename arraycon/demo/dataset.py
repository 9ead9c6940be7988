"""Diffraction data and truths, simulated or from files, in one form; thinning of counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a reconstruction starts from.

    Parameters
    ----------
    counts : array, shape (n, ny, nx), integer
        Diffraction patterns, zero frequency first.
    positions : array, shape (n, 2), float64
        Where pixel (ny//2, nx//2) of the probe lies (y, x), in px.
    probe : array, shape (ny, nx), complex64
        First guess of the probe at the first slice, centred on pixel (ny//2, nx//2).
    dx, wavelength : float, optional
        Pixel size and wavelength in Å.
    slice_thickness : float, optional
        Distance between slices in Å; None allows one slice only.
    scan_shape : tuple of int, optional
        Numbers of positions (slow, fast).
    semi_angle : float, optional
        Of the aperture in rad.
    source_size : float, optional
        Standard deviation of the source's image in Å, where it is known.
    """

    counts: Any
    positions: Any
    probe: Any
    dx: float | None = None
    wavelength: float | None = None
    slice_thickness: float | None = None
    scan_shape: tuple[int, int] | None = None
    semi_angle: float | None = None
    source_size: float | None = None

    def field(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First pixel, and shape, of what the positions enclose."""
        first, last = np.ceil(self.positions.min(axis=0)), np.floor(self.positions.max(axis=0))
        (y, x), (ny, nx) = first.tolist(), (last - first + 1).tolist()
        return (int(y), int(x)), (int(ny), int(nx))

    def thin(self, fraction: float, rng: np.random.Generator) -> tuple[Dataset, Dataset]:
        """Split the counts by chance into two data sets, independent if they are Poissonian.

        Parameters
        ----------
        fraction : float
            Probability that a count goes to the first one; the others go to the second.
        rng : Generator
            Source of the chance.
        """
        taken = rng.binomial(self.counts, fraction).astype(self.counts.dtype)
        return replace(self, counts=taken), replace(self, counts=self.counts - taken)

    def select(self, chosen: Any) -> Dataset:
        """Keep the positions of a slice, a mask or indices; they no longer form a grid."""
        counts, positions = self.counts[chosen], self.positions[chosen]
        return replace(self, counts=counts, positions=positions, scan_shape=None)


@dataclass(frozen=True, eq=False)
class Truth:
    """What a reconstruction should find.

    Parameters
    ----------
    phase : array, shape (nz, ny, nx)
        Phase of each slice in rad on the pixels of `Dataset.positions`, periodic in y and x.
    expected : array, shape (n, ny, nx), optional
        Patterns without noise, as `Dataset.counts`.
    positions : array, shape (n, 2), optional
        Where the probe really was (y, x), in px.
    powers : array, shape (pmode,), optional
        Share of the intensity in each orthogonal probe mode, strongest first.
    """

    phase: Any
    expected: Any = None
    positions: Any = None
    powers: Any = None

    def window(self, first: tuple[int, int], shape: tuple[int, int]) -> Any:
        """Phase of a part of the cell, shape (nz, *shape), from a pixel on."""
        rows, columns = ((f + np.arange(n)) for f, n in zip(first, shape, strict=True))
        ny, nx = self.phase.shape[1:]
        return self.phase[:, (rows % ny)[:, None], columns % nx]
