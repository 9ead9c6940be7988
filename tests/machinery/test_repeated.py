"""A schedule may hold a constraint several times: from the second time on it has a number."""

from __future__ import annotations

import json
import pickle
import re

import numpy as np
import pytest
import yaml
from schedules import assert_equal, make_state, snapshot

import arraycon
from arraycon.constraints import repeats
from arraycon.params import ConstraintParams, ParameterWarning, files

EARLY = {"start_iter": 1, "end_iter": 3, "beta": 1.0, "obj_type": "phase"}
LATE = {"start_iter": 3, "beta": 0.2, "obj_type": "phase"}
POSITIVE = {"start_iter": 1}
LISTED = [{"kz_filter": EARLY}, {"objp_postiv": POSITIVE}, {"kz_filter": LATE}]
NUMBERED = {"kz_filter": EARLY, "objp_postiv": POSITIVE, "kz_filter#2": LATE}


def test_each_has_its_own_values_iterations_and_record():
    constraints, state = arraycon.Constraints(LISTED), make_state("float64")
    assert list(constraints) == ["kz_filter", "kz_filter#2", "objp_postiv"]
    assert len(constraints) == 3
    assert constraints["kz_filter"].beta == 1.0
    assert constraints["kz_filter#2"].beta == 0.2
    assert "kz_filter#2 (every iteration from 3)" in str(constraints)
    for iteration, name, beta in ((1, "kz_filter", 1.0), (2, "kz_filter", 1.0),
                                  (3, "kz_filter#2", 0.2)):  # fmt: skip
        expected = np.maximum(arraycon.kz_filter(state.object_phase, beta=beta), 0)
        report = constraints.apply(state, iteration)
        assert [record.name for record in report] == [name, "objp_postiv"]
        assert report[0].targets == ("object_phase",)
        np.testing.assert_array_equal(state.object_phase, expected)


def test_both_at_once_run_one_behind_the_other_or_as_the_order_says():
    clamps = [{"obja_thresh": {"start_iter": 1, "thresh": each}} for each in ((0, 2), (1, 3))]
    blur = {"obj_rblur": {"start_iter": 1}}
    constraints = arraycon.Constraints([clamps[0], blur, clamps[1]])
    assert list(constraints) == ["obj_rblur", "obja_thresh", "obja_thresh#2"]
    state = arraycon.State(object_amplitude=np.array([[[-1.0, 0.5, 4.0]]]))
    arraycon.Constraints(clamps).apply(state, 1)
    np.testing.assert_array_equal(state.object_amplitude, [[[1, 1, 2]]])
    order = ["obja_thresh#2", "obj_rblur", "obja_thresh"]
    other = arraycon.Constraints([clamps[0], blur, clamps[1]], order=order)
    assert list(other) == order
    assert [each.name for each in other.apply(make_state(), 1)] == order
    with pytest.raises(ValueError, match=r"every constraint that is on, got none of \['obja_thr"):
        arraycon.Constraints([*clamps, blur], order=order[1:])


def test_bound_is_the_same():
    constraints, one, two = arraycon.Constraints(LISTED), make_state(), make_state()
    bound = constraints.bind(one)
    for iteration in (1, 2, 3, 4):
        assert str(bound.apply(iteration)) == str(constraints.apply(two, iteration))
        assert_equal(snapshot(one), snapshot(two))


def test_they_travel():
    constraints = arraycon.Constraints(LISTED)
    assert constraints == arraycon.Constraints(NUMBERED)
    assert hash(constraints) == hash(arraycon.Constraints(NUMBERED))
    assert constraints != arraycon.Constraints([LISTED[2], LISTED[1], LISTED[0]])
    assert pickle.loads(pickle.dumps(constraints)) == constraints
    params = constraints.params
    assert params.given == NUMBERED.keys()
    dumped = params.model_dump(mode="json", exclude_unset=True)
    assert dumped == NUMBERED
    assert arraycon.Constraints(dumped) == constraints
    assert ConstraintParams.model_validate(params) == params
    changed = params.replace(**{"kz_filter#2": {"beta": 0.4}})
    assert changed.blocks()["kz_filter#2"].beta == 0.4
    copied = params.model_copy(update={"kz_filter#2": {"beta": -1}})
    with pytest.raises(arraycon.ParameterError, match=r"kz_filter#2.beta: got -1"):
        arraycon.Constraints(copied)


@pytest.mark.parametrize("suffix", [".yaml", ".json", ".toml"])
def test_files(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    if suffix == ".toml":
        entries = (
            f"[[constraint_params]]\n[constraint_params.{name}]\n"
            + "".join(f"{key} = {json.dumps(value)}\n" for key, value in block.items())
            for entry in LISTED
            for name, block in entry.items()
        )
        path.write_text("\n".join(entries))
    else:
        write = yaml.safe_dump if suffix == ".yaml" else json.dumps
        path.write_text(write({"constraint_params": LISTED}))
    read = arraycon.Constraints.from_file(path, defaults="none")
    assert read == arraycon.Constraints(LISTED)
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(read.params.model_dump(mode="json")))
    assert arraycon.Constraints.from_file(again, defaults="none") == read
    assert "\nkz_filter#2:\n" in again.read_text()  # no comment to YAML, no quotes


