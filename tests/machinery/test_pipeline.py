"""Schedule, order, report: what `Constraints.apply` does to whose arrays."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries import FLOAT32, Library, relative_error
from schedules import EVERY, OFF, assert_equal, fitting, make_state, only, snapshot

import arraycon
from arraycon.bench import NAMES as ORDER
from arraycon.pipeline.report import Metrics
from arraycon.state import READ_ONLY


def test_all_run_in_the_order_of_the_specification():
    state = make_state()
    report = arraycon.Constraints(EVERY).apply(state, 1)
    assert [record.name for record in report] == [name for name in ORDER if EVERY[name]]
    assert not report.skipped
    assert {record.iteration for record in report} == {1}


def test_the_callers_own_arrays_are_changed():
    state = make_state()
    own = {name: getattr(state, name) for name in snapshot(state)}
    before = snapshot(state)
    arraycon.Constraints(EVERY).apply(state, 1)
    for name, array in own.items():
        assert getattr(state, name) is array
        assert np.array_equal(array, before[name]) == (name in READ_ONLY)


def test_the_pipeline_calls_the_functions():
    state = make_state("float64")
    before = snapshot(state)
    only(kz_filter={"beta": 0.3, "boundary": "mirror"}, pos_recenter={"relax": 0.2}).apply(state, 1)
    for kind in ("amplitude", "phase"):
        expected = arraycon.kz_filter(
            before[f"object_{kind}"], beta=0.3, obj_type=kind, boundary="mirror"
        )
        np.testing.assert_array_equal(getattr(state, f"object_{kind}"), expected)
    expected = arraycon.pos_recenter(before["position_shifts"], relax=0.2)
    np.testing.assert_array_equal(state.position_shifts, expected)


@pytest.mark.parametrize("name", ["obj_rblur", "kr_filter", "kz_filter", "kr_thresh",
                                  "complex_ratio"])  # fmt: skip
@pytest.mark.parametrize("kind", ["amplitude", "phase"])
def test_obj_type_limits_what_changes(name, kind):
    state = make_state()
    before = snapshot(state)
    options = {"alpha2": 0.5} if name == "complex_ratio" else {}
    report = only(**{name: {"obj_type": kind, **options}}).apply(state, 1)
    assert report[0].targets == (f"object_{kind}",)
    for part in ("amplitude", "phase"):
        same = np.array_equal(getattr(state, f"object_{part}"), before[f"object_{part}"])
        assert same == (part != kind)


@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.one_of(st.none(), st.integers(13, 30)),
    st.integers(1, 40),
)
def test_the_schedule(start, step, end, iteration):
    constraints = only(pos_recenter={"start_iter": start, "step": step, "end_iter": end})
    due = iteration in range(start, 10**6 if end is None else end, step)
    assert constraints.due(iteration) == (("pos_recenter",) if due else ())
    state = arraycon.State(position_shifts=np.ones((3, 2)))
    report = constraints.apply(state, iteration)
    assert len(report) == due
    assert np.all(state.position_shifts == (0 if due else 1))


@pytest.mark.parametrize("iteration", [0, -1, 1.5, True, "1", None])
def test_iterations_count_from_one(iteration):
    with pytest.raises((TypeError, ValueError), match="iteration: expected an integer ≥ 1, got"):
        only(pos_recenter={}).apply(make_state(), iteration)


def test_missing_inputs_are_found_before_anything_runs():
    state = make_state(wavelength=None, slice_thickness=None)
    before = snapshot(state)
    constraints = only(pos_recenter={}, obj_z_recenter={"start_iter": 50})
    message = "obj_z_recenter: needs wavelength and slice_thickness"
    with pytest.raises(arraycon.MissingInputError, match=message):
        constraints.apply(state, 1)  # at the first iteration, not after a night at the fiftieth
    assert_equal(before, snapshot(state))


def test_a_constraint_that_is_over_needs_nothing():
    constraints = only(pos_recenter={"end_iter": 5}, tilt_smooth={})
    state = arraycon.State(tilts=np.ones((1, 2)), scan_shape=(2, 2))
    with pytest.raises(arraycon.MissingInputError, match="pos_recenter: needs position_shifts"):
        constraints.apply(state, 1)
    assert [record.name for record in constraints.apply(state, 5)] == ["tilt_smooth"]


def test_all_missing_inputs_are_listed_at_once():
    asked = only(kz_filter={"obj_type": "amplitude"}, complex_ratio={}, tilt_smooth={})
    with pytest.raises(arraycon.MissingInputError) as caught:
        asked.check(arraycon.State(object_phase=np.ones((2, 3, 3))))
    assert str(caught.value).splitlines() == [
        "kz_filter (obj_type: amplitude): needs object_amplitude, which the state does not have; "
        "obj_type: phase works on what there is",
        "complex_ratio (obj_type: both): needs object_amplitude, which the state does not have",
        "tilt_smooth: needs tilts and scan_shape, which the state does not have",
    ]


def test_what_is_only_on_by_default_is_skipped_and_listed():
    state = arraycon.State(position_shifts=np.ones((4, 2)))
    with pytest.warns(arraycon.ParameterWarning, match="run by default, as in PtyRAD"):
        constraints = arraycon.Constraints({}, defaults="ptyrad")
    report = constraints.apply(state, 1)
    assert [record.name for record in report] == ["pos_recenter"]
    assert dict(report.skipped) == {
        "ortho_pmode": ("probe",),
        "fix_probe_int": ("probe", "probe_intensity"),
        "obj_rblur": ("object_amplitude", "object_phase"),
        "obj_zblur": ("object_amplitude", "object_phase"),
    }
    assert "skipped: obj_rblur (no object_amplitude, object_phase)" in str(report)


@pytest.mark.parametrize("part", ["amplitude", "phase"])
def test_both_means_what_there_is_and_the_report_says_so(part):
    field = f"object_{part}"
    array = getattr(make_state(), field)
    expected = make_state()
    only(obj_rblur={"obj_type": part}).apply(expected, 1)
    state = arraycon.State(**{field: array.copy()})
    report = only(obj_rblur={}).apply(state, 1)
    assert report[0].targets == (field,)
    assert str(report) == f"1: obj_rblur({field}) [{part} only, which is all there is]"
    np.testing.assert_array_equal(getattr(state, field), getattr(expected, field))
    assert only(obj_rblur={}).apply(make_state(), 1)[0].note == ""


def test_read_only_arrays_are_refused_before_anything_runs():
    state = make_state()
    state.object_phase.flags.writeable = False
    before = snapshot(state)
    with pytest.raises(ValueError, match="object_phase: expected writable arrays, because kz_filt"):
        only(pos_recenter={}, kz_filter={}).apply(state, 1)
    assert_equal(before, snapshot(state))
    only(pos_recenter={}).apply(state, 1)  # nothing wants to write to it here


def test_metrics_tell_what_happened():
    state = make_state("float64")
    before = snapshot(state)
    report = only(ortho_pmode={}, objp_postiv={}, obj_z_recenter={}).apply(state, 1, measure=True)
    metrics = {record.name: record.metrics for record in report}
    power = metrics["ortho_pmode"]["probe: power per mode"]
    assert sum(power) == pytest.approx(np.sum(np.abs(before["probe"]) ** 2))
    assert list(power) == sorted(power, reverse=True)
    shift = metrics["obj_z_recenter"]["shift (slices)"]
    assert isinstance(shift, float)
    assert 0 < abs(shift) <= 2
    report = only(objp_postiv={}).apply(make_state("float64"), 1, measure=True)
    clipped = np.minimum(before["object_phase"], 0)
    expected = np.linalg.norm(clipped) / np.linalg.norm(before["object_phase"])
    change = report[0].metrics["object_phase: relative change"]
    assert change == pytest.approx(expected)
    assert f"{change:.3g}" in str(report)


def test_metrics_are_read_late_and_once():
    reads = []

    def measured():
        reads.append(1)
        return 2.0

    metrics = Metrics({"a": measured, "b": np.array([1.0, 2.0])})
    assert repr(metrics) == "Metrics(a, b)"
    assert not reads
    assert metrics["a"] == metrics["a"] == 2.0
    assert reads == [1]
    assert dict(metrics) == {"a": 2.0, "b": (1.0, 2.0)}
    with pytest.raises(KeyError):
        metrics["c"]


def test_relative_change_of_nothing():
    state = arraycon.State(position_shifts=np.zeros((3, 2)))
    report = only(pos_recenter={}).apply(state, 1, measure=True)
    assert report[0].metrics["position_shifts: relative change"] == 0


@pytest.mark.parametrize("as_object", [False, True])
@pytest.mark.parametrize("name", ORDER)
def test_working_in_place_gives_the_same(name, as_object):
    states = [make_state("float64", shape=fitting(name)) for _ in range(2)]
    for state in states:
        if as_object:
            state.object = state.object_amplitude * np.exp(1j * state.object_phase)
            state.object_amplitude = state.object_phase = None
    own = {field: getattr(states[1], field) for field in snapshot(states[1])}
    for state, measure in zip(states, (True, False), strict=True):
        # the default kernel of obj_zblur is too short for its Gaussian, which is warned of
        options = {"kernel_size": 7} if name == "obj_zblur" else {}
        only(**{name: options}).apply(state, 1, measure=measure)
    for field, array in own.items():
        assert getattr(states[1], field) is array
    for field, array in snapshot(states[0]).items():
        # transforms into a given array may be rounded differently
        assert relative_error(own[field], array) < 1e-13


def test_measuring_can_be_switched_off():
    report = only(objp_postiv={}, obj_z_recenter={}).apply(make_state(), 1, measure=False)
    assert {record.name: list(record.metrics) for record in report} == {
        "objp_postiv": [],
        "obj_z_recenter": ["shift (slices)"],
    }


@pytest.mark.parametrize("name", ["torch", "jax", "cupy"])
def test_other_libraries(name):
    library = Library(name)
    if reason := library.available():
        pytest.skip(reason)
    expected = make_state()
    arrays = snapshot(expected)
    others = {"dx", "wavelength", "slice_thickness", "scan_shape", "probe_intensity"}
    state = arraycon.State(
        **{field: library.array(array) for field, array in arrays.items()},
        **{field: getattr(expected, field) for field in others},
    )
    own = {field: getattr(state, field) for field in arrays}
    constraints = arraycon.Constraints(EVERY)
    reports = [constraints.apply(one, 1) for one in (state, expected)]
    for field in arrays:
        result = getattr(state, field)
        assert (result is own[field]) == (name != "jax" or field in READ_ONLY)
        # fifteen constraints in a row: their roundings add up
        assert relative_error(library.numpy(result), getattr(expected, field)) < 20 * FLOAT32
    for one, other in zip(*reports, strict=True):
        assert one.metrics.keys() == other.metrics.keys()
        for figure in one.metrics:
            # a change after fifteen constraints is a small difference of rounded arrays
            assert one.metrics[figure] == pytest.approx(other.metrics[figure], rel=1e-3, abs=1e-3)


def test_a_jax_object_is_replaced():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    before = jax.numpy.asarray(np.full((2, 4, 4), 0.5 + 0.5j, "complex64"))
    state = arraycon.State(object=before)
    only(obja_thresh={"thresh": [0.9, 1.1]}).apply(state, 1)
    assert state.object is not before
    np.testing.assert_allclose(np.abs(state.object), 0.9, rtol=1e-6)


def test_two_threads_may_share_the_constraints():
    constraints = arraycon.Constraints(EVERY)
    expected = make_state()
    constraints.apply(expected, 1)
    states = [make_state() for _ in range(4)]
    threads = [threading.Thread(target=constraints.apply, args=(state, 1)) for state in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for state in states:
        assert_equal(snapshot(expected), snapshot(state))


def test_log_lines(caplog):
    with caplog.at_level(logging.DEBUG, "arraycon"):
        arraycon.Constraints({**OFF, "pos_recenter": {"start_iter": 3}}).apply(make_state(), 3)
    assert "constraints: pos_recenter (every iteration from 3)" in caplog.text
    assert "iteration 3: pos_recenter changed ('position_shifts',)" in caplog.text


def test_texts():
    assert "probe=complex64 (3, 12, 12)" in repr(make_state())
    assert "pos_recenter" in repr(only(pos_recenter={}))
    assert str(only()) == "none"
    assert str(arraycon.Report()) == "nothing was due"
