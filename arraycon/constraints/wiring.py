"""Wiring: from a kernel and the names of the state's fields to what the pipeline can run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from arraycon.blocks import SCHEDULE, Block
from arraycon.constraints import regions
from arraycon.kernels.common import dispatch, scratch

Kernel: TypeAlias = Callable[..., Any]
"""A function of arrays, then of named numbers, with `out`; arrays out, by-products behind them."""

Inputs: TypeAlias = Mapping[str, Any]
"""Fields of the state by name."""

Updates: TypeAlias = Mapping[str, Any]
"""New arrays by the name of the field that they replace."""

Names: TypeAlias = Callable[[Any], tuple[str, ...]]
"""From a block to fields: `obj_type` may choose among them."""

Scalars: TypeAlias = Callable[[Any], Mapping[str, str]]
"""From a block to the fields that its kernel takes as named numbers, by argument."""

Extra: TypeAlias = Callable[[Any, str], Mapping[str, Any]]
"""From a block and a part of the object to arguments that are no field of the block as it is."""

OBJECT = ("object_amplitude", "object_phase")
NOT_OPTIONS = SCHEDULE | {"obj_type"}
"""Fields of a block that its kernel is not given."""


@dataclass(frozen=True)
class Outcome:
    """What one call of a constraint gave.

    Parameters
    ----------
    updates : mapping
        New arrays by field.
    figures : mapping
        Numbers for the report by name, or arrays or functions that give them.
    returned : mapping
        By-products of the kernel by name, such as ``rotation``.
    """

    updates: Updates
    figures: Mapping[str, Any] = field(default_factory=dict)
    returned: Mapping[str, Any] = field(default_factory=dict)


Memory: TypeAlias = dict[str, Any]
"""What a constraint keeps from one iteration to the next; it alone knows what that is."""


class RunInto(Protocol):
    """A constraint that writes its results into the arrays of `outs`, where it has any."""

    def __call__(
        self, inputs: Inputs, block: Any, outs: Updates, /, *, memory: Memory | None = None
    ) -> Outcome:
        """Run; one that has a memory starts with an empty one where it is given none."""


@dataclass(frozen=True)
class Call:
    """One call of a kernel, argument by argument.

    Parameters
    ----------
    arrays : mapping of str to str
        By argument, the field of the state that it takes.
    written : tuple of str
        Arguments of `arrays` whose fields are changed.
    discarded : tuple of str
        Those that the kernel computes anew and nobody takes.
    options : mapping
        Further named arguments.
    scalars : mapping of str to str
        Arguments that take a number of the state, and which.
    region : str
        Argument that takes weights of pixels; none without one.
    figures : mapping of str to str
        Titles of by-products that are figures.
    """

    arrays: Mapping[str, str]
    written: tuple[str, ...]
    discarded: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    scalars: Mapping[str, str] = field(default_factory=dict)
    region: str = ""
    figures: Mapping[str, str] = field(default_factory=dict)


Repeat: TypeAlias = Callable[[], Outcome]
"""A constraint on arrays and numbers that it knows: what is checked once has been checked."""

Prepare: TypeAlias = Callable[[Inputs, Any, Updates], "Repeat | None"]

Calls: TypeAlias = Callable[[Any], tuple[Call, ...]]


@dataclass(frozen=True)
class Wired:
    """What the pipeline needs of a constraint.

    Parameters
    ----------
    run : callable
        How it runs.
    needs, writes : callable
        The fields that it takes and changes.
    prepare : callable or None
        As `run`, but returns what is to be called at each iteration on the same arrays and numbers;
        or None where that would save nothing.
    calls : callable or None
        From a block to the calls that `run` makes, for whoever does without `run`; None where
        there is no kernel.
    """

    run: RunInto
    needs: Names
    writes: Names
    prepare: Prepare | None = None
    calls: Calls | None = None


@dataclass(frozen=True)
class Apart:
    """What a kernel is given beside the block's fields of the same names.

    Parameters
    ----------
    uses : frozenset of str
        Fields of the block that the kernel is not given.
    region : str
        Argument that takes the weights of the block's region; none without one.
    given : callable
        Further arguments.
    spares : callable
        From a block to those of the fields it could change that it leaves alone.
    """

    uses: frozenset[str] = frozenset()
    region: str = ""
    given: Extra = lambda *_: {}
    spares: Callable[[Any], Collection[str]] = lambda _: ()

    def needs(self, block: Any) -> tuple[str, ...]:
        """Fields of the state."""
        return regions.needs(block) if self.region else ()

    def arguments(self, inputs: Inputs, block: Any, part: str = "") -> dict[str, Any]:
        """Return named arguments: the block's own fields, and all others."""
        named = self.options(block, part)
        if self.region:
            named[self.region] = regions.weights(block, inputs)
        return named

    def options(self, block: Any, part: str = "") -> dict[str, Any]:
        """Return those that are no arrays."""
        return {**options(block, self.uses), **self.given(block, part)}

    def lasting(self, block: Any) -> bool:
        """Whether the arguments of one call serve all others on the same arrays."""
        return not self.region or regions.are_fields(block)


