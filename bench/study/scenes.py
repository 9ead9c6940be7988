"""Small situations that several experiments start from: atoms, noise, probes, waves.

200 kV, a probe of 22 mrad on a detector of 55 mrad, pixels of 0.2 Å, slices of 8 Å. Atoms, waves
and filters by FFT are periodic laterally, so that hardly anything measures the edge of its own
field. Not periodic: the lattice, which has a seam at the border, and `obj_rblur` and `kr_thresh`,
which reflect there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

DX = 0.2
WAVELENGTH = 0.0251
SLICE_THICKNESS = 8.0
SEMI_ANGLE = 22e-3  # rad, of the probe
DETECTOR_ANGLE = 55e-3  # rad, edge of the detector
SIZE = 96
"""Rows and columns of objects and probes, px."""

APERTURE = 2 * DX * SEMI_ANGLE / WAVELENGTH
"""Radius of the aperture as a fraction of Nyquist."""

_LATTICE = 3.2  # Å, as in a layered dichalcogenide
_ATOM = 0.4  # Å, standard deviation


def atoms(sites: Any, peaks: Any, *, size: int = SIZE) -> Any:
    """Phase (size, size) of Gaussian atoms at `sites` (n, 2) in Å with the given peaks in rad."""
    axis = np.arange(size) * DX
    width = size * DX
    y, x = (
        np.exp(-((((axis - sites[:, k, None] + width / 2) % width - width / 2) / _ATOM) ** 2) / 2)
        for k in (0, 1)
    )
    return (y * np.broadcast_to(peaks, len(sites))[:, None]).T @ x


def lattice(twist: float, *, size: int = SIZE) -> Any:
    """Honeycomb sites (n, 2) in Å, turned by `twist` in degrees."""
    width = size * DX
    n = math.ceil(width / _LATTICE) + 2
    cells = np.mgrid[-n : n + 1, -n : n + 1].reshape(2, -1).T
    cells = cells @ (_LATTICE * np.array([[0.0, 1.0], [math.sqrt(3) / 2, 0.5]]))
    sites = np.concatenate([cells, cells + np.array([_LATTICE / math.sqrt(3), 0.0])])
    c, s = math.cos(math.radians(twist)), math.sin(math.radians(twist))
    sites = sites @ np.array([[c, -s], [s, c]]) + width / 2
    # atoms closer to the border would collide with those that come in from the other side
    return sites[np.all((sites >= 0.5) & (sites < width - 0.5), axis=1)]


def crystal(twist: float = 4.0, peak: float = 0.2) -> Any:
    """Phase (SIZE, SIZE) in rad of one atomic layer."""
    return atoms(lattice(twist), peak)


def layers(slices: int = 12, at: Sequence[int] = (3, 8)) -> Any:
    """Phase (slices, SIZE, SIZE) of atomic layers, each turned against the one before."""
    phase = np.zeros((slices, SIZE, SIZE))
    for index, layer in enumerate(at):
        phase[layer] = crystal(twist=4.0 - 15.0 * index)
    return phase


def shot_noise(rng: Any, shape: Sequence[int], dose: float) -> Any:
    """Phase noise in rad of a dose in e/Å²: 1/(2√N) for N electrons in a pixel.

    That is the least that N electrons can leave; no reconstruction is better.
    """
    return rng.normal(0, 1 / (2 * math.sqrt(dose * DX**2)), shape)


def seen_through_wedge(phase: Any, *, unseen: Any = None) -> Any:
    """Keep the spatial frequencies outside of an idealised missing wedge, |kz| < α·k.

    α is the detector's angle and nothing else limits the transfer. That of an instrument depends
    on its probe as well.

    Parameters
    ----------
    phase : array, shape (nz, ny, nx)
    unseen : array, optional
        Fills the wedge that is not transferred; without it the wedge is empty.
    """
    kz = np.abs(np.fft.fftfreq(phase.shape[0], SLICE_THICKNESS))[:, None, None]
    k = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, DX) for n in phase.shape[1:]), indexing="ij"))
    transfer = 1 / (1 + (kz / (DETECTOR_ANGLE * k + 1e-3)) ** 8)
    spectrum = np.fft.fftn(phase) * transfer
    if unseen is not None:
        spectrum += np.fft.fftn(unseen) * (1 - transfer)
    return np.fft.ifftn(spectrum).real


def rate(size: int = SIZE) -> Any:
    """Phase change per Å of propagation of each lateral frequency, rad/Å; FFT order."""
    k = 2 * math.pi * np.fft.fftfreq(size, DX)
    return np.sqrt((2 * math.pi / WAVELENGTH) ** 2 - k[:, None] ** 2 - k**2) - 2 * math.pi / (
        WAVELENGTH
    )


def propagate(wave: Any, distance: float) -> Any:
    """Wave (..., n, n) after a distance in Å through vacuum."""
    return np.fft.ifft2(np.fft.fft2(wave) * np.exp(1j * distance * rate(wave.shape[-1])))


def probe(defocus: float = 0.0, modes: int = 1, *, size: int = SIZE) -> Any:
    """Orthogonal modes (modes, size, size) behind one aperture, each of power 1, centred."""
    k = np.fft.fftfreq(size, DX) * WAVELENGTH / SEMI_ANGLE
    ky, kx = k[:, None], k[None, :]
    disc = 1 / (1 + (ky**2 + kx**2) ** 12)
    shapes = np.stack([disc, disc * ky, disc * kx, disc * ky * kx])[:modes]
    rows, _ = np.linalg.qr(shapes.reshape(modes, -1).T)
    waves = np.fft.ifft2(rows.T.reshape(shapes.shape), norm="ortho")
    return np.fft.fftshift(propagate(waves, defocus), axes=(-2, -1))


def moved_in_depth(array: Any, slices: float) -> Any:
    """Real array (nz, ny, nx) moved along z by a fraction of slices, periodically."""
    ramp = np.exp(-2j * math.pi * slices * np.fft.rfftfreq(len(array)))
    spectrum = np.fft.rfft(array, axis=0) * ramp[:, None, None]
    return np.fft.irfft(spectrum, n=len(array), axis=0)


def diffraction(amplitude: Any, phase: Any, incident: Any) -> Any:
    """Diffraction pattern (SIZE, SIZE) of one probe position, by the multislice method."""
    wave = incident
    for slab in amplitude * np.exp(1j * phase):
        wave = propagate(wave * slab, SLICE_THICKNESS)
    return np.sum(np.abs(np.fft.fft2(wave)) ** 2, axis=0)


def single(array: Any) -> Any:
    """Array as reconstructions hold it: float32 or complex64."""
    return array.astype(np.complex64 if np.iscomplexobj(array) else np.float32)


def rms(difference: Any) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.abs(np.asarray(difference, dtype=np.complex128)) ** 2)))
