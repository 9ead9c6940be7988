"""What data can show of depth, whatever the reconstruction: the pass band of single scattering."""

from __future__ import annotations

from typing import Any

import numpy as np

from arraycon.demo.dataset import Dataset

_PADDED = 4  # times the thickness: vacuum above and below


def visible(phase: Any, data: Dataset) -> Any:
    r"""Filter a truth by what single scattering carries to the detector.

    :math:`|k_z| \le λ/2\,(k^2 + 2kα/λ)` for lateral frequencies :math:`k` up to
    :math:`k_\mathrm{det} - α/λ`: a wave of the aperture, semi-angle α, that is scattered by k ends
    on Ewald's sphere, and on the detector.

    Parameters
    ----------
    phase : array, shape (nz, ny, nx)
        Truth in rad, periodic in y and x.
    data : Dataset
        Its pixel size, wavelength, semi-angle and slice thickness.

    Returns
    -------
    array, shape (nz, ny, nx), float64

    Raises
    ------
    ValueError
        The data lack one of them.
    """
    dx, wavelength, angle, thickness = (
        data.dx,
        data.wavelength,
        data.semi_angle,
        data.slice_thickness,
    )
    if dx is None or wavelength is None or angle is None or thickness is None:
        raise ValueError("data: expected pixel size, wavelength, semi-angle and slice thickness")
    nz, ny, nx = phase.shape
    k = np.hypot(np.fft.fftfreq(ny, dx)[:, None], np.fft.fftfreq(nx, dx))
    kz = np.fft.fftfreq(_PADDED * nz, thickness)[:, None, None]
    carried = np.abs(kz) <= wavelength / 2 * (k**2 + 2 * k * angle / wavelength)
    carried &= k <= 0.5 / dx - angle / wavelength
    axes = (0, 1, 2)
    padded = np.zeros((_PADDED * nz, ny, nx))
    padded[:nz] = phase
    return np.fft.ifftn(np.fft.fftn(padded, axes=axes) * carried, axes=axes).real[:nz]
