"""Running: a plan on a store, pass by pass."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np

from arraycon.blockwise import arriving
from arraycon.blockwise.executors import Executor
from arraycon.blockwise.planning import Pass, Plan
from arraycon.blockwise.stores import Source, Store
from arraycon.blockwise.tasks import Done, Squares, Task, squares
from arraycon.blockwise.working import combined, concluded
from arraycon.kernels.common.steps import Like, Shared

logger = logging.getLogger("arraycon")

Progress: TypeAlias = Callable[[int, int, int, int], None]
"""Called with a pass, how many there are, and of how many blocks how many are done."""


class Way(Protocol):
    """How regions get their blocks, and where new ones go."""

    def work(
        self, each: Pass, likes: Mapping[str, Like], shared: Shared, before: Mapping[str, Source]
    ) -> Iterator[Done]:
        """Work on all regions of a pass; behind the last one the store has the new versions."""

    def arrive(self, arrays: Mapping[str, Any], limit: int) -> None:
        """Put a user's arrays into the store, in pieces of so many bytes at most."""

    def leave(self, arrays: Mapping[str, Any], limit: int) -> dict[str, Any]:
        """Return arrays with their new versions; what can fail comes before any is written."""


@dataclass(frozen=True)
class Streamed:
    """Blocks are read from files and written to files.

    Parameters
    ----------
    store : Store
    executor : Executor
    backend : {"numpy", "cupy"}
    """

    store: Store
    executor: Executor
    backend: str = "numpy"

    def work(
        self, each: Pass, likes: Mapping[str, Like], shared: Shared, before: Mapping[str, Source]
    ) -> Iterator[Done]:
        """Work on all regions of a pass; behind the last one the store has the new versions."""
        targets = {
            name: self.store.new(name, likes[name].shape, likes[name].dtype) for name in each.writes
        }
        sources = {name: self.store.sources[name] for name in each.reads}
        steps = [placed.step for placed in each.steps]
        task = Task(steps, sources, targets, shared, before, self.backend)
        yield from self.executor.map(task, each.regions)
        self.store.swap(targets)

    def arrive(self, arrays: Mapping[str, Any], limit: int) -> None:
        """Put a user's arrays into the store, in pieces of so many bytes at most."""
        arriving.arrive(self.store, arrays, self.executor, limit)

    def leave(self, arrays: Mapping[str, Any], limit: int) -> dict[str, Any]:
        """Return arrays with their new versions."""
        return {name: arriving.leave(self.store, name, x, limit) for name, x in arrays.items()}


@dataclass
class Tally:
    """What running a plan has taken so far.

    Attributes
    ----------
    bytes_read, bytes_written : int
    blocks : int
    seconds : list of float
        Of each pass.
    peak : int
        Most bytes that one of the processes has had.
    """

    bytes_read: int = 0
    bytes_written: int = 0
    blocks: int = 0
    seconds: list[float] = field(default_factory=list)
    peak: int = 0

    def add(self, done: Done) -> None:
        """Take up what came back from a region."""
        self.bytes_read += done.bytes_read
        self.bytes_written += done.bytes_written
        self.blocks += 1
        self.peak = max(self.peak, done.peak)


