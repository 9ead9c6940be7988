"""State, schedule, order, report: what `Constraints.apply` does to whose arrays."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries import FLOAT32, Library, relative_error

import arraycon
from arraycon.params import ORDER
from arraycon.state import ARRAYS

OFF = dict.fromkeys(ORDER)
EVERY = {
    name: {"start_iter": 1}
    for name in ORDER
    if name not in ("obj_zblur",)  # with kz_filter it warns, which the tests of parameters cover
} | {"obj_zblur": None}


def only(**blocks):
    """Parameters with everything else off."""
    return arraycon.Constraints(
        {**OFF, **{name: {"start_iter": 1, **block} for name, block in blocks.items()}}
    )


def make_state(dtype="float32", seed=1, **changes):
    rng = np.random.default_rng(seed)
    complex_dtype = {"float32": "complex64", "float64": "complex128"}[dtype]
    probe = rng.normal(size=(3, 12, 12)) + 1j * rng.normal(size=(3, 12, 12))
    fields = {
        "object_amplitude": rng.normal(1, 0.05, (1, 5, 14, 16)).astype(dtype),
        "object_phase": rng.normal(0.1, 0.2, (1, 5, 14, 16)).astype(dtype),
        "probe": (probe * np.array([1, 0.5, 0.25])[:, None, None]).astype(complex_dtype),
        "probe_intensity": 100.0,
        "position_shifts": rng.normal(0.5, 1, (12, 2)).astype(dtype),
        "tilts": rng.normal(0, 1, (12, 2)).astype(dtype),
        "scan_shape": (3, 4),
        "dx": 0.2,
        "wavelength": 0.0251,
        "slice_thickness": 8.0,
    }
    return arraycon.State(**{**fields, **changes})


def snapshot(state):
    return {
        name: np.array(getattr(state, name)) for name in ARRAYS if getattr(state, name) is not None
    }


def assert_equal(before, after):
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)


def test_all_sixteen_run_in_the_order_of_the_specification():
    state = make_state()
    report = arraycon.Constraints(EVERY).apply(state, 1)
    assert [record.name for record in report] == [name for name in ORDER if name != "obj_zblur"]
    assert not report.skipped
    assert {record.iteration for record in report} == {1}


def test_the_callers_own_arrays_are_changed():
    state = make_state()
    own = {name: getattr(state, name) for name in snapshot(state)}
    before = snapshot(state)
    arraycon.Constraints(EVERY).apply(state, 1)
    for name, array in own.items():
        assert getattr(state, name) is array
        assert not np.array_equal(array, before[name])


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
        arraycon.Constraints().apply(make_state(), iteration)


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
    with pytest.raises(arraycon.MissingInputError) as caught:
        only(kz_filter={}, tilt_smooth={}).check(arraycon.State(object_phase=np.ones((2, 3, 3))))
    assert str(caught.value).splitlines() == [
        "kz_filter (obj_type: both): needs object_amplitude, which the state does not have",
        "tilt_smooth: needs tilts and scan_shape, which the state does not have",
    ]


def test_what_is_only_on_by_default_is_skipped_and_listed():
    state = arraycon.State(object_phase=np.random.default_rng(0).random((2, 5, 6)))
    report = arraycon.Constraints().apply(state, 1)
    assert len(report) == 0
    assert dict(report.skipped) == {
        "ortho_pmode": ("probe",),
        "fix_probe_int": ("probe", "probe_intensity"),
        "obj_rblur": ("object_amplitude",),
        "obj_zblur": ("object_amplitude",),
        "pos_recenter": ("position_shifts",),
    }
    assert "skipped: obj_rblur (no object_amplitude)" in str(report)


def test_read_only_arrays_are_refused_before_anything_runs():
    state = make_state()
    state.object_phase.flags.writeable = False
    before = snapshot(state)
    with pytest.raises(ValueError, match="object_phase: expected writable arrays, because kz_filt"):
        only(pos_recenter={}, kz_filter={}).apply(state, 1)
    assert_equal(before, snapshot(state))
    only(pos_recenter={}).apply(state, 1)  # nothing wants to write to it here


def test_a_complex_object_is_split_and_joined():
    parts = make_state("float64")
    together = make_state(
        "float64",
        object_amplitude=None,
        object_phase=None,
        object=parts.object_amplitude * np.exp(1j * parts.object_phase),
    )
    transmission = together.object
    # positive amplitudes: a complex object cannot tell a negative one from a phase of π
    assert parts.object_amplitude.min() > 0
    constraints = arraycon.Constraints(EVERY)
    reports = [constraints.apply(state, 1) for state in (parts, together)]
    assert together.object is transmission
    expected = parts.object_amplitude * np.exp(1j * parts.object_phase)
    assert relative_error(transmission, expected) < 1e-12
    assert [r.targets for r in reports[0]] == [r.targets for r in reports[1]]


def test_a_complex_object_is_left_alone_by_other_constraints():
    rng = np.random.default_rng(0)
    transmission = rng.normal(size=(2, 5, 5)) + 1j * rng.normal(size=(2, 5, 5))
    before = transmission.copy()
    state = arraycon.State(object=transmission, position_shifts=np.ones((3, 2)))
    only(pos_recenter={}).apply(state, 1)
    np.testing.assert_array_equal(transmission, before)


@pytest.fixture
def broken():
    """A registered constraint that fails after the sixteen."""

    class Broken(arraycon.Block):
        how: str = "raise"

    @arraycon.register("broken", model=Broken, needs=["object_phase", "probe"])
    def broken(inputs, params):
        new = {"object_phase": inputs["object_phase"] + 1}
        if params.how == "raise":
            raise RuntimeError("no luck")
        if params.how == "shape":
            return {**new, "probe": inputs["probe"][:1]}
        if params.how == "dtype":
            return {**new, "probe": inputs["probe"].astype("complex64")}
        if params.how == "list":
            return {**new, "probe": inputs["probe"].tolist()}
        return {**new, "tilts": inputs["tilts"]}

    yield
    arraycon.unregister("broken")


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("as_object", [False, True])
@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("raise", RuntimeError, "no luck"),
        ("shape", ValueError, "broken's probe: expected the shape of state.probe"),
        ("dtype", TypeError, "broken's probe: expected the dtype of state.probe"),
        ("list", TypeError, "broken's probe: expected an array"),
        ("other", ValueError, "broken: expected new arrays for object_phase and probe only"),
    ],
)
def test_a_failing_constraint_leaves_the_state_as_before_it(how, error, message, as_object, caplog):
    def state():
        made = make_state("float64")
        if as_object:
            made.object = made.object_amplitude * np.exp(1j * made.object_phase)
            made.object_amplitude = made.object_phase = None
        return made

    failing, expected = state(), state()
    with pytest.raises(error, match=message), caplog.at_level("ERROR", "arraycon"):
        only(objp_postiv={}, broken={"how": how}).apply(failing, 3)
    only(objp_postiv={}).apply(expected, 3)
    assert_equal(snapshot(expected), snapshot(failing))
    assert "iteration 3: broken failed" in caplog.text


def test_registered_constraints_run_after_the_sixteen_or_where_they_are_put():
    class Cap(arraycon.Block):
        limit: float = 1.0

    seen = []

    @arraycon.register("phase_cap", model=Cap, needs=["object_phase"])
    def phase_cap(inputs, params):
        seen.append(params.limit)
        largest = inputs["object_phase"].max()
        return {"object_phase": np.minimum(inputs["object_phase"], params.limit)}, {"max": largest}

    try:
        blocks = {**OFF, "phase_cap": {"start_iter": 2, "limit": 0.1}, "pos_recenter": {
            "start_iter": 1}}  # fmt: skip
        constraints = arraycon.Constraints(blocks)
        assert constraints.order == (*ORDER, "phase_cap")
        state = make_state()
        highest = float(state.object_phase.max())
        assert [record.name for record in constraints.apply(state, 1)] == ["pos_recenter"]
        report = constraints.apply(state, 2)
        assert seen == [0.1]
        assert report[1].metrics["max"] == highest
        assert state.object_phase.max() == np.float32(0.1)
        other = arraycon.Constraints(blocks, order=["phase_cap", "pos_recenter"])
        assert other.due(2) == ("phase_cap", "pos_recenter")
        with pytest.raises(ValueError, match=r"phase_cap\.lmit: .* did you mean limit"):
            arraycon.Constraints({"phase_cap": {"start_iter": 1, "lmit": 1}})
        with pytest.raises(ValueError, match=r"order: .* got none of \['pos_recenter'\]"):
            arraycon.Constraints(blocks, order=["phase_cap"])
    finally:
        arraycon.unregister("phase_cap")
    with pytest.raises(ValueError, match="phase_cap"):
        arraycon.Constraints({"phase_cap": {"start_iter": 1}})


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["kz_filtre"], "order: expected names out of .* got 'kz_filtre'"),
        ([*ORDER, "kz_filter"], "order: expected each name once"),
    ],
)
def test_bad_orders(order, message):
    with pytest.raises(ValueError, match=message):
        arraycon.Constraints(order=order)


def test_registering_under_a_taken_or_impossible_name():
    for name in ("kz_filter", "two words"):
        with pytest.raises(ValueError, match=name):
            arraycon.register(name, model=arraycon.Block, needs=["probe"])(lambda *_: {})
    with pytest.raises(ValueError, match=r"needs: expected names out of .* got 'porbe'"):
        arraycon.register("mine", model=arraycon.Block, needs=["porbe"])
    with pytest.raises(ValueError, match=r"writes: expected names out of .* got 'dx'"):
        arraycon.register("mine", model=arraycon.Block, needs=["probe"], writes=["dx"])


def test_metrics_tell_what_happened():
    state = make_state("float64")
    before = snapshot(state)
    report = only(ortho_pmode={}, objp_postiv={}, obj_z_recenter={}).apply(state, 1)
    metrics = {record.name: record.metrics for record in report}
    power = metrics["ortho_pmode"]["probe: power per mode"]
    assert sum(power) == pytest.approx(np.sum(np.abs(before["probe"]) ** 2))
    assert list(power) == sorted(power, reverse=True)
    shift = metrics["obj_z_recenter"]["shift (slices)"]
    assert isinstance(shift, float)
    assert 0 < abs(shift) <= 2
    report = only(objp_postiv={}).apply(make_state("float64"), 1)
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

    from arraycon.report import Metrics

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
    report = only(pos_recenter={}).apply(state, 1)
    assert report[0].metrics["position_shifts: relative change"] == 0


@pytest.mark.parametrize("as_object", [False, True])
@pytest.mark.parametrize("name", ORDER)
def test_working_in_place_gives_the_same(name, as_object):
    states = [make_state("float64"), make_state("float64")]
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
        assert (result is own[field]) == (name != "jax")
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


BAD_STATES = [
    ({"object": np.ones((2, 3, 3))}, TypeError, "object: expected complex64 or complex128, got fl"),
    ({"object_phase": np.ones((3, 3))}, ValueError, "object_phase: expected at least 3 axes"),
    ({"object_phase": np.ones((2, 3, 3), int)}, TypeError, "object_phase: expected float32 or fl"),
    (
        {"object_phase": np.ones((2, 3, 3)), "object_amplitude": np.ones((2, 3, 4))},
        ValueError,
        "object_phase: expected the shape of object_amplitude",
    ),
    (
        {"object_phase": np.ones((2, 3, 3)), "object": np.ones((2, 3, 3), complex)},
        ValueError,
        "object: expected either a complex object or .* got object and object_phase",
    ),
    ({"probe": np.ones((3, 3), complex)}, ValueError, r"probe: .*a single mode is probe\[None\]"),
    ({"tilts": np.ones(2)}, ValueError, r"tilts: expected shape \(n, 2\)"),
    ({"scan_shape": (3,)}, TypeError, "scan_shape: expected a pair of integers"),
    ({"dx": -0.2}, ValueError, "dx: expected a number > 0, got -0.2"),
    ({"wavelength": "0.025 Å"}, TypeError, "wavelength: expected a number > 0, got '0.025 Å'"),
    ({"probe_intensity": np.nan}, ValueError, "probe_intensity: .* got nan"),
]


@pytest.mark.parametrize(("fields", "error", "message"), BAD_STATES)
def test_impossible_states(fields, error, message):
    with pytest.raises(error, match=message):
        arraycon.State(**fields)


def test_a_field_that_becomes_wrong_later_is_found_by_apply():
    state = make_state()
    state.probe = state.probe[0]
    with pytest.raises(ValueError, match="probe: expected shape"):
        only(pos_recenter={}).apply(state, 1)


def test_a_state_of_two_libraries():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with pytest.raises(TypeError, match="mix: probe is numpy, tilts is torch"):
        arraycon.State(probe=np.ones((1, 3, 3), complex), tilts=torch.ones(1, 2))


def test_what_is_not_a_state():
    with pytest.raises(TypeError, match="state: expected a State, got dict"):
        arraycon.Constraints().apply({}, 1)


def test_texts():
    assert "probe=complex64 (3, 12, 12)" in repr(make_state())
    assert "pos_recenter" in repr(only(pos_recenter={}))
    assert str(only()) == "none"
    assert str(arraycon.Report()) == "nothing was due"
