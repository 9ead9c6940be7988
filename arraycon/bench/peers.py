"""The contenders: whatever computes one case, with its inputs restored before each run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from arraycon.bench import places, ptyrad_model
from arraycon.bench.cases import OBJECT, Case, Fields, joined
from arraycon.bench.places import Place
from arraycon.kernels.common import dispatch
from arraycon.state import State

FAST, AGNOSTIC, PLAIN, PTYRAD, FLOOR = "fast", "agnostic", "plain", "PtyRAD", "floor"
CONTENDERS = (FAST, AGNOSTIC, PLAIN, PTYRAD, FLOOR)

UNEQUAL = {
    "probe_mask_r": "PtyRAD's window lies half a pixel off the probe",
    "kr_thresh": "PtyRAD's inverse transform does not invert its forward one",
}
"""Constraints whose results differ from PtyRAD's on purpose, and why."""


@dataclass(frozen=True)
class Contender:
    """One way to compute a case.

    Parameters
    ----------
    name : str
        One of `CONTENDERS`.
    restore : callable
        Puts the inputs back; never timed. Without it, values would drift to zeros and subnormal
        numbers under repeated application, which take another time than real data.
    run : callable
        What is timed: changes the arrays in place.
    result : callable
        Gives the NumPy arrays that the constraint writes, by field; copies only if they must be.
    """

    name: str
    restore: Callable[[], None]
    run: Callable[[], None]
    result: Callable[[], dict[str, Any]]


class Absent(Exception):
    """A contender cannot take part; the message says why."""


@dataclass(frozen=True)
class Field:
    """The contenders of one case.

    Parameters
    ----------
    contenders : tuple of Contender
        Those that take part.
    absent : dict of str to str
        Why the others do not.
    floor : str
        What the floor is.
    """

    contenders: tuple[Contender, ...]
    absent: dict[str, str]
    floor: str


def gather(
    case: Case,
    *,
    threads: int,
    names: tuple[str, ...] = CONTENDERS,
    place: Place | None = None,
) -> Field:
    """Set up the contenders of a case on arrays of the same values.

    Those that compute with NumPy or CuPy share one set of arrays, PtyRAD has its own parameters;
    both stay in place, as they do in a reconstruction.
    """
    # not before: in a process whose first call is timed, SciPy's import belongs to that call
    from arraycon.bench import floors, plain

    place = place or places.cpu()
    original = case.fields()
    pristine, work = (
        {name: place.array(x) if name in case.arrays else x for name, x in original.items()}
        for _ in range(2)
    )
    found, absent = [], {}
    kind, run_floor = floors.floor(case, work, place) if FLOOR in names else ("", lambda: None)

    def restore() -> None:
        for name in case.arrays:
            work[name][...] = pristine[name]

    def result() -> dict[str, Any]:
        return {field: place.numpy(work[field]) for field in case.writes}

    runs: dict[str, Callable[[], None]] = {
        FAST: _pipeline(case, work),
        AGNOSTIC: _agnostic(_pipeline(case, work)),
        FLOOR: run_floor,
    }
    if port := plain.ports(place.name, case.form).get(case.name):
        runs[PLAIN] = functools.partial(port, work, **case.parameters)
    for name in names:
        if name == PLAIN and PLAIN not in runs:
            absent[name] = f"nobody has written {case.name} that way"
        elif name == PTYRAD:
            try:
                found.append(_ptyrad(case, threads, place))
            except Absent as error:
                absent[name] = str(error)
        else:
            found.append(Contender(name, restore, runs[name], result))
    return Field(tuple(found), absent, kind)


def _pipeline(case: Case, work: Fields) -> Callable[[], None]:
    constraints, state = case.constraints, State(**work)

    def run() -> None:
        constraints.apply(state, 1, measure=False)

    return run


def _agnostic(pipeline: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        with dispatch.use_agnostic():
            pipeline()

    return run


def _ptyrad(case: Case, threads: int, place: Place) -> Contender:
    """Set up PtyRAD, which holds amplitude and phase whatever the others do."""
    if case.dtype != "float32":
        raise Absent("PtyRAD computes in float32 only")
    if case.name not in ptyrad_model.CONSTRAINTS:
        raise Absent(f"PtyRAD has no {case.name}")
    reason = ptyrad_model.unavailable(place.name)
    if reason:
        raise Absent(reason)
    own = case.in_parts
    model = ptyrad_model.StandIn(own, own.fields(), threads=threads, place=place.name)

    def result() -> dict[str, Any]:
        found = model.result()
        if case.form == "parts" or set(OBJECT).isdisjoint(found):
            return found
        others = {name: array for name, array in found.items() if name not in OBJECT}
        return {"object": joined({**case.parts(), **found}), **others}

    return Contender(PTYRAD, model.restore, model.run, result)
