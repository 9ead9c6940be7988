"""What is going to be reconstructed: the data, the settings, and the pair, or pairs, to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from arraycon.demo import loading, presets, simulate, with_truth, without_truth
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.runs import Task
from arraycon.demo.settings import Settings, initial
from arraycon.pipeline import Constraints, MissingInputError
from arraycon.state import State

DOSES = (1.0, 0.1, 0.01)
"""Fractions of the counts that are compared where there is no truth."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What is going to be done.

    Parameters
    ----------
    data, truth : Dataset, Truth
        What there is; without a truth, halves are compared.
    doses : tuple of float
        Fractions of the counts.
    settings : Settings
        Of every reconstruction.
    constraints : Constraints
        Of those with constraints.
    tasks : dict of Task
        The reconstructions.
    about : str
        Heading of the figure.
    """

    data: Dataset
    truth: Truth | None
    doses: tuple[float, ...]
    settings: Settings
    constraints: Constraints
    tasks: dict[str, Task]
    about: str

    def __post_init__(self) -> None:
        """Find out now, not after minutes, what cannot be reconstructed."""
        for name, task in self.tasks.items():
            if not task.data.counts.any():  # no positions either
                raise ValueError(f"dose: leaves no counts to reconstruct {name!r}; expected more")
            state, origin = initial(task.data, task.settings)
            first, end = without_truth.scanned(self.data, origin)
            if np.any(first < 0) or np.any(end > state.object.shape[1:]):
                raise ValueError(
                    f"halves: the positions of {name!r} lie apart from the others; expected "
                    f"halves of the counts"
                )
            if task.constraints is not None:
                _check(task.constraints, state)

    @property
    def idle(self) -> tuple[str, ...]:
        """Names of the constraints that come to nothing in so few iterations."""
        every = range(1, self.settings.iterations + 1)
        due = {name for iteration in every for name in self.constraints.due(iteration)}
        blocks = self.constraints.params.blocks()
        return tuple(n for n in self.constraints.order if blocks[n].enabled and n not in due)


def _check(constraints: Constraints, state: State) -> None:
    try:
        constraints.check(state)
    except MissingInputError as error:
        raise MissingInputError(
            f"params: {'; '.join(str(error).splitlines())}; expected constraints that need "
            f"no more than the data hold"
        ) from None


def preset(data: Path | None) -> presets.Preset:
    """Return what suits a file of data, or the simulation."""
    if data is None:
        return presets.SIMULATED
    return presets.X_RAYS if data.suffix.lower() == ".npz" else presets.ELECTRONS


def simulated(
    constraints: Constraints, chosen: Mapping[str, Any], *, scan: int, dose: float | None = None
) -> Plan:
    """Simulate data, and reconstruct them.

    Parameters
    ----------
    constraints : Constraints
        To be shown.
    chosen : mapping
        Fields of `Settings` that differ from the preset.
    scan : int
        Positions per side.
    dose : float, optional
        Electrons per Å².
    """
    settings = replace(presets.SIMULATED.settings, **chosen)
    experiment = simulate.Experiment(scan=scan, slices=settings.slices, seed=settings.seed)
    if dose is not None:
        experiment = replace(experiment, dose=dose)
    data, truth = simulate.simulate(experiment)
    about = f"simulated, {experiment.dose:g} electrons per Å²"
    tasks = with_truth.tasks(data, settings, constraints)
    return Plan(data, truth, (1.0,), settings, constraints, tasks, about)


def measured(
    constraints: Constraints,
    chosen: Mapping[str, Any],
    path: Path,
    *,
    doses: Sequence[float] | None = None,
    split: str = "counts",
) -> Plan:
    """Compare halves of measured data at several doses.

    Parameters
    ----------
    constraints, chosen
        As for `simulated`.
    path : Path
        Data, see `loading.load`.
    doses : sequence of float, optional
        Fractions of the counts, descending; `DOSES` by default.
    split : {'counts', 'positions'}
        What is halved.

    Raises
    ------
    ReadError
        The file cannot be read.
    """
    settings = replace(preset(path).settings, **chosen)
    data, doses = loading.load(path, settings.slices), tuple(doses or DOSES)
    tasks = without_truth.tasks(data, settings, constraints, doses, split=split)
    about = f"{path.name}, halves of the {split}"
    return Plan(data, None, doses, settings, constraints, tasks, about)


def known(
    constraints: Constraints,
    chosen: Mapping[str, Any],
    path: Path,
    truth: Path,
    *,
    dose: float = 1.0,
) -> Plan:
    """Compare with the truth of data from a file.

    Parameters
    ----------
    constraints, chosen, path
        As for `measured`.
    truth : Path
        See `loading.load_truth`.
    dose : float
        Fraction of the counts.

    Raises
    ------
    ReadError
        A file cannot be read.
    """
    settings = replace(preset(path).settings, **chosen)
    data = loading.load(path, settings.slices)
    phase = loading.load_truth(truth, data, settings.slices)
    about = path.name
    if dose < 1:
        data = data.thin(dose, np.random.default_rng(settings.seed))[0]
        about += f", {100 * dose:g} % of the counts"
    tasks = with_truth.tasks(data, settings, constraints)
    return Plan(data, phase, (dose,), settings, constraints, tasks, about)
