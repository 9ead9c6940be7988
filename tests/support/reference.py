"""What several families' references share: SPEC.md in float64, the plain way.

Full complex transforms, `numpy.pad` and dense matrices: slow, and written without looking for
anything but the formulas. The references themselves are in `tests/constraints`.
"""

from __future__ import annotations

import numpy as np


def wide(x):
    return x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)


def taps(kernel_size, std):
    j = np.arange(kernel_size) - kernel_size // 2
    weights = np.exp(-(j**2) / (2 * std**2)) if std > 0 else (j == 0).astype(float)
    return weights / weights.sum()


def correlate(x, weights, axis, mode):
    half = len(weights) // 2
    if mode == "reflect" and x.shape[axis] == 1:
        mode = "edge"  # nothing to reflect
    pad = [(half, half) if i == axis % x.ndim else (0, 0) for i in range(x.ndim)]
    padded = np.pad(x, pad, mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(weights), axis=axis)
    return windows @ weights


def sigmoid(ny, nx, radius, width):
    ky, kx = np.meshgrid(np.fft.fftfreq(ny) / 0.5, np.fft.fftfreq(nx) / 0.5, indexing="ij")
    distance = np.sqrt(ky**2 + kx**2) - radius
    if width == 0:
        on_edge = np.isclose(distance, 0, atol=1e-12)
        return np.where(on_edge, 0.5, distance < 0)
    return 1 / (1 + np.exp(np.minimum(5 * distance / width, 700)))


def propagate(probe, dz, dx, wavelength):
    ny, nx = probe.shape[-2:]
    k = 2 * np.pi / wavelength
    ky, kx = np.meshgrid(
        2 * np.pi * np.fft.fftfreq(ny, dx), 2 * np.pi * np.fft.fftfreq(nx, dx), indexing="ij"
    )
    along = np.sqrt(np.maximum(k**2 - ky**2 - kx**2, 0))
    return np.fft.ifft2(np.fft.fft2(probe) * np.exp(1j * dz * (along - k)))
