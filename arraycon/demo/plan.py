"""What is going to be reconstructed: the data, the settings, and the pair, or pairs, to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from arraycon import presets as kinds
from arraycon.demo import choice, loading, presets, simulate, with_truth, without_truth
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.runs import Task
from arraycon.demo.settings import Settings, initial
from arraycon.pipeline import Constraints, MissingInputError
from arraycon.state import State

DOSES = (1.0, 0.1, 0.01)
"""Fractions of the counts that are compared where there is no truth."""
_BRIEF = 18  # iterations of the simulation: half a minute


@dataclass(frozen=True)
class Wanted:
    """What was asked for; what is None is chosen by the data.

    Parameters
    ----------
    settings : mapping
        Fields of `Settings`.
    slices : int, optional
        Object slices.
    step : float, optional
        Step of the object.
    constraints : Constraints, optional
        To be shown.
    """

    settings: Mapping[str, Any]
    slices: int | None = None
    step: float | None = None
    constraints: Constraints | None = None


@dataclass(frozen=True)
class Chosen:
    """Settings and constraints that suit data, and why.

    Parameters
    ----------
    settings, constraints
        As of `Plan`.
    kind : str
        Preset that suits the data.
    why : str
        One line.
    """

    settings: Settings
    constraints: Constraints
    kind: str
    why: str


@dataclass(frozen=True, eq=False)
class Plan:
    """What is going to be done.

    Parameters
    ----------
    data, truth : Dataset, Truth
        What there is; without a truth, halves are compared.
    doses : tuple of float
        Fractions of the counts.
    chosen : Chosen
        Settings of every reconstruction, and constraints of those with constraints.
    tasks : dict of Task
        The reconstructions.
    about : str
        Heading of the figure.
    """

    data: Dataset
    truth: Truth | None
    doses: tuple[float, ...]
    chosen: Chosen
    tasks: dict[str, Task]
    about: str

    @property
    def settings(self) -> Settings:
        """Settings of every reconstruction."""
        return self.chosen.settings

    @property
    def constraints(self) -> Constraints:
        """Constraints of the reconstructions with constraints."""
        return self.chosen.constraints

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

    def gentler(self) -> Plan | None:
        """Return the same with half the step of the object, 1 at least; None if it is no more."""
        step = max(self.settings.object_step / 2, 1.0)
        if step >= self.settings.object_step:
            return None
        tasks = {
            name: replace(task, settings=replace(task.settings, object_step=step))
            for name, task in self.tasks.items()
        }
        why = f"{self.chosen.why}; it diverged: step {step:g}"
        settings = replace(self.settings, object_step=step)
        return replace(self, chosen=replace(self.chosen, settings=settings, why=why), tasks=tasks)

    def begun(self, errors: Sequence[float]) -> dict[str, int | None]:
        """When each constraint that waits for the error began, None where it did not.

        Parameters
        ----------
        errors : sequence of float
            Of each iteration of a reconstruction with constraints.
        """
        known = dict(enumerate(errors, 1))
        blocks = self.constraints.params.blocks()
        return {
            name: rule.began(known, start)
            for name in self.constraints.order
            if (rule := blocks[name].start_when) and (start := blocks[name].start_iter)
        }


def _check(constraints: Constraints, state: State) -> None:
    try:
        constraints.check_state(state)
    except MissingInputError as error:
        raise MissingInputError(
            f"params: {'; '.join(str(error).splitlines())}; expected constraints that need "
            f"no more than the data hold"
        ) from None


def suited(
    data: Dataset, base: Settings, wanted: Wanted, *, xp: Any = np, most: int | None = None
) -> Chosen:
    """Fill in what was not asked for.

    Parameters
    ----------
    data, xp
        As for `choice.choose`.
    base : Settings
        See `base_settings`.
    wanted : Wanted
        What was asked for; slices are those of `base`.
    most : int, optional
        Iterations at most; by default as many as the preset says.

    Raises
    ------
    ValueError
        There are no counts.
    FloatingPointError
        The first pass diverged.
    """
    known = {} if not data.source_size else {
        "source_size": data.source_size, "modes": presets.MODES_OF_SOURCE,
    }  # fmt: skip
    settings = replace(base, **(known | dict(wanted.settings)))
    if base.slices == 1:
        found = choice.Choice(presets.X_RAY, "a file of this kind holds X-ray data, one slice")
    elif not data.counts.any():
        raise ValueError("dose: leaves no counts to reconstruct; expected more")
    else:
        found = choice.choose(data, settings, xp=xp)
    preset = found.preset
    step = preset.step(data, settings.slices) if wanted.step is None else wanted.step
    settings = replace(settings, object_step=step)
    if "iterations" not in wanted.settings:
        most = preset.iterations if most is None else min(most, preset.iterations)
        settings = replace(settings, iterations=most)
    constraints = wanted.constraints or Constraints(kinds.params(preset.kind))
    why = found.why + ("" if wanted.constraints else f"; constraints: preset {preset.kind}")
    if wanted.step is None:
        why += f", step {step:g}"
    return Chosen(settings, constraints, preset.kind, why)


def simulated(wanted: Wanted, *, scan: int, dose: float | None = None, xp: Any = np) -> Plan:
    """Simulate data, and reconstruct them.

    Parameters
    ----------
    wanted : Wanted
        What was asked for.
    scan : int
        Positions per side.
    dose : float, optional
        Electrons per Å².
    xp : module
        NumPy or CuPy.
    """
    base = replace(presets.SIMULATED, slices=wanted.slices or presets.SIMULATED.slices)
    seed = wanted.settings.get("seed", base.seed)
    experiment = simulate.Experiment(scan=scan, slices=base.slices, seed=seed)
    if dose is not None:
        experiment = replace(experiment, dose=dose)
    data, truth = simulate.simulate(experiment)
    about = f"simulated, {experiment.dose:g} electrons per Å²"
    found = suited(data, base, wanted, xp=xp, most=_BRIEF)
    tasks = with_truth.tasks(data, found.settings, found.constraints)
    return Plan(data, truth, (1.0,), found, tasks, about)


def measured(
    wanted: Wanted,
    path: Path,
    *,
    doses: Sequence[float] | None = None,
    split: str = "counts",
    xp: Any = np,
) -> Plan:
    """Compare halves of measured data at several doses.

    Parameters
    ----------
    wanted, xp
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
    base = base_settings(path, wanted.slices)
    data, doses = loading.load(path, base.slices), tuple(doses or DOSES)
    found = suited(data, base, wanted, xp=xp)
    tasks = without_truth.tasks(data, found.settings, found.constraints, doses, split=split)
    about = f"{path.name}, halves of the {split}"
    return Plan(data, None, doses, found, tasks, about)


