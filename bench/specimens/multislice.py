"""Multislice patterns with NumPy and SciPy alone: nothing of the package that they are to test.

The grid is twice as fine as the reconstruction's, the slices are about 2 Å thick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter

_EXTRA = 2  # positions around the scan, so that the source's blur has no border in it
_BATCH = 32


@dataclass(frozen=True)
class Microscope:
    """What the patterns are recorded with; lengths in Å.

    Parameters
    ----------
    wavelength : float
        Of the electrons.
    semi_angle : float
        Of the probe in rad.
    c10 : float
        At the entrance surface; positive: the focus lies above.
    window : int
        Rows and columns of the detector.
    scan : int
        Positions per side.
    step : float
        Between positions.
    source : float
        Standard deviation of the source's image.
    """

    wavelength: float
    semi_angle: float = 22e-3
    c10: float = 80.0
    window: int = 48
    scan: int = 20
    step: float = 0.45
    source: float = 0.25


def places(scope: Microscope, extra: int = 0) -> Any:
    """Positions (n, n, 2) in Å, the first one of the scan at 1 Å."""
    axis = 1.0 + scope.step * np.arange(-extra, scope.scan + extra)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)


def expected(phases: Any, fine: float, thickness: float, scope: Microscope) -> Any:
    """Patterns per incident electron, mean of all configurations, the source's blur included.

    Parameters
    ----------
    phases : iterable of array, shape (slices, ny, nx)
        Phase of each thin slice in rad, one stack for each configuration; periodic.
    fine : float
        Pixel of `phases`, half of the reconstruction's.
    thickness : float
        Of a thin slice.
    scope : Microscope
        The rest.

    Returns
    -------
    array, shape (scan, scan, window, window), float32
        Zero frequency in the middle.
    """
    centres = places(scope, _EXTRA).reshape(-1, 2) / fine
    total, number = 0.0, 0
    for stack in phases:
        total = total + _patterns(np.exp(1j * stack).astype(np.complex64), centres, fine, thickness,
                                  scope)  # fmt: skip
        number += 1
    side = scope.scan + 2 * _EXTRA
    patterns = (total / number).reshape(side, side, scope.window, scope.window)
    blurred = gaussian_filter(patterns, (scope.source / scope.step,) * 2 + (0, 0))
    return blurred[_EXTRA:-_EXTRA, _EXTRA:-_EXTRA]


def _patterns(stack: Any, centres: Any, fine: float, thickness: float, scope: Microscope) -> Any:
    n = 2 * scope.window
    k = np.fft.fftfreq(n, fine)
    square = k[:, None] ** 2 + k**2
    aperture = square < (scope.semi_angle / scope.wavelength) ** 2
    lens = aperture * np.exp(-1j * np.pi * scope.wavelength * scope.c10 * square)
    lens /= np.sqrt(aperture.sum())
    # two thirds of the band, or what two slices scatter comes back from the other side
    band = square < (2 / 3 * k.max()) ** 2
    between = (band * np.exp(-1j * np.pi * scope.wavelength * thickness * square)).astype("c8")
    corners = np.rint(centres).astype(int)
    rest = centres - corners
    found = np.empty((len(centres), scope.window, scope.window), np.float32)
    crop = slice(scope.window // 2, scope.window // 2 + scope.window)
    offsets = np.arange(n) - n // 2
    for first in range(0, len(centres), _BATCH):
        part = slice(first, first + _BATCH)
        shift = rest[part, :, None] * k
        ramp = np.exp(-2j * np.pi * (shift[:, 0, :, None] + shift[:, 1, None, :]))
        wave = np.fft.fftshift(scipy.fft.ifft2(lens * ramp, norm="ortho"), axes=(1, 2))
        wave = wave.astype(np.complex64)
        rows = (corners[part, 0, None] + offsets) % stack.shape[1]
        columns = (corners[part, 1, None] + offsets) % stack.shape[2]
        for plane in stack:
            wave *= plane[rows[:, :, None], columns[:, None, :]]
            spectrum = scipy.fft.fft2(wave, norm="ortho") * between
            wave = scipy.fft.ifft2(spectrum, norm="ortho")
        pattern = np.fft.fftshift(np.abs(spectrum) ** 2, axes=(1, 2))
        found[part] = pattern[:, crop, crop]
    return found
