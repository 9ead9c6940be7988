"""`measure=True`: the figures of a comparison with a copy, without it, and the same results."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import Library
from schedules import IDS, OPTIONS, VARIANTS, fitting, make_state, only, snapshot

import arraycon
from arraycon.bench import NAMES
from arraycon.kernels.common import threads

EVERY = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
# Rounding of transforms is part of a comparison, and not of sums of spectra: in float32 it shows
# where little changes.
TOLERANCE = {"float32": 1e-6, "float64": 1e-10}
OBJECTS = ((1, 5, 14, 16), (2, 4, 33, 35), (1, 1, 32, 40), (3, 7, 9, 8), (1, 100, 6, 7))
OBJECT_CONSTRAINTS = [
    name
    for name in NAMES
    if name in ("complex_ratio", "mirrored_amp") or name.startswith(("obj", "k"))
]


def state_of(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    # off-centre in depth, so that there is something to move
    depth = np.linspace(2, 0.1, shape[1])[:, None, None]
    return make_state(
        dtype,
        seed=seed,
        object_amplitude=rng.normal(1, 0.05, shape).astype(dtype),
        object_phase=(depth * rng.normal(0.1, 0.2, shape)).astype(dtype),
    )


def figures(report):
    return {
        name: figure
        for record in report
        for name, figure in record.metrics.items()
        if name.endswith("relative change")
    }


def field(fields, name):
    if name in fields:
        return fields[name].astype("c16")
    return fields["object_amplitude"].astype(float) * np.exp(1j * fields["object_phase"])


def compared(before, after, targets):
    return {
        f"{name}: relative change": np.linalg.norm(field(after, name) - field(before, name))
        / np.linalg.norm(field(before, name))
        for name in targets
    }


def check(name, options, shape, dtype, number=2):
    shape = fitting(name, shape)
    measured, plain = state_of(shape, dtype), state_of(shape, dtype)
    before = snapshot(measured)
    with threads.use_threads(number):
        report = only(**{name: options}).apply(measured, 1, measure=True)
        only(**{name: options}).apply(plain, 1)
    after = snapshot(measured)
    for field, array in snapshot(plain).items():
        np.testing.assert_array_equal(after[field], array, err_msg=field)
    expected = compared(before, after, report[0].targets)
    eps = float(np.finfo(dtype).eps)
    assert figures(report) == {
        # rounding itself, where nothing else is left to see, is not to be reproduced
        key: pytest.approx(value, rel=TOLERANCE[dtype], abs=2 * eps if value < 10 * eps else 0)
        for key, value in expected.items()
    }


@EVERY
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", OBJECTS, ids=str)
def test_the_figures_are_those_of_a_copy(name, options, shape, dtype):
    check(name, options, shape, dtype)


@pytest.mark.parametrize("relax", [0.1, 0.3, 0.7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_rounding_alone_changes_in_a_clamp(dtype, relax):
    """Sums may be taken in any order there, but not so that what is as it was has changed."""
    old = np.random.default_rng(0).uniform(0.97, 1.03, (1, 3, 32, 33)).astype(dtype)
    state = arraycon.State(object_amplitude=old.copy())
    report = only(obja_thresh={"relax": relax}).apply(state, 1, measure=True)
    before = old.astype(np.float64)
    changed = np.linalg.norm(state.object_amplitude - before) / np.linalg.norm(before)
    assert changed < np.finfo(dtype).eps
    assert figures(report)["object_amplitude: relative change"] == pytest.approx(
        changed, rel=1e-9, abs=0
    )


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("name", ["kr_filter", "kz_filter", "kr_thresh", "obj_z_recenter"])
def test_the_figures_do_not_depend_on_whose_transforms_are_used(name):
    check(name, OPTIONS.get(name, {}), (1, 5, 40, 36), "float32")


@EVERY
@pytest.mark.usefixtures("divided")
def test_the_number_of_threads_changes_no_figure(name, options):
    found = []
    for number in (1, 2, 3):
        state = state_of(fitting(name, (1, 5, 66, 64)), "float32")
        with threads.use_threads(number):
            found.append(figures(only(**{name: options}).apply(state, 1, measure=True)))
    assert found[0] == found[1] == found[2]


@settings(max_examples=25)
@given(
    st.sampled_from(VARIANTS),
    st.tuples(*(st.integers(1, n) for n in (2, 6, 40, 40))),
    st.sampled_from(["float32", "float64"]),
)
def test_any_shape(variant, shape, dtype):
    name, options = variant
    state = state_of(fitting(name, shape), dtype)
    before = snapshot(state)
    report = only(**{name: options}).apply(state, 1, measure=True)
    expected = compared(before, snapshot(state), report[0].targets)
    for key, value in figures(report).items():
        assert value == pytest.approx(expected[key], rel=1e-5, abs=4 * float(np.finfo(dtype).eps))


@EVERY
def test_nan_gives_nan(name, options):
    state = state_of(fitting(name, (1, 5, 14, 16)), "float32")
    for array in (getattr(state, field) for field in snapshot(state)):
        array.flat[3] = np.nan
    with np.errstate(all="ignore"):
        report = only(**{name: options}).apply(state, 1, measure=True)
    for key, figure in figures(report).items():
        assert np.isnan(figure), key


def peak_of(constraints, state, measure):
    """Return the least of some calls: what compiling leaves behind goes late."""
    peaks = []
    constraints.apply(state, 1, measure=measure)
    gc.collect()
    gc.freeze()  # what the suite has loaded by now: a round through it takes up to 0.4 s
    for _ in range(4):
        gc.collect()
        tracemalloc.start()
        try:
            constraints.apply(state, 1, measure=measure)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(peaks)


@pytest.mark.quick(when=lambda name: name == "kz_filter")
@pytest.mark.parametrize("name", OBJECT_CONSTRAINTS)
def test_measuring_takes_no_copy(name):
    """Beyond what the constraint itself needs there are blocks of 64 kB, and no slice."""
    pytest.importorskip("numba", reason="numba is not installed")
    state = state_of((1, 12, 256, 256), "float32")
    constraints = only(**{name: OPTIONS.get(name, {})})
    with threads.use_threads(2):
        plain, measured = (peak_of(constraints, state, measure) for measure in (False, True))
    # What two threads hold at once differs from call to call, measured or not, by up to a mask,
    # 0.022 of this array; one slice would be 0.083.
    assert measured - plain < 0.05 * state.object_phase.nbytes


@pytest.mark.parametrize("layout", ["strided", "transposed"])
@EVERY
def test_layouts(name, options, layout):
    library = Library("numpy")
    state = state_of(fitting(name, (1, 5, 14, 16)), "float64")
    for field, array in snapshot(state).items():
        setattr(state, field, library.array(array, layout))
    before = snapshot(state)
    report = only(**{name: options}).apply(state, 1, measure=True)
    expected = compared(before, snapshot(state), report[0].targets)
    assert figures(report) == {
        k: pytest.approx(v, rel=1e-8, abs=1e-14) for k, v in expected.items()
    }


@EVERY
def test_the_reference_is_measured_too(name, options):
    state = state_of(fitting(name, (1, 5, 14, 16)), "float64")
    before = snapshot(state)
    with arraycon.use_agnostic():
        report = only(**{name: options}).apply(state, 1, measure=True)
    expected = compared(before, snapshot(state), report[0].targets)
    assert figures(report) == {
        k: pytest.approx(v, rel=1e-8, abs=1e-14) for k, v in expected.items()
    }


@EVERY
@pytest.mark.parametrize("library", ["cupy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_on_a_gpu(name, options, dtype, library):
    """Whether kernels take the sums or a copy is compared, and without waiting for the device."""
    library = Library(library)
    if reason := library.available():
        pytest.skip(reason)
    measured, plain = (state_of(fitting(name, (2, 4, 33, 35)), dtype) for _ in range(2))
    before = snapshot(measured)
    for state in (measured, plain):
        for field in before:
            setattr(state, field, library.array(before[field]))
    with library.without_waiting():
        report = only(**{name: options}).apply(measured, 1, measure=True)
        only(**{name: options}).apply(plain, 1)
    after = {field: library.numpy(getattr(measured, field)) for field in before}
    for field, array in after.items():
        np.testing.assert_array_equal(array, library.numpy(getattr(plain, field)), err_msg=field)
    eps = float(np.finfo(dtype).eps)
    assert figures(report) == {
        key: pytest.approx(value, rel=TOLERANCE[dtype], abs=2 * eps if value < 10 * eps else 0)
        for key, value in compared(before, after, report[0].targets).items()
    }


def test_what_users_register_is_compared():
    class Halved(arraycon.Block):
        """Halve the phase, by way of an array that one of this package's kernels writes to."""

    @arraycon.register("halved", model=Halved, needs=["object_phase"])
    def halved(inputs, _):
        new = np.empty_like(inputs["object_phase"])
        arraycon.objp_postiv(inputs["object_phase"], relax=1.0, out=new)
        new *= 0.5
        return {"object_phase": new}

    try:
        report = arraycon.Constraints({"halved": {"start_iter": 1}}).apply(
            make_state(), 1, measure=True
        )
    finally:
        arraycon.unregister("halved")
    assert report[0].metrics["object_phase: relative change"] == pytest.approx(0.5, rel=1e-6)
