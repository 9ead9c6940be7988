"""What runs, and whether anybody asked for it, in code, from files, and in other processes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from schedules import make_state

import arraycon
from arraycon.adapters import ptyrad

POSITIVE = {"objp_postiv": {"start_iter": 1}}
BY_DEFAULT = ["ortho_pmode", "fix_probe_int", "obj_rblur", "obj_zblur", "pos_recenter"]


def test_code_runs_what_is_given_and_nothing_else():
    constraints = arraycon.Constraints(POSITIVE)
    assert list(constraints) == ["objp_postiv"]
    peak = np.zeros((1, 3, 9, 9))
    peak[0, 1, 4, 4] = 1.5
    state = arraycon.State(object_phase=peak, object_amplitude=np.ones_like(peak))
    report = constraints.apply(state, 1)
    assert [record.name for record in report] == ["objp_postiv"]
    assert not report.skipped
    assert state.object_phase.max() == 1.5


def test_a_file_runs_ptyrads_defaults_and_one_warning_names_them(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("objp_postiv: {start_iter: 1}\nobj_zblur: null\n")
    with pytest.warns(arraycon.ParameterWarning) as caught:
        constraints = arraycon.Constraints.from_file(file)
    (message,) = (str(warning.message) for warning in caught)
    assert message.startswith("ortho_pmode, fix_probe_int, obj_rblur and pos_recenter run by defau")
    assert list(constraints) == [
        "ortho_pmode", "fix_probe_int", "obj_rblur", "objp_postiv", "pos_recenter",
    ]  # fmt: skip
    assert list(arraycon.Constraints.from_file(file, defaults="none")) == ["objp_postiv"]


def test_a_file_that_mentions_all_of_them_brings_no_warning(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("\n".join(f"{name}: null" for name in BY_DEFAULT))
    assert list(arraycon.Constraints.from_file(file)) == []


def test_parameters_made_in_code_are_code():
    params = arraycon.ConstraintParams(**POSITIVE)
    assert list(arraycon.Constraints(params)) == ["objp_postiv"]
    with pytest.warns(arraycon.ParameterWarning, match="run by default"):
        constraints = arraycon.Constraints(params, defaults="ptyrad")
    assert list(constraints)[:5] == [*BY_DEFAULT[:4], "objp_postiv"]
    assert constraints.params.given == {"objp_postiv"}


@pytest.mark.parametrize("nothing", [(), (None,)])
def test_nothing_at_all_is_an_error_that_names_both_ways(nothing):
    with pytest.raises(ValueError, match=r"params: expected .* Constraints\(\{.*from_file\(path\)"):
        arraycon.Constraints(*nothing)


def test_an_empty_mapping_runs_nothing_and_says_so():
    with pytest.warns(arraycon.ParameterWarning, match="nothing to run"):
        constraints = arraycon.Constraints({})
    state = arraycon.State(object_phase=np.full((1, 2, 3, 3), -1.0))
    assert len(constraints) == len(constraints.apply(state, 1)) == 0
    assert (state.object_phase == -1).all()


def test_a_mistyped_default():
    with pytest.raises(ValueError, match="defaults: expected none or ptyrad, got 'pytrad'"):
        arraycon.Constraints(POSITIVE, defaults="pytrad")


def test_blocks_by_name_and_number():
    constraints = arraycon.Constraints({"kz_filter": {"start_iter": 3, "beta": 0.5}, **POSITIVE})
    assert constraints["kz_filter"].beta == 0.5
    assert not constraints["obj_rblur"].enabled
    assert len(constraints) == 2
    assert list(constraints) == ["kz_filter", "objp_postiv"]
    with pytest.raises(KeyError, match="kz_filtre"):
        constraints["kz_filtre"]


def test_equal_when_they_do_the_same():
    one, other = (arraycon.Constraints({"kz_filter": {"start_iter": 1}}) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != arraycon.Constraints({"kz_filter": {"start_iter": 2}})
    turned = {**POSITIVE, "kz_filter": {"start_iter": 1}}
    assert arraycon.Constraints(turned) != arraycon.Constraints(
        turned, order=["objp_postiv", "kz_filter"]
    )
    assert one != "kz_filter"
    # a null block and one that is not mentioned do the same
    assert arraycon.Constraints({**POSITIVE, "obj_rblur": None}) == arraycon.Constraints(POSITIVE)


def test_sweeps():
    params = arraycon.ConstraintParams(kz_filter={"start_iter": 5, "beta": 0.5}, **POSITIVE)
    for beta in (0.1, 0.2):
        block = params.replace(kz_filter={"beta": beta}).kz_filter
        assert (block.start_iter, block.beta) == (5, beta)
    off = params.replace(objp_postiv=None, kr_filter={"start_iter": 1})
    assert off.given == {"kz_filter", "objp_postiv", "kr_filter"}
    assert list(arraycon.Constraints(off)) == ["kr_filter", "kz_filter"]
    assert params.kz_filter.beta == 0.5
    with pytest.raises(ValueError, match="allowed: a number ≥ 0"):
        params.replace(kz_filter={"beta": -1})
    with pytest.raises(ValueError, match="did you mean kz_filter"):
        params.replace(kz_filtre={})


def test_what_pydantic_copies_without_validation_is_validated():
    params = arraycon.ConstraintParams(**POSITIVE)
    copied = params.model_copy(update={"kz_filter": {"start_iter": 1, "beta": 0.5}})
    assert arraycon.Constraints(copied)["kz_filter"].beta == 0.5
    assert list(arraycon.Constraints(params.model_copy(update={"objp_postiv": None}))) == []
    for update, message in (
        ({"kz_filter": {"beta": -1}}, r"kz_filter\.beta: got -1"),
        ({"kz_filtre": None}, "did you mean kz_filter"),
    ):
        with pytest.raises(arraycon.ParameterError, match=message):
            arraycon.Constraints(params.model_copy(update=update))


def test_schedules_reports_and_adapters_travel_to_other_processes():
    constraints = arraycon.Constraints(
        {"ortho_pmode": {"start_iter": 1}, "obj_z_recenter": {"start_iter": 1}}
    )
    again = pickle.loads(pickle.dumps(constraints))
    assert again == constraints
    state, other = make_state(), make_state()
    report = again.apply(state, 1, measure=True)
    expected = constraints.apply(other, 1, measure=True)
    np.testing.assert_array_equal(state.probe, other.probe)
    for one, two in zip(pickle.loads(pickle.dumps(report)), expected, strict=True):
        assert one.name == two.name
        assert dict(one.metrics) == dict(two.metrics)
        assert one.returned.keys() == two.returned.keys()
    adapter = ptyrad.CombinedConstraint(constraints, device="cpu")
    assert pickle.loads(pickle.dumps(adapter)).constraints == constraints
    with pytest.warns(arraycon.ParameterWarning, match="run by default"):
        by_default = arraycon.Constraints({}, defaults="ptyrad")
    assert list(pickle.loads(pickle.dumps(by_default))) == BY_DEFAULT  # and warns no more
