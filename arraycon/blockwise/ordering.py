"""Ordering: what has to run before what, and filters in depth that need no pass of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from arraycon.blockwise.binding import Names, bind
from arraycon.blockwise.lowering import Placed
from arraycon.kernels.common.steps import Step


def behind_transforms(steps: Sequence[Placed]) -> list[Placed]:
    """Move what is linear in depth behind lateral transforms of the same array.

    It acts on each column alike, so that it gives the same in front of a lateral filter or
    transform and behind it, to rounding. There it shares a pass with what the transform was made
    for, and the array is cut into columns once less.
    """
    moved = list(steps)
    for i in reversed(range(len(moved))):
        if moved[i].step.linear_in_depth:
            _move(moved, i)
    return moved


def _move(steps: list[Placed], i: int) -> None:
    """Move one step behind the next transform of its array, as far as nothing is in the way."""
    one, place, best = steps[i], i, None
    for j in range(i + 1, len(steps)):
        name, other = one.step.writes[0], steps[j].step
        if name in other.spectrum:
            spectrum = other.spectrum[name]
            one = dataclasses.replace(one, step=_renamed(one.step, name, spectrum))
            best = j
        elif _apart(one.step, other):
            best = j if best is not None else None
        elif not (other.linear_in_slices and other.reads == other.writes == (name,)):
            break
        place = best if best is not None else place
    if best is not None:
        steps.insert(place + 1, one)
        del steps[i]


def _renamed(step: Step, old: str, new: str) -> Step:
    return bind(step, Names({**{name: name for name in step.reads}, old: new}))


def _apart(one: Step, other: Step) -> bool:
    """Whether two steps have no array in common that one of them changes."""
    return not (
        set(one.writes).intersection((*other.reads, *other.writes))
        or set(one.reads).intersection(other.writes)
    )


def dependencies(steps: Sequence[Placed]) -> list[set[int]]:
    """Return for each step which of those before it have to be done before it is."""
    found: list[set[int]] = []
    for i, placed in enumerate(steps):
        step = placed.step
        small = set(step.small)
        found.append(
            {
                j
                for j, before in enumerate(steps[:i])
                if (before.owner == placed.owner and _shares(before.step))
                or not _apart(before.step, step)
                or small.intersection(before.step.small)
            }
        )
    return found


def _shares(step: Step) -> bool:
    return step.conclude is not None or step.local is not None
