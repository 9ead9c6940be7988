"""Arrays that stay in the workers' memory: exchanged, repeated, counted, and never in a graph."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import sys
import time
from pathlib import Path

import numpy as np
import processes
import pytest
from command import environment
from on_cpu import NEEDS_COMPILER
from on_cpu import environment as with_standin
from schedules import IDS, VARIANTS, fitting, make_state, only, snapshot

from arraycon.blockwise import resident, spread, tasks
from arraycon.blockwise.stores import Held

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

NAMES = "object_amplitude", "object_phase"
SUPPORT = str(Path(__file__).parents[1] / "support")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory):
    with distributed.Client(
        processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0",
        local_directory=str(tmp_path_factory.mktemp("dask")),
    ) as client:  # fmt: skip
        yield client


def in_chunks(state, chunks=(1, 2, 7, 18)):
    for name in NAMES:
        x = getattr(state, name)
        sizes = tuple(min(pair) for pair in zip(chunks, x.shape, strict=True))
        setattr(state, name, da.from_array(x, chunks=sizes))
    return state


def held(dask_scheduler) -> int:
    return len(dask_scheduler.tasks)


def same(state, other) -> None:
    for name, values in snapshot(other).items():
        found = getattr(state, name)
        np.testing.assert_array_equal(np.asarray(found), values, err_msg=name)


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_every_constraint_gives_what_it_gives_from_files(client, tmp_path, name, options):
    constraints, shape = only(**{name: options}), fitting(name, (1, 9, 24, 26))
    expected, state = make_state(shape=shape), in_chunks(make_state(shape=shape))
    size = expected.object_phase.nbytes
    constraints.apply(expected, 1, executor="serial", memory=20 * size, scratch=tmp_path)
    constraints.apply(state, 1, executor=client, memory=20 * size, resident=True)
    same(state, expected)


def test_a_loop_keeps_the_chunks_and_nothing_of_how_they_were_made(client):
    constraints = only(obj_rblur={}, kz_filter={}, complex_ratio={}, objp_postiv={})
    whole, state = make_state(shape=(1, 12, 24, 20)), in_chunks(make_state(shape=(1, 12, 24, 20)))
    for iteration in range(1, 5):
        constraints.apply(whole, iteration, executor="serial", memory="1MB")
        constraints.apply(state, iteration, executor=client, memory="10MB", resident=True)
        assert all(len(dict(getattr(state, name).__dask_graph__())) == 2 for name in NAMES)
        assert state.object_phase.chunks == ((1,), (6, 6), (24,), (20,))
    same(state, whole)
    end = time.monotonic() + 20
    while client.run_on_scheduler(held) != 4 and time.monotonic() < end:
        gc.collect()  # futures that are released are told of a moment later
        time.sleep(0.05)
    assert client.run_on_scheduler(held) == 4
    assert not spread._handed


def test_arrays_of_other_kinds_are_read_and_written_as_ever(client, tmp_path):
    constraints = only(obj_rblur={}, kz_filter={}, objp_postiv={})
    expected, state = (make_state(shape=(1, 7, 20, 18)) for _ in range(2))
    mapped = np.lib.format.open_memmap(
        tmp_path / "phase.npy", "w+", np.float32, state.object_phase.shape
    )
    mapped[...] = state.object_phase
    amplitude, state.object_phase = state.object_amplitude, mapped
    options = {"executor": client, "memory": "10MB", "scratch": tmp_path}
    reports = [
        constraints.apply(each, 1, measure=True, resident=each is state, **options)
        for each in (expected, state)
    ]
    same(state, expected)
    assert state.object_amplitude is amplitude
    assert [record.metrics for record in reports[0]] == [record.metrics for record in reports[1]]
    assert [path.name for path in tmp_path.iterdir()] == ["phase.npy"]


def test_a_complex_object(client):
    constraints = only(kr_filter={}, kz_filter={}, obja_thresh={})
    parts = make_state(shape=(1, 6, 20, 18))
    obj = (parts.object_amplitude * np.exp(1j * parts.object_phase)).astype("complex64")
    left = {*NAMES, "object", "errors"}
    fields = {name: value for name, value in vars(parts).items() if name not in left}
    states = [type(parts)(**fields, object=x) for x in (obj.copy(), da.from_array(obj, chunks=5))]
    constraints.apply(states[0], 1, executor="serial", memory="10MB")
    constraints.apply(states[1], 1, executor=client, memory="10MB", resident=True)
    np.testing.assert_array_equal(states[1].object.compute(), states[0].object)


def test_what_stays_in_memory_is_planned_for(client):
    constraints = only(obj_rblur={}, kz_filter={})
    state = in_chunks(make_state(shape=(1, 12, 24, 20)))
    size = 2 * 12 * 24 * 20 * 4
    made = constraints.plan(state, executor=client, memory="10MB", resident=True)
    streamed = constraints.plan(state, executor=client, memory="10MB")
    # what was there before, and a new version, are there during every pass: half with each worker
    assert all(each.memory > 2 * size / 2 for each in made.passes)
    assert [len(each.regions) for each in made.passes] == [2, 2, 2]
    assert [len(each.regions) for each in streamed.passes] == [4, 4, 4]
    assert "in the workers' memory" in str(made)
    with pytest.raises(ValueError, match=r"memory: expected at least 0\.\d+ MB for each worker"):
        constraints.plan(state, executor=client, memory=size, resident=True)
    least = max(each.memory for each in made.passes)
    tight = constraints.plan(state, executor=client, memory=least, resident=True)
    assert tight.memory <= least


def test_a_client_that_is_closed(tmp_path: Path):
    with distributed.Client(
        processes=False, n_workers=1, dashboard_address=":0", local_directory=str(tmp_path)
    ) as client:
        pass
    with pytest.raises(ValueError, match=r"executor: expected .* got one that is closed"):
        only(obj_rblur={}).apply(make_state(), 1, executor=client, resident=True)


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed")
def test_a_device_without_cupy(client):
    for executor in ("serial", client):
        with pytest.raises(ValueError, match=r'backend: expected "numpy", or "cupy" where CuPy'):
            only(obj_rblur={}).apply(make_state(), 1, executor=executor, backend="cupy")


@pytest.mark.parametrize("executor", [None, "serial", "threads"])
def test_it_takes_workers_that_stay(executor):
    message = r"resident: expected a distributed\.Client as executor, .* got (none|serial|threads)"
    with pytest.raises(ValueError, match=message):
        only(obj_rblur={}).apply(make_state(), 1, executor=executor, resident=True)


def test_what_crosses_between_workers_is_counted(client):
    from arraycon.blockwise.executors import Cluster
    from arraycon.blockwise.stores import Scratch, Store

    with Scratch() as scratch:
        way = resident.Resident(Store(scratch), Cluster(client))
        x = np.arange(2 * 8 * 6 * 5, dtype=np.float32).reshape(2, 8, 6, 5)
        found = way.spread(da.from_array(x, chunks=(2, 4, 6, 5)))
        ours = found.pieces[0].worker
        piece = spread.Piece(found.pieces[0].where, found.pieces[0].values, "another")
        wanted = (0, 2), (0, 8), (0, 3), (0, 5)
        there = way._part(found, piece, wanted, ours)
        assert way.bytes_exchanged == 2 * 4 * 3 * 5 * 4
        np.testing.assert_array_equal(there[1].result(), x[:, :4, :3])
        way._part(found, found.pieces[0], wanted, ours)
        assert way.bytes_exchanged == 2 * 4 * 3 * 5 * 4
        with pytest.raises(TypeError, match="expected a worker"):
            found.read((slice(None),) * 4)


def test_parts_are_put_together_whatever_they_are():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 9, 8, 7))
    for _ in range(200):
        cuts = [np.unique([0, *rng.integers(0, n, 2), n]) for n in x.shape]
        where = itertools.product(*(itertools.pairwise(cut.tolist()) for cut in cuts))
        parts = [(each, x[tuple(slice(*cut) for cut in each)]) for each in where]
        bounds = [sorted(rng.integers(0, n + 1, 2)) for n in x.shape]
        index = tuple(slice(int(a), int(b)) for a, b in bounds)
        found = spread.Gathered(x.shape, x.dtype, parts).read(index)
        np.testing.assert_array_equal(found, Held(x).read(index))
        assert not any(np.shares_memory(found, part) for _, part in parts)


def test_a_part_that_nobody_has_is_an_error_and_no_waiting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spread, "_missed", {})
    for _ in range(spread._TRIES - 1):
        with pytest.raises(distributed.Reschedule):
            spread.take("lost")
    with pytest.raises(RuntimeError, match="hand the object over again"):
        spread.take("lost")


def test_blocks_that_are_kept_do_not_keep_what_they_were_cut_from():
    class Read:
        shape, dtype = (4, 6, 5), np.dtype(float)

        def read(self, index, **_):
            return np.ones(self.shape)[index]

    region = tasks.Region((4, 6, 5), slice(0, 4), slice(0, 6), slice(1, 5))
    step = only_part()
    done, blocks = tasks.Task([step], {"x": Read()}, {"x": Read()}, {}).kept(region)
    assert blocks["x"].shape == (4, 4, 5)
    assert blocks["x"].base is None
    assert done.bytes_written == blocks["x"].nbytes


def only_part():
    from arraycon.kernels.common.steps import Step

    return Step("columns", ("x",), ("x",), work=lambda blocks, *_: {"x": blocks["x"] + 1}, halo=1)


PROCESSES = """
import os, signal, sys, time
import dask.array as da
import numpy as np


