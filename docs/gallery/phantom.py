"""Small specimens whose truth is known, in rad and Å."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating]

DX = 0.1  # Å, a pixel
SIZE = 96  # pixels
SPACING = 1.6  # Å, between columns of atoms: six of them in the field


def atoms(*, height: float = 0.5, width: float = 0.22, shift: float = 0.0) -> Image:
    """Return a square lattice: Gaussians of `height` rad and `width` Å, moved by `shift` Å in x."""
    axis = np.arange(SIZE) * DX
    centres = np.arange(-1, 8) * SPACING + SPACING / 2
    y, x = (
        np.exp(-((axis[:, None] - centres - moved) ** 2) / (2 * width**2)).sum(axis=1)
        for moved in (0.0, shift)
    )
    return height * np.outer(y, x)


def crystal(nz: int = 1, **options: float) -> Image:
    """Return the same slice `nz` times: (nz, ny, nx)."""
    return np.repeat(atoms(**options)[None], nz, axis=0)


def edge(*, height: float = 0.5) -> tuple[Image, Image]:
    """Return a crystal that ends, and its vacuum: phase (1, ny, nx) and mask (ny, nx)."""
    mask = np.zeros((SIZE, SIZE))
    mask[:, 64:] = 1.0
    return crystal(height=height) * (1 - mask), mask


def chip() -> Image:
    """Return lines and pads of one height each, as in an integrated circuit: (1, ny, nx)."""
    phase = np.zeros((1, SIZE, SIZE))
    for i, y in enumerate(range(8, SIZE, 16)):
        phase[0, y : y + 7, 8 : 60 + 4 * (i % 3)] = 0.3
    phase[0, 16:40, 70:90] = 0.5
    phase[0, 56:88, 74:80] = 0.5
    return phase


def noise(shape: tuple[int, ...], sigma: float, *, seed: int = 0) -> Image:
    """Return white noise of standard deviation `sigma`."""
    return np.random.default_rng(seed).normal(0, sigma, shape)


def plane(*, y: float = 0.0, x: float = 0.0) -> Image:
    """Return a phase ramp about the middle, in rad per pixel: (1, ny, nx)."""
    axis = np.arange(SIZE) - SIZE // 2
    return (y * axis[:, None] + x * axis)[None]
