"""`Constraints.apply` on arrays that lie elsewhere gives what it gives on arrays in memory."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import pytest
import schedules
import stored
from schedules import make_state, only, snapshot
from stored import KINDS, fetch

import arraycon
from arraycon.blockwise import tasks
from arraycon.blockwise.executors import Threads
from arraycon.pipeline import larger

SHAPE = 2, 8, 30, 26
OBJECT = ("object_amplitude", "object_phase")
SEVERAL = {
    "ortho_pmode": {},
    "obj_rblur": {},
    "obj_zblur": {"kernel_size": 7},
    "mirrored_amp": {},
    "obja_thresh": {},
    "objp_postiv": {"mode": "subtract_min"},
    "pos_recenter": {},
}


def several(**changes):
    return only(**{**SEVERAL, **changes})


def in_memory(constraints=None, **changes):
    state = make_state(shape=SHAPE, **changes)
    report = (constraints or several()).apply(state, 1, measure=True)
    return snapshot(state), report


def elsewhere(kind: str, folder: Path, names=OBJECT, **changes):
    """A state whose object lies elsewhere."""
    state = make_state(shape=SHAPE, **changes)
    for name in names:
        setattr(state, name, stored.store(kind, folder, name, getattr(state, name)))
    return state


def assert_close(state, expected):
    for name, values in expected.items():
        error = np.linalg.norm(fetch(getattr(state, name)) - values) / np.linalg.norm(values)
        assert error < 1e-6, name


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_each_kind(tmp_path: Path, kind):
    state = elsewhere(kind, tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    options = {} if kind != "memmap" else {"executor": "serial"}
    report = several().apply(state, 1, memory="60kB", scratch=tmp_path, **options)
    expected, other = in_memory()
    assert_close(state, expected)
    assert [(r.name, r.targets) for r in report] == [(r.name, r.targets) for r in other]
    np.testing.assert_allclose(report[0].returned["rotation"], other[0].returned["rotation"])
    kept = [name for name in sorted(p.name for p in tmp_path.iterdir()) if name not in before]
    assert len(kept) == (2 if kind == "dask" else 0)


def test_neither_blocks_nor_workers_make_a_difference():
    results, blocks = [], set()
    for executor, memory in (
        ("serial", "40kB"),
        ("serial", "70kB"),
        ("serial", "1MB"),
        (Threads(2), "80kB"),
        (Threads(3), "300kB"),
    ):
        state = make_state(shape=SHAPE)
        plan = several().plan(state, memory=memory, executor=executor)
        blocks.add(tuple(len(each.regions) for each in plan.passes))
        several().apply(state, 1, executor=executor, memory=memory)
        results.append(snapshot(state))
    assert len(blocks) >= 4
    for result in results[1:]:
        schedules.assert_equal(results[0], result)


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_figures_are_those_of_arrays_in_memory(executor):
    state = make_state(shape=SHAPE)
    report = several().apply(state, 1, executor=executor, memory="100kB", measure=True)
    expected, other = in_memory()
    assert_close(state, expected)
    for one, two in zip(report, other, strict=True):
        assert one.metrics.keys() == two.metrics.keys()
        for name in one.metrics:
            assert one.metrics[name] == pytest.approx(two.metrics[name], rel=1e-5), (one.name, name)


def test_the_user_s_arrays_are_untouched_until_all_is_done(tmp_path: Path, monkeypatch):
    state = elsewhere("memmap", tmp_path)
    before = snapshot(state)
    plan = several().plan(state, memory="60kB", executor="serial")
    count = sum(len(each.regions) for each in plan.passes)
    assert len(plan.passes) > 2
    original, left = tasks.Task.__call__, [count - 1]

    def fail(self, region):
        schedules.assert_equal(before, snapshot(state))
        left[0] -= 1
        if left[0] < 0:
            raise OSError("the disk is gone")
        return original(self, region)

    monkeypatch.setattr(tasks.Task, "__call__", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        several().apply(state, 1, executor="serial", memory="60kB")
    schedules.assert_equal(before, snapshot(state))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.npy" for name in OBJECT]
    left[0] = count
    several().apply(state, 1, executor="serial", memory="60kB")
    assert_close(state, in_memory()[0])


def test_a_failure_in_a_thread_ends_the_others(monkeypatch):
    state = make_state(shape=SHAPE)
    before, running, ended = snapshot(state), set(), set()
    original = tasks.Task.__call__

    def fail(self, region):
        place = region.z.start, region.y.start
        running.add(place)
        try:
            if len(running) == 2:
                raise OSError("the disk is gone")
            time.sleep(0.1)
            return original(self, region)
        finally:
            ended.add(place)

    monkeypatch.setattr(tasks.Task, "__call__", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        several().apply(state, 1, executor=Threads(2), memory="60kB")
    assert running == ended  # nobody is left who would write
    schedules.assert_equal(before, snapshot(state))


def test_parts_in_a_mask_of_the_illumination(tmp_path: Path):
    constraints = only(obj_fill={"region": "outside", "threshold": 0.5})
    state = elsewhere("hdf5", tmp_path)
    constraints.apply(state, 1, memory="60kB")
    assert_close(state, in_memory(constraints)[0])


def test_a_complex_object(tmp_path: Path):
    parts = make_state(shape=SHAPE)
    whole = (parts.object_amplitude * np.exp(1j * parts.object_phase)).astype("complex64")
    changes = {"object_amplitude": None, "object_phase": None, "object": whole}
    constraints = only(obj_rblur={}, objp_postiv={})
    state = elsewhere("hdf5", tmp_path, ["object"], **changes)
    constraints.apply(state, 1, memory="100kB")
    changes["object"] = whole.copy()
    assert_close(state, in_memory(constraints, **changes)[0])


def test_one_line_says_how_it_goes(tmp_path: Path, caplog):
    state = elsewhere("hdf5", tmp_path)
    with caplog.at_level(logging.INFO, "arraycon"):
        several().apply(state, 1, memory="1MB")
    lines = [text for text in caplog.messages if "block by block" in text]
    assert lines == [
        "block by block, with 1 MB of memory for blocks: object_amplitude is an HDF5 dataset, "
        "object_phase is an HDF5 dataset"
    ]


def test_memory_maps_that_fit_are_worked_on_as_a_whole(tmp_path: Path, monkeypatch):
    state = elsewhere("memmap", tmp_path)
    assert not larger.is_wanted(state, larger.Options())
    monkeypatch.setattr(larger.memory, "free", lambda: 4 * state.object_phase.nbytes)
    assert larger.is_wanted(state, larger.Options())


def test_progress_is_told(tmp_path: Path):
    told = []
    state = elsewhere("hdf5", tmp_path)
    plan = several().plan(state, memory="60kB")
    several().apply(state, 1, memory="60kB", progress=lambda *now: told.append(now))
    passes = len(plan.passes)
    assert told == [
        (number, passes, done, len(each.regions))
        for number, each in enumerate(plan.passes, 1)
        for done in range(len(each.regions) + 1)
        if each.regions
    ]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"executor": "slow"}, ValueError, 'executor: expected "serial", "threads" or a'),
        ({"executor": 3}, TypeError, "executor: .* got int"),
        ({"memory": "much"}, ValueError, "memory: expected a number of bytes"),
        ({"memory": 10}, ValueError, "memory: expected at least .* got"),
        ({"scratch": "/nowhere"}, ValueError, "scratch: expected a folder"),
        ({"memory": "1MB", "backend": "torch"}, ValueError, "backend: expected"),
        ({"memory": "1MB", "monitor": arraycon.Monitor}, ValueError, "monitor: expected None"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(options, error, said):
    state = make_state(shape=SHAPE)
    before = snapshot(state)
    with pytest.raises(error, match=said):
        several().apply(state, 1, **options)
    schedules.assert_equal(before, snapshot(state))


def test_arrays_elsewhere_are_refused_where_they_cannot_be(tmp_path: Path):
    state = elsewhere("hdf5", tmp_path)
    with pytest.raises(TypeError, match="object_amplitude: expected an array in memory for bind"):
        several().bind(state)
    with pytest.raises(TypeError, match=r"phase: .* an HDF5 dataset, .* Constraints\.apply works"):
        arraycon.objp_postiv(state.object_phase)
    state.object_phase.file.close()
    with pytest.raises(
        TypeError, match=r"object_phase: .* an HDF5 dataset of a file that is closed"
    ):
        several().apply(state, 1)


def test_read_only_files_are_refused(tmp_path: Path):
    import h5py

    elsewhere("hdf5", tmp_path).object_phase.file.close()
    with h5py.File(tmp_path / "object_phase.h5", "r") as file:
        state = make_state(shape=SHAPE, object_phase=file["object_phase"])
        with pytest.raises(ValueError, match="object_phase: expected writable arrays"):
            several().apply(state, 1)


def test_one_dataset_under_two_names_is_refused(tmp_path: Path):
    array = stored.store("hdf5", tmp_path, "x", make_state(shape=SHAPE).object_phase)
    with pytest.raises(ValueError, match="object_amplitude: expected a dataset of its own"):
        make_state(shape=SHAPE, object_amplitude=array, object_phase=array.file["x"])


def test_a_user_s_constraint_of_fields_is_refused(tmp_path: Path):
    class Mine(arraycon.Block):
        start_iter: int | None = 1

    @arraycon.register("mine_blockwise", model=Mine, needs=["object_phase"])
    def mine(inputs, _):
        return {"object_phase": inputs["object_phase"] + 1}

    try:
        constraints = arraycon.Constraints({"mine_blockwise": {"start_iter": 1}})
        with pytest.raises(ValueError, match="mine_blockwise: expected a constraint that can be"):
            constraints.apply(elsewhere("hdf5", tmp_path), 1)
    finally:
        arraycon.unregister("mine_blockwise")
