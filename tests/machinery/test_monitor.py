"""The monitor: what each constraint does to the misfit and to the data step, and its warnings."""

from __future__ import annotations

import logging
import signal
import sys
import types

import numpy as np
import pytest
from libraries import ALL, Library
from schedules import EVERY, assert_equal, make_state, only, snapshot

import arraycon
from arraycon.kernels.common import arrays
from arraycon.monitor import Effect, Monitor, Monitored, Subset, arriving, judging, steps
from arraycon.pipeline import graphs

LIBRARIES = pytest.mark.parametrize("library", ALL, ids=lambda library: library.name)
ROADS = pytest.mark.parametrize("road", ["apply", "measured", "bound"])


def complex_state(dtype="float32"):
    state = make_state(dtype)
    transmission = state.object_amplitude * np.exp(1j * state.object_phase)
    return make_state(
        dtype, object_amplitude=None, object_phase=None,
        object=transmission.astype(state.probe.dtype),
    )  # fmt: skip


def phase_only():
    return make_state(object_amplitude=None)


MADE = {"parts": make_state, "complex": complex_state, "phase": phase_only}
FORMS = pytest.mark.parametrize("form", MADE)


def applied(constraints, state, road, monitor):
    """A function of an iteration that runs what is due."""
    if road == "bound":
        return constraints.bind(state, monitor=monitor).apply
    return lambda i: constraints.apply(state, i, measure=road == "measured", monitor=monitor)


def values(state):
    """The object as one vector of real numbers."""
    held = (state.object, state.object_amplitude, state.object_phase)
    parts = [np.asarray(x).ravel() for x in held if x is not None]
    vector = np.concatenate(parts).astype(np.result_type(*parts, np.float64))
    return np.concatenate([vector.real, vector.imag])


class Seen:
    """A misfit that keeps what it has seen, and numbers its calls."""

    def __init__(self, state):
        self.state, self.objects = state, []

    def __call__(self):
        self.objects.append(values(self.state))
        return float(len(self.objects))


def move(state, rng):
    """What the data do to the object, in place."""
    for name in ("object", "object_amplitude", "object_phase"):
        array = getattr(state, name)
        if array is not None:
            array += rng.normal(0, 0.01, array.shape).astype(array.real.dtype)


BLOCKS = {"obj_rblur": {"obj_type": "phase"}, "ortho_pmode": {}, "objp_postiv": {}}


@ROADS
@FORMS
def test_changes_and_shares_are_those_of_the_state_as_it_was(form, road):
    rng, state = np.random.default_rng(1), MADE[form]()
    seen = Seen(state)
    monitor = Monitor(misfit=seen)
    apply = applied(only(**BLOCKS), state, road, monitor)
    apply(1)
    kept = values(state)
    move(state, rng)
    data_step = values(state) - kept
    report = apply(2)
    start, *after = seen.objects[4:]
    np.testing.assert_array_equal(start - kept, data_step)
    np.testing.assert_array_equal(after[-1], values(state))
    assert [record.name for record in report] == ["ortho_pmode", "obj_rblur", "objp_postiv"]
    entry = monitor.history[-1]
    assert (entry.iteration, entry.misfit) == (2, 5)
    assert [effect.misfit for effect in entry.effects] == [6, 7, 8]
    before = start
    for record, effect, now in zip(report, entry.effects, after, strict=True):
        assert record.metrics["misfit"] == effect.misfit
        assert record.metrics["misfit change"] == effect.change == 1
        expected = -data_step @ (now - before) / (data_step @ data_step)
        if record.name == "ortho_pmode":  # which leaves the object alone
            assert effect.share is None
            assert expected == 0
        else:
            assert effect.share == pytest.approx(expected, rel=1e-4)
            assert record.metrics["share of the data step taken back"] == effect.share
        before = now
    assert entry.taken_back == pytest.approx(
        sum(effect.share for effect in entry.effects[1:]), rel=1e-12
    )
    assert ("object_phase: relative change" in report[-1].metrics) == (road == "measured")


