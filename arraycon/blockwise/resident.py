"""Resident: arrays that stay in the memory of a cluster's workers, in pieces, between passes.

A pass that cuts arrays as the one before did finds each piece where it works. One that cuts them
the other way, columns instead of slices, takes from every piece what it needs of it: that part is
cut off by the worker that has the piece and goes straight to the one that needs it. A worker that
is lost costs the repetition of what it had made, from the files or the pieces of the beginning.
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import math
import operator
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from arraycon.blockwise.executors import RETRIES, Cluster, with_one_thread
from arraycon.blockwise.files import Index, Numbers, bounds
from arraycon.blockwise.planning import Pass
from arraycon.blockwise.stores import Source, Store
from arraycon.blockwise.tasks import Done, Task
from arraycon.kernels.blocks.tools import placed
from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.steps import Blocks, Like, Region, Shared

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
                out[_inside(common, wanted)] = values[_inside(common, where)]
        return out


def overlap(a: Where, b: Where) -> Where | None:
    """Return what two parts of an array have in common, if anything."""
    found = tuple(
        (max(start, first), min(stop, last))
        for (start, stop), (first, last) in zip(a, b, strict=True)
    )
    return found if all(start < stop for start, stop in found) else None


def _inside(part: Where, whole: Where) -> Index:
    return tuple(
        slice(start - first, stop - first)
        for (start, stop), (first, _) in zip(part, whole, strict=True)
    )


@dataclass
class Resident:
    """New versions of arrays stay with the workers that have made them.

    Parameters
    ----------
    store : Store
    cluster : Cluster
    backend : {"numpy", "cupy"}

    Attributes
    ----------
    bytes_exchanged : int
        What workers had to have of others, so far.
    """

    store: Store
    cluster: Cluster
    backend: str = "numpy"
    bytes_exchanged: int = field(default=0, init=False)

    def work(
        self, each: Pass, likes: Mapping[str, Like], shared: Shared, before: Mapping[str, Source]
    ) -> Iterator[Done]:
        """Work on all regions of a pass; behind the last one the store has the new versions."""
        from distributed import as_completed

        found = {name: self.store.sources[name] for name in each.reads}
        targets = {name: likes[name] for name in each.writes}
        steps = [placed.step for placed in each.steps]
        task = Task(steps, _lying(found), targets, shared, _lying(before), self.backend)
        pieces: dict[str, list[Piece]] = {name: [] for name in targets}
        arriving = []
        for region, worker in zip(each.regions, self._places(len(each.regions)), strict=True):
            given = self._given(found, region, worker)
            old = self._given(before, region.without_halo(), worker)
            options: dict[str, Any] = {"workers": [worker], "allow_other_workers": True}
            made = self._submit(_work, task, region, given, old, retries=RETRIES, **options)
            for name, like in targets.items():
                where = bounds(like.shape, region.without_halo().of(like.shape))
                pieces[name].append(Piece(where, self._submit(_named, made, name), worker))
            arriving.append(self._submit(operator.itemgetter(0), made))
        waiting: Any = as_completed(arriving)  # type: ignore[no-untyped-call]
        for done in waiting:
            yield done.result()
        self.store.swap(
            {
                name: Spread(like.shape, np.dtype(like.dtype), pieces[name])
                for name, like in targets.items()
            }
        )

    def _places(self, number: int) -> list[str]:
        """Say who works on each of some regions: neighbours with one worker, as many with each."""
        threads = self.cluster.client.nthreads()
        places = [worker for worker in sorted(threads) for _ in range(threads[worker])]
        return [places[i * len(places) // number] for i in range(number)]

    def _submit(self, function: Any, *given: Any, **options: Any) -> Any:
        return self.cluster.client.submit(function, *given, pure=False, **options)

    def _given(self, found: Mapping[str, Source], region: Region, worker: str) -> dict[str, Any]:
        """Return what a worker needs of the arrays that are spread, as futures."""
        given = {}
        for name, array in found.items():
            if isinstance(array, Spread):
                wanted = bounds(array.shape, region.of(array.shape))
                parts = [self._part(array, piece, wanted, worker) for piece in array.pieces]
                own = [part for part in parts if part is not None]
                given[name] = array.shape, array.dtype.str, own
        return given

    def _part(self, array: Spread, piece: Piece, wanted: Where, worker: str) -> Any:
        common = overlap(piece.where, wanted)
        if common is None:
            return None
        if worker != piece.worker:
            size = math.prod(stop - start for start, stop in common)
            self.bytes_exchanged += size * array.dtype.itemsize
        if common == piece.where:
            return common, piece.values
        # dask has it done by who has the piece
        return common, self._submit(_cut, piece.values, _inside(common, piece.where))

    def in_file(self, name: str) -> Source:
        """Let the workers write an array into a file, which takes its place in the store."""
        found = self.store.sources[name]
        if isinstance(found, Spread):
            target = self.store.new(name, found.shape, found.dtype)
            writing = [
                self._submit(_write, target, each.where, each.values, retries=RETRIES)
                for each in found.pieces
            ]
            self.cluster.client.gather(writing)
            self.store.swap({name: target})
        return self.store.sources[name]

    def spread(self, array: Any) -> Spread:
        """Let the workers make the chunks of a dask array, if they have not yet, and keep them."""
        from distributed import client as dask_client

        client = self.cluster.client
        kept = client.persist(array)
        futures = {each.key: each for each in dask_client.futures_of(kept)}  # type: ignore[no-untyped-call]
        dask_client.wait(list(futures.values()))  # type: ignore[no-untyped-call]
        holders = client.who_has(list(futures.values()))
        pieces = []
        starts = [list(itertools.accumulate(sizes, initial=0)) for sizes in array.chunks]
        for position in itertools.product(*map(range, array.numblocks)):
            key = (kept.name, *position)
            future = futures[key]
            if future.status == "error":
                future.result()
            where = tuple((cuts[i], cuts[i + 1]) for cuts, i in zip(starts, position, strict=True))
            pieces.append(Piece(where, future, next(iter(holders[key]), "")))
        return Spread(tuple(array.shape), np.dtype(array.dtype), pieces)

    def as_dask(self, name: str) -> Any:
        """Return an array as one of dask's, whose chunks are the pieces, where they are.

        Its graph has the chunks and nothing of how they were made: a loop does not grow it, and a
        chunk whose worker is lost is lost.
        """
        from dask import array as dask_array
        from distributed import wait

        found = self.store.sources[name]
        assert isinstance(found, Spread)
        made = f"arraycon-{uuid.uuid4().hex}"
        axes = range(len(found.shape))
        cuts = [sorted({each.where[axis] for each in found.pieces}) for axis in axes]
        places: list[tuple[int, ...]] = []
        put: list[Any] = []
        for each in found.pieces:
            places.append(
                tuple(cut.index(part) for cut, part in zip(cuts, each.where, strict=True))
            )
            put.append(self._submit(_put, f"{made} {len(put)}", each.values))
        workers = self.cluster.client.gather(put)
        graph = {}
        for i, (place, worker) in enumerate(zip(places, workers, strict=True)):
            key, options = (made, *place), {"workers": [worker], "allow_other_workers": True}
            graph[key] = self._submit(_take, f"{made} {i}", key=key, **options)
        wait(list(graph.values()))  # type: ignore[no-untyped-call]
        chunks = tuple(tuple(stop - start for start, stop in cut) for cut in cuts)
        meta = importlib.import_module(self.backend).empty((0,) * len(chunks), found.dtype)
        return dask_array.Array(graph, made, chunks, meta=meta)  # type: ignore[no-untyped-call]


def _lying(found: Mapping[str, Source]) -> dict[str, Source]:
    """Return those arrays that workers read themselves."""
    return {name: array for name, array in found.items() if not isinstance(array, Spread)}


def _work(
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


def _named(made: tuple[Done, Blocks], name: str) -> Array:
    return made[1][name]


def _cut(values: Array, index: Index) -> Array:
    """Return a part that does not keep the rest."""
    return arrays.contiguous_copy(values[index])


def _write(target: Numbers, where: Where, values: Array) -> None:
    target.write(tuple(slice(*each) for each in where), placed.here(values))


_handed: dict[str, Array] = {}
"""What one task leaves for another one of the same worker, which must not depend on it."""
_missed: dict[str, int] = {}
_TRIES = 20


def _put(key: str, values: Array) -> str:
    from distributed import get_worker

    _handed[key] = values
    return str(get_worker().address)


def _take(key: str) -> Array:
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
