"""How long do constraints take block by block, what do they move, and does a model predict it?

    python bench/blockwise.py FOLDER > table.md

makes objects of random numbers in FOLDER (up to 3 GB, removed at the end) and prints the tables of
``bench/blockwise.md``. A time is the median of three rounds, in which all cases of a table take
turns. They are given as ratios: against moving the same bytes and nothing else, or against the
same schedule in memory.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import arraycon
from arraycon.blockwise import arriving, executors, lowering, planning, resident, running, tasks
from arraycon.blockwise.files import npy
from arraycon.blockwise.stores import Stored
from arraycon.constraints import declared

FIELDS = ("object_amplitude", "object_phase")
SCHEDULE: dict[str, Any] = {
    "obj_rblur": {"start_iter": 1},
    "kz_filter": {"start_iter": 1},
    "complex_ratio": {"start_iter": 1},
    "mirrored_amp": {"start_iter": 1},
    "obja_thresh": {"start_iter": 1},
    "objp_postiv": {"start_iter": 1},
}
NUMBERS = {"dx": 0.2, "wavelength": 0.025, "slice_thickness": 8.0, "probe_intensity": 100.0}
ROUNDS = 3
MB = 1e6


def stored(folder: Path, shape: tuple[int, ...]) -> dict[str, Stored]:
    """Objects in files, written a slice at a time."""
    rng, found = np.random.default_rng(0), {}
    for name in FIELDS:
        numbers = npy(str(Path(tempfile.mkdtemp(dir=folder)) / "x.npy"), shape, "float32")
        for z in range(shape[1]):
            plane = 0.05 * rng.standard_normal((1, 1, *shape[2:]), "float32")
            numbers.write(
                (slice(0, 1), slice(z, z + 1), slice(0, shape[2]), slice(0, shape[3])),
                plane + (1 if name == FIELDS[0] else 0.1),
            )
        found[name] = Stored(numbers)
    return found


@dataclass
class Cost:
    """What one run took."""

    seconds: float
    passes: planning.Plan
    tally: running.Tally
    travelled: int


class Counting:
    """An executor, and the bytes that come back from blocks."""

    def __init__(self, inside: Any) -> None:
        self.inside, self.workers, self.travels = inside, inside.workers, inside.travels
        self.travelled = 0

    def map(self, function: Callable[..., Any], items: Any) -> Iterator[Any]:
        for done in self.inside.map(function, items):
            self.travelled += len(pickle.dumps(done))
            yield done


def run(found: dict[str, Stored], executor: Any, limit: int, folder: Path) -> Cost:
    """Run the schedule once, result left in scratch files and removed."""
    constraints = arraycon.Constraints(SCHEDULE)
    due = [(step, block, "") for step, block in constraints.steps if block.enabled]
    counting = Counting(executors.executor(executor))
    memory = limit if not counting.travels else counting.inside.share(limit)
    plan = planning.plan(
        lowering.lower(due, lowering.likes(found), NUMBERS), memory=memory, workers=counting.workers
    )
    start = time.perf_counter()
    with arriving.opened(folder, {}) as store:
        arriving.arrive(store, found, counting, plan.limit)
        one = running.Run(plan, store, {}, running.Streamed(store, counting))
        one()
        seconds = time.perf_counter() - start
    return Cost(seconds, plan, one.tally, counting.travelled)


def moving(cost: Cost, found: dict[str, Stored], folder: Path) -> tuple[float, float]:
    """Seconds per byte of reading and writing what a run has read and written, and no more."""
    read = write = 0.0
    likes, plan = cost.passes.lowered.likes, cost.passes
    sources: dict[str, Any] = {name: array.source for name, array in found.items()}
    for number, each in enumerate(plan.passes):
        targets = {
            name: npy(str(folder / f"{number} {name}.npy"), likes[name].shape, likes[name].dtype)
            for name in each.writes
        }
        for region in each.regions:
            start = time.perf_counter()
            blocks = {
                name: sources[name].read(region.of(sources[name].shape)) for name in each.reads
            }
            middle = time.perf_counter()
            for name, target in targets.items():
                index = region.of(target.shape)
                shape = [
                    len(range(*cut.indices(n))) for cut, n in zip(index, target.shape, strict=True)
                ]
                block = blocks.get(name)
                target.write(index, np.zeros(shape, target.dtype) if block is None else block)
            read, write = read + middle - start, write + time.perf_counter() - middle
        sources.update(targets)
    for path in folder.glob("* *.npy"):
        path.unlink()
    return read / plan.bytes_read, write / plan.bytes_written


def in_memory(found: dict[str, Stored], threads: int) -> float:
    """Seconds of the schedule on arrays in memory."""
    state = arraycon.State(**{name: array[...] for name, array in found.items()}, **NUMBERS)
    constraints = arraycon.Constraints(SCHEDULE)
    start = time.perf_counter()
    with arraycon.use_threads(threads):
        constraints.apply(state, 1)
    return time.perf_counter() - start


@dataclass
class Model:
    """What a run takes: moving bytes, computing, and what each block costs by itself.

    Parameters
    ----------
    read, write, compute : float
        Seconds per byte read, written, and of the object, of one worker.
    block : float
        Seconds for each block.
    """

    read: float
    write: float
    compute: float
    block: float

    def seconds(self, plan: planning.Plan, size: int, workers: float) -> float:
        """Seconds of a plan on an object of so many bytes."""
        blocks = sum(len(each.regions) for each in plan.passes)
        moved = plan.bytes_read * self.read + plan.bytes_written * self.write
        return (moved + size * self.compute) / workers + blocks * self.block


def per_block(executor: Any) -> float:
    """Seconds that a block takes without anything to do."""
    start = time.perf_counter()
    for _ in executors.executor(executor).map(abs, range(200)):
        pass
    return (time.perf_counter() - start) / 200


def work(_: int) -> float:
    """Compute for some 50 ms, in memory that is new each time, as blocks are."""
    return sum(
        float(np.sqrt(values * values + values).sum())
        for values in (np.ones((1024, 1024), "float32") for _ in range(20))
    )


def gain(executor: Any) -> float:
    """How much more than one thread all workers do at once, of work that shares nothing."""
    used = executors.executor(executor)
    start = time.perf_counter()
    for _ in range(20):
        work(0)
    middle = time.perf_counter()
    for _ in used.map(work, range(20)):
        pass
    end = time.perf_counter()
    return (middle - start) / (end - middle)


def sizes(folder: Path, client: Any) -> Model:
    """Print time, bytes and peak over object size, block size and workers, beside the model.

    Its numbers are from the first case, one thread on the smallest object; all others are checks.
    """
    print(
        "| object | memory | executor | passes | blocks | read + written | time / moving alone | "
        "time / in memory | predicted / measured | travelled | peak of a worker |\n"
        "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    kinds = {"serial": "serial", "threads, 2": executors.Threads(2), "2 processes": client}
    empty = {name: per_block(kind) for name, kind in kinds.items()}
    gains: list[float] = []
    model = None
    for shape in ((1, 16, 1024, 1024), (1, 32, 1024, 1024)):
        found, size = stored(folder, shape), 2 * int(np.prod(shape)) * 4
        limits = (50, 150) if shape[1] == 16 else (50,)
        cases = [(limit, name) for limit in limits for name in kinds]
        measured: dict[Any, list[Cost]] = {case: [] for case in cases}
        whole, rates = [], []
        for kind in ("serial", client):  # what is compiled is loaded
            first = run(found, kind, int(50 * MB), folder)
        for _ in range(ROUNDS):
            rates.append(moving(first, found, folder))
            whole.append(in_memory(found, 1))
            gains.append(gain(kinds["threads, 2"]))
            for limit, name in cases:
                with arraycon.use_threads(1):
                    one = run(found, kinds[name], int(limit * MB), folder)
                measured[limit, name].append(one)
        read, write = (statistics.median(each) for each in zip(*rates, strict=True))
        for (limit, name), costs in measured.items():
            cost = sorted(costs, key=lambda each: each.seconds)[len(costs) // 2]
            moved = cost.tally.bytes_read * read + cost.tally.bytes_written * write
            if model is None:
                model = Model(read, write, (cost.seconds - moved) / size, 0.0)
            workers = statistics.median(gains) if name != "serial" else 1
            predicted = replace(model, block=empty[name]).seconds(cost.passes, size, workers)
            peak = max(client.run(tasks.peak).values()) if kinds[name] is client else 0
            print(
                f"| 2 x {size / 2 / MB:.0f} MB | {limit} MB | {name} | {len(cost.passes.passes)} | "
                f"{cost.tally.blocks} | {cost.tally.bytes_read / size:.1f} + "
                f"{cost.tally.bytes_written / size:.1f} objects | {cost.seconds / moved:.2f} | "
                f"{cost.seconds / statistics.median(whole):.2f} | "
                f"{predicted / cost.seconds:.2f} | {cost.travelled / 1e3:.0f} kB | "
                f"{f'{peak / MB:.0f} MB' if peak else ''} |",
                flush=True,
            )
        for array in found.values():
            shutil.rmtree(Path(array.source.path).parent)
    costs = ", ".join(f"{name}: {1e3 * each:.1f} ms" for name, each in empty.items())
    print(
        f"\nTwo threads do {statistics.median(gains):.2f} times as much as one of work that shares "
        f"nothing. A block without work takes {costs}."
    )
    assert model is not None
    return replace(model, block=empty["2 processes"])


def residents(folder: Path, client: Any) -> None:
    """Print what it takes when arrays stay with the workers, beside files on the same cluster."""
    from dask import array as dask_array
    from distributed import wait

    shape = 1, 16, 1024, 1024
    found, size = stored(folder, shape), 2 * int(np.prod(shape)) * 4
    chunks = 1, 4, 1024, 1024
    print("\n| arrays in | passes | blocks | exchanged | time / in memory |\n|---|--:|--:|--:|--:|")
    kinds = "files", "workers, in chunks as made", "workers, in chunks as left"
    rows: dict[str, list[tuple[float, int, int, float]]] = {kind: [] for kind in kinds}
    whole = []
    for _ in range(ROUNDS + 1):
        whole.append(in_memory(found, 1))
        cost = run(found, client, int(500 * MB), folder)
        passes = len(cost.passes.passes)
        rows[kinds[0]].append((cost.seconds, passes, cost.tally.blocks, 0.0))
        arrays = {
            name: client.persist(dask_array.from_array(array[...], chunks=chunks))
            for name, array in found.items()
        }
        wait(list(arrays.values()))
        for kind in kinds[1:]:
            arrays, *figures, exchanged = keep(arrays, client, folder)
            rows[kind].append((*figures, exchanged / size))
        del arrays
    for kind, each in rows.items():
        seconds, passes, blocks, exchanged = (
            statistics.median(column[1:]) for column in zip(*each, strict=True)
        )
        print(
            f"| {kind} | {passes:.0f} | {blocks:.0f} | {exchanged:.2f} objects | "
            f"{seconds / statistics.median(whole[1:]):.2f} |",
            flush=True,
        )


def keep(arrays: dict[str, Any], client: Any, folder: Path) -> tuple[Any, ...]:
    """Run the schedule once on dask's arrays; return the new ones and what that has taken."""
    due = [(a, b, "") for a, b in arraycon.Constraints(SCHEDULE).steps if b.enabled]
    cluster = executors.Cluster(client)
    plan = planning.plan(
        lowering.lower(due, lowering.likes(arrays), NUMBERS),
        memory=cluster.share(int(1000 * MB)),
        workers=cluster.workers,
        resident=list(arrays),
    )
    start = time.perf_counter()
    with arriving.opened(folder, {}) as store:
        way = resident.Resident(store, cluster)
        for name, array in arrays.items():
            store.sources[name] = way.spread(array)
        one = running.Run(plan, store, {}, way)
        one()
        made = {name: way.as_dask(name) for name in arrays}
        seconds = time.perf_counter() - start
    return made, seconds, len(plan.passes), one.tally.blocks, way.bytes_exchanged