@ROADS
@FORMS
def test_watching_changes_nothing(form, road):
    active = {name: block for name, block in EVERY.items() if block}
    if form == "phase":
        active = {"obj_rblur": {"obj_type": "phase"}, "kz_filter": {"obj_type": "phase"}}
    constraints = only(**active)
    watched, alone = MADE[form]("float64") if form != "phase" else phase_only(), None
    alone = MADE[form]("float64") if form != "phase" else phase_only()
    apply = applied(constraints, watched, road, Monitor(misfit=lambda: 1.0, every=1))
    plain = applied(constraints, alone, road, None)
    for iteration in range(1, 4):
        names = [record.name for record in apply(iteration)]
        assert names == [record.name for record in plain(iteration)]
        for name, array in snapshot(alone).items():
            np.testing.assert_allclose(getattr(watched, name), array, rtol=1e-9, atol=1e-12)


def test_an_amplitude_that_was_negative_meanwhile_keeps_its_phase():
    """Shown in between, it turns the complex object round, which the next one must not see."""

    class Sink(arraycon.Block):
        pass

    @arraycon.register(
        "sink", model=Sink, needs=["object_amplitude"], writes=["object_amplitude"],
        after="mirrored_amp",
    )  # fmt: skip
    def sink(inputs, params):  # noqa: ARG001
        return {"object_amplitude": inputs["object_amplitude"] - 2}

    try:
        constraints = only(sink={}, obja_thresh={"thresh": [0.9, 1.1]})
        watched, alone = complex_state(), complex_state()
        constraints.apply(watched, 1, monitor=Monitor(misfit=lambda: 1.0))
        constraints.apply(alone, 1)
    finally:
        arraycon.unregister("sink")
    np.testing.assert_allclose(watched.object, alone.object, rtol=1e-5)


def test_constraints_of_ones_own_are_watched():
    class Shift(arraycon.Block):
        pass

    @arraycon.register("shift_phase", model=Shift, needs=["object_phase"], writes=["object_phase"])
    def shift(inputs, params):  # noqa: ARG001
        return {"object_phase": inputs["object_phase"] + 0.25}

    try:
        state = make_state("float64")
        monitor = Monitor(misfit=lambda: state.object_phase.mean())
        report = only(shift_phase={}).bind(state, monitor=monitor).apply(1)
    finally:
        arraycon.unregister("shift_phase")
    assert report[0].metrics["misfit change"] == pytest.approx(0.25)


def monitored(blocks, iterations, **options):
    state = make_state()
    monitor = Monitor(misfit=lambda: 1.0, **options)
    bound = only(**blocks).bind(state, monitor=monitor)
    for iteration in iterations:
        bound.apply(iteration)
    return [entry.iteration for entry in monitor.history]


@pytest.mark.parametrize(
    ("blocks", "iterations", "every", "expected"),
    [
        ({"objp_postiv": {}}, range(1, 11), 2, [1, 2, 3, 5, 7, 9]),
        ({"objp_postiv": {}}, range(1, 11), 1, list(range(1, 11))),
        ({"objp_postiv": {}}, range(1, 13), 4, [1, 2, 3, 7, 11]),
        ({"objp_postiv": {"start_iter": 5}}, range(1, 11), 2, [5, 6, 7, 9]),
        # by its own runs, so that none is missed by its step
        ({"objp_postiv": {"start_iter": 2, "step": 2}}, range(1, 15), 2, [2, 4, 6, 10, 14]),
        ({"objp_postiv": {}, "obja_thresh": {"start_iter": 6}}, range(1, 12), 2,
         [1, 2, 3, 5, 6, 7, 8, 10]),
        ({"objp_postiv": {}}, range(3, 40, 6), 2, [3, 9, 15, 27, 39]),
    ],
)  # fmt: skip
def test_which_iterations_are_monitored(blocks, iterations, every, expected):
    assert monitored(blocks, iterations, every=every) == expected


def test_shares_with_gaps_and_in_every_monitored_iteration():
    rng, state = np.random.default_rng(2), make_state()
    monitor = Monitor(misfit=lambda: 1.0)
    bound = only(obj_rblur={}).bind(state, monitor=monitor)
    for iteration in range(5, 50, 5):
        move(state, rng)
        bound.apply(iteration)
    first, *others = monitor.history
    assert first.taken_back is None
    assert [entry.iteration for entry in others] == [10, 15, 25, 35, 45]
    assert all(0 < entry.taken_back < 2 for entry in others)


def test_no_memory_between_iterations_that_are_not_watched():
    state = make_state()
    monitor = Monitor(misfit=lambda: 1.0, every=4)
    constraints = only(objp_postiv={})
    kept = []
    for iteration in range(1, 8):
        constraints.apply(state, iteration, monitor=monitor)
        kept.append(bool(monitor._step._memory))
    assert kept == [True, True, False, False, False, True, False]


