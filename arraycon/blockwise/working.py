"""Working: the steps of one pass on one region."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from arraycon.blockwise.regions import is_read
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.steps import Blocks, Region, Shared, Step

Read = Callable[[str], Array]
"""From the name of an array to a block of it, of which nobody else has the memory."""


def run_steps(
    steps: Sequence[Step], writes: Sequence[str], read: Read, shared: Shared, region: Region
) -> tuple[Blocks, list[Any]]:
    """Run the steps of a pass on one region.

    Each block is read when it is needed first, and forgotten behind the last step that reads it.

    Parameters
    ----------
    steps : sequence of Step
        Those with a halo are the first ones.
    writes : sequence of str
        Arrays that are to be written to the store.
    read : callable
        Reads the block of an array that lies in the region, its halo included.
    shared : mapping
        What earlier passes have concluded.
    region : Region

    Returns
    -------
    blocks : dict of str to array
        New blocks of `writes`, without halo.
    parts : list
        One for each step that has one, in order.
    """
    blocks: Blocks = {}
    parts: list[Any] = []
    inside = False
    for i, step in enumerate(steps):
        if not (inside or step.halo):
            blocks, inside = {name: _inner(x, region) for name, x in blocks.items()}, True
        where = region.without_halo() if inside else region
        for name in step.reads:
            if name not in blocks:
                blocks[name] = _inner(read(name), region) if inside else read(name)
        if step.work is not None:
            blocks.update(step.work(blocks, shared, where))
        if step.part is not None:
            parts.append(step.part(blocks, shared, where))
        later = steps[i + 1 :]
        blocks = {
            name: x for name, x in blocks.items() if is_read(name, later, at_end=name in writes)
        }
    return {
        name: x if inside else _inner(x, region) for name, x in blocks.items() if name in writes
    }, parts


def _inner(x: Array, region: Region) -> Array:
    return x[..., region.inner, :]


def combined(steps: Sequence[Step], parts: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """Join the parts of two regions, or of two groups of them, step by step."""
    own = [step for step in steps if step.part is not None]
    return [step.combine(a, b) for step, a, b in zip(own, parts, others, strict=True)]


def concluded(steps: Sequence[Step], totals: Sequence[Any], shared: Shared) -> dict[str, Any]:
    """Return what is shared behind a pass, with all parts joined."""
    found = dict(shared)
    own = [step for step in steps if step.part is not None]
    for step, total in zip(own, totals, strict=True):
        if step.conclude is not None:
            found.update(step.conclude(total, found))
    return found
