"""What is measured: schedules, their inputs, and the ways to run them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cupy

from arraycon.bench import NAMES, Case, Size, floors, ptyrad_model
from arraycon.bench.places import Place
from arraycon.blocks import ParameterWarning
from arraycon.constraints import declared
from arraycon.pipeline import Constraints
from arraycon.state import ARRAYS, State

Run = Callable[[], Any]

SCHEDULES = {
    "on by default": tuple(name for name in NAMES if declared()[name].default_on),
    "multislice": (
        "ortho_pmode", "fix_probe_int", "kz_filter", "objp_postiv", "obja_thresh", "pos_recenter",
    ),
    "all": tuple(name for name in NAMES if not declared()[name].flat),  # those are of one slice
}  # fmt: skip
"""Constraints by the name of their schedule."""

PARTS = ("object_amplitude", "object_phase")


@dataclass(frozen=True)
class Schedule:
    """Some constraints at one size, with their default parameters.

    Parameters
    ----------
    names : tuple of str
        Constraints.
    size : Size
        Shapes of the inputs.
    """

    names: tuple[str, ...]
    size: Size

    @property
    def cases(self) -> tuple[Case, ...]:
        """The constraints one by one."""
        return tuple(Case(name, self.size) for name in self.names)

    @property
    def blocks(self) -> dict[str, dict[str, Any]]:
        """Parameters by constraint, their schedule left out."""
        return {case.name: case.parameters for case in self.cases}

    @property
    def arrays(self) -> tuple[str, ...]:
        """Arrays of the state that are read."""
        needed = {field for case in self.cases for field in case.arrays}
        return tuple(field for field in ARRAYS if field in needed)

    @property
    def writes(self) -> tuple[str, ...]:
        """Arrays of the state that are changed."""
        return tuple(
            field for field in self.arrays if any(field in case.writes for case in self.cases)
        )

    @property
    def constraints(self) -> Constraints:
        """The pipeline."""
        blocks: dict[str, Any] = dict.fromkeys(NAMES)
        known = declared()
        blocks |= {name: {"start_iter": 1, **known[name].typical} for name in self.names}
        with warnings.catch_warnings():
            # that both kz_filter and obj_zblur smooth z is no news here
            warnings.simplefilter("ignore", ParameterWarning)
            return Constraints(blocks)

    def fields(self) -> dict[str, Any]:
        """Fresh inputs in host memory."""
        made: dict[str, Any] = {}
        for case in sorted(self.cases, key=lambda case: -len(case.needs)):
            if not made.keys() >= set(case.needs):
                made |= case.fields()
        return made


class Inputs:
    """The inputs of a schedule on the device, which can be restored.

    Parameters
    ----------
    schedule : Schedule
        What reads them.
    as_object : bool
        Whether the state has one complex object instead of amplitude and phase.
    """

    def __init__(self, schedule: Schedule, *, as_object: bool = False) -> None:
        self.pristine = schedule.fields()
        arrays = {name: cupy.asarray(self.pristine[name]) for name in schedule.arrays}
        others = {name: x for name, x in self.pristine.items() if name not in arrays}
        if as_object:
            amplitude, phase = (arrays.pop(name) for name in PARTS)
            arrays["object"] = amplitude * cupy.exp(1j * phase)
        self._kept = arrays
        self.work = {name: x.copy() for name, x in arrays.items()} | others

    def restore(self) -> None:
        """Put the values back."""
        for name, kept in self._kept.items():
            self.work[name][...] = kept


def ways(constraints: Constraints, state: State) -> Iterator[tuple[str, Run]]:
    """Name and function of each way to run constraints on a state."""
    yield "apply", lambda: constraints.apply(state, 1, measure=False)
    yield "apply, measuring", lambda: constraints.apply(state, 1, measure=True)
    bound = constraints.bind(state)
    yield "bound", lambda: bound.apply(1)


def floor(schedule: Schedule, inputs: Inputs, place: Place) -> Run:
    """Return what does the floors of all constraints, one after the other."""
    parts = [floors.floor(case, inputs.work, place)[1] for case in schedule.cases]
    return lambda: [part() for part in parts]


def ptyrad(schedule: Schedule, inputs: Inputs) -> tuple[Run, Run] | str:
    """Return PtyRAD's way to run a schedule and to restore its inputs, or why there is none."""
    if reason := ptyrad_model.unavailable("gpu"):
        return reason
    model = ptyrad_model.StandIn(schedule, inputs.pristine, threads=1, place="gpu")
    return model.run, model.restore
