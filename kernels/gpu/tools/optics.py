"""Propagation of probe modes by a distance that only the device knows."""

from __future__ import annotations

import math

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools import transforms
from arraycon.kernels.gpu.tools.launch import blocks, launch


def propagated(probe: Array, distance: Array, *, dx: float, wavelength: float) -> Array:
    """Return all modes propagated, for `take`.

    Parameters
    ----------
    probe : array, shape (pmode, ny, nx)
        Modes.
    distance : array
        One float64 number in Å, on the device.
    dx, wavelength : float
        Pixel size and wavelength in Å.
    """
    moved = probe.copy()
    refocus(moved, distance, dx=dx, wavelength=wavelength)
    return moved


def take(moved: Array, distance: Array, probe: Array) -> None:
    """Write what `propagated` returned; with a distance of 0 the modes stay exactly as they are."""
    launch("optics", "take_if_moved", probe, blocks(probe.size), moved, probe.size, distance, probe)


def refocus(
    modes: Array, distance: Array, *, dx: float, wavelength: float, sign: float = 1.0
) -> None:
    """Propagate all modes by sign·distance, also where that is 0."""
    number, ny, nx = modes.shape
    transforms.fft(modes)
    launch(
        "optics",
        "propagate_spectra",
        modes,
        blocks(ny * nx),
        *(modes, number, ny, nx, distance, sign, 1 / (ny * nx)),
        *_wave(dx, wavelength),
    )
    transforms.fft(modes, inverse=True)


def to_planes(
    spectrum: Array, planes: Array, *, first: int, start: float, step: float, dx: float,
    wavelength: float,
) -> None:  # fmt: skip
    """Propagate one mode, given by its spectrum, to planes from number `first` on.

    Both arrays are complex128; the planes come out times the number of pixels.
    """
    number, ny, nx = planes.shape
    launch(
        "optics",
        "propagate_to_planes",
        planes,
        blocks(ny * nx),
        *(spectrum, ny, nx, planes, number, first, start, step),
        *_wave(dx, wavelength),
    )
    transforms.fft(planes, inverse=True)


def _wave(dx: float, wavelength: float) -> tuple[float, float, float]:
    k = 2 * math.pi / wavelength
    return 2 * math.pi / dx, k, k**2
