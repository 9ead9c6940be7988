"""Advice on parameters that are valid but probably do not do what was meant."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

from arraycon.blocks import Block
from arraycon.constraints import Constraint, declared, repeats


def about(blocks: Mapping[str, Block], given: frozenset[str]) -> list[str]:
    """Go through all blocks; `given` names those that the user wrote down."""
    declarations, found, own = declared(), [], []
    known = {name: repeats.find(name, declarations) for name in blocks}
    for name, block in blocks.items():
        one = known[name]
        if name in given and "start_iter" not in block.model_fields_set:
            found.append(_note_start(name, block, one.built_in))
        if block.start_iter and block.end_iter and block.end_iter <= block.start_iter:
            found.append(
                f"{name}: never runs, as end_iter {block.end_iter} is not after "
                f"start_iter {block.start_iter}"
            )
        if name in given and block.enabled and one.idle is not None and one.idle(block):
            found.append(f"{name}: changes nothing with these parameters")
        if one.advice is not None:
            own += one.advice(name, blocks, given)
    return [*found, *own, *_smoothed_twice(blocks, given, known)]


def _note_start(name: str, block: Block, built_in: bool) -> str:
    if not block.enabled:
        return f"{name}: stays off, for no start_iter is given; start_iter: 1 switches it on"
    runs = f"{name}: runs from iteration {block.start_iter}, though no start_iter is given"
    return f"{runs}; PtyRAD's own loader would leave it off" if built_in else runs


def _smoothed_twice(
    blocks: Mapping[str, Block], given: frozenset[str], known: Mapping[str, Constraint]
) -> Iterator[str]:
    """Name pairs of low-passes in one direction, on one part of the object, at one time."""
    where = {
        name: one.smooths(blocks[name])
        for name, one in known.items()
        if one.smooths is not None and not (one.idle is not None and one.idle(blocks[name]))
    }
    for first, then in itertools.combinations(where, 2):
        shared = [way for way in where[then] if way in where[first]]
        if shared and _meet(blocks[first], blocks[then]):
            by_default = "" if first in given else ", the latter only by default"
            yield (
                f"{then} and {first} both smooth {' and '.join(shared)}{by_default}; "
                f"{first}: null switches it off"
            )


def _meet(one: Block, other: Block) -> bool:
    """Whether both run at some time, on the same part of the object."""
    if one.start_iter is None or other.start_iter is None:
        return False
    ends = [block.end_iter for block in (one, other) if block.end_iter is not None]
    together = max(one.start_iter, other.start_iter) < min(ends, default=math.inf)
    return together and not _touched(one).isdisjoint(_touched(other))


def _touched(block: Block) -> set[str]:
    kind = getattr(block, "obj_type", "both")
    return {"amplitude", "phase"} if kind in ("both", "complex") else {kind}
