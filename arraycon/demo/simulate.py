"""A 4D-STEM experiment: focused probe, finite source, imprecise scan, counting noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.demo import specimen
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.forward import Multislice, fft2, gather, intensity, propagator
from arraycon.demo.probe import focused_probe, source_modes

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

    modes = source_modes(_probe(n, specimen.DEPTHS[0]), SOURCE / DX, _MODES, nodes=5)
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
        semi_angle=SEMI_ANGLE,
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