def every_constraint(folder: Path, client: Any) -> None:
    """Print every constraint by executor."""
    print("\n| constraint | passes | transposes | serial | threads, 2 | 2 processes | resident |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, one in declared().items():
        if not one.built_in or not one.layout:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            constraints = arraycon.Constraints({name: {"start_iter": 1, **one.typical}})
        made = [state((2, 1 if one.flat else 16, 96, 80)) for _ in range(5)]
        options = {"memory": 8 * made[0].object_phase.nbytes}
        plan = constraints.plan(made[1], 1, **options)
        if not any(each.regions for each in plan.passes):  # the probe or positions alone
            continue
        constraints.apply(made[0], 1)
        row = []
        whole = made[0].object_phase.nbytes
        for each, how in zip(
            made[1:],
            (
                {"executor": "serial", "memory": 8 * whole},
                {"executor": executors.Threads(2), "memory": 8 * whole},
                {"executor": client, "memory": 8 * whole},
                {"executor": client, "memory": 40 * whole, "resident": True},
            ),
            strict=True,
        ):
            constraints.apply(each, 1, scratch=folder, **how)
            row.append(f"{error(each, made[0]):.0e}")
        print(
            f"| {name} | {len(plan.passes)} | {plan.transposes} | {' | '.join(row)} |", flush=True
        )


def state(shape: tuple[int, ...]) -> Any:
    """A state with everything that a constraint may need."""
    rng = np.random.default_rng(0)
    probe = rng.normal(size=(3, 32, 32)) + 1j * rng.normal(size=(3, 32, 32))
    return arraycon.State(
        object_amplitude=rng.normal(1, 0.05, shape).astype("float32"),
        object_phase=rng.normal(0.1, 0.2, shape).astype("float32"),
        probe=probe.astype("complex64"),
        illumination=rng.random(shape[-2:]).astype("float32"),
        vacuum_mask=(rng.random(shape[-2:]) > 0.7).astype("float32"),
        position_shifts=rng.normal(size=(12, 2)).astype("float32"),
        tilts=rng.normal(size=(12, 2)).astype("float32"),
        scan_shape=(3, 4),
        **NUMBERS,
    )


def error(one: Any, other: Any) -> float:
    """Largest relative error of the arrays."""
    names = (*FIELDS, "probe")
    pairs = [(getattr(one, name), getattr(other, name)) for name in names]
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)