def wire(
    kernel: Kernel,
    *,
    on: Sequence[str] | Mapping[str, str],
    reads: Sequence[str] = (),
    scalars: Scalars,
    returns: Sequence[str] = (),
    figures: Mapping[str, str],
    memory: bool = False,
    apart: Apart,
) -> Wired:
    """Wire a kernel that takes the arrays `on` and `reads`, in this order, and changes `on`.

    Where `on` is a mapping, the kernel takes its fields by the names of their arguments. Where the
    block has an `obj_type`, it limits which parts of the object are written. One with a memory gets
    it as `memory`.
    """
    remembers = memory
    by_name = dict(on) if isinstance(on, Mapping) else {}
    on = tuple(on.values()) if isinstance(on, Mapping) else tuple(on)
    parameters = inspect.signature(kernel).parameters
    asked = {f"return_{name}": True for name in returns if f"return_{name}" in parameters}

    def call(inputs: Inputs, block: Block, outs: Updates, memory: Memory | None) -> tuple[Any, ...]:
        given = {argument: inputs[source] for argument, source in scalars(block).items()}
        if remembers:
            given["memory"] = {} if memory is None else memory
        out = tuple(outs.get(name) for name in on)
        spared = apart.spares(block)
        arrays = [None if name in spared else inputs[name] for name in (*on, *reads)]
        given.update(zip(by_name, arrays, strict=False))
        answer = kernel(
            *(() if by_name else arrays),
            out=out if len(on) > 1 else out[0],
            **given,
            **asked,
            **apart.arguments(inputs, block),
        )
        return answer if isinstance(answer, tuple) else (answer,)

    def outcome(
        results: tuple[Any, ...], written: tuple[str, ...], fields: tuple[str, ...] = on
    ) -> Outcome:
        new = dict(zip(fields, results, strict=False))
        returned = dict(zip(returns, results[len(fields) :], strict=True))
        return Outcome(
            {name: new[name] for name in written},
            {title: returned[name] for name, title in figures.items()},
            returned,
        )

    def run(
        inputs: Inputs, block: Block, outs: Updates, *, memory: Memory | None = None
    ) -> Outcome:
        return outcome(call(inputs, block, outs, memory), writes(block))

    def prepare(inputs: Inputs, block: Block, outs: Updates) -> Repeat | None:
        if not apart.lasting(block):
            return None
        start = dispatch.prepare(lambda: call(inputs, block, outs, None))
        written, spared = writes(block), apart.spares(block)
        # behind the door nothing stands for the fields that are spared
        fields = tuple(name for name in on if name not in spared)
        return None if start is None else lambda: outcome(start()(), written, fields)

    def writes(block: Any) -> tuple[str, ...]:
        untouched = set(OBJECT) - set(parts(block)) | set(apart.spares(block))
        return tuple(name for name in on if name not in untouched)

    def needs(block: Any) -> tuple[str, ...]:
        spared = apart.spares(block)
        arrays = (name for name in (*on, *reads) if name not in spared)
        return (*arrays, *scalars(block).values(), *apart.needs(block))

    def calls(block: Any) -> tuple[Call, ...]:
        spared, changed = apart.spares(block), writes(block)
        named = dict(zip(by_name or parameters, (*on, *reads), strict=False))
        arrays = {argument: name for argument, name in named.items() if name not in spared}
        written = tuple(argument for argument, name in arrays.items() if name in changed)
        discarded = tuple(
            argument for argument, name in arrays.items() if name in on and name not in changed
        )
        given = {**asked, **apart.options(block)}
        return (Call(arrays, written, discarded, given, scalars(block), apart.region, figures),)

    prepared = prepare if dispatch.is_door(kernel) and not remembers else None
    return Wired(run, needs, writes, prepared, calls)