def main():
    from distributed import Client, LocalCluster
    from schedules import make_state, only

    constraints = only(obj_rblur={}, kz_filter={}, complex_ratio={}, objp_postiv={})
    names = ("object_amplitude", "object_phase")
    whole, state = (make_state(shape=(1, 12, 96, 80)) for _ in range(2))
    for name in names:
        setattr(state, name, da.from_array(getattr(state, name), chunks=(1, 2, 50, 80)))
    with LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit="1GB", dashboard_address=":0",
        local_directory=sys.argv[1],
    ) as cluster, Client(cluster) as client:
        killed = []

        def kill():
            killed.append(min(client.run(os.getpid).values()))
            os.kill(killed[-1], signal.SIGKILL)

        def progress(number, passes, done, blocks):
            if number == 3 and done == 1 and not killed:
                kill()

        options = {"executor": client, "memory": "4MB", "resident": True}
        for iteration in (1, 2):
            constraints.apply(whole, iteration, executor="serial", memory="4MB")
            constraints.apply(state, iteration, progress=progress, **options)
        for name in names:
            np.testing.assert_array_equal(getattr(state, name).compute(), getattr(whole, name))
        client.wait_for_workers(2, timeout=60)
        constraints.apply(state, 3, **options)
        kill()
        start = time.perf_counter()
        try:
            constraints.apply(state, 4, **options)
        except RuntimeError as error:
            assert "hand the object over again" in str(error), error
            print("killed", len(killed), "in", time.perf_counter() - start)