def small_workers(folder: Path) -> None:
    """Run an object on two workers with less than half of it, and kill one of them."""
    shape = (1, 26, 2048, 2048)
    found, size = stored(folder, shape), 2 * int(np.prod(shape)) * 4
    limit = "420MB"
    with cluster(folder, limit) as client:
        first = run(found, client, int(70 * MB), folder)
        peaks = client.run(tasks.peak)
        print(
            f"\nAn object of {size / MB:.0f} MB on two workers of {limit}: peaks "
            f"{' and '.join(f'{peak / MB:.0f} MB' for peak in peaks.values())}, "
            f"{first.travelled / 1e3:.0f} kB travelled."
        )
        reference = arraycon.State(**found, **NUMBERS)
        arraycon.Constraints(SCHEDULE).apply(reference, 1, memory="200MB", scratch=folder)
        killed: list[int] = []

        def progress(number: int, _passes: int, done: int, blocks: int) -> None:
            if number == 2 and done == blocks // 2 and not killed:
                killed.append(min(client.run(os.getpid).values()))
                os.kill(killed[0], signal.SIGKILL)

        again = arraycon.State(**found, **NUMBERS)
        start = time.perf_counter()
        arraycon.Constraints(SCHEDULE).apply(
            again, 1, executor=client, memory="70MB", scratch=folder, progress=progress
        )
        seconds = time.perf_counter() - start
        worst = max(
            float(np.abs(getattr(again, name)[0, z] - getattr(reference, name)[0, z]).max())
            for name in FIELDS
            for z in range(shape[1])
        )
        print(
            f"The same with one of them killed in the middle of the second pass: "
            f"{seconds / first.seconds:.2f} times the time, largest difference from one process "
            f"{worst:.0e}."
        )