def test_a_file_with_defaults_has_them_beside_the_list(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({"constraint_params": [*LISTED, {"obj_zblur": None}]}))
    with pytest.warns(ParameterWarning, match="run by default"):
        constraints = arraycon.Constraints.from_file(path)
    assert {*constraints} > {"kz_filter", "kz_filter#2", "obj_rblur"}
    path.write_text(yaml.safe_dump(LISTED))
    with pytest.raises(arraycon.ParameterError, match="a list of them belongs below constraint_pa"):
        files.load(path)


def test_what_is_wrong_is_named_by_its_place():
    bad = [
        {"kz_filter": {"betta": 1}},
        {"kz_filter": {"start_iter": 1, "beta": -1}},
        "kr_filter",
        {"kr_filter": {}, "kr_thresh": {}},
        {"kz_filter#3": {}},
        {3: {}},
        {"kz_fliter": {}},
    ]
    with pytest.raises(arraycon.ParameterError) as caught:
        arraycon.Constraints(bad)
    lines = {line.partition(": ")[0].strip() for line in str(caught.value).splitlines()[1:]}
    assert lines == {
        *("kz_filter.betta", "kz_filter#2.beta", "[2]", "[3]", "[4].kz_filter#3", "3", "kz_fliter")
    }
    many = [{"kz_filter": None}] * (repeats.MOST + 1)
    with pytest.raises(arraycon.ParameterError, match="more than 99 times the same constraint"):
        arraycon.Constraints(many)
    assert len(arraycon.Constraints(many[1:], order=[]).params.given) == repeats.MOST


def test_advice_is_about_those_that_run_at_the_same_time():
    arraycon.Constraints(LISTED)  # one after the other: warnings are errors
    message = re.escape("kz_filter#2 and kz_filter both smooth z")
    with pytest.warns(ParameterWarning, match=message):
        arraycon.Constraints([{"kz_filter": {"start_iter": 1}}, {"kz_filter": {"start_iter": 2}}])
    with pytest.warns(ParameterWarning, match="kz_filter#2: stays off, for no start_iter"):
        arraycon.Constraints([{"kz_filter": {"start_iter": 1}}, {"kz_filter": {"beta": 2}}])
    with pytest.warns(ParameterWarning, match="kz_filter#2: never runs, as start_iter 3 is beyond"):
        files.from_mapping({"constraint_params": LISTED, "recon_params": {"NITER": 2}})


def test_missing_fields_are_said_of_each():
    ask = [{"kz_filter": {"start_iter": 1, "end_iter": 3}}, {"tilt_smooth": {"start_iter": 1}},
           {"tilt_smooth": {"start_iter": 9}}]  # fmt: skip
    with pytest.raises(arraycon.MissingInputError, match="tilt_smooth#2: needs tilts"):
        arraycon.Constraints(ask).check(arraycon.State(object_phase=np.ones((2, 3, 3))))


def test_each_waits_by_its_own_rule():
    rule = {"error_falls_below": 0.5, "for": 1}
    constraints = arraycon.Constraints(
        [
            {"objp_postiv": {"start_iter": 1, "end_iter": 2}},
            {"objp_postiv": {"start_iter": 1, "start_when": rule}},
        ]
    )
    state = make_state()
    with pytest.raises(arraycon.MissingInputError, match="objp_postiv#2: start_when waits"):
        constraints.apply(state, 1)
    names = [
        [each.name for each in constraints.apply(state, iteration, error=error)]
        for iteration, error in ((1, 1.0), (2, 0.1), (3, 0.09), (4, 0.09))
    ]
    assert names == [["objp_postiv"], [], ["objp_postiv#2"], ["objp_postiv#2"]]


class Counting(arraycon.Block):
    """Count its calls, and write the number down."""


def test_each_has_a_memory_of_its_own():
    @arraycon.register("counting", model=Counting, needs=["object_phase"], memory=True)
    def counting(inputs, _, memory):
        memory["calls"] = memory.get("calls", 0) + 1
        return {"object_phase": np.full_like(inputs["object_phase"], memory["calls"])}

    try:
        constraints = arraycon.Constraints(
            [{"counting": {"start_iter": 1, "end_iter": 4}}, {"counting": {"start_iter": 4}}]
        )
        state = arraycon.State(object_phase=np.zeros((1, 2, 2)))
        bound = constraints.bind(state)
        seen = []
        for iteration in range(1, 6):
            bound.apply(iteration)
            seen.append(float(state.object_phase[0, 0, 0]))
        assert seen == [1, 2, 3, 1, 2]
    finally:
        arraycon.unregister("counting")
    with pytest.raises(ValueError, match=r"counting.*forgotten"):
        pickle.loads(pickle.dumps(constraints))


def test_they_can_be_varied():
    found = arraycon.vary(LISTED, {"kz_filter#2.beta": [0.1, 0.3]})
    assert list(found) == ["kz_filter#2.beta=0.1", "kz_filter#2.beta=0.3"]
    assert [each["kz_filter#2"].beta for each in found.values()] == [0.1, 0.3]
    assert {each["kz_filter"].beta for each in found.values()} == {1.0}
