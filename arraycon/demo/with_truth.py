"""Two reconstructions of one data set, without and with constraints, judged by the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.demo import depth, scores
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.reconstruct import Reconstruction, Result, patterns
from arraycon.demo.runs import Task
from arraycon.demo.settings import Settings
from arraycon.misfit import misfit_ratio
from arraycon.pipeline import Constraints

NAMES = ("without", "with")
MISFIT = "misfit Q over that of noise, all patterns"
HEADINGS = ("without constraints", "with constraints", "truth")
Rows = dict[str, tuple[float | None, ...]]
"""Values of each quantity without and with constraints and, where it is known, in truth."""
_ALIKE = 0.5  # correlation of two layers, as of a crystal's: whose pattern it is cannot be told


@dataclass(frozen=True, eq=False)
class Aligned:
    """Phases within the scanned field, on the same pixels.

    Parameters
    ----------
    truth : array, shape (nz, ny, nx)
        Phase of each slice in rad; each slice has its best-fitting plane taken away.
    found : dict of array
        The same for each reconstruction.
    layers : tuple of int
        The two slices with most phase contrast in truth, the upper one first.
    visible : array, shape (nz, ny, nx), optional
        What of the truth single scattering carries; of several slices.
    """

    truth: Any
    found: dict[str, Any]
    layers: tuple[int, ...]
    visible: Any = None


def tasks(data: Dataset, settings: Settings, constraints: Constraints) -> dict[str, Task]:
    """Return the two reconstructions to do: same start, same order of positions."""
    return {
        "without": Task(data, settings),
        "with": Task(data, settings, constraints, watched=True),
    }


def align(results: Mapping[str, Result], data: Dataset, truth: Truth) -> Aligned:
    """Move each reconstruction onto the truth, all its slices alike, and cut out the scan."""
    one = next(iter(results.values()))
    low, high = data.positions.min(axis=0) - one.origin, data.positions.max(axis=0) - one.origin
    field = (slice(None), *(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True)))
    whole = truth.window(one.origin, one.state.object.shape[1:])
    true = scores.without_plane(whole[field])
    found = {}
    for name, result in results.items():
        phase = np.angle(result.state.object).astype(np.float64)
        shift = scores.offset(phase[field].sum(axis=0), true.sum(axis=0))
        found[name] = scores.without_plane(scores.moved(phase, shift)[field])
    contrast = true.std(axis=(1, 2))
    layers = sorted(int(z) for z in np.argsort(-contrast, kind="stable")[:2])
    return Aligned(true, found, tuple(layers), _visible(data, truth, one.origin, field))


def _visible(data: Dataset, truth: Truth, origin: tuple[int, int], field: Any) -> Any:
    if len(truth.phase) == 1 or data.semi_angle is None:
        return None
    carried = Truth(depth.visible(truth.phase, data))
    rows, columns = field[1:]
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    first = (origin[0] + rows.start, origin[1] + columns.start)
    return scores.without_plane(carried.window(first, shape))


class Watch:
    """Correlation of the phase summed over depth with the truth's, iteration by iteration.

    To be called as `runs.Tell`: a reconstruction that fits noise is at its best before its end.

    Parameters
    ----------
    data, truth : Dataset, Truth
        As for `align`.
    """

    def __init__(self, data: Dataset, truth: Truth) -> None:
        self.curves: dict[str, list[float]] = {name: [] for name in NAMES}
        self.truth = truth
        self._data = data

    def __call__(self, name: str, going: Reconstruction) -> None:
        """Score a reconstruction as it is now."""
        aligned = align({name: going.result()}, self._data, self.truth)
        self.curves[name].append(_total_correlation(aligned.found[name], aligned.truth))


def judge(
    results: Mapping[str, Result], data: Dataset, truth: Truth, aligned: Aligned, watch: Watch
) -> Rows:
    """Rows of the metrics table: a quantity without and with constraints, and in truth."""
    phases, probes = (aligned.found[n] for n in NAMES), [results[n].state.probe for n in NAMES]
    best = (max(watch.curves[name]) for name in NAMES)
    rows = _phase_rows(tuple(phases), aligned, tuple(best))
    rows |= _probe_rows(probes, truth)
    predicted = [patterns(results[name], data) for name in NAMES]
    ratios = (float(misfit_ratio(model, data.counts)) for model in predicted)
    rows[MISFIT] = (*ratios, 1.0)
    rows["intensity error against the counts"] = (
        *(scores.intensity_error(model, data.counts) for model in predicted), None,
    )  # fmt: skip
    if truth.expected is not None:
        rows["intensity error against noise-free patterns"] = (
            *(scores.intensity_error(model, truth.expected) for model in predicted), 0.0,
        )  # fmt: skip
    if truth.positions is not None:
        wrong = truth.positions - data.positions
        rows["position error at the start, rms, px"] = (_scatter(wrong), _scatter(wrong), 0.0)
        found = (results[name].state.position_shifts for name in NAMES)
        rows["position error, rms, px"] = (*(_scatter(wrong - shifts) for shifts in found), 0.0)
    return rows


def _total_correlation(phase: Any, true: Any) -> float:
    return scores.correlation(phase.sum(axis=0), true.sum(axis=0))


def _phase_rows(phases: tuple[Any, ...], aligned: Aligned, best: tuple[float, ...]) -> Rows:
    true, layers = aligned.truth, aligned.layers
    rows: Rows = {
        "phase correlation, sum over depth": (
            *(_total_correlation(phase, true) for phase in phases), 1.0,
        ),
        "the same, in the best iteration": (*best, None),
    }  # fmt: skip
    empty = true.std(axis=(1, 2)) < 1e-3 * true.std(axis=(1, 2)).max()
    for z in np.flatnonzero(~empty) if len(true) > 1 else ():
        rows[f"phase correlation, slice {z + 1}"] = (
            *(scores.correlation(phase[z], true[z]) for phase in phases), 1.0,
        )  # fmt: skip
    if len(layers) > 1:
        rows["phase correlation, all voxels"] = (
            *(scores.correlation(phase, true) for phase in phases), 1.0,
        )  # fmt: skip
    if len(layers) > 1 and abs(scores.correlation(*true[list(layers)])) < _ALIKE:
        rows[f"cross-talk of slices {layers[0] + 1} and {layers[1] + 1}"] = (
            *(scores.cross_talk(phase, true, layers) for phase in phases), 0.0,
        )  # fmt: skip
    if empty.any():
        shares = [100 * float(p[empty].var() * empty.mean() / p.var()) for p in phases]
        rows["variance of phase in empty slices, %"] = (*shares, 0.0)
    return rows


def _probe_rows(probes: list[Any], truth: Truth) -> Rows:
    first = None if truth.powers is None else 100 * float(truth.powers[0])
    return {
        "largest overlap of two probe modes": (*map(scores.mode_overlap, probes), 0.0),
        "intensity in the strongest mode, %": (*(100 * _first_power(p) for p in probes), first),
    }


def _first_power(probe: Any) -> float:
    """Share of the intensity in the strongest mode, after making the modes orthogonal."""
    powers = np.linalg.svd(probe.reshape(len(probe), -1).astype(np.complex128), compute_uv=False)
    return float(powers[0] ** 2 / np.sum(powers**2))


def _scatter(wrong: Any) -> float:
    """Root mean square of a set of vectors, apart from their mean."""
    return float(np.sqrt(np.mean(np.sum((wrong - wrong.mean(axis=0)) ** 2, axis=1))))