def test_an_object_of_another_size_starts_anew():
    monitor, constraints = Monitor(misfit=lambda: 1.0), only(objp_postiv={})
    constraints.apply(make_state(), 1, monitor=monitor)
    small = make_state(object_amplitude=None, object_phase=np.ones((1, 2, 6, 6), "float32"))
    report = constraints.apply(small, 2, monitor=monitor)
    assert "share of the data step taken back" not in report[0].metrics
    assert monitor.history[-1].taken_back is None


def test_a_restart_forgets_what_is_of_another_run():
    state, calls = make_state(), iter(range(100))
    monitor = Monitor(misfit=lambda: next(calls))
    constraints = only(objp_postiv={})
    for iteration in (1, 2, 3, 4, 5):
        constraints.apply(state, iteration, monitor=monitor)
    assert [entry.misfit for entry in monitor.history] == [0, 2, 4, 6]
    constraints.apply(state, 3, monitor=monitor)
    assert [(entry.iteration, entry.misfit) for entry in monitor.history] == [
        (1, 0),
        (2, 2),
        (3, 8),
    ]
    assert monitor.history[-1].taken_back is None
    for iteration in (1, 2):
        constraints.apply(state, iteration, monitor=monitor)
    assert [entry.iteration for entry in monitor.history] == [1, 2]


def test_one_that_fails_halfway_is_no_entry():
    state, failing = make_state(), [False]

    def misfit():
        if failing[0]:
            raise ZeroDivisionError
        return 1.0

    monitor, constraints = Monitor(misfit=misfit), only(objp_postiv={})
    constraints.apply(state, 1, monitor=monitor)
    failing[0] = True
    with pytest.raises(ZeroDivisionError):
        constraints.apply(state, 2, monitor=monitor)
    failing[0] = False
    constraints.apply(state, 3, monitor=monitor)
    assert [entry.iteration for entry in monitor.history] == [1, 3]


@ROADS
def test_a_signal_while_looking_is_not_held(road):
    """A forward pass may take long; nothing is being written then."""
    state, went_on = make_state(), []

    def misfit():
        if len(went_on) == 1:
            signal.raise_signal(signal.SIGINT)
        went_on.append(state.object_phase.min())
        return 1.0

    monitor = Monitor(misfit=misfit)
    with pytest.raises(KeyboardInterrupt):
        applied(only(objp_postiv={}, obja_thresh={}), state, road, monitor)(1)
    assert len(went_on) == 1
    assert abs(state.object_amplitude).max() <= 1.05  # obja_thresh, the first one, is done
    assert state.object_phase.min() == went_on[0] < 0  # and the second has not begun
    assert monitor.history == ()


def entries(*changes, name="obja_thresh", first=1, misfit=1.0, shares=()):
    made = []
    for i, change in enumerate(changes):
        share = shares[i] if shares else None
        made.append(Monitored(first + i, misfit, (Effect(name, misfit + change, change, share),)))
    return made


@pytest.mark.parametrize(
    ("changes", "first", "said"),
    [
        ((0.5, 0.09), 1, False),  # iteration 1 does not count
        ((0.5, 0.09, 0.09), 1, True),
        ((0.09, 0.09), 2, True),
        ((0.09, 0.07), 2, False),
        ((0.09, 0.07, 0.09), 2, False),
        ((0.08, 0.08), 2, False),
        ((np.nan, np.nan), 2, False),
        ((0.2,), 9, False),
    ],
)
def test_two_times_running_is_a_disagreement(changes, first, said):
    found = judging.findings(entries(*changes, first=first))
    assert set(found) == ({"obja_thresh"} if said else set())


def test_runs_of_a_constraint_count_not_iterations():
    others = [Monitored(i, 1.0, (Effect("objp_postiv", 1.0, 0.0, None),)) for i in (3, 5, 7)]
    ran = entries(0.1, 0.1, first=4)
    history = [ran[0], *others, ran[1]]
    assert set(judging.findings(history)) == {"obja_thresh"}


