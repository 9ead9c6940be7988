"""Inputs: whether a state has what constraints need, said before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from arraycon.blocks import Block
from arraycon.constraints import Constraint
from arraycon.constraints.wiring import OBJECT
from arraycon.pipeline.fields import read_only, repeated
from arraycon.pipeline.report import Skipped
from arraycon.state import State


class MissingInputError(ValueError):
    """Constraints that were asked for lack fields of the state.

    Examples
    --------
    >>> import arraycon, numpy
    >>> state = arraycon.State(object_phase=numpy.zeros((1, 2, 8, 8)))
    >>> try:
    ...     arraycon.Constraints({"obja_thresh": {"start_iter": 1}}).check(state)
    ... except arraycon.MissingInputError as error:
    ...     print(error)
    obja_thresh: needs object_amplitude, which the state does not have
    """


def check(
    steps: Sequence[tuple[Constraint, Block]],
    state: State,
    iteration: int,
    *,
    asked: frozenset[str],
) -> tuple[Skipped, ...]:
    """Look for what runs at an iteration or later, and lacks something.

    Parameters
    ----------
    steps : sequence of pairs of Constraint and Block
        What runs.
    state : State
        A valid one.
    iteration : int
        Counted from 1.
    asked : frozenset of str
        Constraints that the parameters mention; others are left out where they lack fields.

    Raises
    ------
    MissingInputError
        Constraints that were asked for lack fields.
    ValueError
        An array that is to be changed is read-only, or elements of it share memory.
    """
    present, fixed, repeating = state.present, read_only(state), repeated(state)
    skipped, problems = [], []
    for step, given in steps:
        if not given.runs_from(iteration):
            continue
        block, _ = step.fitted(given, present)
        missing = tuple(field for field in step.needs(block) if field not in present)
        if missing and step.name in asked:
            problems.append(_missing(step, block, missing, present))
        elif missing:
            skipped.append(Skipped(step.name, missing))
        elif frozen := sorted(fixed.intersection(step.writes(block))):
            raise ValueError(
                f"{' and '.join(frozen)}: expected writable arrays, because {step.name} "
                f"changes them in place, got read-only ones; give copies"
            )
        elif folded := sorted(repeating.intersection(step.writes(block))):
            raise ValueError(
                f"{' and '.join(folded)}: expected elements with memory of their own, because "
                f"{step.name} changes them in place, got some that share it (a broadcast or "
                f"overlapping view); give copies"
            )
    if problems:
        raise MissingInputError("\n".join(problems))
    return tuple(skipped)


def listed(names: Sequence[str]) -> str:
    """Write names with commas, and an "and" before the last."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _missing(
    step: Constraint, block: Block, missing: tuple[str, ...], present: frozenset[str]
) -> str:
    kind = getattr(block, "obj_type", None)
    setting = f" (obj_type: {kind})" if kind else ""
    other = sorted(present.intersection(OBJECT))
    hint = ""
    if step.by_parts and len(other) == 1:  # it would do with what there is
        hint = f"; obj_type: {other[0].removeprefix('object_')} works on what there is"
    return f"{step.name}{setting}: needs {listed(missing)}, which the state does not have{hint}"