def wire_parts(kernel: Kernel, *, scalars: Scalars, memory: bool = False, apart: Apart) -> Wired:
    """Wire a kernel that treats amplitude and phase alike, each by itself, as `obj_type` chooses.

    A kernel with an argument `obj_type` is told which of the two it has. One with a memory has one
    for each of the two. Where the block's `obj_type` is complex, the kernel works on the complex
    object.
    """
    remembers = memory
    told = "obj_type" in inspect.signature(kernel).parameters

    def call(
        name: str, inputs: Inputs, block: Block, outs: Updates, memory: Memory | None = None
    ) -> Any:
        given = {argument: inputs[source] for argument, source in scalars(block).items()}
        if remembers:
            given["memory"] = {} if memory is None else memory.setdefault(name, {})
        kind = {"obj_type": name.removeprefix("object_")} if told else {}
        named = apart.arguments(inputs, block, name.removeprefix("object_"))
        return kernel(inputs[name], out=outs.get(name), **kind, **given, **named)

    def run(
        inputs: Inputs, block: Block, outs: Updates, *, memory: Memory | None = None
    ) -> Outcome:
        calls = {
            name: functools.partial(call, name, inputs, block, outs, memory)
            for name in parts(block)
        }
        if not dispatch.is_door(kernel):
            return Outcome({name: one() for name, one in calls.items()})
        return _together({name: functools.partial(dispatch.begin, calls[name]) for name in calls})

    def prepare(inputs: Inputs, block: Block, outs: Updates) -> Repeat | None:
        starts = {}
        if not apart.lasting(block):
            return None
        for name in parts(block):
            start = dispatch.prepare(functools.partial(call, name, inputs, block, outs))
            if start is None:
                return None
            starts[name] = start

        return functools.partial(_together, starts)

    def needs(block: Any) -> tuple[str, ...]:
        return (*parts(block), *scalars(block).values(), *apart.needs(block))

    def calls(block: Any) -> tuple[Call, ...]:
        first = next(iter(inspect.signature(kernel).parameters))
        made = []
        for name in parts(block):
            part = name.removeprefix("object_")
            given = {**({"obj_type": part} if told else {}), **apart.options(block, part)}
            made.append(Call({first: name}, (first,), (), given, scalars(block), apart.region))
        return tuple(made)

    prepared = prepare if dispatch.is_door(kernel) and not remembers else None
    return Wired(run, needs, parts, prepared, calls)


def _together(starts: Mapping[str, Callable[[], dispatch.Finish]]) -> Outcome:
    """Change no part before all have the memory that they need, which serves each in turn."""
    if len(starts) == 1:
        return Outcome({name: start()()[0] for name, start in starts.items()})
    with scratch.shared() as pool:
        finishes = {}
        for name, start in starts.items():
            pool.next_call()
            finishes[name] = start()
    return Outcome({name: finish()[0] for name, finish in finishes.items()})


def options(block: Block, uses: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Parameters of a block that its kernel takes, under the same names."""
    return {name: getattr(block, name) for name in _option_names(type(block), uses)}


@functools.cache
def _option_names(model: type[Block], uses: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in model.model_fields if name not in NOT_OPTIONS | uses)


def parts(block: Any) -> tuple[str, ...]:
    """Fields of the object that a block's `obj_type` chooses, both parts without one."""
    # a model answers for an attribute that it lacks in 3 µs
    return _CHOSEN[block.__dict__.get("obj_type", "both")]


_CHOSEN: dict[str, tuple[str, ...]] = {
    "both": OBJECT,
    "complex": ("object",),
    **{name.removeprefix("object_"): (name,) for name in OBJECT},
}