@pytest.mark.parametrize(
    ("shares", "misfit", "said"),
    [
        ((0.95, 0.92, 0.91), 1.21, True),
        ((0.95, 0.92, 0.91), 1.2, False),
        ((0.95, 0.9, 0.91), 1.3, False),
        ((0.95, None, 0.91), 1.3, False),
        ((0.95, 0.92), 1.3, False),
        ((0.1, 0.95, 0.92, 0.91), 1.3, True),
    ],
)
def test_stalled(shares, misfit, said):
    history = entries(*[0.0] * len(shares), shares=shares, misfit=misfit)
    found = judging.findings(history)
    assert set(found) == ({""} if said else set())
    if said:
        expected = "the constraints take back 91 % of what the data ask for"
        assert expected in found[""]
        assert found[""].endswith("loosen them, obja_thresh first")


@ROADS
def test_said_once_until_it_changes(caplog, road):
    rises = iter([0, 0, 0.2, 0.1, 0.2, 0, 0, 0.3, 0.3, 0.3])
    state, now = make_state(), [1.0]

    def misfit():
        now[0] = 1.0 if now[0] != 1.0 or next_rise[0] == 0 else 1.0 + next_rise[0]
        return now[0]

    next_rise = [0.0]
    monitor = Monitor(misfit=misfit, every=1)
    apply = applied(only(obja_thresh={}), state, road, monitor)
    said = []
    for iteration, rise in enumerate(rises, start=1):
        next_rise[0], now[0] = rise, 0.0
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="arraycon"):
            apply(iteration)
        said += [(iteration, text) for text in caplog.messages]
    words = "obja_thresh does not agree with the data yet: misfit 1.00 → {}; start it later or"
    assert [iteration for iteration, _ in said] == [4, 9]
    assert said[0][1] == "iteration 4: " + words.format("1.10") + " loosen it"
    assert words.format("1.30") in said[1][1]
    assert monitor.warnings == tuple(text for _, text in said)
    next_rise[0], now[0] = 0.0, 0.0
    apply(5)
    assert monitor.warnings == (said[0][1],)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"misfit": 1.0}, TypeError, "misfit: expected a callable"),
        ({"counts": np.ones((3, 4, 4))}, ValueError, "both counts and forward"),
        ({"forward": abs}, ValueError, "both counts and forward"),
        ({"misfit": abs, "counts": 1, "forward": abs}, ValueError, "either misfit, or both"),
        ({"misfit": abs, "every": 0}, ValueError, "^every: expected"),
        ({"counts": np.ones((3, 4)), "forward": abs}, TypeError, r"counts: .*got \(3, 4\)"),
        ({"counts": 3, "forward": abs}, TypeError, "counts: .*got int"),
        ({"counts": np.ones((0, 4, 4)), "forward": abs}, ValueError, "at least one pattern"),
        ({"counts": np.ones((3, 4, 4)), "forward": 1}, TypeError, "forward: expected a callable"),
        ({"number": 0}, ValueError, "^number: expected"),
        ({"seed": -1}, ValueError, "^seed: expected"),
        ({"counts_per_unit": 0}, ValueError, "^counts_per_unit: expected"),
    ],
)
def test_bad_arguments(options, kind, message):
    with pytest.raises(kind, match=message):
        Monitor(**options)


@pytest.mark.parametrize("bad", [None, "1", np.ones(1), [1.0], 1j])
def test_a_misfit_that_is_none(bad):
    state, monitor = make_state(), Monitor(misfit=lambda: bad)
    before = snapshot(state)
    with pytest.raises(TypeError, match=r"^misfit: expected it to return a number"):
        only(objp_postiv={}).apply(state, 1, monitor=monitor)
    assert_equal(snapshot(state), before)


def test_one_that_nobody_feeds():
    state, monitor = make_state(), Monitor()
    before = snapshot(state)
    for apply in (
        applied(only(objp_postiv={}), state, road, monitor) for road in ("apply", "bound")
    ):
        with pytest.raises(ValueError, match=r"^monitor: expected one with a misfit"):
            apply(1)
    assert_equal(snapshot(state), before)
    monitor.feed(Subset(np.ones((3, 2, 2)), lambda i: np.ones((len(i), 2, 2))))
    only(objp_postiv={}).apply(state, 1, monitor=monitor)
    assert len(monitor.history) == 1


class Model:
    """Patterns whose intensities are known."""

    def __init__(self, seed=0, shape=(100, 6, 5)):
        rng = np.random.default_rng(seed)
        self.intensities = rng.uniform(0.1, 5, shape)
        self.counts = rng.poisson(self.intensities)
        self.asked = []

    def __call__(self, indices):
        self.asked.append(indices)
        return self.intensities[indices]


