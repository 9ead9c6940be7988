"""Probe masks in reciprocal and in real space."""

from __future__ import annotations

import math

import cupy
import numpy as np

from arraycon.kernels.agnostic import probe_masks as agnostic
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu import modes
from arraycon.kernels.gpu.tools import optics, transforms
from arraycon.kernels.gpu.tools.batches import at_a_time
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device

# Blocks whose sums a last one adds up, for each plane.
_SUMS = 64
# Stands for a radius of 0, as in ``probe_masks.cu``.
_TINY = 1e-300
# Largest grid in its second dimension.
_LARGEST_GRID = 65535


@on_device
def probe_mask_k(probe: Array, *, radius: float, width: float, power_thresh: float) -> None:
    """Soft aperture on the strongest modes, in reciprocal space."""
    ny, nx = probe.shape[1:]
    _, order, masked = _select(probe, power_thresh)
    work = _gathered(probe, order)
    transforms.fft(work)
    numbers = radius, width, 1 / (ny * nx)
    launch("probe_masks", "mask_spectra", work, blocks(ny * nx), work, masked, ny, nx, *numbers)
    transforms.fft(work, inverse=True)
    _finish(work, order, masked, probe)


@on_device
def probe_mask_r(
    probe: Array,
    *,
    dx: float,
    wavelength: float,
    radius: float,
    order: int,
    power_thresh: float,
    z_range: tuple[float, float],
    z_steps: int,
) -> None:
    """Super-Gaussian window on the strongest modes, at their focus."""
    ny, nx = probe.shape[1:]
    wave = {"dx": dx, "wavelength": wavelength}
    powers, sources, masked = _select(probe, power_thresh)
    strongest = cupy.empty((ny, nx), np.complex128)
    grid = blocks(ny * nx)
    launch("probe_masks", "take_strongest", probe, grid, probe, sources, powers, ny * nx, strongest)
    defocus = _focus(strongest, z_range=z_range, z_steps=z_steps, **wave)
    del strongest  # its memory serves the modes
    work = _gathered(probe, sources)
    optics.refocus(work, defocus, **wave)
    numbers = math.log(max(radius, _TINY)), 2 * order
    launch("probe_masks", "window_modes", work, grid, work, masked, ny, nx, *numbers)
    optics.refocus(work, defocus, sign=-1, **wave)
    _finish(work, sources, masked, probe)


def _select(probe: Array, power_thresh: float) -> tuple[Array, Array, Array]:
    """Powers in falling order, the modes that have them, and how many of these are masked."""
    powers = modes.mode_powers(probe)
    ranked, order = cupy.empty_like(powers), cupy.empty(powers.size, np.int64)
    masked = cupy.empty(1, np.int64)
    launch(
        "probe_masks",
        "select_modes",
        probe,
        1,
        powers,
        powers.size,
        power_thresh,
        ranked,
        order,
        masked,
    )
    return ranked, order, masked


def _gathered(probe: Array, order: Array) -> Array:
    work = cupy.empty_like(probe)
    _gather(probe, order, work)
    return work


def _gather(source: Array, order: Array, target: Array) -> None:
    number, pixels = _sizes(source)
    grid = blocks(pixels), min(number, _LARGEST_GRID)
    launch("probe_masks", "gather_modes", source, grid, source, order, number, pixels, target)


def _finish(work: Array, order: Array, masked: Array, probe: Array) -> None:
    """Write the masked modes and the others to the probe, sorted by power again."""
    number, pixels = _sizes(work)
    grid = blocks(pixels), min(number, _LARGEST_GRID)
    launch("probe_masks", "restore_modes", work, grid, probe, order, masked, number, pixels, work)
    _, order, _ = _select(work, 0.0)
    _gather(work, order, probe)


def _sizes(probe: Array) -> tuple[int, int]:
    number, ny, nx = probe.shape
    return number, ny * nx


def _focus(
    mode: Array,
    *,
    dx: float,
    wavelength: float,
    z_range: tuple[float, float],
    z_steps: int,
) -> Array:
    """Defocus (one number on the device) at which Σ|P|⁴ is largest; `mode` is overwritten."""
    ny, nx = mode.shape
    transforms.fft(mode)
    start, step = z_range[0], (z_range[1] - z_range[0]) / max(z_steps - 1, 1)
    number = at_a_time(z_steps, mode.nbytes, of=mode.nbytes)
    planes = cupy.empty((number, ny, nx), np.complex128)
    parts = blocks(mode.size, most=_SUMS)
    sums = cupy.empty((z_steps, parts), np.float64)
    for first in range(0, z_steps, len(planes)):
        optics.to_planes(
            mode, planes, first=first, start=start, step=step, dx=dx, wavelength=wavelength
        )
        launch(
            "probe_masks",
            "add_fourth_powers",
            planes,
            (parts, len(planes)),
            *(planes, mode.size, first, z_steps, sums),
        )
    distance = cupy.empty(1, np.float64)
    numbers = agnostic.TIE, start, step
    launch("probe_masks", "find_focus", planes, 1, sums, z_steps, parts, *numbers, distance)
    return distance
