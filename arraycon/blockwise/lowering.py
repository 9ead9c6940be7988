"""Lowering: from constraints and their parameters to steps on the arrays of a state."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arraycon.blocks import Block
from arraycon.blockwise.binding import Names, bind
from arraycon.blockwise.parts import NAMES, OBJECTS, Parts
from arraycon.constraints import Constraint, regions
from arraycon.constraints.wiring import Call
from arraycon.kernels import blocks as kernels_in_steps
from arraycon.kernels.blocks.tools import whole
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.steps import Blocks, Like, Region, Shared, Step

LARGE = (*OBJECTS, "vacuum_mask", "illumination")
"""Fields of the state that are as large as the object, or one of its slices."""


class NotInBlocksError(ValueError):
    """A constraint cannot be run on regions of an object."""


@dataclass(frozen=True)
class Placed:
    """A step, and whose it is.

    Parameters
    ----------
    step : Step
        On the arrays of the state and what is made beside them.
    owner : str
        Steps of the same owner build on what it shares.
    title : str
        Name for people: of a constraint, or of what is done between two of them.
    """

    step: Step
    owner: str
    title: str


@dataclass(frozen=True)
class Job:
    """One constraint of a schedule at one iteration.

    Parameters
    ----------
    constraint : Constraint
    block : Block
    note : str
        Where less is done than the parameters ask for.
    targets : tuple of str
        Fields that it changes.
    returned, figures : mapping of str to str
        By-products and titles of figures, with the names that they are shared under.
    """

    constraint: Constraint
    block: Block
    note: str
    targets: tuple[str, ...]
    returned: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lowered:
    """A schedule at one iteration, in steps.

    Parameters
    ----------
    jobs : tuple of Job
        In order.
    steps : tuple of Placed
        In order; what they do when they run one behind the other is what the schedule does.
    likes : mapping of str to Like
        The state's arrays, and all that are made on the way.
    planes : mapping of str to array
        Further arrays that steps read: weights of pixels, one plane each.
    """

    jobs: tuple[Job, ...]
    steps: tuple[Placed, ...]
    likes: Mapping[str, Like]
    planes: Mapping[str, Array]


def lower(
    due: Iterable[tuple[Constraint, Block, str]],
    arrays: Mapping[str, Like],
    inputs: Mapping[str, Any],
) -> Lowered:
    """Write constraints as steps.

    Parameters
    ----------
    due : iterable of (Constraint, Block, str)
        What runs, in order, with a note for each.
    arrays : mapping of str to Like
        The state's arrays by field.
    inputs : mapping of str to any
        Its numbers, and its illumination where one of the constraints asks for a region.

    Raises
    ------
    NotInBlocksError
        One of them says nothing of how the object may be cut, or keeps a memory of it.
    """
    made = _Lowering(arrays, inputs)
    for constraint, block, note in due:
        made.take(constraint, block, note)
    made.finish()
    return Lowered(tuple(made.jobs), tuple(made.steps), made.likes, made.planes)


class _Lowering:
    def __init__(self, arrays: Mapping[str, Like], inputs: Mapping[str, Any]) -> None:
        self.parts = Parts({name: arrays[name] for name in OBJECTS if name in arrays})
        self.likes = {**arrays, **self.parts.likes}
        self.inputs = inputs
        self.jobs: list[Job] = []
        self.steps: list[Placed] = []
        self.planes: dict[str, Array] = {}

    def take(self, constraint: Constraint, block: Block, note: str) -> None:
        owner = f"{len(self.jobs)} {constraint.name}"
        needs, targets = constraint.needs(block), constraint.writes(block)
        if not set(OBJECTS).intersection(needs):
            self._take_small(constraint, block, note, owner)
            return
        if constraint.idle is not None and constraint.idle(block) and not constraint.returns:
            self.jobs.append(Job(constraint, block, note, targets))
            return
        if constraint.calls is None or constraint.memory:
            raise NotInBlocksError(_refusal(constraint))
        self._between(self.parts.needed(needs))
        calls = constraint.calls(block)
        lists = [self._bound(constraint, block, call, owner) for call in calls]
        # side by side, so that what looks at both parts of the object shares its passes
        for steps in itertools.zip_longest(*lists):
            for step, whose in filter(None, steps):
                self.steps.append(Placed(step, whose, constraint.name))
        self._between(self.parts.written(targets))
        self.jobs.append(
            Job(
                constraint,
                block,
                note,
                targets,
                {name: f"{owner}.{name}" for name in constraint.returns},
                {
                    title: f"{owner}.{name}"
                    for call in calls
                    for name, title in call.figures.items()
                },
            )
        )

    def finish(self) -> None:
        """Write into the state's own arrays what is still apart."""
        self._between(self.parts.joined())

    def _take_small(self, constraint: Constraint, block: Block, note: str, owner: str) -> None:
        """Take a constraint of arrays that are small, which runs as it is."""
        needs = constraint.needs(block)
        small = tuple(name for name in needs if name in self.likes)
        numbers = {name: self.inputs[name] for name in needs if name not in small}
        local = _Whole(constraint, block, numbers)
        step = Step("any", (), local=local, small=small)
        names = Names({name: name for name in small}, f"{owner}.")
        self.steps.append(Placed(bind(step, names), owner, constraint.name))
        returned = {name: f"{owner}.{name}" for name in constraint.returns}
        self.jobs.append(Job(constraint, block, note, constraint.writes(block), returned))

    def _between(self, steps: Sequence[Step]) -> None:
        """Put steps that change how the object is held behind those that are there."""
        owner = f"{len(self.steps)} object"
        names = Names(NAMES, f"{owner}.")
        for step in steps:
            self.steps.append(Placed(bind(step, names), owner, "object"))

    def _bound(
        self, constraint: Constraint, block: Block, call: Call, owner: str
    ) -> list[tuple[Step, str]]:
        arrays, options = dict(call.arrays), dict(call.options)
        options.update({name: self.inputs[source] for name, source in call.scalars.items()})
        if call.region and (weights := self._weights(block)) is not None:
            arrays[call.region] = weights
        if constraint.by_parts:  # each has what it shares apart
            owner = f"{owner} {next(iter(arrays.values()))}"
        own = self._steps(constraint, block, call, arrays, options)
        outside = dict(arrays)
        for name, like in {k: v for step in own for k, v in step.makes.items()}.items():
            own_name, _, what = name.partition(".")
            # named after the constraint: another one's may be of another kind
            outside[name] = f"{constraint.name}.{arrays[own_name]}.{what}"
            self.likes[outside[name]] = like
        names = Names(outside, f"{owner}.", frozenset(call.discarded))
        return [(bind(step, names), owner) for step in own]

    def _steps(
        self,
        constraint: Constraint,
        block: Block,
        call: Call,
        arrays: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> Sequence[Step]:
        make = kernels_in_steps.of(constraint.kernel)
        if make is not None:
            return make(**{name: self.likes[source] for name, source in arrays.items()}, **options)
        return [_by_kernel(constraint, block, call, tuple(arrays), options)]

    def _weights(self, block: Block) -> str | None:
        """Name the weights of a block's region; None is 1 everywhere."""
        needed = regions.needs(block)
        if not needed or regions.are_fields(block):
            return next(iter(needed), None)
        plane = regions.weights(block, self.inputs)
        name = f"{block.region} {block.threshold:g}"  # type: ignore[attr-defined]
        self.planes[name] = plane
        self.likes[name] = Like(tuple(plane.shape), str(plane.dtype))
        return name


def _by_kernel(
    constraint: Constraint,
    block: Block,
    call: Call,
    reads: tuple[str, ...],
    options: Mapping[str, Any],
) -> Step:
    """Return the one step that runs a kernel on each region as it is."""
    layouts, kernel = constraint.layout(block), constraint.kernel
    if len(layouts) != 1 or constraint.reduces(block) or layouts[0] == "whole" or kernel is None:
        raise NotInBlocksError(_refusal(constraint))
    if constraint.in_place:
        return whole.step(kernel, layouts[0], reads, call.written, options)
    work = _Foreign(kernel, reads, call.written, dict(options))
    return Step(layouts[0], reads, call.written, work=work, scratch=2.0)


def _refusal(constraint: Constraint) -> str:
    name = constraint.name
    if constraint.kernel is None:
        why = "it is a function of fields"
    elif constraint.memory:
        why = "it keeps a memory from one iteration to the next"
    else:
        why = "its declaration says nothing of one pass over pieces of it"
    return (
        f"{name}: expected a constraint that can be run on regions of the object, but {why}; "
        f"declare a kernel with layout any, slices or columns, or use arrays that fit into memory"
    )


@dataclass(frozen=True)
class _Whole:
    """A constraint of small arrays, as it is."""

    constraint: Constraint
    block: Block
    numbers: Mapping[str, Any]

    def __call__(self, small: Mapping[str, Array], shared: Shared) -> Mapping[str, Any]:
        outcome = self.constraint.run({**self.numbers, **small}, self.block, {})
        return {**outcome.updates, **outcome.returned}


@dataclass(frozen=True)
class _Foreign:
    """A kernel that is not this package's own, which gets no arrays to write into."""

    kernel: Callable[..., Any]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    options: Mapping[str, Any]

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        answer = self.kernel(**{name: blocks[name] for name in self.reads}, **self.options)
        results = answer if isinstance(answer, tuple) else (answer,)
        return dict(zip(self.writes, results, strict=False))


def likes(arrays: Mapping[str, Any]) -> dict[str, Like]:
    """Return what is known of arrays, stores or whatever has a shape and a dtype."""
    return {
        name: Like(tuple(int(n) for n in x.shape), np.dtype(x.dtype).name)
        for name, x in arrays.items()
    }
