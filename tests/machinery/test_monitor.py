"""The monitor: what each constraint does to the misfit and to the data step, and its warnings."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from monitoring import FORMS, MADE, ROADS, Seen, applied, complex_state, move, phase_only, values
from schedules import EVERY, assert_equal, make_state, only, snapshot

import arraycon
from arraycon.monitor import Monitor, Subset

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