def test_the_same_patterns_each_time():
    model = Model()
    subset = Subset(model.counts, model, number=20, seed=3)
    q = [float(subset.misfit()) for _ in range(2)]
    indices = model.asked[0]
    np.testing.assert_array_equal(model.asked[1], indices)
    assert indices.dtype.kind == "i"
    assert len(set(indices)) == 20
    assert np.all(np.diff(indices) > 0)
    n, m = model.counts[indices] * 1.0, model.intensities[indices]
    assert q == [float(arraycon.misfit_ratio(m, n))] * 2
    expected = np.sum((np.sqrt(m) - np.sqrt(n)) ** 2) / np.sum(n)
    assert float(subset.error()) == pytest.approx(expected, rel=1e-12)
    others = Subset(model.counts, model, number=20, seed=4)
    assert not np.array_equal(others.indices, indices)
    np.testing.assert_array_equal(Subset(model.counts, model, number=500).indices, range(100))


def test_what_codes_divide_by():
    model, plain = Model(), Model()
    subset = Subset(model.counts / 7, lambda i: model(i) / 7, counts_per_unit=7.0)
    q = float(Subset(plain.counts, plain).misfit())
    assert float(subset.misfit()) == pytest.approx(q, rel=1e-12)
    given = Subset(lambda i: model.counts[i] * 1.0, model, total=100)
    assert float(given.misfit()) == q


def test_a_forward_of_another_shape():
    model = Model()
    subset = Subset(model.counts, lambda i: model(i)[:, :3])
    with pytest.raises(ValueError, match=r"^forward: expected intensities of shape \(48, 6, 5\)"):
        subset.misfit()
    with pytest.raises(TypeError, match="forward's intensities: expected an array"):
        Subset(model.counts, lambda i: model(i).tolist()).misfit()


@pytest.mark.parametrize("own", [False, True], ids=["counts of NumPy", "counts of its own"])
@LIBRARIES
def test_forward_in_every_library(library, own):
    if reason := library.available():
        pytest.skip(reason)
    model = Model()
    counts = model.counts.astype("float32")
    convert = library.module.asarray
    subset = Subset(
        convert(counts) if own else counts, lambda i: convert(model(i).astype("float32"))
    )
    expected = Subset(counts, lambda i: model(i).astype("float32"))
    for name in ("misfit", "error"):
        found = getattr(subset, name)()
        assert found.shape == ()
        assert arrays.library(found) == arrays.library(convert(np.ones(())))
        assert float(found) == pytest.approx(float(getattr(expected, name)()), rel=1e-5)


@LIBRARIES
@FORMS
def test_states_of_every_library(library, form):
    if reason := library.available():
        pytest.skip(reason)
    blocks = {"obj_rblur": {"obj_type": "phase"}, "objp_postiv": {}}
    rng = np.random.default_rng(5)
    noise = [rng.normal(0, 0.01, (1, 5, 14, 16)).astype("float32") for _ in range(2)]
    held = [n for n in ("object", "object_amplitude", "object_phase")
            if getattr(MADE[form](), n) is not None]  # fmt: skip

    def shares(convert, back):
        plain = MADE[form]()
        state = arraycon.State(**{name: convert(getattr(plain, name)) for name in held})
        seen = []

        def misfit():
            seen.append([float(back(getattr(state, name)).real.sum()) for name in held])
            return sum(seen[-1])

        monitor = Monitor(misfit=misfit)
        bound = only(**blocks).bind(state, monitor=monitor)
        for iteration in (1, 2, 3):
            bound.apply(iteration)
            for name in held if iteration < 3 else ():
                setattr(state, name, getattr(state, name) + convert(noise[iteration - 1]))
        return seen, [effect for entry in monitor.history for effect in entry.effects]

    seen, effects = shares(library.array, library.numpy)
    expected_seen, expected = shares(lambda x: x, lambda x: x)
    np.testing.assert_allclose(seen, expected_seen, rtol=1e-5)
    assert len({*map(tuple, seen[:3])}) == 3  # what was seen changed after each
    for found, own in zip(effects, expected, strict=True):
        assert found.constraint == own.constraint
        assert found.misfit == pytest.approx(own.misfit, rel=1e-4)
        assert found.share == (
            None if own.share is None else pytest.approx(own.share, rel=1e-3, abs=2e-5)
        )


