"""How a reconstruction goes, and what it starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from arraycon.demo.dataset import Dataset
from arraycon.demo.probe import source_modes, weak_modes
from arraycon.state import State

_RIM = 4  # px around the outermost windows, room for positions that move


@dataclass(frozen=True)
class Settings:
    """How to reconstruct.

    Parameters
    ----------
    modes, slices, iterations : int
        Probe modes, object slices, passes over all positions.
    batch : int
        Positions whose updates are added up before they are applied: fewer converge in fewer
        passes, more average more noise and keep a GPU busy.
    object_step, probe_step, position_step : float
        Share of the correction that is applied; 0 keeps the positions as they are.
    position_start : int
        First iteration, counted from 1, in which positions are refined.
    regularisation : float
        Weight of the brightest illumination against the local one in what an update is divided
        by: 1 is ePIE's own rule, less is faster where light is dim, and noisier.
    momentum : float
        Share of an iteration's change of the object that the next one repeats: 0.5 needs half as
        many iterations.
    likelihood : {'amplitude', 'poisson'}
        What is made likely, see `correction`.
    mode_power : float
        Share of the intensity that each mode beside the first starts with, at most; together they
        start with less than half of it.
    source_size : float
        Standard deviation of the source's image in Å, of which the modes are made; 0: unknown, the
        modes are weak ones of higher order.
    seed : int
        Of the order of the positions.
    """

    modes: int = 3
    slices: int = 1
    iterations: int = 12
    batch: int = 8
    object_step: float = 0.9
    probe_step: float = 0.5
    position_step: float = 0.0
    position_start: int = 3
    regularisation: float = 0.5
    momentum: float = 0.0
    likelihood: Literal["amplitude", "poisson"] = "amplitude"
    mode_power: float = 0.1
    source_size: float = 0.0
    seed: int = 0


def initial(data: Dataset, settings: Settings) -> tuple[State, tuple[int, int]]:
    """First guess: an empty object; modes of the data's probe.

    Returns
    -------
    state : State
        NumPy arrays.
    origin : tuple of int
        Pixel of the scan's coordinates at which the object's pixel (0, 0) lies.
    """
    half = np.array(data.probe.shape) // 2
    first = np.floor(data.positions.min(axis=0)).astype(int) - half - _RIM
    last = np.ceil(data.positions.max(axis=0)).astype(int) + half + _RIM
    power = float(data.counts.sum(dtype=np.float64)) / len(data.counts)
    state = State(
        object=np.ones((settings.slices, *(last - first + 1).tolist()), np.complex64),
        probe=_modes(data, settings) * np.float32(np.sqrt(power)),
        probe_intensity=power,
        position_shifts=np.zeros(data.positions.shape, np.float32),
        scan_shape=data.scan_shape,
        dx=data.dx,
        wavelength=data.wavelength,
        slice_thickness=data.slice_thickness,
    )
    return state, (int(first[0]), int(first[1]))


def _modes(data: Dataset, settings: Settings) -> Any:
    """Modes of the probe, Σ|p|² = 1."""
    probe = data.probe
    if settings.modes > probe.size:
        raise ValueError(
            f"modes: expected no more than the {probe.size} pixels of a pattern, "
            f"got {settings.modes}"
        )
    if settings.source_size == 0:
        return weak_modes(probe, settings.modes, settings.mode_power).astype(np.complex64)
    if data.dx is None:
        raise ValueError("source_size: expected data that know their pixel size")
    modes = source_modes(probe, settings.source_size / data.dx, settings.modes)
    return modes / np.linalg.norm(modes)
