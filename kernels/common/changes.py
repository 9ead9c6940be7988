"""How much constraints change their arrays: asked for by a context, told where arrays are written.

A copy of an array and a pass over both take up to nine times as long as a clamp, and as much memory
as the object. Who writes an array has its old values at hand for a moment anyway.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from arraycon.kernels.common.arrays import Array, Namespace

Compare: TypeAlias = Callable[..., tuple[Array, Array]]
"""From new and old array and ``xp`` to Σ|new - old|² and Σ|old|², both as 0-d arrays."""

_collecting: contextvars.ContextVar[Changes | None] = contextvars.ContextVar(
    "arraycon_changes", default=None
)


class Changes:
    """Σ|new - old|² and Σ|old|² of arrays that were written to.

    Parameters
    ----------
    compare : callable
        What gives both sums of a new and an old array, for kernels that do not take them along.
    """

    def __init__(self, compare: Compare) -> None:
        self.compare = compare
        self._found: list[tuple[Array, Array]] = []

    def add(self, outs: Sequence[Array | None], sums: Array) -> None:
        """Take note of the sums (changed, 2) of arrays that have gone to `outs`."""
        pairs = zip(outs, sums, strict=True)
        self._found += [(out, pair) for out, pair in pairs if out is not None]

    def compared(
        self,
        new: Sequence[Array],
        old: Sequence[Array],
        outs: Sequence[Array | None],
        *,
        xp: Namespace,
    ) -> None:
        """Take note of what a comparison gives."""
        for x, y, out in zip(new, old, outs, strict=True):
            if out is not None:
                self._found.append((out, self.compare(x, y, xp=xp)))

    def of(self, array: Array) -> tuple[Array, Array] | None:
        """Return both sums of an array, or None if nothing was written to it."""
        for written, (changed, before) in self._found:
            if written is array:
                return changed, before
        return None


@contextlib.contextmanager
def collect(compare: Compare) -> Iterator[Changes]:
    """Collect the changes of arrays that are given as ``out`` within a ``with`` block."""
    found = Changes(compare)
    token = _collecting.set(found)
    try:
        yield found
    finally:
        _collecting.reset(token)


def collecting() -> Changes | None:
    """Return where changes are to be noted, or None if nobody asks."""
    return _collecting.get()
