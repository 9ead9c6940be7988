"""Measured data without a truth: ring correlation of reconstructions from halves of the counts.

At each dose the counts are split into two independent halves by chance (binomial thinning), and
each half is reconstructed without and with constraints. Two halves can agree about what is wrong,
because they share a start and the constraints; so at the lower doses they are also compared with
an unconstrained reconstruction of all those counts that no half has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.demo import scores
from arraycon.demo.dataset import Dataset
from arraycon.demo.reconstruct import Result
from arraycon.demo.runs import Task
from arraycon.demo.settings import Settings
from arraycon.demo.with_truth import NAMES, Rows
from arraycon.pipeline import Constraints

HEADINGS = ("without constraints", "with constraints")
REFERENCE = "reference"
WHOLE = {name: f"all counts, {name}" for name in NAMES}
"""Names of the reconstructions that are not halved."""


@dataclass(frozen=True, eq=False)
class Rings:
    """Ring correlations at one dose.

    Parameters
    ----------
    frequency : array, shape (rings,)
        Fraction of Nyquist.
    halves, reference : dict of array
        Correlation of the two halves, and of a half with the reference, by "without" and "with".
    """

    frequency: Any
    halves: dict[str, Any]
    reference: dict[str, Any]


def key(dose: float, name: str, half: str) -> str:
    """Name of a reconstruction, such as ``"0.01 with B"``."""
    return f"{dose:g} {name} {half}"


def tasks(
    data: Dataset,
    settings: Settings,
    constraints: Constraints,
    doses: Sequence[float],
    *,
    split: str = "counts",
) -> dict[str, Task]:
    """Return the reconstructions to do: two of all counts, four at each dose, the reference.

    Parameters
    ----------
    data : Dataset
        All counts.
    settings, constraints
        As for `Task`.
    doses : sequence of float
        Fractions of the counts, descending.
    split : {'counts', 'positions'}
        What is halved; positions are taken by turns, on a grid as on a chessboard.
    """
    rng = np.random.default_rng(settings.seed)
    found = {
        WHOLE["without"]: Task(data, settings),
        WHOLE["with"]: Task(data, settings, constraints, watched=True),
    }
    rest, kept, before = None, data, 1.0
    for dose in doses:
        if dose < before:  # a lower dose is part of the one before
            kept, other = kept.thin(dose / before, rng)
            rest = other if rest is None else rest
            before = dose
        if split == "counts":
            halves = kept.thin(0.5, rng)
        else:
            turns = _turns(kept)
            halves = (kept.select(turns == 0), kept.select(turns == 1))
        for half, part in zip("AB", halves, strict=True):
            found[key(dose, "without", half)] = Task(part, settings)
            found[key(dose, "with", half)] = Task(part, settings, constraints)
    if rest is not None:
        found[REFERENCE] = Task(rest, settings)
    return found


def _turns(data: Dataset) -> Any:
    """0 and 1 by turns."""
    if data.scan_shape is None:
        return np.arange(len(data.positions)) % 2
    return np.indices(data.scan_shape).sum(axis=0).ravel() % 2


def rings(
    results: Mapping[str, Result], data: Dataset, doses: Sequence[float]
) -> dict[float, Rings]:
    """Ring correlations at each dose."""
    seen = {name: field(result, data) for name, result in results.items()}
    found = {}
    for dose in doses:
        pairs = {n: (seen[key(dose, n, "A")], seen[key(dose, n, "B")]) for n in NAMES}
        halves = {n: _correlate(a, b) for n, (a, b) in pairs.items()}
        reference = {}
        if dose < 1 and REFERENCE in seen:
            reference = {n: _correlate(a, seen[REFERENCE])[1] for n, (a, _) in pairs.items()}
        frequency = halves["with"][0]
        found[dose] = Rings(frequency, {n: frc for n, (_, frc) in halves.items()}, reference)
    return found


def judge(results: Mapping[str, Result], curves: Mapping[float, Rings]) -> Rows:
    """Rows of the metrics table."""
    rows: Rows = {
        "all counts, not halved: error of the last iteration": tuple(
            results[WHOLE[name]].errors[-1] for name in NAMES
        ),
        "all counts, not halved: misfit Q over that of noise": tuple(
            results[WHOLE[name]].misfits[-1] for name in NAMES
        ),
    }
    for dose, ring in curves.items():
        pair = [results[key(dose, name, "A")] for name in NAMES]
        at = f"{100 * dose:g} % of the counts"
        for what, correlation in (("halves", ring.halves), ("unseen counts", ring.reference)):
            if correlation:
                frc = [correlation[name] for name in NAMES]
                rows[f"{at}: mean FRC, {what}"] = tuple(float(c.mean()) for c in frc)
                rows[f"{at}: FRC > 0.5 up to, {what}"] = tuple(
                    scores.resolution(ring.frequency, c) for c in frc
                )
        rows[f"{at}, first half: error of the last iteration"] = tuple(r.errors[-1] for r in pair)
        rows[f"{at}, first half: misfit Q over that of noise"] = tuple(r.misfits[-1] for r in pair)
        rows[f"{at}, first half: largest mode overlap"] = tuple(
            scores.mode_overlap(r.state.probe) for r in pair
        )
    return rows


def scanned(data: Dataset, origin: tuple[int, int]) -> tuple[Any, Any]:
    """First pixel (y, x) of the scanned field in an object with this origin, and the one after."""
    first, shape = data.field()
    begin = np.subtract(first, origin)
    return begin, begin + shape


def field(result: Result, data: Dataset) -> Any:
    """Complex image of the scanned field, the object's slices multiplied."""
    (y, x), (rows, columns) = scanned(data, result.origin)
    image: Any = np.prod(result.state.object[:, y:rows, x:columns], axis=0)
    return image


def _correlate(one: Any, other: Any) -> tuple[Any, Any]:
    """Ring correlation after alignment, tapered so that the rim has no say."""
    other = scores.on_top(other, one)
    taper = np.outer(*(np.hanning(n) for n in one.shape))
    return scores.ring_correlation((one - one.mean()) * taper, (other - other.mean()) * taper)
