"""A small example that writes its own input: a synthetic reconstruction, constrained and judged.

`prepare` writes the input files, the ordinary command does the work, `compare` judges it against
the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arraycon import io
from arraycon.cli.job import Job
from arraycon.demo import specimen
from arraycon.io.atomic import OutputError, reason, write_text
from arraycon.params import templates
from arraycon.state import State

Row = tuple[float, float, float | None]


@dataclass(frozen=True)
class Demo:
    """Input files of a demo, and what is known about them.

    Parameters
    ----------
    job : Job
        What to apply to which file.
    specimen : Specimen
        The reconstruction as it was written, and its truth.
    """

    job: Job
    specimen: specimen.Specimen


def prepare(
    folder: Path, *, seed: int = 0, size: int = 128, slices: int = 8, iterations: int = 3
) -> Demo:
    """Write ``reconstruction.npz`` and ``params.yaml`` into a folder.

    Parameters
    ----------
    folder : Path
        Made if it does not exist; files of these names in it are replaced.
    seed, size, slices : int
        As `specimen.make` takes them.
    iterations : int
        How many iterations the job goes through, from 1.

    Raises
    ------
    OutputError, WriteError
        The files cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {reason(error)}") from error
    job = Job(
        source=folder / "reconstruction.npz",
        target=folder / "constrained.npz",
        params=folder / "params.yaml",
        iterations=range(1, iterations + 1),
        figure=folder / "figure.png",
    )
    made = specimen.make(seed, size=size, slices=slices)
    io.save(job.source, made.state)
    write_text(job.params, templates.template("recommended"))
    return Demo(job, made)


def compare(demo: Demo, after: State) -> dict[str, Row]:
    """Judge a result: each quantity before, after, and in truth where it is a fixed number.

    Parameters
    ----------
    demo : Demo
        As `prepare` returned it.
    after : State
        The constrained state.
    """
    found = demo.specimen
    before = found.state
    rows: dict[str, Row] = {}
    for index in np.flatnonzero(found.phase.any(axis=(1, 2))):
        b, a = (correlation(_phase(s)[index], found.phase[index]) for s in (before, after))
        rows[f"phase correlation with the truth, slice {index + 1}"] = (b, a, 1.0)
    judged = {
        "phase correlation with the truth, sum over depth": (_projected, 1.0),
        "cross-talk between the two layers": (_cross_talk, 0.0),
        "largest overlap of two probe modes": (lambda state, _: mode_overlap(state.probe), 0.0),
        "probe intensity": (_intensity, before.probe_intensity),
        "phase below zero (% of the voxels)": (_negative, 0.0),
        "amplitude outside 0.96 to 1.04 (% of the voxels)": (_outside, None),
        "common drift of the positions (px)": (_drift, 0.0),
    }
    for name, (judge, truth) in judged.items():
        rows[name] = (judge(before, found), judge(after, found), truth)
    return rows


def correlation(one: Any, other: Any) -> float:
    """Pearson correlation of two arrays of one shape; 0 if one of them is constant."""
    x, y = (np.asarray(array, dtype=np.float64).ravel() for array in (one, other))
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norm if norm > 0 else 0.0


def mode_overlap(probe: Any) -> float:
    """Largest modulus of the normalised scalar product of two modes: 0 if all are orthogonal."""
    modes = np.asarray(probe, dtype=np.complex128).reshape(len(probe), -1)
    modes = modes / np.linalg.norm(modes, axis=1, keepdims=True)
    overlaps = np.abs(modes @ modes.conj().T)
    return float(np.max(overlaps - np.diag(np.diag(overlaps)), initial=0.0))


def _phase(state: State) -> Any:
    return state.object_phase[0]


def _projected(state: State, found: specimen.Specimen) -> float:
    return correlation(_phase(state).sum(axis=0), found.phase.sum(axis=0))


def _cross_talk(state: State, found: specimen.Specimen) -> float:
    """Share of the other layer's pattern in the slices of each layer, by least squares."""
    patterns = [found.phase[layer] - found.phase[layer].mean() for layer in found.layers]
    basis = np.stack([pattern.ravel() for pattern in patterns], axis=1)
    shares = []
    for own, layer in enumerate(found.layers):
        slab = _phase(state)[layer].ravel()
        weights = np.abs(np.linalg.lstsq(basis, slab - slab.mean(), rcond=None)[0])
        shares.append(weights[1 - own] / weights.sum())
    return float(np.mean(shares))


def _intensity(state: State, _: Any) -> float:
    return float(np.sum(np.abs(state.probe) ** 2, dtype=np.float64))


def _negative(state: State, _: Any) -> float:
    return 100 * float(np.mean(_phase(state) < 0))


def _outside(state: State, _: Any) -> float:
    amplitude = state.object_amplitude
    return 100 * float(np.mean((amplitude < 0.96) | (amplitude > 1.04)))


def _drift(state: State, _: Any) -> float:
    return float(np.linalg.norm(state.position_shifts.mean(axis=0, dtype=np.float64)))
