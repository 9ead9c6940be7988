"""Larger: a schedule on a state whose arrays are worked on block by block."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.blocks import Block
from arraycon.blockwise import arriving, executors, lowering, planning, regions
from arraycon.blockwise.executors import Cluster, Executor
from arraycon.blockwise.resident import Resident
from arraycon.blockwise.running import Progress, Run, Streamed, Way
from arraycon.blockwise.stores import Held, Store, source
from arraycon.constraints import Constraint
from arraycon.io import memory
from arraycon.kernels import metrics
from arraycon.kernels.common import arrays, check, elsewhere
from arraycon.pipeline.record import Measured, Metrics, Record, Skipped, relative_change
from arraycon.pipeline.report import Report
from arraycon.pipeline.signals import Held as Signals
from arraycon.showing.words import readable
from arraycon.state import ARRAYS, FIELDS, State

logger = logging.getLogger("arraycon")

Due = Sequence[tuple[Constraint, Block, str]]
"""What runs, in order, with a note for each."""

_OBJECTS = ("object", "object_amplitude", "object_phase")
# Shares of what is free here or on a device, and of the limit of one of dask's workers, which has
# more in memory than blocks (and begins to write what it keeps to a disk at .6 of the limit); and
# what is taken where nothing is known.
_OF_FREE, _OF_DEVICE, _OF_WORKER, _OF_KEEPER, _UNKNOWN = 4, 2, 3, 2, 10**9


@dataclass(frozen=True)
class Options:
    """How arrays are worked on block by block.

    Parameters
    ----------
    executor, memory, scratch, backend, progress, resident
        As for `Constraints.apply`.
    """

    executor: Any = None
    memory: Any = None
    scratch: Any = None
    backend: str = "numpy"
    progress: Progress | None = None
    resident: bool = False

    @property
    def given(self) -> bool:
        """Whether anything is asked for that makes sense for blocks alone."""
        return self.resident or not (self.executor is self.memory is self.scratch is None)

    def workers(self) -> Executor:
        """Return who works on blocks, if that goes with the rest.

        Raises
        ------
        TypeError, ValueError
            It does not, or is no executor.
        """
        check.choice("backend", self.backend, ("numpy", "cupy"))
        found = executors.executor(self.executor)
        if self.resident and not isinstance(found, Cluster):
            got = "none" if self.executor is None else type(found).__name__.lower()
            raise ValueError(
                f"resident: expected a distributed.Client as executor, whose workers keep the "
                f"arrays, got {got}"
            )
        return found


def is_wanted(state: object, options: Options) -> bool:
    """Whether a state is to be worked on block by block."""
    if not isinstance(state, State):
        return False  # what is wrong with it is said where all states are checked
    if options.given:
        return True
    held = state.__dict__
    plain = (np.ndarray, type(None))
    if all(type(held[name]) in plain for name in ARRAYS):
        return False  # the usual answer, at every call
    return any(elsewhere.kind(held[name]) for name in ARRAYS) or _is_large(state)


def _is_large(state: State) -> bool:
    """Whether memory maps of the object would fill this machine's memory."""
    maps = [x for name in _OBJECTS if isinstance(x := getattr(state, name), np.memmap)]
    free = memory.free()
    return bool(maps) and free is not None and sum(x.nbytes for x in maps) > free // _OF_FREE


def require_memory(state: State, what: str) -> None:
    """Refuse arrays that lie elsewhere where only those in memory can be used."""
    if isinstance(state, State):
        for name in ARRAYS:
            if kind := elsewhere.kind(getattr(state, name)):
                raise TypeError(
                    f"{name}: expected an array in memory for {what}, got {kind}; "
                    f"Constraints.apply works on it block by block"
                )


def refuse(monitor: Any) -> None:
    """Refuse what looks at whole arrays between constraints."""
    if monitor is not None:
        raise ValueError(
            "monitor: expected None where arrays are worked on block by block, got one: it looks "
            "at the whole object behind each constraint; measure=True gives the changes"
        )


def plan(due: Due, state: State, options: Options, *, measure: bool = False) -> planning.Plan:
    """Plan what is due; see `Constraints.plan`."""
    executor = options.workers()
    return _plan(due, state, executor, options, measure)


def apply(
    due: Due,
    skipped: tuple[Skipped, ...],
    state: State,
    iteration: int,
    options: Options,
    *,
    measure: bool = False,
) -> Report:
    """Run what is due; see `Constraints.apply`."""
    executor = options.workers()
    made = _plan(due, state, executor, options, measure)
    if options.executor is None:
        _say(state, made.limit)
    small = {
        name: _read(name, state) for each in made.passes for name in _small_arrays(each, state)
    }
    held = {name: getattr(state, name) for name in _large_arrays(made, state)}
    with arriving.opened(options.scratch, held) as store:
        store.scratch.require(_disk(made))
        way: Way = Streamed(store, executor, options.backend)
        if options.resident:
            assert isinstance(executor, Cluster)
            way = Resident(store, executor, options.backend)
        way.arrive({**held, **made.lowered.planes}, made.limit)
        before = dict(store.sources)
        run = Run(made, store, dict(small), way, measure, options.progress)
        run()
        with Signals():
            _leave(state, store, before, small, run, made.limit)
    return Report(tuple(_record(job, iteration, run) for job in made.lowered.jobs), skipped)


