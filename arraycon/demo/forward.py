"""Multislice forward model: probe modes, sub-pixel shifts, angular-spectrum propagation.

Waves have the shape (position, mode, y, x). Transforms are unitary, so that Σ|Ψ|² of the far field
is Σ|ψ|² of the wave that leaves the specimen: intensities are counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from array_api_compat import array_namespace, is_numpy_array


def fft2(x: Any) -> Any:
    """Unitary transform over the last two axes; `x` may be overwritten."""
    if is_numpy_array(x):  # in place, 1.2 to 4 times as fast as numpy.fft
        return scipy.fft.fft2(x, norm="ortho", overwrite_x=True)
    return array_namespace(x).fft.fftn(x, axes=(-2, -1), norm="ortho")


def ifft2(x: Any) -> Any:
    """Inverse of `fft2`; `x` may be overwritten."""
    if is_numpy_array(x):
        return scipy.fft.ifft2(x, norm="ortho", overwrite_x=True)
    return array_namespace(x).fft.ifftn(x, axes=(-2, -1), norm="ortho")


def frequencies(n: int, dx: float = 1.0) -> Any:
    """Spatial frequencies of a grid, zero first: NumPy, shape (n,), cycles per unit of `dx`."""
    return np.fft.fftfreq(n, dx)


def propagator(shape: tuple[int, int], *, dx: float, wavelength: float, distance: float) -> Any:
    r"""Angular-spectrum propagator :math:`\exp(i\,d\,(\sqrt{k^2 - K^2} - k))`.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    dx, wavelength, distance : float
        All in one unit of length.

    Returns
    -------
    array, shape (ny, nx), complex64
        NumPy, zero frequency first; evanescent waves are left out.
    """
    ky, kx = (2 * np.pi * frequencies(n, dx) for n in shape)
    k = 2 * np.pi / wavelength
    square = k**2 - ky[:, None] ** 2 - kx**2
    phase = distance * (np.sqrt(np.maximum(square, 0)) - k)
    return np.where(square > 0, np.exp(1j * phase), 0).astype(np.complex64)


def intensity(waves: Any) -> Any:
    """Incoherent sum over modes: (position, mode, y, x) to (position, y, x)."""
    xp = array_namespace(waves)
    total = xp.zeros_like(xp.real(waves[:, 0]))
    for mode in range(waves.shape[1]):  # mode by mode stays in cache: twice as fast as one sum
        total += xp.real(waves[:, mode]) ** 2
        total += xp.imag(waves[:, mode]) ** 2
    return total


def overlap(one: Any, other: Any) -> Any:
    """Σ over modes of conj(one)·other: (position, mode, y, x) to (position, y, x)."""
    xp = array_namespace(one)
    total = xp.conj(one[:, 0]) * other[:, 0]
    for mode in range(1, one.shape[1]):
        total += xp.conj(one[:, mode]) * other[:, mode]
    return total


def gather(grid: Any, corners: Any, shape: tuple[int, int]) -> Any:
    """Cut a window out of every slice at each position.

    Parameters
    ----------
    grid : array, shape (nz, ny, nx)
        Object.
    corners : sequence of (int, int)
        First row and column of each window.
    shape : tuple of int
        Rows and columns of a window.

    Returns
    -------
    array, shape (position, nz, *shape)
    """
    xp, (ny, nx) = array_namespace(grid), shape
    return xp.stack([grid[:, y : y + ny, x : x + nx] for y, x in corners])


def scatter(grid: Any, corners: Any, windows: Any) -> None:
    """Add windows, shape (position, nz, y, x), into a grid: the adjoint of `gather`."""
    ny, nx = windows.shape[-2:]
    for (y, x), window in zip(corners, windows, strict=True):
        grid[:, y : y + ny, x : x + nx] += window


class Multislice:
    """Waves through a stack of thin slices, and the way back.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the probe window.
    propagator : array, shape (y, x), complex64, or None
        From each slice to the next, zero frequency first; None for a single slice.
    like : array
        An array of the library, and on the device, to compute with.
    """

    def __init__(self, shape: tuple[int, int], propagator: Any, like: Any) -> None:
        self.shape = shape
        self._xp = xp = array_namespace(like)
        self._ky, self._kx = (
            xp.asarray((-2j * np.pi * frequencies(n)).astype(np.complex64)) for n in shape
        )
        self._propagator = None if propagator is None else xp.asarray(propagator)

    def ramps(self, shifts: Any) -> Any:
        """Fourier phase ramps, (position, 1, y, x), that move a wave by `shifts` (n, 2) in px."""
        exp = self._xp.exp
        y = exp(shifts[:, 0, None] * self._ky)
        x = exp(shifts[:, 1, None] * self._kx)
        return (y[:, :, None] * x[:, None, :])[:, None]

    def __call__(self, spectra: Any, patches: Any) -> tuple[Any, list[Any]]:
        """Send waves through the specimen to the detector.

        Parameters
        ----------
        spectra : array, shape (position, mode, y, x)
            Incident waves in Fourier space; may be overwritten.
        patches : array, shape (position, nz, y, x)
            Transmission of each slice.

        Returns
        -------
        far_field : array, shape (position, mode, y, x)
            Amplitudes on the detector, zero frequency first.
        waves : list of array
            The wave that enters each slice.
        """
        waves = [ifft2(spectra)]
        for z in range(patches.shape[1] - 1):
            waves.append(self._propagate(waves[-1] * patches[:, z, None]))
        return fft2(waves[-1] * patches[:, -1, None]), waves

    def back(self, far_field: Any, patches: Any, waves: list[Any]) -> tuple[Any, Any]:
        """Take a change of the far field back through the specimen: the adjoint of the model.

        Parameters
        ----------
        far_field : array, shape (position, mode, y, x)
            Change on the detector; may be overwritten.
        patches, waves
            As for, and from, the way there.

        Returns
        -------
        object : array, shape (position, nz, y, x)
            Σ over modes of conj(wave)·change, in each slice.
        spectra : array, shape (position, mode, y, x)
            Change of the incident waves, in Fourier space.
        """
        xp = self._xp
        change, slices = ifft2(far_field), []
        for z in reversed(range(len(waves))):
            slices.append(overlap(waves[z], change))
            change *= xp.conj(patches[:, z, None])
            if z:
                change = self._propagate(change, back=True)
        return xp.stack(slices[::-1], axis=1), fft2(change)

    def _propagate(self, waves: Any, *, back: bool = False) -> Any:
        spectra = fft2(waves)
        spectra *= self._xp.conj(self._propagator) if back else self._propagator
        return ifft2(spectra)
