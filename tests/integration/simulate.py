"""A small 4D-STEM experiment: what each of the codes is given to reconstruct."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Experiment:
    """Diffraction patterns of a thick specimen on a raster, and what they were made with.

    Lengths in Å, angles in mrad; patterns (slow, fast, ny, nx) have the beam in the middle.
    """

    patterns: np.ndarray
    potential: np.ndarray  # (nz, ny, nx), rad per slice
    probe: np.ndarray  # (ny, nx), centred
    dx: float
    dk: float
    step: float
    energy: float  # eV
    wavelength: float
    semiangle: float
    defocus: float
    slice_thickness: float


def simulate(
    pixels: int = 32, scan: int = 8, slices: int = 3, noise: float = 0.0, seed: int = 3
) -> Experiment:
    """Propagate a defocused probe through atoms on a random few sites, by multislice."""
    energy, wavelength, semiangle, defocus = 80e3, 0.041757, 30.0, 80.0
    dx, step, thickness = 0.3, 1.2, 10.0
    rng = np.random.default_rng(seed)
    frequency = np.fft.fftfreq(pixels, dx)
    k2 = frequency[:, None] ** 2 + frequency**2
    aperture = np.sqrt(k2) <= semiangle * 1e-3 / wavelength
    spectrum = aperture * np.exp(-1j * np.pi * wavelength * defocus * k2)
    probe = np.fft.fftshift(np.fft.ifft2(spectrum))
    probe /= np.sqrt(np.sum(abs(probe) ** 2))
    propagator = np.exp(-1j * np.pi * wavelength * thickness * k2)

    size = pixels + int(np.ceil(step * (scan - 1) / dx)) + 2
    grid = np.arange(size)
    potential = np.zeros((slices, size, size))
    for _ in range(6 * slices):
        z, (y, x) = rng.integers(slices), rng.uniform(0.2 * size, 0.8 * size, 2)
        potential[z] += 0.3 * np.exp(-((grid[:, None] - y) ** 2 + (grid - x) ** 2) / (2 * 1.5**2))

    patterns = np.empty((scan, scan, pixels, pixels), dtype=np.float32)
    for row in range(scan):
        for column in range(scan):
            top, left = (round(step * index / dx) for index in (row, column))
            wave = probe
            for layer in potential[:, top : top + pixels, left : left + pixels]:
                wave = np.fft.ifft2(np.fft.fft2(wave * np.exp(1j * layer)) * propagator)
            patterns[row, column] = np.fft.fftshift(abs(np.fft.fft2(wave)) ** 2)
    patterns *= 1e4 / patterns.sum(axis=(-2, -1)).mean()
    if noise:
        patterns = rng.poisson(patterns / noise).astype(np.float32) * np.float32(noise)
    return Experiment(
        patterns, potential, probe, dx, 1 / (pixels * dx), step, energy, wavelength, semiangle,
        defocus, thickness,
    )  # fmt: skip
