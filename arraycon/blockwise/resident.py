"""Resident: arrays that stay in the memory of a cluster's workers, in pieces, between passes.

A pass that cuts arrays as the one before did finds each piece where it works. One that cuts them
the other way, columns instead of slices, takes from every piece what it needs of it: that part is
cut off by the worker that has the piece and goes straight to the one that needs it. A worker that
is lost costs the repetition of what it had made, from the files or the pieces of the beginning.
"""

from __future__ import annotations

import importlib
import itertools
import math
import operator
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arraycon.blockwise import arriving
from arraycon.blockwise.executors import RETRIES, Cluster
from arraycon.blockwise.files import bounds
from arraycon.blockwise.planning import Pass
from arraycon.blockwise.spread import (
    Piece,
    Spread,
    Where,
    cut,
    inside,
    named,
    overlap,
    put,
    take,
    worked,
    write,
)
from arraycon.blockwise.stores import Source, Store
from arraycon.blockwise.tasks import Done, Task
from arraycon.kernels.common import elsewhere
from arraycon.kernels.common.steps import Like, Region, Shared


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
            made = self._submit(worked, task, region, given, old, retries=RETRIES, **options)
            for name, like in targets.items():
                where = bounds(like.shape, region.without_halo().of(like.shape))
                pieces[name].append(Piece(where, self._submit(named, made, name), worker))
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
        return common, self._submit(cut, piece.values, inside(common, piece.where))

    def arrive(self, arrays: Mapping[str, Any], limit: int) -> None:
        """Put a user's arrays into the store: dask's are made by the workers, and stay there."""
        others = {name: x for name, x in arrays.items() if not elsewhere.is_dask(x)}
        for name in arrays.keys() - others.keys():
            self.store.sources[name] = self.spread(arrays[name])
        arriving.arrive(self.store, others, self.cluster, limit)

    def leave(self, arrays: Mapping[str, Any], limit: int) -> dict[str, Any]:
        """Return arrays with their new versions; what can fail comes before any is written."""
        made = {name: self.as_dask(name) for name, x in arrays.items() if elsewhere.is_dask(x)}
        others = {name: x for name, x in arrays.items() if name not in made}
        for name in others:
            self.in_file(name)
        for name, x in others.items():
            made[name] = arriving.leave(self.store, name, x, limit)
        return made

    def in_file(self, name: str) -> None:
        """Let the workers write an array into a file, which takes its place in the store."""
        found = self.store.sources[name]
        if isinstance(found, Spread):
            target = self.store.new(name, found.shape, found.dtype)
            writing = [
                self._submit(write, target, each.where, each.values, retries=RETRIES)
                for each in found.pieces
            ]
            self.cluster.client.gather(writing)
            self.store.swap({name: target})

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
        left: list[Any] = []
        for each in found.pieces:
            places.append(
                tuple(parts.index(part) for parts, part in zip(cuts, each.where, strict=True))
            )
            left.append(self._submit(put, f"{made} {len(left)}", each.values))
        workers = self.cluster.client.gather(left)
        graph = {}
        for i, (place, worker) in enumerate(zip(places, workers, strict=True)):
            key, options = (made, *place), {"workers": [worker], "allow_other_workers": True}
            graph[key] = self._submit(take, f"{made} {i}", key=key, **options)
        wait(list(graph.values()))  # type: ignore[no-untyped-call]
        chunks = tuple(tuple(stop - start for start, stop in parts) for parts in cuts)
        meta = importlib.import_module(self.backend).empty((0,) * len(chunks), found.dtype)
        return dask_array.Array(graph, made, chunks, meta=meta)  # type: ignore[no-untyped-call]


def _lying(found: Mapping[str, Source]) -> dict[str, Source]:
    """Return those arrays that workers read themselves."""
    return {name: array for name, array in found.items() if not isinstance(array, Spread)}
