"""Advice on parameters that are valid but probably do not do what was meant."""

from __future__ import annotations

from collections.abc import Mapping

from arraycon.blocks import Block
from arraycon.constraints import declared


def about(blocks: Mapping[str, Block], given: frozenset[str]) -> list[str]:
    """Go through all blocks; `given` names those that the user wrote down."""
    known, found, own = declared(), [], []
    for name, block in blocks.items():
        if name in given and "start_iter" not in block.model_fields_set:
            found.append(_note_start(name, block, known[name].built_in))
        if block.start_iter and block.end_iter and block.end_iter <= block.start_iter:
            found.append(
                f"{name}: never runs, as end_iter {block.end_iter} is not after "
                f"start_iter {block.start_iter}"
            )
        if (advice := known[name].advice) is not None:
            own += advice(name, blocks, given)
    return found + own


def _note_start(name: str, block: Block, built_in: bool) -> str:
    if not block.enabled:
        return f"{name}: stays off, for no start_iter is given; start_iter: 1 switches it on"
    runs = f"{name}: runs from iteration {block.start_iter}, though no start_iter is given"
    return f"{runs}; PtyRAD's own loader would leave it off" if built_in else runs
