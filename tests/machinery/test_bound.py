"""Bound schedules do what `Constraints.apply` does, and know when they are not bound any more."""

from __future__ import annotations

import gc
import logging
import tracemalloc
import weakref

import numpy as np
import pytest
from schedules import EVERY, SHAPE, assert_equal, fitting, make_state, only, snapshot

import arraycon
from arraycon.bench import NAMES
from arraycon.blocks.kinds import ObjType
from arraycon.constraints import declared
from arraycon.kernels.common import check
from arraycon.pipeline import bound as module
from arraycon.pipeline import graphs
from arraycon.state import State


def complex_state(dtype="float32", *, shape=SHAPE, **changes):
    state = make_state(dtype, shape=shape)
    transmission = state.object_amplitude * np.exp(1j * state.object_phase)
    return make_state(
        dtype,
        object_amplitude=None,
        object_phase=None,
        object=transmission.astype(state.probe.dtype),
        **changes,
    )


MADE = {"parts": make_state, "complex": complex_state}
EITHER = pytest.mark.parametrize("form", MADE)


@EITHER
@pytest.mark.parametrize("name", NAMES)
def test_each_constraint_does_the_same(name, form):
    options = {"kernel_size": 7} if name == "obj_zblur" else {}
    one, two = (MADE[form](shape=fitting(name)) for _ in range(2))
    constraints = only(**{name: options})
    bound = constraints.bind(one)
    for iteration in (1, 2, 3):
        report, expected = bound.apply(iteration), constraints.apply(two, iteration)
        assert str(report) == str(expected)
        assert [r.returned.keys() for r in report] == [r.returned.keys() for r in expected]
        assert_equal(snapshot(one), snapshot(two))


@EITHER
def test_a_whole_schedule_does_the_same(form):
    blocks = {**EVERY, "kz_filter": {"start_iter": 2, "step": 2}, "obja_thresh": {"end_iter": 3}}
    constraints = arraycon.Constraints({**blocks, "obja_thresh": {"start_iter": 1, "end_iter": 3}})
    one, two = MADE[form]("float64"), MADE[form]("float64")
    bound = constraints.bind(one)
    for iteration in range(1, 5):
        names = [record.name for record in bound.apply(iteration)]
        assert names == [record.name for record in constraints.apply(two, iteration)]
        assert_equal(snapshot(one), snapshot(two))
        for state in (one, two):  # what the rest of a reconstruction does, in place
            state.probe *= 1.1
            if form == "complex":
                state.object *= np.exp(0.1j)


def test_nothing_is_checked_again_on_the_same_arrays(monkeypatch):
    state = make_state()
    bound = only(objp_postiv={}, obj_rblur={}, ortho_pmode={}).bind(state)
    monkeypatch.setattr(State, "validate", lambda _: pytest.fail("validated"))
    monkeypatch.setattr(check, "array", lambda *_, **__: pytest.fail("checked"))
    assert len(bound.apply(1)) == 3


def test_other_arrays_and_numbers_are_bound_anew():
    constraints = only(obja_thresh={}, fix_probe_int={})
    state = make_state(illumination=None, vacuum_mask=None)  # which are of the object's shape
    bound = constraints.bind(state)
    bound.apply(1)
    old = state.object_amplitude
    state.object_amplitude = np.full((1, 2, 6, 6), 3.0, "float32")
    state.object_phase = np.zeros_like(state.object_amplitude)
    state.probe_intensity = 7.0
    before = old.copy()
    bound.apply(2)
    np.testing.assert_array_equal(old, before)
    assert np.all(state.object_amplitude == np.float32(1.04))
    assert np.sum(np.abs(state.probe) ** 2) == pytest.approx(7.0, rel=1e-5)
    state.object_amplitude = np.ones((2, 2))
    with pytest.raises(ValueError, match="object_amplitude: expected at least 3 axes"):
        bound.apply(3)
    state.object_amplitude, state.object_phase = old, None
    bound.apply(4)


@pytest.mark.parametrize("name", ["object_phase", "probe", "position_shifts", "tilts"])
def test_views_of_the_same_memory_are_the_same(name, monkeypatch):
    state, other, constraints = make_state(), make_state(), arraycon.Constraints(EVERY)
    bound = constraints.bind(state)
    monkeypatch.setattr(module.Bound, "_bind", lambda _: pytest.fail("bound anew"))
    for iteration in (1, 2):
        setattr(state, name, getattr(state, name)[:])
        state.dx, state.scan_shape = float("0.2"), (3, 4)
        bound.apply(iteration)
        constraints.apply(other, iteration)
        assert_equal(snapshot(state), snapshot(other))