def test_no_graph_of_autograd_grows():
    torch = pytest.importorskip("torch")
    phase = torch.full((1, 2, 8, 8), -0.1, requires_grad=True)
    state = arraycon.State(object_phase=phase)
    found = []

    def misfit():
        found.append((state.object_phase**2).sum())
        return found[-1]

    monitor = Monitor(misfit=misfit)
    bound = only(objp_postiv={}).bind(state, monitor=monitor)
    for iteration in (1, 2):
        bound.apply(iteration)
    assert not any(each.requires_grad for each in found)
    assert phase.grad_fn is None
    assert phase.requires_grad
    assert [entry.misfit for entry in monitor.history] == pytest.approx([1.28, 0])
    with_gradient = Monitor(misfit=lambda: torch.tensor(2.0, requires_grad=True))
    only(objp_postiv={}).apply(state, 3, monitor=with_gradient)
    assert with_gradient.history[0].misfit == 2


def test_jax_sees_values_of_its_own():
    jax = pytest.importorskip("jax")
    state = arraycon.State(object_phase=jax.numpy.full((1, 2, 64, 64), -0.5))
    seen = []

    def misfit():
        seen.append(state.object_phase)
        return 1.0

    blocks = {"objp_postiv": {"relax": 0.5}, "obj_rblur": {"obj_type": "phase"}}
    only(**blocks).apply(state, 1, monitor=Monitor(misfit=misfit))
    assert len(seen) == 3
    means = [float(each.mean()) for each in seen]
    # later constraints have not written into what was shown before
    assert means == pytest.approx([-0.5, -0.5, -0.25])


def test_shares_in_figures():
    step = steps.DataStep()
    assert step.take({"object": np.ones(3)}) == []
    assert step.sums({"object": np.ones(3)}) == []
    step.keep({"object": np.zeros((1, 1, 3))})
    norms = [float(n) for n in step.take({"object": np.array([[[1.0, 2, 3]]])})]
    assert norms == [14]
    before, after = (
        [float(s) for s in step.sums({"object": np.array([[x]])})]
        for x in ([1.0, 2, 3], [1.0, 2, 0])
    )
    assert steps.share(norms, before, after) == pytest.approx(9 / 14)
    assert np.isnan(steps.share([0.0], before, after))


@pytest.mark.parametrize("form", ["parts", "complex"])
def test_nothing_waits_for_a_gpu(form):
    library = Library("cupy")
    if reason := library.available():
        pytest.skip(reason)
    plain = MADE[form]()
    held = ("object", "object_amplitude", "object_phase")
    state = arraycon.State(
        **{n: library.array(x) for n in held if (x := getattr(plain, n)) is not None}
    )
    name = "object" if form == "complex" else "object_phase"
    monitor = Monitor(misfit=lambda: getattr(state, name).real.sum(dtype="float64"))
    bound = only(objp_postiv={}, obj_rblur={"obj_type": "phase"}).bind(state, monitor=monitor)
    with library.without_waiting():
        for iteration in range(1, 7):
            report = bound.apply(iteration)
    assert [entry.iteration for entry in monitor.history] == [1, 2, 3, 5]
    assert len(report) == 2
    assert all(effect.change for effect in monitor.history[0].effects)


class FakeCupy(types.ModuleType):
    """As much of CuPy as figures need on their way, with events that are done on request."""

    def __init__(self):
        super().__init__("cupy")
        self.waits, self.recorded, self.done = [], 0, 0
        outer = self

        class Event:
            def __init__(self, block, disable_timing):
                assert (block, disable_timing) == (False, True)

            def record(self):
                outer.recorded += 1
                self.number = outer.recorded

            @property
            def done(self):
                return self.number <= outer.done

            def synchronize(self):
                if not self.done:
                    outer.waits.append("event")

        self.cuda = types.SimpleNamespace(Event=Event)

        class ndarray:
            __module__ = "cupy"
            shape, dtype, ndim = (), np.dtype("float64"), 0

            def __init__(self, value):
                self.value = value
                self.device = __import__("contextlib").nullcontext()

            def get(self, out, blocking):
                assert blocking is False
                out[...] = self.value

            def __float__(self):
                outer.waits.append("float")
                return self.value

        self.number = ndarray

    def finish(self):
        self.done = self.recorded


