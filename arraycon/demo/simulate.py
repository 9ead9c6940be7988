"""A 4D-STEM experiment: focused probe, finite source, imprecise scan, counting noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.demo import specimen
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.forward import Multislice, fft2, frequencies, gather, intensity, propagator

DX = 0.25
WAVELENGTH = 0.025079  # Å, 200 kV
SEMI_ANGLE = 22e-3  # rad
C10 = 120.0  # Å: the focus lies so far above the specimen, the probe covers many positions
SOURCE = 0.2  # Å, standard deviation of the source's image
STEP = 0.5  # Å
SCAN_ERROR = 0.1  # Å, standard deviation of each position
_MODES = 6
_BATCH = 32


@dataclass(frozen=True)
class Experiment:
    """What is chosen of an experiment.

    Parameters
    ----------
    dose : float
        Electrons per Å².
    scan : int
        Positions along each side.
    window : int
        Rows and columns of the detector.
    slices : int
        Slabs of the truth.
    seed : int
        Of all random numbers.
    """

    dose: float = 3e4
    scan: int = 24
    window: int = 48
    slices: int = 6
    seed: int = 0


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


def source_modes(probe: Any, spread: float, count: int) -> Any:
    """Orthogonal modes of a probe from a source of finite size.

    Parameters
    ----------
    probe : array, shape (ny, nx)
        Coherent probe.
    spread : float
        Standard deviation of the source's image in px.
    count : int
        Number of modes; they take over the whole intensity.

    Returns
    -------
    array, shape (count, ny, nx), complex64
        Strongest first.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    shifts = spread * np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    ky, kx = (frequencies(n) for n in probe.shape)
    ramps = np.exp(
        -2j * np.pi * (shifts[:, 0, None, None] * ky[:, None] + shifts[:, 1, None, None] * kx)
    )
    copies = np.fft.ifft2(np.fft.fft2(probe) * ramps)
    copies *= np.sqrt(np.outer(weights, weights)).reshape(-1, 1, 1)
    _, powers, modes = np.linalg.svd(copies.reshape(len(copies), -1), full_matrices=False)
    modes = (powers[:count, None] * modes[:count]).reshape(count, *probe.shape)
    return (modes * np.linalg.norm(probe) / np.linalg.norm(modes)).astype(np.complex64)


def simulate(experiment: Experiment) -> tuple[Dataset, Truth]:
    """Record the diffraction patterns of `specimen.make`.

    The planes of the specimen are where they are, whatever the number of slices; the recorded
    positions are those of a perfect scan, the true ones are not.

    Parameters
    ----------
    experiment : Experiment
        Equal ones give equal numbers.
    """
    rng = np.random.default_rng(experiment.seed)
    n, scan = experiment.window, experiment.scan
    margin = n // 2 + 8
    size = int(np.ceil((scan - 1) * STEP / DX)) + 2 * margin
    made = specimen.make(rng, size=size, dx=DX)
    axis = margin + np.arange(scan) * STEP / DX
    positions = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    true = positions + np.clip(rng.normal(0, SCAN_ERROR / DX, positions.shape), -3, 3)

    modes = source_modes(_probe(n, specimen.DEPTHS[0]), SOURCE / DX, _MODES)
    expected = experiment.dose * STEP**2 * _patterns(modes, np.exp(1j * made.planes), true)
    thickness = specimen.THICKNESS / experiment.slices
    data = Dataset(
        counts=rng.poisson(expected).astype(np.uint32),
        positions=positions,
        probe=_probe(n, thickness / 2),
        dx=DX,
        wavelength=WAVELENGTH,
        slice_thickness=thickness,
        scan_shape=(scan, scan),
    )
    powers = np.sum(np.abs(modes) ** 2, axis=(1, 2), dtype=np.float64)
    return data, Truth(made.slabs(experiment.slices), expected, true, powers / powers.sum())


def _probe(window: int, depth: float) -> Any:
    """Probe at a depth within the specimen."""
    return focused_probe(
        window, dx=DX, wavelength=WAVELENGTH, semi_angle=SEMI_ANGLE, c10=C10 + depth
    )


def _patterns(modes: Any, planes: Any, positions: Any) -> Any:
    distance = specimen.DEPTHS[1] - specimen.DEPTHS[0]
    between = propagator(modes.shape[1:], dx=DX, wavelength=WAVELENGTH, distance=distance)
    model = Multislice(modes.shape[1:], between, modes)
    planes, spectrum = planes.astype(np.complex64), fft2(modes.copy())
    corners = np.rint(positions).astype(int)
    fractions = (positions - corners).astype(np.float32)
    corners -= np.array(model.shape) // 2
    patterns = np.empty((len(positions), *model.shape), np.float32)
    for first in range(0, len(positions), _BATCH):
        part = slice(first, first + _BATCH)
        patches = gather(planes, corners[part], model.shape)
        patterns[part] = intensity(model(spectrum * model.ramps(fractions[part]), patches)[0])
    return patterns
