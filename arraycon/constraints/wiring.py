"""Wiring: from a kernel and the names of the state's fields to what the pipeline can run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from arraycon.blocks import Block

Kernel: TypeAlias = Callable[..., Any]
"""A function of arrays, then of named numbers, with `out`; arrays out, by-products behind them."""

Inputs: TypeAlias = Mapping[str, Any]
"""Fields of the state by name."""

Updates: TypeAlias = Mapping[str, Any]
"""New arrays by the name of the field that they replace."""

Names: TypeAlias = Callable[[Any], tuple[str, ...]]
"""From a block to fields: `obj_type` may choose among them."""

OBJECT = ("object_amplitude", "object_phase")
NOT_OPTIONS = frozenset((*Block.model_fields, "obj_type"))
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


RunInto: TypeAlias = Callable[[Inputs, Any, Updates], Outcome]
"""A constraint that writes its results into the arrays of the last argument, where it has any."""


@dataclass(frozen=True)
class Wired:
    """What the pipeline needs of a constraint: how it runs, and the fields it takes and changes."""

    run: RunInto
    needs: Names
    writes: Names


def wire(
    kernel: Kernel,
    *,
    on: Sequence[str],
    reads: Sequence[str] = (),
    scalars: Mapping[str, str],
    returns: Sequence[str] = (),
    figures: Mapping[str, str],
) -> Wired:
    """Wire a kernel that takes the arrays `on` and `reads`, in this order, and changes `on`.

    Where the block has an `obj_type`, it limits which parts of the object are written.
    """
    parameters = inspect.signature(kernel).parameters
    asked = {f"return_{name}": True for name in returns if f"return_{name}" in parameters}
    needed = (*on, *reads, *scalars.values())

    def run(inputs: Inputs, block: Block, outs: Updates) -> Outcome:
        given = {argument: inputs[source] for argument, source in scalars.items()}
        out = tuple(outs.get(name) for name in on)
        answer = kernel(
            *(inputs[name] for name in (*on, *reads)),
            out=out if len(on) > 1 else out[0],
            **given,
            **asked,
            **options(block),
        )
        results = answer if isinstance(answer, tuple) else (answer,)
        new = dict(zip(on, results, strict=False))
        returned = dict(zip(returns, results[len(on) :], strict=True))
        return Outcome(
            {name: new[name] for name in writes(block)},
            {title: returned[name] for name, title in figures.items()},
            returned,
        )

    def writes(block: Any) -> tuple[str, ...]:
        untouched = set(OBJECT) - set(parts(block))
        return tuple(name for name in on if name not in untouched)

    return Wired(run, lambda _: needed, writes)


def wire_parts(kernel: Kernel, *, scalars: Mapping[str, str]) -> Wired:
    """Wire a kernel that treats amplitude and phase alike, each by itself, as `obj_type` chooses.

    A kernel with an argument `obj_type` is told which of the two it has.
    """
    told = "obj_type" in inspect.signature(kernel).parameters

    def run(inputs: Inputs, block: Block, outs: Updates) -> Outcome:
        given = {argument: inputs[source] for argument, source in scalars.items()}
        updates = {}
        for name in parts(block):
            kind = {"obj_type": name.removeprefix("object_")} if told else {}
            out = outs.get(name)
            updates[name] = kernel(inputs[name], out=out, **kind, **given, **options(block))
        return Outcome(updates)

    return Wired(run, lambda block: (*parts(block), *scalars.values()), parts)


def options(block: Block) -> dict[str, Any]:
    """Parameters of a block that its kernel takes, under the same names."""
    return {name: getattr(block, name) for name in _option_names(type(block))}


@functools.cache
def _option_names(model: type[Block]) -> tuple[str, ...]:
    return tuple(name for name in model.model_fields if name not in NOT_OPTIONS)


def parts(block: Any) -> tuple[str, ...]:
    """Fields of the object that a block's `obj_type` chooses, both without one."""
    kind = getattr(block, "obj_type", "both")
    return OBJECT if kind == "both" else (f"object_{kind}",)