@dataclass
class Run:
    """A plan while it runs.

    Parameters
    ----------
    plan : Plan
    store : Store
        Every array that the plan reads. Afterwards it has the new versions.
    small : dict of str to array
        Small arrays by field, which are replaced by new ones.
    way : Way
        Where the arrays lie between passes.
    measure : bool
        Whether to compare what constraints change with what it was; the plan has to have each of
        them in passes of its own.
    progress : callable, optional

    Attributes
    ----------
    shared : dict
        What was concluded.
    changes : dict of (str, str) to pair of float
        By constraint and field, Σ|new - old|² and Σ|old|².
    after : dict of (str, str) to array
        By constraint and field, small arrays as it has left them.
    tally : Tally
    """

    plan: Plan
    store: Store
    small: dict[str, Any]
    way: Way
    measure: bool = False
    progress: Progress | None = None
    shared: dict[str, Any] = field(default_factory=dict)
    changes: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    after: dict[tuple[str, str], Any] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def __call__(self) -> None:
        """Run all passes; should one fail, the store is as it was before that one."""
        watch = _Watch(self) if self.measure else None
        for number, each in enumerate(self.plan.passes):
            start = time.perf_counter()
            before = watch.begin(number) if watch is not None else {}
            if each.regions:
                self._pass(number, each, before)
            if watch is not None:
                watch.end(number)
            self._locals(each)
            self.store.drop(each.drops)
            self.tally.seconds.append(time.perf_counter() - start)
            logger.debug("pass %d of %d: %s", number + 1, len(self.plan.passes), each.titles)

    def _pass(self, number: int, each: Pass, before: Mapping[str, Source]) -> None:
        steps = [placed.step for placed in each.steps]
        totals: list[Any] | None = None
        planes = {name: _zeros(each) for name in before}
        self._tell(number, 0, each)
        working = self.way.work(each, self.plan.lowered.likes, self.shared, before)
        for count, done in enumerate(working, 1):
            self.tally.add(done)
            totals = done.parts if totals is None else combined(steps, totals, done.parts)
            _place(planes, done.changes)
            self._tell(number, count, each)
        self.shared = concluded(steps, totals or [], self.shared)
        for name, found in planes.items():
            self._changed(each, name, float(found[0].sum()), float(found[1].sum()))

    def _tell(self, number: int, count: int, each: Pass) -> None:
        if self.progress is not None:
            self.progress(number + 1, len(self.plan.passes), count, len(each.regions))

    def _locals(self, each: Pass) -> None:
        for placed in each.locals:
            step = placed.step
            assert step.local is not None
            made = step.local({name: self.small[name] for name in step.small}, self.shared)
            for name, value in made.items():
                if name not in step.small:
                    self.shared[name] = value
                    continue
                if self.measure:
                    self._compare(placed.title, name, self.small[name], value)
                self.small[name] = value

    def _changed(self, each: Pass, name: str, changed: float, before: float) -> None:
        for title in each.titles:
            self.changes[title, name] = (changed, before)

    def _compare(self, title: str, name: str, old: Any, new: Any) -> None:
        flat = [np.asarray(x).reshape(1, 1, -1) for x in (new, old)]
        changed, before = squares(*flat)
        self.changes[title, name] = (float(changed.sum()), float(before.sum()))
        self.after[title, name] = new


def _zeros(each: Pass) -> Any:
    nz, ny, _ = each.regions[0].shape
    return np.zeros((2, nz, ny))


def _place(planes: Mapping[str, Any], changes: Mapping[str, Squares]) -> None:
    for name, (index, found) in changes.items():
        z, y = index
        planes[name][:, z, y] = found


class _Watch:
    """Keeps versions of arrays from before a constraint until it is done with them."""

    def __init__(self, run: Run) -> None:
        self._run = run
        passes = run.plan.passes
        self._first: dict[int, list[tuple[str, str]]] = {}
        self._last: dict[int, list[tuple[str, str]]] = {}
        self._versions: dict[tuple[str, str], Source] = {}
        for job in run.plan.lowered.jobs:
            own = [i for i, each in enumerate(passes) if job.constraint.name in each.titles]
            for name in job.targets:
                writing = [i for i in own if name in passes[i].writes]
                if writing:
                    self._first.setdefault(own[0], []).append((job.constraint.name, name))
                    self._last.setdefault(writing[-1], []).append((job.constraint.name, name))

    def begin(self, number: int) -> dict[str, Source]:
        """Keep what begins to change, and return what is to be compared with in this pass."""
        for key in self._first.get(number, ()):
            self._versions[key] = self._run.store.keep(key[1])
        return {key[1]: self._versions[key] for key in self._last.get(number, ())}

    def end(self, number: int) -> None:
        """Let go of what has been compared."""
        for key in self._last.get(number, ()):
            self._run.store.release(self._versions.pop(key))