def prediction(model: Model) -> None:
    """Print what the model says of 1 TB on 64 nodes."""
    shape, nodes, threads = (1, 256, 22096, 22096), 64, 16
    found = {name: Stored(npy("absent", shape, "float32")) for name in FIELDS}
    size = 2 * int(np.prod(shape)) * 4
    due = [(a, b, "") for a, b in arraycon.Constraints(SCHEDULE).steps if b.enabled]
    lowered = lowering.lower(due, lowering.likes(found), NUMBERS)
    plan = planning.plan(lowered, memory=nodes * 128 * 10**9, workers=nodes * threads)
    blocks = sum(len(each.regions) for each in plan.passes)
    print(
        f"\nOne thread computes {1e-6 / model.compute:.0f} MB/s of the object, a block costs "
        f"{1e3 * model.block:.1f} ms.\n\n```\n{plan}\n```"
    )
    for system in (50e9, 200e9):
        moved = (plan.bytes_read + plan.bytes_written) / system
        computed = size * model.compute / (nodes * threads)
        dispatched = blocks * model.block
        print(
            f"- At {system / 1e9:.0f} GB/s of the file system for all nodes together: "
            f"{moved + computed + dispatched:.0f} s, of which {moved:.0f} s moving, "
            f"{computed:.0f} s computing, {dispatched:.0f} s handing out {blocks} blocks."
        )


@contextlib.contextmanager
def cluster(folder: Path, limit: str) -> Iterator[Any]:
    """Two processes of one thread."""
    from distributed import Client, LocalCluster

    place = {"dashboard_address": ":0", "local_directory": str(folder / "dask")}
    made = LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=limit, **place)
    with made as found, Client(found) as client:
        yield client


def main() -> None:
    """Print all tables."""
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
    try:
        with cluster(folder, "2GB") as client:
            model = sizes(folder, client)
            residents(folder, client)
            every_constraint(folder, client)
        small_workers(folder)
        prediction(model)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
