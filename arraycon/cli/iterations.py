"""Iterations: as they are typed and said, and when constraints are due."""

from __future__ import annotations

from arraycon.blocks import Block


def say(iterations: range) -> str:
    """Name a range of iterations."""
    if len(iterations) == 1:
        return f"iteration {iterations[0]}"
    return f"iterations {iterations[0]} to {iterations[-1]} ({len(iterations)} in all)"


def parse_iterations(text: str) -> range:
    """Read ``A:B``, both included and counted from 1.

    Raises
    ------
    ValueError
        It is something else.
    """
    first, colon, last = text.partition(":")
    try:
        numbers = int(first), int(last)
    except ValueError:
        numbers = (0, 0)
    if not colon or not 1 <= numbers[0] <= numbers[1] < 2**53:
        raise ValueError(
            f"--iterations: expected A:B with 1 ≤ A ≤ B, from A to B with both included, "
            f"got {text!r}"
        )
    return range(numbers[0], numbers[1] + 1)


def next_due(block: Block, after: int) -> int | None:
    """First iteration later than `after` at which a constraint runs; None if there is none."""
    if block.start_iter is None:
        return None
    steps = max(0, (after - block.start_iter) // block.step + 1)
    due = block.start_iter + steps * block.step
    return due if block.is_due(due) else None
