"""`obj_type: complex`: the object A·exp(iφ) as a whole, whoever holds what of it."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import FLOAT64, Library, relative_error
from schedules import assert_equal, fitting, make_state, only, snapshot

import arraycon
from arraycon.bench import NAMES
from arraycon.blocks import allowed
from arraycon.constraints import declared

COMPLEX = tuple(
    name
    for name in NAMES
    if "obj_type" in declared()[name].model.model_fields
    and "complex" in allowed(declared()[name].model, "obj_type")
)
EACH = pytest.mark.parametrize("name", COMPLEX)
TURN = 2 * np.pi


# five taps would cut off the default Gaussian in depth; a function's vacuum is that of a phase
OWN = {"obj_zblur": {"kernel_size": 7}, "obj_shrink": {"target": 1.0}}


def block(name):
    return {**OWN.get(name, declared()[name].typical), "obj_type": "complex"}


def whole(state):
    return state.object_amplitude * np.exp(1j * state.object_phase)


def held_whole(state, **changes):
    return make_state(
        "float64", object_amplitude=None, object_phase=None, object=whole(state), **changes
    )


@EACH
def test_parts_and_whole_give_the_same_object(name):
    state = make_state("float64")
    together, transmission = held_whole(state), whole(state)
    own = together.object
    options = {key: value for key, value in block(name).items() if key != "obj_type"}
    scalars = {
        field: getattr(state, field)
        for field in declared()[name].needs(declared()[name].model(**block(name)))
        if field != "object"
    }
    expected = getattr(arraycon, name)(transmission, **scalars, **options)
    constraints = only(**{name: block(name)})
    reports = [constraints.apply(one, 1) for one in (state, together)]
    assert [record.targets for report in reports for record in report] == [("object",)] * 2
    assert relative_error(whole(state), expected) <= FLOAT64
    assert relative_error(together.object, expected) <= FLOAT64
    assert together.object is own
    assert relative_error(expected, transmission) > 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_a_complex_object_becomes_what_its_parts_become(name):
    options = {"kernel_size": 7} if name == "obj_zblur" else {}
    state = make_state("float64", shape=fitting(name))
    together = held_whole(state)
    for one in (state, together):
        only(**{name: options}).apply(one, 1)
    assert relative_error(together.object, whole(state)) <= FLOAT64
    for field, array in snapshot(together).items():
        if field != "object":
            assert relative_error(array, getattr(state, field)) <= FLOAT64


@EACH
def test_bound_is_the_same(name):
    constraints = only(**{name: block(name)}, objp_postiv={"start_iter": 2, "step": 2})
    for state in (make_state(), held_whole(make_state("float64"))):
        other = arraycon.State(**snapshot(state), dx=state.dx, slice_thickness=8.0)
        bound = constraints.bind(other)
        for iteration in (1, 2, 3):
            constraints.apply(state, iteration)
            bound.apply(iteration)
        expected = snapshot(state)
        assert_equal({key: expected[key] for key in snapshot(other)}, snapshot(other))


def test_the_phase_stays_on_its_branch():
    phase = 3.5 + np.random.default_rng(3).normal(0, 0.2, (1, 2, 8, 8))
    state = arraycon.State(object_amplitude=np.ones_like(phase), object_phase=phase.copy())
    amplitude, own = state.object_amplitude, state.object_phase
    only(obj_rblur={"obj_type": "complex"}).apply(state, 1)
    assert state.object_amplitude is amplitude
    assert state.object_phase is own
    assert np.all(np.abs(own - phase) < np.pi)
    blurred = arraycon.obj_rblur(np.exp(1j * phase))
    assert relative_error(amplitude * np.exp(1j * own), blurred) <= FLOAT64


def test_steps_on_parts_and_whole_take_turns():
    """Each one sees what the one before has made, whatever the state holds."""
    constraints = only(
        obj_zblur={"obj_type": "complex", "kernel_size": 7}, kr_filter={"obj_type": "phase"},
        objp_postiv={},
        kr_thresh={"obj_type": "complex", "thresh": 0.5},
    )  # fmt: skip
    state = make_state("float64")
    expected, together = whole(state), held_whole(state)
    expected = arraycon.obj_zblur(expected, kernel_size=7)
    # kr_thresh is the third of them, and positivity the last
    filtered = np.abs(expected) * np.exp(1j * arraycon.kr_filter(np.angle(expected)))
    sparse = arraycon.kr_thresh(filtered, thresh=0.5)
    phase = np.maximum(np.angle(sparse), 0)
    expected = np.abs(sparse) * np.exp(1j * phase)
    constraints.apply(state, 1)
    assert relative_error(whole(state), expected) <= FLOAT64
    constraints.apply(together, 1)
    # split about each slice's mean, which here moves no branch
    assert relative_error(together.object, expected) <= FLOAT64


def test_both_parts_are_needed():
    state = arraycon.State(object_phase=np.ones((1, 2, 4, 4)))
    message = r"obj_rblur \(obj_type: complex\): needs object, which the state does not have"
    with pytest.raises(arraycon.MissingInputError, match=message):
        only(obj_rblur={"obj_type": "complex"}).apply(state, 1)


def test_a_failure_leaves_the_parts(monkeypatch):
    from arraycon.kernels.agnostic import blur

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(blur, "obj_rblur", fail)
    monkeypatch.setenv("ARRAYCON_BACKEND", "agnostic")
    state = make_state()
    before = snapshot(state)
    with pytest.raises(MemoryError):
        only(obj_rblur={"obj_type": "complex"}).apply(state, 1, measure=True)
    assert_equal(before, snapshot(state))


def test_read_only_parts_are_refused():
    state = make_state()
    state.object_phase.flags.writeable = False
    with pytest.raises(ValueError, match="object: expected writable arrays, because obj_rblur"):
        only(obj_rblur={"obj_type": "complex"}).apply(state, 1)


@EACH
@pytest.mark.parametrize("held", ["parts", "whole"])
def test_it_is_measured_as_a_whole(name, held):
    state = make_state("float64")
    before = whole(state)
    measured = held_whole(state) if held == "whole" else state
    (record,) = only(**{name: block(name)}).apply(measured, 1, measure=True)
    if held == "whole":
        only(**{name: block(name)}).apply(state, 1)
    change = np.linalg.norm(whole(state) - before) / np.linalg.norm(before)
    assert record.metrics["object: relative change"] == pytest.approx(change)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_other_libraries(library):
    library = Library(library)
    if reason := library.available():
        pytest.skip(reason)
    own = make_state()
    lent = arraycon.State(
        **{name: library.array(getattr(own, name)) for name in ("object_amplitude", "object_phase")}
    )
    for state in (own, lent):
        only(obj_rblur={"obj_type": "complex"}).apply(state, 1)
    for name in ("object_amplitude", "object_phase"):
        assert relative_error(library.numpy(getattr(lent, name)), getattr(own, name)) < 1e-6
