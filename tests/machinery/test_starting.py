"""Start rules and ramps: when a constraint begins, and how gradually."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from schedules import assert_equal, make_state, only, snapshot

import arraycon
from arraycon.blocks import StartWhen, describe_schedule
from arraycon.constraints import declared
from arraycon.params import ConstraintParams

RULE = {"error_falls_below": 0.005, "for": 3}
# falls by 10 % up to iteration 6, then by 0.1 %
ERRORS = {i: 0.9 ** min(i, 6) * 0.999 ** max(0, i - 6) for i in range(1, 15)}


def ran(constraints, state, errors, **options):
    return [i for i, e in errors.items() if len(constraints.apply(state, i, error=e, **options))]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({}, range(9, 15)),
        ({"start_iter": 11}, range(11, 15)),
        ({"step": 2}, range(9, 15, 2)),  # counted from where it began
        ({"end_iter": 12}, range(9, 12)),  # absolute
        ({"end_iter": 9}, ()),
        ({"start_when": {**RULE, "for": 1}}, range(7, 15)),
        ({"start_when": {**RULE, "error_falls_below": 0.2}}, range(4, 15)),
        ({"start_when": {**RULE, "error_falls_below": 0.0005}}, ()),
    ],
)
def test_it_begins_when_the_error_has_stopped_falling(block, expected):
    constraints = only(obja_thresh={"start_when": RULE, **block})
    assert ran(constraints, make_state(), ERRORS) == list(expected)
    bound = constraints.bind(make_state())
    assert [i for i, e in ERRORS.items() if len(bound.apply(i, error=e))] == list(expected)
    measured = ran(constraints, make_state(), ERRORS, measure=True)
    assert measured == list(expected)


def test_once_begun_it_goes_on_also_without_errors():
    constraints, state = only(obja_thresh={"start_when": RULE}), make_state()
    assert ran(constraints, state, {i: ERRORS[i] for i in range(1, 10)}) == [9]
    assert len(constraints.apply(state, 10)) == 1
    assert len(constraints.apply(state, 11, error=ERRORS[1])) == 1


@pytest.mark.parametrize(
    ("errors", "began"),
    [
        ({1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}, 4),
        ({1: 1.0, 2: 1.1, 3: 1.2, 4: 1.3}, 4),  # an error that rises has not fallen
        ({1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0}, 4),
        ({1: 1.0, 2: 1.0, 3: 1.0, 4: 0.5, 5: 0.5, 6: 0.5}, None),  # not three times running
        ({1: 1.0, 11: 0.96, 12: 0.96, 13: 0.96}, 13),  # 4 % in ten iterations
        ({1: 1.0, 11: 0.90, 12: 0.90, 13: 0.90}, None),
        ({}, None),
    ],
)
def test_the_rule_in_figures(errors, began):
    assert StartWhen(**RULE).began(errors, 1) == began


def test_each_state_has_its_own_errors():
    constraints, one, two = only(obja_thresh={"start_when": RULE}), make_state(), make_state()
    ran(constraints, one, ERRORS)
    assert ran(constraints, two, {i: 1 / i for i in range(1, 15)}) == []
    assert two.errors == {i: 1 / i for i in range(1, 15)}
    assert pickle.loads(pickle.dumps(one)).errors == one.errors
    assert replace(one).errors == {}


def test_what_is_handed_over_again_counts_and_forgets_what_came_after():
    constraints, state = only(obja_thresh={"start_when": RULE}), make_state()
    ran(constraints, state, ERRORS)
    constraints.apply(state, 3, error=5.0)
    assert state.errors == {1: ERRORS[1], 2: ERRORS[2], 3: 5.0}
    assert ran(constraints, state, ERRORS) == list(range(9, 15))


def refused(function, *arguments, **options):
    with pytest.raises(arraycon.MissingInputError) as error:
        function(*arguments, **options)
    return str(error.value)


@pytest.mark.parametrize("block", [{}, {"start_iter": 5}])
def test_without_an_error_nothing_runs(block):
    constraints = only(objp_postiv={}, obja_thresh={"start_when": RULE, **block})
    state, before = make_state(), snapshot(make_state())
    for function in (constraints.apply, constraints.check):
        text = refused(function, state, 1)
        assert text.startswith("obja_thresh: start_when")
        assert "error=" in text
    assert refused(constraints.bind(state).apply, 1).startswith("obja_thresh")
    assert_equal(snapshot(state), before)
    constraints.check(state, error=0.1)
    assert not state.errors


def test_a_rule_that_can_never_come_to_run_needs_none():
    constraints = only(objp_postiv={}, obja_thresh={"start_when": RULE, "end_iter": 3})
    assert len(constraints.apply(make_state(), 3)) == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0, True, "0.1", np.ones(2), np.nan])
def test_errors_that_are_none_are_refused_by_name(bad):
    constraints, state = only(obja_thresh={"start_when": RULE}), make_state()
    for apply in (lambda: constraints.apply(state, 1, error=bad),
                  lambda: constraints.bind(state).apply(1, error=bad)):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=r"^error: expected"):
            apply()
    assert not state.errors


def test_errors_may_be_arrays_without_axes():
    constraints, state = only(obja_thresh={"start_when": RULE}), make_state()
    constraints.apply(state, 1, error=np.float32(0.5))
    constraints.apply(state, 2, error=np.asarray(0.25))
    assert state.errors == {1: 0.5, 2: 0.25}


@pytest.mark.parametrize("library", ["bound", "apply"])
@pytest.mark.parametrize("form", ["parts", "complex"])
def test_a_ramp_goes_from_nothing_to_the_value(form, library):
    constraints = only(obja_thresh={"start_iter": 3, "ramp": 4, "relax": 0.2, "thresh": [0.5, 1]})
    values = np.full((1, 2, 8, 8), 2.0)
    state = arraycon.State(**({"object_amplitude": values} if form == "parts"
                              else {"object": values + 0j}))  # fmt: skip
    array = values if form == "parts" else state.object
    apply = constraints.bind(state).apply if library == "bound" else (
        lambda i: constraints.apply(state, i))  # fmt: skip
    for iteration, relax in enumerate([1, 1, 0.8, 0.6, 0.4, 0.2, 0.2], start=1):
        array[...] = 2
        apply(iteration)
        np.testing.assert_allclose(abs(array), 2 * relax + (1 - relax), rtol=1e-12)


def test_a_ramp_begins_where_the_rule_says():
    block = {"start_when": {**RULE, "for": 1}, "ramp": 2, "thresh": [0.5, 1]}
    constraints, state = only(obja_thresh=block), make_state("float64")
    for iteration in (1, 2, 3):
        state.object_amplitude[...] = 2
        constraints.apply(state, iteration, error=1.0)
        expected = [2, 1.5, 1][iteration - 1]
        np.testing.assert_allclose(state.object_amplitude, expected)


def test_whatever_can_be_relaxed_can_be_so_gradually():
    found = {name for name, one in declared().items() if "relax" in one.model.model_fields}
    assert found
    assert found == {name for name, one in declared().items() if "ramp" in one.model.model_fields}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"start_when": RULE, "start_iter": 5},
         "when the error falls by less than 0.5 % an iteration, 3 times running, not before 5"),
        ({"start_when": {**RULE, "for": 1}},
         "when the error falls by less than 0.5 % an iteration"),
        ({"start_when": {**RULE, "for": 1}, "step": 2, "end_iter": 30},
         "every 2nd from when the error falls by less than 0.5 % an iteration, "
         "until 30 (exclusive)"),
        ({"ramp": 5}, "every iteration, gradually over 5 iterations"),
        ({"ramp": 5, "start_iter": None}, "off"),
    ],
)  # fmt: skip
def test_in_words(block, expected):
    assert describe_schedule(only(obja_thresh=block)["obja_thresh"]) == expected


def test_parameters_come_back():
    block = {"start_iter": 5, "start_when": RULE, "ramp": 5}
    params = ConstraintParams(obja_thresh=block)
    dumped = params.obja_thresh.model_dump()
    assert dumped["start_when"] == RULE
    assert json.loads(params.obja_thresh.model_dump_json())["start_when"] == RULE
    assert ConstraintParams(obja_thresh=dumped) == params
    constraints = arraycon.Constraints(params)
    assert pickle.loads(pickle.dumps(constraints)) == constraints
    assert hash(constraints) == hash(arraycon.Constraints({"obja_thresh": dumped}))


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"error_falls_below": 1.5}, "start_when"),
        ({"error_falls_below": 0}, "start_when"),
        ({"error_falls_below": True}, "start_when"),
        ({"for": 3}, "start_when"),
        ({**RULE, "for": 0}, "start_when"),
        ({**RULE, "for": True}, "start_when"),
        ({**RULE, "xyzzy": 1}, "start_when"),
        (0.005, "start_when"),
    ],
)
def test_rules_that_are_none_are_refused(rule, field):
    with pytest.raises(arraycon.ParameterError, match=rf"obja_thresh\.{field}: got .*, allowed: "):
        arraycon.Constraints({"obja_thresh": {"start_iter": 1, "start_when": rule}})


def test_errors_that_are_known_need_not_be_handed_over():
    constraints, state = only(obja_thresh={"start_when": {**RULE, "for": 1}}), make_state()
    state.errors.update({1: 0.5, 2: 0.2, 3: 0.2})
    assert [len(constraints.apply(state, i)) for i in (1, 2, 3, 4)] == [0, 0, 1, 1]
    assert state.errors == {1: 0.5, 2: 0.2, 3: 0.2}
    state.errors.pop(3)
    assert refused(constraints.apply, state, 3).startswith("obja_thresh: start_when")