if __name__ == "__main__":
    main()
"""
ON_DEVICE = """
import tempfile
import cupy
import dask.array as da
import numpy as np
from distributed import Client
from schedules import make_state, only

constraints = only(obj_rblur={}, kz_filter={}, complex_ratio={}, objp_postiv={})
names = ("object_amplitude", "object_phase")
whole, state = (make_state(shape=(1, 9, 24, 26)) for _ in range(2))
for name in names:
    setattr(state, name, da.from_array(getattr(state, name), chunks=(1, 4, 24, 26)))
with tempfile.TemporaryDirectory() as folder, Client(
    processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0",
    local_directory=folder,
) as client:
    for iteration in (1, 2):
        constraints.apply(whole, iteration)
        constraints.apply(state, iteration, executor=client, backend="cupy", resident=True)
    for name in names:
        x = getattr(state, name)
        assert type(x._meta) is cupy.ndarray
        assert all(type(each.result()) is cupy.ndarray for each in client.futures_of(x))
        found = np.concatenate([each.result().get() for each in client.futures_of(x)], axis=1)
        np.testing.assert_allclose(found, getattr(whole, name), atol=1e-6)
print("all")
"""


@pytest.mark.slow
def test_a_worker_that_is_killed(tmp_path: Path):
    (tmp_path / "script.py").write_text(PROCESSES)
    done = processes.run(
        [sys.executable, "-W", "ignore", tmp_path / "script.py", tmp_path / "dask"],
        limit=240, capture_output=True, text=True, env=environment(first=SUPPORT),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("killed 2 in"), done.stdout


@NEEDS_COMPILER
@pytest.mark.slow
def test_arrays_stay_on_the_device(tmp_path: Path):
    (tmp_path / "script.py").write_text(ON_DEVICE)
    command = [sys.executable, "-W", "ignore", tmp_path / "script.py"]
    done = processes.run(command, limit=300, capture_output=True, text=True, env=with_standin())
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "all"