@pytest.mark.parametrize(
    "change",
    [
        lambda phase: phase[..., ::-1],
        lambda phase: phase[:, 1:],
        lambda phase: phase.copy(),
        lambda phase: phase.view("int32").view("float32").reshape(1, 5, 16, 14),
        lambda phase: phase.astype("float64"),
    ],
)
def test_other_views_are_bound_anew(change):
    state = State(object_phase=make_state().object_phase)
    constraints = only(obj_rblur={"std": 0.5})
    bound = constraints.bind(state)
    state.object_phase = change(state.object_phase)
    other = State(object_phase=state.object_phase.copy())
    bound.apply(1)
    constraints.apply(other, 1)
    np.testing.assert_array_equal(state.object_phase, other.object_phase)


def test_memory_that_may_not_be_written_to_any_more():
    state = make_state()
    bound = only(objp_postiv={}).bind(state)
    state.object_phase = state.object_phase[:]
    state.object_phase.flags.writeable = False
    with pytest.raises(ValueError, match="object_phase: expected writable arrays"):
        bound.apply(1)


def test_what_is_missing_is_said_when_it_is_bound():
    with pytest.raises(arraycon.MissingInputError, match="tilt_smooth: needs tilts"):
        only(tilt_smooth={}).bind(State(probe=make_state().probe))
    with pytest.raises(TypeError, match="expected a State"):
        only(tilt_smooth={}).bind({})


def test_skipped_and_less_than_asked():
    with pytest.warns(arraycon.ParameterWarning, match="run by default"):
        constraints = arraycon.Constraints({"obj_zblur": None}, defaults="ptyrad")
    state = State(object_phase=make_state().object_phase)
    report = constraints.bind(state).apply(1)
    assert str(report) == str(constraints.apply(state, 1))
    assert report[0].note == "phase only, which is all there is"


@pytest.mark.parametrize("iteration", [0, -1, 1.5, True, "1", None])
def test_iterations_count_from_one(iteration):
    bound = only(pos_recenter={}).bind(make_state())
    with pytest.raises((TypeError, ValueError), match="iteration: expected an integer ≥ 1, got"):
        bound.apply(iteration)


def test_measuring_takes_the_other_way():
    state, other, constraints = make_state(), make_state(), only(objp_postiv={})
    report = constraints.bind(state).apply(1, measure=True)
    expected = constraints.apply(other, 1, measure=True)
    assert dict(report[0].metrics) == dict(expected[0].metrics)


class Cap(arraycon.Block):
    """Limit the phase."""


@EITHER
def test_constraints_of_ones_own_run_between_the_others(form):
    seen = []

    @arraycon.register("cap", model=Cap, needs=["object_phase"], after="obj_rblur")
    def cap(inputs, _):
        seen.append(inputs["object_phase"].max())
        return {"object_phase": np.minimum(inputs["object_phase"], np.float32(0.05))}

    try:
        blocks = {"cap": {}, "obj_rblur": {}, "objp_postiv": {}}
        blocks = {name: {"start_iter": 1} for name in blocks}
        constraints, one, two = arraycon.Constraints(blocks), MADE[form](), MADE[form]()
        bound = constraints.bind(one)
        for iteration in (1, 2):
            bound.apply(iteration)
            constraints.apply(two, iteration)
            assert_equal(snapshot(one), snapshot(two))
        assert seen[0] == seen[1]
        assert seen[2] == seen[3]
    finally:
        arraycon.unregister("cap")


@EITHER
def test_a_failure_is_logged_and_what_ran_before_it_is_kept(form, monkeypatch, caplog):
    state, other = MADE[form](), MADE[form]()
    bound = only(obj_rblur={}, objp_postiv={}).bind(state)
    step = bound._steps[-1]

    def fail():
        raise ZeroDivisionError

    monkeypatch.setitem(step.__dict__, "repeat", fail)
    with pytest.raises(ZeroDivisionError):
        bound.apply(3)
    assert "iteration 3: objp_postiv failed" in caplog.text
    only(obj_rblur={}).apply(other, 3)
    assert_equal(snapshot(state), snapshot(other))


def test_an_object_that_nothing_changes_is_not_touched():
    state = complex_state()
    before = state.object.copy()
    bound = only(ortho_pmode={}, pos_recenter={}).bind(state)
    bound.apply(1)
    np.testing.assert_array_equal(state.object, before)


