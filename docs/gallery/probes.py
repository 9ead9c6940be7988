"""Small probes whose truth is known; pixels of 0.2 Å, 200 kV."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.number]

SIZE = 96
DX = 0.2  # Å
WAVELENGTH = 0.0251  # Å
MEASURE = "rms error of |P|"
MIDDLE = (slice(SIZE // 4, 3 * SIZE // 4),) * 2
"""What is drawn of probes in focus."""


def probe(*, semiangle: float = 22.0, defocus: float = 0.0, shift: float = 0.0) -> Image:
    """Return a probe of `semiangle` mrad and `defocus` Å, `shift` px from the middle: (ny, nx).

    Its largest modulus is 1 in focus.
    """
    k = np.fft.fftfreq(SIZE, DX)
    square = k[:, None] ** 2 + k**2
    inside = np.sqrt(square) * WAVELENGTH * 1e3
    aperture = 1 / (1 + np.exp((inside - semiangle) / 0.5))
    phase = -np.pi * WAVELENGTH * defocus * square - 2 * np.pi * k * shift * DX
    wave = np.fft.fftshift(np.fft.ifft2(aperture * np.exp(1j * phase)))
    return wave / (aperture.sum() / aperture.size)


def hermite(weak: float = 0.5) -> Image:
    """Return a round mode and a weaker one that is odd along x: (2, ny, nx), orthogonal."""
    y, x = (np.indices((SIZE, SIZE)) - SIZE // 2) / 8.0
    envelope = np.exp(-(y**2 + x**2) / 2)
    return np.stack([envelope, weak * x * envelope]).astype(complex)
