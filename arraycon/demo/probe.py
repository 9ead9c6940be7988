"""Probes to start from: a focused wave, and the modes that a source of finite size makes."""

from __future__ import annotations

from typing import Any

import numpy as np

from arraycon.demo.forward import frequencies


def focused_probe(
    window: int, *, dx: float, wavelength: float, semi_angle: float, c10: float
) -> Any:
    """Probe of a sharp aperture, in real space, centred on pixel window//2.

    Parameters
    ----------
    window : int
        Rows and columns.
    dx, wavelength, c10 : float
        Pixel size, wavelength and C10 (positive: the focus lies above) in Å.
    semi_angle : float
        Radius of the aperture in rad.

    Returns
    -------
    array, shape (window, window), complex64
        Σ|p|² = 1.
    """
    k = frequencies(window, dx)
    square = k[:, None] ** 2 + k**2
    spectrum = np.exp(-1j * np.pi * wavelength * c10 * square)
    probe = np.fft.fftshift(np.fft.ifft2(spectrum * (square < (semi_angle / wavelength) ** 2)))
    return (probe / np.linalg.norm(probe)).astype(np.complex64)


def source_modes(probe: Any, spread: float, count: int, *, nodes: int = 7) -> Any:
    """Orthogonal modes of a probe from a Gaussian source of finite size.

    The probe, shifted to the points of a Gauss-Hermite quadrature and weighted by its weights, is a
    sum of incoherent waves; its singular vectors are the fewest that give the same patterns.

    Parameters
    ----------
    probe : array, shape (ny, nx)
        Coherent probe.
    spread : float
        Standard deviation of the source's image in px.
    count : int
        Number of modes, nodes² at most; they take over the whole intensity.
    nodes : int
        Points of the quadrature along each axis.

    Returns
    -------
    array, shape (count, ny, nx), complex64
        Strongest first.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    shifts = spread * np.stack(np.meshgrid(points, points, indexing="ij"), axis=-1).reshape(-1, 2)
    ky, kx = (frequencies(n) for n in probe.shape)
    ramps = np.exp(
        -2j * np.pi * (shifts[:, 0, None, None] * ky[:, None] + shifts[:, 1, None, None] * kx)
    )
    copies = np.fft.ifft2(np.fft.fft2(probe) * ramps)
    copies *= np.sqrt(np.outer(weights, weights)).reshape(-1, 1, 1)
    if count > len(copies):
        raise ValueError(f"modes: expected no more than {len(copies)} of a source, got {count}")
    _, powers, modes = np.linalg.svd(copies.reshape(len(copies), -1), full_matrices=False)
    modes = (powers[:count, None] * modes[:count]).reshape(count, *probe.shape)
    return (modes * np.linalg.norm(probe) / np.linalg.norm(modes)).astype(np.complex64)


def weak_modes(probe: Any, count: int, share: float) -> Any:
    """Probe times polynomials in y and x, made orthogonal: where nothing is known of the source.

    Parameters
    ----------
    probe : array, shape (ny, nx)
        Coherent probe.
    count : int
        Number of modes.
    share : float
        Share of the intensity that each mode beside the first has, at most; the first keeps half.

    Returns
    -------
    array, shape (count, ny, nx), complex128
        Σ|p|² = 1, strongest first.
    """
    axes = [np.linspace(-1, 1, n) for n in probe.shape]
    orders = sorted(((a, b) for a in range(6) for b in range(6)), key=lambda ab: (sum(ab), ab))
    shapes = [probe * axes[0][:, None] ** a * axes[1] ** b for a, b in orders[:count]]
    basis, _ = np.linalg.qr(np.stack(shapes).reshape(count, -1).T)
    shares = np.full(count, min(share, 0.5 / count))
    shares[0] = 1 - shares[1:].sum()
    return basis.T.reshape(-1, *probe.shape) * np.sqrt(shares)[:, None, None]