def known(
    wanted: Wanted,
    path: Path,
    truth: Path,
    *,
    dose: float = 1.0,
    xp: Any = np,
) -> Plan:
    """Compare with the truth of data from a file.

    Parameters
    ----------
    wanted, path, xp
        As for `measured`; without a number of slices, what the truth allows.
    truth : Path
        See `loading.load_truth`.
    dose : float
        Fraction of the counts.

    Raises
    ------
    ReadError
        A file cannot be read.
    """
    base = base_settings(path, wanted.slices, truth)
    data = loading.load(path, base.slices)
    phase = loading.load_truth(truth, data, base.slices)
    about = path.name
    if dose < 1:
        seed = wanted.settings.get("seed", base.seed)
        data = data.thin(dose, np.random.default_rng(seed))[0]
        about += f", {100 * dose:g} % of the counts"
    found = suited(data, base, wanted, xp=xp)
    tasks = with_truth.tasks(data, found.settings, found.constraints)
    return Plan(data, phase, (dose,), found, tasks, about)


def base_settings(path: Path, slices: int | None, truth: Path | None = None) -> Settings:
    """Return settings that suit the kind of file.

    Parameters
    ----------
    path : Path
        Data.
    slices : int, optional
        Object slices.
    truth : Path, optional
        Without a number of slices, what it allows.

    Raises
    ------
    ReadError
        The truth cannot be read.
    """
    base = presets.X_RAYS if path.suffix.lower() == ".npz" else presets.ELECTRONS
    if slices is None and truth is not None and base.slices > 1:
        slices = loading.slices_of(truth, base.slices)
    return replace(base, slices=slices or base.slices)