def _memory(options: Options, executor: Executor) -> int:
    """Return the bytes that all workers have for blocks together."""
    if options.memory is not None:
        asked = regions.parse_memory(options.memory)
        return executor.share(asked) if isinstance(executor, Cluster) else asked
    if options.backend == "cupy":
        if isinstance(executor, Cluster):
            return executor.share(executor.device() // _OF_DEVICE)
        return executors.on_device() // _OF_DEVICE
    if isinstance(executor, Cluster) and executor.limit is not None:
        return executor.share(executor.limit // (_OF_KEEPER if options.resident else _OF_WORKER))
    host = memory.free()
    return _UNKNOWN if host is None else max(host // _OF_FREE, 1)


def _say(state: State, limit: int) -> None:
    kinds = [
        f"{name} is {kind}" for name in ARRAYS if (kind := elsewhere.kind(getattr(state, name)))
    ]
    logger.info(
        "block by block, with %s of memory for blocks: %s",
        readable(limit),
        ", ".join(kinds) or "asked for by memory or scratch, or a large memory map",
    )


def _plan(
    due: Due, state: State, executor: Executor, options: Options, measure: bool
) -> planning.Plan:
    held = {
        name: elsewhere.outline(name, x)
        for name in ARRAYS
        if (x := getattr(state, name)) is not None
    }
    _require_numpy(held)
    numbers = {name: getattr(state, name) for name in FIELDS if name not in ARRAYS}
    if any("illumination" in step.needs(block) for step, block, _ in due):
        numbers["illumination"] = _read("illumination", state)
    lowered = lowering.lower(due, lowering.likes(held), numbers)
    there = [name for name in lowering.LARGE if elsewhere.is_dask(getattr(state, name))]
    return planning.plan(
        lowered,
        memory=_memory(options, executor),
        workers=executor.workers,
        apart=measure,
        resident=there if options.resident else None,
    )


def _require_numpy(held: Mapping[str, Any]) -> None:
    for name, x in held.items():
        if not isinstance(x, np.ndarray):
            raise TypeError(
                f"{name}: expected a NumPy array or one in a file, to be worked on block by "
                f"block, got one of {arrays.library(x)}"
            )


def _read(name: str, state: State) -> Any:
    """Return a whole array, which is small, as NumPy's own."""
    array = getattr(state, name)
    if elsewhere.is_dask(array):
        return np.array(array.compute(scheduler="synchronous"))
    found = source(array, travels=False) or Held(array)
    return found.read((slice(None),) * len(found.shape))


def _small_arrays(each: planning.Pass, state: State) -> list[str]:
    names = dict.fromkeys(name for placed in each.locals for name in placed.step.small)
    return [name for name in names if getattr(state, name) is not None]


def _large_arrays(made: planning.Plan, state: State) -> list[str]:
    names = dict.fromkeys(
        name for each in made.passes for name in (*each.reads, *each.writes) if name in ARRAYS
    )
    return [name for name in names if getattr(state, name) is not None]


def _disk(made: planning.Plan) -> int:
    """Bytes of scratch that a plan takes: each version beside the one before it."""
    there: dict[str, int] = {}
    most = 0
    for each in made.passes:
        sizes = {name: regions.nbytes(made.lowered.likes[name]) for name in each.writes}
        most = max(most, sum(there.values()) + sum(sizes.values()))
        there |= sizes
        for name in each.drops:
            there.pop(name, None)
    return most


def _leave(
    state: State,
    store: Store,
    before: Mapping[str, Any],
    small: Mapping[str, Any],
    run: Run,
    limit: int,
) -> None:
    """Write what has changed into the state's arrays."""
    changed = {
        name: array
        for name, found in store.sources.items()
        if name in ARRAYS
        and (array := getattr(state, name)) is not None
        and found is not before.get(name)
    }
    for name, new in run.way.leave(changed, limit).items():
        setattr(state, name, new)
    for name, new in run.small.items():
        if new is not small[name]:
            _put(state, name, new)


def _put(state: State, name: str, new: Any) -> None:
    array = getattr(state, name)
    if elsewhere.is_dask(array):
        setattr(state, name, arriving.dask_array().from_array(new, chunks=array.chunks))
    else:
        array[...] = new


def _record(job: lowering.Job, iteration: int, run: Run) -> Record:
    name, shared = job.constraint.name, run.shared
    figures: dict[str, Measured] = {}
    for field in job.targets:
        if (name, field) in run.changes:
            figures[f"{field}: relative change"] = relative_change(*run.changes[name, field])
        if (name, field) in run.after and field == "probe":
            probe = run.after[name, field]
            xp = arrays.namespace(probe=probe)
            figures["probe: power per mode"] = metrics.mode_powers(probe, xp=xp)
    figures |= {title: shared[key] for title, key in job.figures.items() if key in shared}
    returned = {each: shared[key] for each, key in job.returned.items() if key in shared}
    return Record(name, iteration, job.targets, Metrics(figures), returned, job.note)
