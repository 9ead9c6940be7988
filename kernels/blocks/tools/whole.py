"""Doors on regions as they are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from arraycon.kernels.common.steps import Blocks, Layout, Region, Shared, Step


def step(
    door: Callable[..., Any],
    layout: Layout,
    reads: Sequence[str],
    writes: Sequence[str],
    options: Mapping[str, Any],
    **properties: Any,
) -> Step:
    """Return one step that runs a door.

    Parameters
    ----------
    door : callable
        Takes arrays by the names in `reads`, and gives those in `writes` in this order.
    layout : {"any", "slices", "columns"}
        Regions on which it gives what it gives on the whole.
    reads, writes : sequence of str
    options : mapping
        Its other arguments.
    **properties
        What else is to be said of the step.
    """
    work = functools.partial(run, door, tuple(reads), tuple(writes), dict(options))
    return Step(layout, tuple(reads), tuple(writes), work=work, **properties)


def run(
    door: Callable[..., Any],
    reads: tuple[str, ...],
    writes: tuple[str, ...],
    options: Mapping[str, Any],
    blocks: Blocks,
    shared: Shared,
    region: Region,
) -> Blocks:
    """Run a door in place on the blocks that it writes."""
    outs = tuple(blocks[name] for name in writes)
    answer = door(
        **{name: blocks[name] for name in reads},
        out=outs if len(outs) > 1 else outs[0],
        **options,
    )
    results = answer if isinstance(answer, tuple) else (answer,)
    return dict(zip(writes, results, strict=False))


def lateral(door: Callable[..., Any], options: Mapping[str, Any]) -> Step:
    """Return the step of a linear filter of each slice of "obj"."""
    return step(door, "slices", ("obj",), ("obj",), options, linear_in_slices=True)


def depth(door: Callable[..., Any], options: Mapping[str, Any]) -> Step:
    """Return the step of a linear filter of each column of "obj"."""
    return step(door, "columns", ("obj",), ("obj",), options, linear_in_depth=True)