def test_the_parts_stay_in_their_memory():
    state = make_state(
        object_amplitude=None, object_phase=None, object=np.ones((1, 8, 128, 128), "complex64")
    )
    bound = only(obja_thresh={}, obj_zblur={"kernel_size": 7}).bind(state)
    bound.apply(1)
    tracemalloc.start()
    try:
        bound.apply(2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.5 * state.object.nbytes


def test_the_reference_path_can_be_bound():
    state, other, constraints = make_state(), make_state(), only(obj_rblur={}, ortho_pmode={})
    with arraycon.use_agnostic():
        constraints.bind(state).apply(1)
        constraints.apply(other, 1)
    assert_equal(snapshot(state), snapshot(other))


def test_texts_and_parts():
    constraints, state = only(pos_recenter={}), make_state()
    bound = constraints.bind(state)
    assert bound.constraints is constraints
    assert bound.state is state
    assert "pos_recenter" in repr(bound)


@pytest.mark.parametrize("name", ["torch", "jax", "array_api_strict"])
def test_other_libraries_take_the_way_of_apply(name):
    library = pytest.importorskip(name, reason=f"{name} is not installed")
    make = getattr(library, "numpy", library).asarray
    shifts = np.random.default_rng(0).normal(size=(5, 2))
    state = State(position_shifts=make(shifts.astype("float32")))
    bound = only(pos_recenter={}).bind(state)
    for iteration in (1, 2):
        bound.apply(iteration)
    assert np.abs(np.asarray(state.position_shifts).mean(axis=0)).max() < 1e-6


class Momentum(arraycon.Block):
    """Go on in the direction of the iteration before."""

    share: float = 0.5


class MomentumOfParts(Momentum):
    """The same, of the part that is chosen."""

    obj_type: ObjType = "phase"


def momentum(inputs, params, memory):
    phase = inputs["object_phase"]
    step = phase - memory.get("before", phase)
    memory["before"] = np.array(phase)
    return {"object_phase": phase + params.share * step}


def momentum_kernel(phase, *, share, memory, out=None):
    new = momentum({"object_phase": phase}, Momentum(share=share), memory)["object_phase"]
    if out is None:
        return new
    out[...] = new
    return out


@pytest.fixture(params=["function", "kernel", "kernel of parts"])
def remembering(request):
    """A schedule with a constraint that has a memory."""
    if request.param == "function":
        arraycon.register(
            "momentum", model=Momentum, needs=["object_phase"], after="obj_rblur", memory=True
        )(momentum)
    else:
        on, model = "object_phase", Momentum
        if request.param == "kernel of parts":
            on, model = "object", MomentumOfParts
        arraycon.register(momentum_kernel, on=on, after="obj_rblur", memory=True)(model)
    name = momentum.__name__ if request.param == "function" else momentum_kernel.__name__
    yield arraycon.Constraints({name: {"start_iter": 1, "share": 0.5}})
    arraycon.unregister(name)


class Walk:
    """A phase that is moved by 1 before each iteration, in an array that stays or a new one."""

    def __init__(self, remembering):
        self.state = State(object_phase=np.zeros((1, 1, 2, 2)))
        self.bound = remembering.bind(self.state)

    def step(self, *, anew=False, **options):
        self.state.object_phase += 1
        if anew:
            self.state.object_phase = self.state.object_phase.copy()
        before = self.state.object_phase.copy()
        self.bound.apply(1, **options)
        return float((self.state.object_phase - before)[0, 0, 0, 0])


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("measure", [False, True])
def test_memory_is_kept_from_one_iteration_to_the_next(remembering, measure, anew):
    walk = Walk(remembering)
    assert walk.step() == 0
    # the phase before is the one that the constraint saw: 1, then 2, then 3.5 and half of 1.5 more
    assert walk.step(measure=measure, anew=anew) == 0.5
    assert walk.step(anew=anew) == 0.75


def test_resetting_forgets_the_memory(remembering):
    walk = Walk(remembering)
    for _ in range(2):
        walk.step()
    walk.bound.reset()
    assert walk.step() == 0


def test_without_binding_there_is_no_memory(remembering):
    state = State(object_phase=np.zeros((1, 1, 2, 2)))
    for iteration in (1, 2, 3):
        state.object_phase += 1
        remembering.apply(state, iteration)
    np.testing.assert_array_equal(state.object_phase, 3)


def test_two_bound_schedules_have_memories_of_their_own(remembering):
    one, two = Walk(remembering), Walk(remembering)
    assert one.step() == two.step() == 0
    assert one.step() == two.step() == 0.5


def test_a_kernel_that_has_no_place_for_a_memory():
    def forgetful(phase, *, out=None):
        return phase if out is None else out

    with pytest.raises(TypeError, match="forgetful: expected an argument memory"):
        arraycon.register(forgetful, on="object_phase", memory=True)(Momentum)


# Graphs, on a stand-in that counts.


class FakeGraph:
    def __init__(self, work):
        self.work, self.launched = work, 0

    def launch(self, stream):
        assert isinstance(stream, FakeStream)
        self.launched += 1
        for one in self.work:
            one()


class FakeStream:
    """Records what is done while it captures."""

    capturing: list | None = None
    allowed = True

    def __init__(self, non_blocking=False):
        self.non_blocking = non_blocking

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def record(self):
        return "event"

    def wait_event(self, event):
        assert event == "event"

    def begin_capture(self):
        if not FakeStream.allowed:
            raise RuntimeError("capture is not permitted")
        FakeStream.capturing = []

    def end_capture(self):
        work, FakeStream.capturing = FakeStream.capturing, None
        return FakeGraph(work)


class FakeCuda:
    """As much of `cupy.cuda` as graphs take."""

    Stream = FakeStream

    class MemoryPool:
        def malloc(self, size):
            raise NotImplementedError

    using_allocator = staticmethod(lambda _: FakeStream())
    get_current_stream = staticmethod(FakeStream)


class FakeCupy:
    cuda = FakeCuda


class FakeTransforms:
    @staticmethod
    def kept():
        return ["plan"]


@pytest.fixture
def made(monkeypatch):
    modules = {"cupy": FakeCupy, "arraycon.kernels.gpu.tools.transforms": FakeTransforms}
    monkeypatch.setattr(graphs.importlib, "import_module", modules.__getitem__)
    monkeypatch.setattr(FakeStream, "allowed", True)
    return graphs.Graphs()


def counting():
    """Return work, and the list of what was really done."""
    done = []

    def work():
        if FakeStream.capturing is not None:
            FakeStream.capturing.append(lambda: done.append("replayed"))
        else:
            done.append("launched")
        return done

    return work, done


def test_work_is_launched_once_then_recorded_then_replayed(made):
    work, done = counting()
    for _ in range(4):
        assert made.run("key", work) is done
    assert done == ["launched", *["replayed"] * 3]
    assert made._plans == ["plan"]
    other, others = counting()
    made.run("other", other)
    assert others == ["launched"]
    assert len(done) == 4


def test_where_nothing_can_be_recorded_all_is_launched(made, monkeypatch, caplog):
    monkeypatch.setattr(FakeStream, "allowed", False)
    work, done = counting()
    with caplog.at_level(logging.INFO, "arraycon"):
        for _ in range(3):
            made.run("key", work)
    assert done == ["launched"] * 3
    assert caplog.text.count("no CUDA graph, each constraint is launched: capture is not") == 1


def test_without_streams_there_are_no_graphs(monkeypatch, caplog):
    class Bare:
        cuda = None

    monkeypatch.setattr(graphs.importlib, "import_module", lambda _: Bare)
    work, done = counting()
    with caplog.at_level(logging.INFO, "arraycon"):
        none = graphs.Graphs()
        for _ in range(3):
            none.run("key", work)
    assert done == ["launched"] * 3
    assert caplog.text.count("no CUDA graph") == 1


def test_clearing_the_caches_forgets_the_graphs(made):
    work, done = counting()
    for _ in range(2):
        made.run("key", work)
    pool = made._pool
    arraycon.clear_caches()
    assert made._pool is not pool
    made.run("key", work)
    assert done == ["launched", "replayed", "launched"]
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is not None  # the fixture's own reference


def test_bound_replays_one_graph_for_what_is_due(made, monkeypatch):
    monkeypatch.setattr(module, "Graphs", {list[module.Outcome]: lambda: made})
    monkeypatch.setattr(module.arrays, "library", lambda _: "cupy")
    constraints = only(objp_postiv={}, obja_thresh={"step": 2}, ortho_pmode={})
    bound = constraints.bind(make_state())
    for iteration in range(1, 7):
        report = bound.apply(iteration)
        assert [record.name for record in report] == list(constraints.due(iteration))
    assert len(made._recorded) == 2
    rotations = [report[0].returned["rotation"] for report in (bound.apply(7), bound.apply(8))]
    assert rotations[0] is not rotations[1]
    assert list(declared()) == list(NAMES)
    assert constraints.bind(make_state(), graph=False)._graphs is None
