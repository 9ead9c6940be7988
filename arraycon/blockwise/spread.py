"""Spread: arrays in pieces that the workers of a cluster have, and what a worker does with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from arraycon.blockwise.executors import with_one_thread
from arraycon.blockwise.files import Index, Numbers, bounds
from arraycon.blockwise.tasks import Done, Task
from arraycon.kernels.blocks.tools import placed
from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.steps import Blocks, Region

Where: TypeAlias = "tuple[tuple[int, int], ...]"
"""From and to along each axis."""


@dataclass(frozen=True)
class Piece:
    """A part of an array that one worker has.

    Parameters
    ----------
    where : tuple of (int, int)
        Which part.
    values : distributed.Future
    worker : str
        Address of who has it.
    """

    where: Where
    values: Any
    worker: str


@dataclass(frozen=True, eq=False)
class Spread:
    """An array in pieces that cover it, on some workers.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    pieces : sequence of Piece
    """

    shape: tuple[int, ...]
    dtype: Any
    pieces: Sequence[Piece]

    def read(self, *_: Any, **__: Any) -> Any:
        """Refuse: this process has none of it."""
        raise TypeError("expected a worker, got the process that has given it its pieces")


@dataclass(frozen=True, eq=False)
class Gathered:
    """An array as a worker sees it: those parts of it that it works on.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    parts : sequence of (Where, array)
        What they overlap in is the same in both.
    """

    shape: tuple[int, ...]
    dtype: Any
    parts: Sequence[tuple[Where, Array]]

    def read(self, index: Index, **_: Any) -> Any:
        """Return a region as an array of its own, beside the parts it is put together from."""
        wanted = bounds(self.shape, index)
        first = self.parts[0][1]
        xp = arrays.namespace(array=first)
        out = xp.empty(
            tuple(stop - start for start, stop in wanted),
            dtype=first.dtype,
            device=arrays.device(first),
        )
        for where, values in self.parts:
            common = overlap(where, wanted)
            if common is not None:
                out[inside(common, wanted)] = values[inside(common, where)]
        return out


def overlap(a: Where, b: Where) -> Where | None:
    """Return what two parts of an array have in common, if anything."""
    found = tuple(
        (max(start, first), min(stop, last))
        for (start, stop), (first, last) in zip(a, b, strict=True)
    )
    return found if all(start < stop for start, stop in found) else None


def inside(part: Where, whole: Where) -> Index:
    """Return where a part lies, counted from the beginning of what it is a part of."""
    return tuple(
        slice(start - first, stop - first)
        for (start, stop), (first, _) in zip(part, whole, strict=True)
    )


def worked(
    task: Task, region: Region, given: Mapping[str, Any], old: Mapping[str, Any]
) -> tuple[Done, Blocks]:
    """Work on one region with the parts of arrays that it needs."""
    task = dataclasses.replace(
        task,
        sources={**task.sources, **_gathered(given)},
        before={**task.before, **_gathered(old)},
    )
    return with_one_thread(task.kept, region)


def _gathered(given: Mapping[str, Any]) -> dict[str, Gathered]:
    return {
        name: Gathered(shape, np.dtype(dtype), parts)
        for name, (shape, dtype, parts) in given.items()
    }


def named(made: tuple[Done, Blocks], name: str) -> Array:
    """Return one of the new blocks."""
    return made[1][name]


def cut(values: Array, index: Index) -> Array:
    """Return a part that does not keep the rest."""
    return arrays.contiguous_copy(values[index])


def write(target: Numbers, where: Where, values: Array) -> None:
    """Write a part into a file."""
    target.write(tuple(slice(*each) for each in where), placed.here(values))


_handed: dict[str, Array] = {}
"""What one task leaves for another one of the same worker, which must not depend on it."""
_missed: dict[str, int] = {}
_TRIES = 20


def put(key: str, values: Array) -> str:
    """Leave a block for `take`, and say where."""
    from distributed import get_worker

    _handed[key] = values
    return str(get_worker().address)


def take(key: str) -> Array:
    """Return what `put` has left with this worker, whatever it was made of.

    Raises
    ------
    Reschedule
        Another worker has it, as far as is known.
    RuntimeError
        It does not, after many tries.
    """
    if key in _handed:
        return _handed.pop(key)
    from distributed import Reschedule

    # an idle worker has taken it over, or the one that had it is lost
    _missed[key] = _missed.get(key, 0) + 1
    if _missed[key] < _TRIES:
        raise Reschedule
    raise RuntimeError(
        "executor: a worker is gone that had a part of the object in its memory: hand the object "
        "over again"
    )
