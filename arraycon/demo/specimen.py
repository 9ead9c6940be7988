"""A seeded synthetic reconstruction with the defects that real ones have.

Two twisted lattices lie at different depths, with a few heavy atoms between them. What a
reconstruction would add is added to the truth directly: no scattering is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.state import State

DX = 0.2
WAVELENGTH = 0.0251
SLICE_THICKNESS = 8.0

_LATTICE = 3.2  # Å, as in a layered dichalcogenide
_TWISTS = (4.0, -11.0)  # degrees
_SEMI_ANGLE = 22e-3  # rad
_MODE_POWERS = (0.70, 0.16, 0.09, 0.05)
_INTENSITY = 500.0
_SCAN = (16, 16)
_DRIFT = (0.35, -0.22)  # px


@dataclass(frozen=True)
class Specimen:
    """A degraded reconstruction and the truth behind it.

    Parameters
    ----------
    state : State
        The reconstruction: float32, complex64.
    phase : array, shape (nz, ny, nx)
        True phase of each slice in rad, nowhere negative.
    layers : tuple of int
        Slices that hold the upper and the lower lattice.
    """

    state: State
    phase: Any
    layers: tuple[int, int]


def make(seed: int = 0, *, size: int = 128, slices: int = 8) -> Specimen:
    """Make a specimen; equal arguments give equal numbers.

    Parameters
    ----------
    seed : int
        Of all random numbers.
    size : int
        Rows and columns of the object in px of 0.2 Å; at least 32.
    slices : int
        Number of slices of 8 Å; at least 2.

    Raises
    ------
    ValueError
        `size` or `slices` is too small.
    """
    if size < 32 or slices < 2:
        raise ValueError(f"demo: expected size ≥ 32 and slices ≥ 2, got {size} and {slices}")
    rng = np.random.default_rng(seed)
    layers = (slices // 4, slices - 1 - slices // 4)
    phase = _true_phase(rng, size, slices, layers)
    seen = _missing_wedge(phase)
    amplitude = 1 - 0.2 * seen + rng.normal(0, 0.03, seen.shape)
    seen += rng.normal(0, 0.018, seen.shape)
    state = State(
        object_amplitude=amplitude[None].astype(np.float32),
        object_phase=seen[None].astype(np.float32),
        probe=_probe(rng, size // 2),
        probe_intensity=_INTENSITY,
        position_shifts=_position_shifts(rng),
        tilts=_tilts(rng),
        scan_shape=_SCAN,
        dx=DX,
        wavelength=WAVELENGTH,
        slice_thickness=SLICE_THICKNESS,
    )
    return Specimen(state, phase.astype(np.float32), layers)


def _true_phase(rng: Any, size: int, slices: int, layers: tuple[int, int]) -> Any:
    phase = np.zeros((slices, size, size))
    for layer, twist in zip(layers, _TWISTS, strict=True):
        atoms = _lattice(size * DX, np.deg2rad(twist))
        peaks = np.full(len(atoms), 0.16)
        peaks[rng.random(len(atoms)) < 0.04] = 0.30  # heavy dopants
        peaks[rng.random(len(atoms)) < 0.03] = 0.0  # vacancies
        _add_atoms(phase[layer], atoms, peaks)
    free = rng.uniform(0.2, 0.8, (3, 2)) * size * DX
    _add_atoms(phase[slices // 2], free, np.full(3, 0.35))
    return phase


def _lattice(width: float, twist: float) -> Any:
    """Honeycomb sites (y, x) in Å within a square of the given width."""
    n = int(np.ceil(width / _LATTICE)) + 2
    i, j = np.mgrid[-n : n + 1, -n : n + 1].reshape(2, -1)
    basis = _LATTICE * np.array([[0.0, 1.0], [np.sqrt(3) / 2, 0.5]])
    sites = np.concatenate([np.stack([i, j], -1) @ basis + offset for offset in _sublattices()])
    turn = np.array([[np.cos(twist), -np.sin(twist)], [np.sin(twist), np.cos(twist)]])
    sites = sites @ turn + width / 2
    return sites[np.all((sites > -1) & (sites < width + 1), axis=1)]


def _sublattices() -> tuple[Any, Any]:
    return np.zeros(2), np.array([_LATTICE / np.sqrt(3), 0.0])


def _add_atoms(slab: Any, atoms: Any, peaks: Any) -> None:
    """Add a Gaussian of σ = 0.4 Å for each atom; a Gaussian is a product of two 1-D ones."""
    axis = (np.arange(slab.shape[0]) + 0.5) * DX
    y, x = (np.exp(-(((axis - atoms[:, k, None]) / 0.4) ** 2) / 2) for k in (0, 1))
    slab += (y * peaks[:, None]).T @ x


def _missing_wedge(phase: Any) -> Any:
    """Blur in depth as a limited probe angle does: coarse features are elongated most."""
    kz = np.fft.fftfreq(phase.shape[0], SLICE_THICKNESS)[:, None, None]
    ky = np.fft.fftfreq(phase.shape[1], DX)[:, None]
    kx = np.fft.fftfreq(phase.shape[2], DX)[: phase.shape[2] // 2 + 1]
    reach = _SEMI_ANGLE * np.hypot(ky, np.abs(kx)) + 0.01  # 1/Å
    spectrum = np.fft.rfftn(phase) * np.exp(-((kz / reach) ** 2))
    return np.fft.irfftn(spectrum, s=phase.shape, axes=(0, 1, 2))


def _probe(rng: Any, size: int) -> Any:
    """Orthogonal modes of known powers, mixed by a random unitary so that they overlap."""
    k = np.fft.fftfreq(size, DX)
    ky, kx = np.meshgrid(k, k, indexing="ij")
    radius = np.hypot(ky, kx) / (_SEMI_ANGLE / WAVELENGTH)
    aperture = np.exp(-(radius**8)) * np.exp(1j * np.pi * WAVELENGTH * 60.0 * (ky**2 + kx**2))
    shapes = np.stack([aperture, aperture * ky, aperture * kx, aperture * ky * kx])
    modes, _ = np.linalg.qr(shapes.reshape(4, -1).T)
    modes = modes.T.reshape(shapes.shape) * np.sqrt(_MODE_POWERS)[:, None, None]
    unitary, _ = np.linalg.qr(rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4)))
    probe = np.tensordot(unitary, np.fft.fftshift(np.fft.ifft2(modes), axes=(-2, -1)), axes=1)
    probe *= np.sqrt(1.1 * _INTENSITY / np.sum(np.abs(probe) ** 2))
    return probe.astype(np.complex64)


def _position_shifts(rng: Any) -> Any:
    shifts = rng.normal(0, 0.1, (_SCAN[0] * _SCAN[1], 2)) + _DRIFT
    return shifts.astype(np.float32)


def _tilts(rng: Any) -> Any:
    slow, fast = np.meshgrid(*(np.linspace(-1, 1, n) for n in _SCAN), indexing="ij")
    tilts = np.stack([2.0 * slow + 0.5, 1.5 * fast - 0.3], axis=-1).reshape(-1, 2)
    return (tilts + rng.normal(0, 0.6, tilts.shape)).astype(np.float32)
