"""How good a reconstruction is: against the truth, or against another one of the same object."""

from __future__ import annotations

from typing import Any

import numpy as np


def correlation(one: Any, other: Any) -> float:
    """Pearson correlation of two arrays of one shape; 0 if one of them is constant."""
    x, y = (np.asarray(array, dtype=np.float64).ravel() for array in (one, other))
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norm if norm > 0 else 0.0


def without_plane(image: Any) -> Any:
    """Subtract the plane that fits best: a probe can hide a constant and a ramp of the phase.

    Parameters
    ----------
    image : array, shape (..., ny, nx), real
    """
    ny, nx = image.shape[-2:]
    y, x = np.mgrid[:ny, :nx]
    basis = np.stack([np.ones(ny * nx), y.ravel(), x.ravel()], axis=1)
    flat = image.reshape(-1, ny * nx).T
    fit = basis @ np.linalg.lstsq(basis, flat, rcond=None)[0]
    return (flat - fit).T.reshape(image.shape)


def offset(image: Any, reference: Any, *, within: int = 4) -> tuple[float, float]:
    """Shift (y, x) in px that moves `image` onto `reference`.

    The peak of their cross-correlation, refined by a parabola through its neighbours.

    Parameters
    ----------
    image, reference : array, shape (ny, nx), real
    within : int
        Longest shift along an axis: noise has peaks everywhere.
    """
    total = (0.0, 0.0)
    for _ in range(3):  # the taper draws each estimate towards 0
        y, x = _step(moved(image, total), reference, within)
        limit = within + 0.5
        total = (
            min(max(total[0] + y, -limit), limit),
            min(max(total[1] + x, -limit), limit),
        )
    return total


