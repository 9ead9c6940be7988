"""Starting: the errors that rules in `start_when` are decided by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arraycon.blocks import Block
from arraycon.constraints import Constraint
from arraycon.kernels.common import check
from arraycon.pipeline.inputs import MissingInputError
from arraycon.state import State

Steps = Sequence[tuple[Constraint, Block]]


def require(steps: Steps, state: State, iteration: int, error: Any) -> float | None:
    """Return the error as a number, if a rule exists.

    Raises
    ------
    MissingInputError
        There is none, though a constraint waits for one.
    TypeError, ValueError
        It is no number, or not a finite one ≥ 0.
    """
    ruled = [(step.name, block) for step, block in steps if block.start_when is not None]
    if not ruled:  # an error on a device is not waited for then
        return None
    if error is not None:
        value = error if isinstance(error, int | float) else _read(error)
        return check.number("error", value, low=0)
    if iteration in state.errors:  # of the file that it was read from, or of an earlier call
        return None
    waiting = [name for name, block in ruled if block.waits(iteration, state.errors)]
    if waiting:
        raise MissingInputError("\n".join(_missing(name, iteration) for name in waiting))
    return None


def remember(state: State, iteration: int, error: float | None) -> None:
    """Keep an error with the state; whatever it knows of later iterations is of another run."""
    if error is None:
        return
    for later in [i for i in state.errors if i > iteration]:
        del state.errors[later]
    state.errors[iteration] = error


def _read(error: Any) -> float:
    if getattr(error, "shape", None) != ():
        raise TypeError(f"error: expected a number, got {type(error).__name__}")
    return float(error)


def _missing(name: str, iteration: int) -> str:
    return (
        f"{name}: start_when waits for the error of the reconstruction, and none was given for "
        f"iteration {iteration}: hand it over, as in apply(..., error=0.08); where there is none, "
        f"as in a saved reconstruction without a history, start_when: null lets {name} run from "
        f"start_iter on"
    )