@pytest.fixture
def cupy(monkeypatch):
    module, cupyx = FakeCupy(), types.ModuleType("cupyx")
    cupyx.empty_pinned = np.empty
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    return module


def test_figures_on_a_device_are_read_when_they_are_there(cupy):
    numbers = arriving.Arriving([cupy.number(1.5), 2.0])
    assert not numbers.ready()
    cupy.finish()
    assert numbers.ready()
    assert numbers.read() == [1.5, 2.0]
    assert numbers.read() == [1.5, 2.0]
    assert cupy.waits == []


def test_a_warning_waits_for_no_device(cupy, caplog):
    state, now = make_state(), [0]

    def misfit():
        now[0] += 1
        return cupy.number(1.0 if now[0] % 2 else 1.5)

    monitor = Monitor(misfit=misfit)
    constraints = only(obja_thresh={})
    with caplog.at_level(logging.WARNING, logger="arraycon"):
        for iteration in (1, 2, 3):
            constraints.apply(state, iteration, monitor=monitor)
            assert caplog.messages == []
            cupy.finish()  # while the next iteration computes
        constraints.apply(state, 4, monitor=monitor)  # which is not watched itself
    assert cupy.waits == []
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("iteration 3: obja_thresh does not agree")


def test_figures_that_do_not_come_are_waited_for_in_the_next_monitored_iteration(cupy):
    state = make_state()
    monitor = Monitor(misfit=lambda: cupy.number(1.0))
    constraints = only(obja_thresh={})
    constraints.apply(state, 1, monitor=monitor)
    assert cupy.waits == []
    constraints.apply(state, 2, monitor=monitor)
    assert set(cupy.waits) == {"event"}
    assert len(monitor.history) == 2


def test_no_graph_is_replayed_in_iterations_that_are_watched(monkeypatch):
    """The recorded work is that of the iterations in between."""
    ran = []

    class Recorded(graphs.Graphs[list]):
        def __class_getitem__(cls, _):
            return cls

        def __init__(self):
            pass

        def run(self, key, work):
            ran.append(key)
            return work()

    monkeypatch.setattr("arraycon.pipeline.bound.Graphs", Recorded)
    monkeypatch.setattr("arraycon.pipeline.bound.Bound._library", lambda _: "cupy")
    state = make_state()
    monitor = Monitor(misfit=lambda: 1.0)
    bound = only(objp_postiv={}).bind(state, monitor=monitor)
    counts = []
    for iteration in range(1, 8):
        before = len(ran)
        bound.apply(iteration)
        counts.append(len(ran) - before)
    assert counts == [0, 0, 0, 1, 0, 1, 0]


def test_a_figure(tmp_path):
    state, rng = make_state(), np.random.default_rng(0)
    monitor = Monitor(misfit=lambda: float(rng.uniform(1, 1.3)))
    with pytest.raises(ValueError, match="monitored, got none yet"):
        monitor.figure(tmp_path / "none.png")
    bound = only(**BLOCKS).bind(state, monitor=monitor)
    for iteration in range(1, 6):
        move(state, rng)
        bound.apply(iteration)
    monitor.figure(tmp_path / "monitor.png", title="$five$ iterations")
    assert (tmp_path / "monitor.png").read_bytes().startswith(b"\x89PNG")
    from arraycon.monitor import figures

    misfit, change, share = figures.draw(monitor.history).axes
    drawn = {line.get_label(): line.get_ydata() for line in change.get_lines()}
    for name in BLOCKS:
        expected = [entry.of(name).change for entry in monitor.history]
        np.testing.assert_array_equal(drawn[name], expected)
    drawn = {line.get_label(): line.get_ydata() for line in share.get_lines()}
    expected = [entry.taken_back for entry in monitor.history]
    assert np.isnan(drawn["all"][0])
    np.testing.assert_array_equal(drawn["all"][1:], expected[1:])
    assert len(misfit.get_lines()) == 3


@pytest.mark.parametrize("call", ["apply", "bind"])
def test_something_else_is_no_monitor(call):
    state = arraycon.State(object_phase=np.zeros((1, 1, 4, 4)))
    constraints = arraycon.Constraints({"objp_postiv": {"start_iter": 1}})
    given = (state, 1) if call == "apply" else (state,)
    with pytest.raises(TypeError, match=r"^monitor: expected an arraycon.Monitor, got int$"):
        getattr(constraints, call)(*given, monitor=5)