def _step(image: Any, reference: Any, within: int) -> tuple[float, float]:
    taper = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
    spectra = [np.fft.fft2((array - array.mean()) * taper) for array in (image, reference)]
    peaks = np.fft.fftshift(np.fft.ifft2(np.conj(spectra[0]) * spectra[1]).real)
    middle = np.array(peaks.shape) // 2
    reach = np.minimum(within, (np.array(peaks.shape) - 1) // 2 - 1)  # each has two neighbours
    near = peaks[tuple(slice(m - r, m + r + 1) for m, r in zip(middle, reach, strict=True))]
    at = middle - reach + np.unravel_index(int(np.argmax(near)), near.shape)
    shift = []
    for axis in (0, 1):
        step = np.eye(2, dtype=int)[axis]
        low, mid, high = (float(peaks[tuple(at + d * step)]) for d in (-1, 0, 1))
        curve = low - 2 * mid + high
        fine = 0.5 * (low - high) / curve if curve < 0 else 0.0
        shift.append(float(at[axis] - middle[axis]) + min(max(fine, -0.5), 0.5))
    return shift[0], shift[1]


def moved(image: Any, shift: tuple[float, float]) -> Any:
    """Move (..., ny, nx) by a fraction of a pixel, or by more, with a Fourier phase ramp."""
    ky, kx = (np.fft.fftfreq(n) for n in image.shape[-2:])
    ramp = np.exp(-2j * np.pi * (ky[:, None] * shift[0] + kx * shift[1]))
    shifted = np.fft.ifft2(np.fft.fft2(image) * ramp)
    return shifted if np.iscomplexobj(image) else shifted.real


def ring_correlation(one: Any, other: Any) -> tuple[Any, Any]:
    r"""Fourier ring correlation of two complex images (Saxton and Baumeister 1982).

    :math:`\operatorname{Re}\sum F_1 F_2^* / \sqrt{\sum|F_1|^2 \sum|F_2|^2}` over rings one pixel
    wide, pixels of the longer axis; without the zero frequency, which is a ring of one.

    Parameters
    ----------
    one, other : array, shape (ny, nx)
        Aligned, with equal constant phase, and tapered towards the rim.

    Returns
    -------
    frequency : array, shape (rings,)
        Middle of each ring as a fraction of Nyquist.
    frc : array, shape (rings,)
        Between -1 and 1; about 0 where nothing is in common.
    """
    a, b = (np.fft.fft2(np.asarray(array, dtype=np.complex128)) for array in (one, other))
    ky, kx = (np.fft.fftfreq(n) for n in a.shape)
    n = max(a.shape)
    ring = np.floor(np.hypot(ky[:, None], kx) * n).astype(int).ravel()

    def total(values: Any) -> Any:
        return np.bincount(ring, values.ravel(), minlength=n)[1 : n // 2]

    norm = np.sqrt(total(np.abs(a) ** 2) * total(np.abs(b) ** 2))
    frequency = (np.arange(1, n // 2) + 0.5) * 2 / n
    return frequency, total((a * np.conj(b)).real) / np.maximum(norm, np.finfo(float).tiny)


def resolution(frequency: Any, frc: Any, threshold: float = 0.5) -> float:
    """Frequency at which the ring correlation first falls below a threshold, else the last one."""
    below = np.flatnonzero(frc < threshold)
    if len(below) == 0:
        return float(frequency[-1])
    i = int(below[0])
    if i == 0:
        return float(frequency[0])
    share = (frc[i - 1] - threshold) / (frc[i - 1] - frc[i])
    return float(frequency[i - 1] + share * (frequency[i] - frequency[i - 1]))


def mode_overlap(probe: Any) -> float:
    """Largest modulus of the normalised scalar product of two modes: 0 if all are orthogonal."""
    modes = np.asarray(probe, dtype=np.complex128).reshape(len(probe), -1)
    norms = np.linalg.norm(modes, axis=1, keepdims=True)
    modes = modes / np.maximum(norms, np.finfo(float).tiny)
    overlaps = np.abs(modes @ modes.conj().T)
    return float(np.max(overlaps - np.diag(np.diag(overlaps)), initial=0.0))


def cross_talk(phase: Any, truth: Any, layers: Any) -> float:
    """Share of the other layers' patterns in the slices of each layer, by least squares.

    Parameters
    ----------
    phase, truth : array, shape (nz, ny, nx)
        Aligned phases.
    layers : sequence of int
        Slices that hold something.

    Returns
    -------
    float
        0: each layer's slice holds that layer's pattern only; 0.5 of two: no depth resolution.
    """
    patterns = without_plane(truth[list(layers)]).reshape(len(layers), -1).T
    slabs = without_plane(phase[list(layers)]).reshape(len(layers), -1).T
    weights = np.abs(np.linalg.lstsq(patterns, slabs, rcond=None)[0])
    return float(np.mean(1 - np.diag(weights) / weights.sum(axis=0)))


def intensity_error(model: Any, measured: Any) -> float:
    """Σ(√model - √measured)² / Σmeasured of two sets of patterns."""
    difference = np.sqrt(model) - np.sqrt(measured, dtype=np.float32)
    total = float(np.sum(measured, dtype=np.float64))
    return float(np.sum(difference**2, dtype=np.float64)) / max(total, 1.0)


def on_top(image: Any, reference: Any) -> Any:
    """Take from a complex image what data leave open: constant phase, phase ramp, shift.

    Parameters
    ----------
    image, reference : array, shape (ny, nx), complex

    Returns
    -------
    array, shape (ny, nx), complex128
        `image` with its phase, slope and place matched to `reference`.
    """
    product = reference * np.conj(image)
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    slopes = (np.sum(product[1:] * np.conj(product[:-1])),
              np.sum(product[:, 1:] * np.conj(product[:, :-1])))  # fmt: skip
    matched = image * np.exp(1j * (np.angle(slopes[0]) * y + np.angle(slopes[1]) * x))
    matched *= np.exp(1j * np.angle(np.vdot(matched, reference)))
    turn = np.conj(reference.mean()) / max(abs(reference.mean()), np.finfo(float).tiny)
    shift = offset(np.angle(matched * turn), np.angle(reference * turn))
    return moved(matched, shift)
