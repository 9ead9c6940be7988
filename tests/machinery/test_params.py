"""Parameters: defaults, what is allowed, how problems are named, schedules, advice."""

from __future__ import annotations

import inspect
import math
import pickle
import warnings

import numpy as np
import pydantic
import pytest
from allowed import ALLOWED
from hypothesis import given
from hypothesis import strategies as st

import arraycon
from arraycon import params as P
from arraycon.constraints import declared
from arraycon.params import ConstraintParams, DeprecatedParameterWarning, ParameterWarning

# written out by hand from the specification, not from the models
SCHEDULE = {"start_iter": None, "step": 1, "end_iter": None, "start_when": None}
ON = {**SCHEDULE, "start_iter": 1}
DEFAULTS = {
    "probe_mask_k": {**SCHEDULE, "radius": 0.22, "width": 0.05, "power_thresh": 0.95},
    "probe_mask_r": {
        **SCHEDULE,
        "radius": 0.95,
        "order": 6,
        "power_thresh": 0.95,
        "z_range": (-500, 500),
        "z_steps": 101,
    },
    "ortho_pmode": ON,
    "obj_probe_scale": {
        **SCHEDULE,
        "ramp": None,
        "target": 1,
        "region": "illumination",
        "relax": 0,
    },
    "fix_probe_int": ON,
    "phase_ramp": {
        **SCHEDULE,
        "ramp": None,
        **{"terms": "ramp", "method": "plane", "region": "inside", "threshold": 0.25},
        **{"counter_probe": True, "relax": 0},
    },
    "obj_rblur": {**ON, "obj_type": "both", "kernel_size": 5, "std": 0.4},
    "obj_zblur": {**ON, "obj_type": "both", "kernel_size": 5, "std": 1.0},
    "obj_gaussian": {
        **SCHEDULE,
        "ramp": None,
        **{"obj_type": "both", "sigma": 0.2, "sigma_z": 0, "boundary": "mirror", "relax": 0},
    },
    "obj_smooth": {**SCHEDULE, "ramp": None, "obj_type": "both", "alpha": 0.02, "relax": 0},
    "kr_filter": {**SCHEDULE, "obj_type": "both", "radius": 0.15, "width": 0.05},
    "obj_bandpass": {
        **SCHEDULE,
        "ramp": None,
        **{"obj_type": "both", "q_lowpass": None, "q_highpass": None, "shape": "butterworth"},
        **{"order": 2, "dims": "lateral", "boundary": "periodic", "relax": 0},
    },
    "grid_notch": {
        **SCHEDULE,
        "ramp": None,
        **{"obj_type": "phase", "period": None, "window": 2, "direction": "xy"},
        **{"rotation": 0, "relax": 0},
    },
    "kz_filter": {
        **SCHEDULE,
        "obj_type": "both",
        "beta": 1.0,
        "alpha": 1.0,
        "boundary": "periodic",
    },
    "obj_wedge": {
        **SCHEDULE,
        "ramp": None,
        **{"obj_type": "both", "semiangle": 25, "q_floor": 0, "boundary": "mirror", "relax": 0},
    },
    "identical_slices": {**SCHEDULE, "ramp": None, "obj_type": "both", "relax": 0},
    "kr_thresh": {**SCHEDULE, "obj_type": "both", "thresh": 0.05, "scope": "global"},
    "obj_tv": {
        **SCHEDULE,
        "ramp": None,
        **{"obj_type": "phase", "weight": 0.005, "axes_weight": (0, 1, 1), "norm": "isotropic"},
        **{"solver": "fgp", "n_iter": 50, "relax": 0},
    },
    "ortho_omode": SCHEDULE,
    "obj_baseline": {
        **SCHEDULE,
        "ramp": None,
        **{"obj_type": "phase", "statistic": "mean", "percentile": 10, "scope": "slice"},
        **{"factor": 1, "region": "vacuum", "threshold": 0.25, "relax": 0},
    },
    "obj_shrink": {
        **SCHEDULE,
        "ramp": None,
        **{"obj_type": "phase", "amount": 0.01, "rule": "soft", "target": None, "relax": 0},
    },
    "complex_ratio": {**SCHEDULE, "obj_type": "both", "alpha1": 1.0, "alpha2": 0.0},
    "mirrored_amp": {**SCHEDULE, "ramp": None, "relax": 0.1, "scale": 0.03, "power": 4.0},
    "obj_z_recenter": {**SCHEDULE, "thresh": 95, "scale": 1, "max_shift": 10},
    "obj_fill": {
        **SCHEDULE,
        "ramp": None,
        **{"obj_type": "both", "amplitude": 1, "phase": 0, "region": "vacuum"},
        **{"threshold": 0.25, "slices": None, "relax": 0},
    },
    "obja_thresh": {**SCHEDULE, "ramp": None, "relax": 0, "thresh": (0.96, 1.04)},
    "objp_thresh": {**SCHEDULE, "ramp": None, "relax": 0, "thresh": (-math.pi, math.pi)},
    "objp_postiv": {**SCHEDULE, "ramp": None, "relax": 0, "mode": "clip_neg"},
    "pos_recenter": {**ON, "ramp": None, "relax": 0},
    "tilt_smooth": {**SCHEDULE, "std": 2.0},
}
VALUES = [(*key, value) for key, (_, good, _) in ALLOWED.items() for value in good]
REFUSED = [(*key, value) for key, (_, _, bad) in ALLOWED.items() for value in bad]


def make(**blocks):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarning)
        return ConstraintParams(**blocks)


def errors_of(**blocks):
    with pytest.raises(pydantic.ValidationError) as caught:
        make(**blocks)
    return {".".join(map(str, e["loc"])): e["msg"] for e in caught.value.errors()}


@pytest.fixture
def registered():
    class Shrink(P.Block):
        """Pull the object towards vacuum."""

        amount: float = pydantic.Field(0.1, ge=0, description="fraction removed")

    arraycon.register("shrink", model=Shrink, needs=[])(dict)
    yield Shrink
    arraycon.unregister("shrink")


def test_defaults_and_order_are_the_specification():
    params = ConstraintParams()
    assert {name: block.model_dump() for name, block in params.blocks().items()} == DEFAULTS
    assert list(params.blocks()) == list(DEFAULTS) == list(declared())
    assert params.given == frozenset()
    assert params.notes() == []


def test_every_default_passes_its_own_check():
    assert make(**DEFAULTS) == ConstraintParams()


@pytest.mark.parametrize(("name", "field", "value"), VALUES)
def test_allowed_values_are_taken(name, field, value):
    typical = declared()[name].typical
    block = getattr(make(**{name: {"start_iter": 1, **typical, field: value}}), name)
    expected = value
    if isinstance(value, list | tuple):
        expected = tuple(map(float, value))
    elif ALLOWED[name, field][0].startswith(("a number", "an integer")) and value is not None:
        expected = float(value)
    assert getattr(block, field) == expected
    assert not isinstance(getattr(block, field), np.generic | list)


@pytest.mark.parametrize(("name", "field", "value"), REFUSED)
def test_refused_values_are_named_with_what_is_allowed(name, field, value):
    (path, message), *more = errors_of(**{name: {field: value}}).items()
    assert not more
    assert path == f"{name}.{field}"
    assert message.endswith(f", allowed: {ALLOWED[name, field][0]}")
    assert message.startswith("got ")


def test_every_field_has_its_allowed_values_tested_and_a_description():
    for name, model in ((key, one.model) for key, one in declared().items()):
        assert model.__doc__
        for field, info in model.model_fields.items():
            assert info.description, (name, field)
            key = ("kz_filter" if field in SCHEDULE else name, field)
            if field == "ramp":
                key = ("obja_thresh", field)
            if field == "obj_type":
                whole = "complex" in P.allowed(model, field)
                key = ("obj_rblur" if whole else "kz_filter", field)
            assert P.allowed(model, field) == ALLOWED[key][0]


@pytest.mark.parametrize("off", [None, False])
def test_a_null_or_false_block_is_off_but_given(off):
    params = ConstraintParams(obj_rblur=off)
    assert not params.obj_rblur.enabled
    assert params.given == {"obj_rblur"}
    assert params.obj_rblur.std == 0.4
    assert not P.ObjRblur.model_validate(off).enabled


@pytest.mark.parametrize("block", [True, 0, 1, "off", [], [1], P.KzFilter()])
def test_other_things_are_not_blocks(block):
    message = errors_of(obj_rblur=block)["obj_rblur"]
    assert message.endswith("allowed: a block of settings, null or false")


def test_blocks_may_be_models_and_cannot_be_changed():
    params = ConstraintParams(kr_filter=P.KrFilter(start_iter=3))
    assert params.kr_filter.start_iter == 3
    with pytest.raises(AttributeError, match=r"start_iter: .*params\.replace\("):
        params.kr_filter.start_iter = 4
    assert pickle.loads(pickle.dumps(params)) == params


def test_all_problems_are_found_at_once_with_the_nearest_key():
    found = errors_of(
        kz_filter={"beta": -1, "betta": 2, "BETA": 1, "xyzzy": 3, 5: 1, "obj_zblur": {}},
        kz_fliter={},
        gizmo=None,
        model_params={},
        obj_rblur={"std": "wide"},
    )
    assert found.pop("gizmo") == f"unknown key, valid keys: {', '.join(DEFAULTS)}"
    assert found == {
        "kz_filter.beta": "got -1, allowed: a number ≥ 0",
        "kz_filter.betta": "unknown key, did you mean beta?",
        "kz_filter.BETA": "unknown key, did you mean beta?",
        "kz_filter.xyzzy": "unknown key, valid keys: start_iter, step, end_iter, start_when, "
        "obj_type, beta, alpha, boundary",
        "kz_filter.5": "unknown key, keys must be text",
        "kz_filter.obj_zblur": "a constraint of its own: it belongs beside the others, not inside "
        "one",
        "kz_fliter": "unknown key, did you mean kz_filter?",
        "model_params": "a section of PtyRAD's file: it belongs at the top level, not among "
        "constraints",
        "obj_rblur.std": "got 'wide', allowed: a number ≥ 0",
    }


def test_one_line_for_a_pair_with_two_bad_numbers_and_for_monstrous_values():
    assert errors_of(obja_thresh={"thresh": [True, None]}) == {
        "obja_thresh.thresh": "got [True, None], allowed: an ascending pair of numbers"
    }
    assert len(errors_of(kr_thresh={"thresh": "9" * 10**5})["kr_thresh.thresh"]) < 100
    assert "enormous" in errors_of(kr_thresh={"thresh": 10**5000})["kr_thresh.thresh"]


def test_freq_is_the_old_start_iter_and_step():
    with pytest.warns(DeprecatedParameterWarning, match="kr_filter: .* start_iter: 1, step: 4"):
        params = ConstraintParams(kr_filter={"freq": 4, "radius": 0.5})
    assert params == ConstraintParams(kr_filter={"start_iter": 1, "step": 4, "radius": 0.5})
    with pytest.warns(DeprecatedParameterWarning, match="start_iter: null"):
        assert not ConstraintParams(obj_rblur={"freq": None}).obj_rblur.enabled
    # Python hides a DeprecationWarning from those who write parameter files
    assert issubclass(DeprecatedParameterWarning, FutureWarning)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, False, "often"])
def test_bad_freq_is_named_as_it_was_written(bad):
    found = errors_of(kr_filter={"freq": bad, "radius": -1})
    assert list(found) == ["kr_filter.freq", "kr_filter.radius"]
    assert found["kr_filter.freq"].endswith("allowed: an integer ≥ 1 or null")


@pytest.mark.parametrize("other", ["start_iter", "step"])
def test_freq_beside_the_new_spelling_is_an_error(other):
    found = errors_of(kr_filter={"freq": 2, other: 1, "raduis": 1})
    assert set(found) == {"kr_filter.freq", "kr_filter.raduis"}
    assert other in found["kr_filter.freq"]


def test_an_empty_freq_beside_the_new_spelling_says_nothing():
    # as in PtyRAD, which looks at freq only where there is no start_iter
    block = {"start_iter": 3, "step": 2, "end_iter": None}
    params = ConstraintParams(kr_filter={**block, "freq": None})
    assert params == ConstraintParams(kr_filter=block)
    with pytest.warns(DeprecatedParameterWarning, match="start_iter: null"):
        assert not ConstraintParams(obj_rblur={"freq": None, "step": 2}).obj_rblur.enabled


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ({"kz_filter": {"beta": 1}}, ["kz_filter: stays off", "start_iter: 1 switches it on"]),
        ({"kz_filter": P.KzFilter()}, ["kz_filter: stays off"]),
        ({"obj_rblur": {}}, ["obj_rblur: runs from iteration 1", "PtyRAD's own loader"]),
        ({"kr_filter": {"start_iter": 5, "end_iter": 5}}, ["kr_filter: never runs", "5"]),
        ({"kr_filter": {"start_iter": 5, "end_iter": 6}, "obj_rblur": None}, []),
        (
            {"kr_filter": {"start_iter": 5}},
            ["kr_filter and obj_rblur both smooth laterally, the"],
        ),
        (
            {
                "obj_gaussian": {"start_iter": 1, "sigma_z": 3.0, "obj_type": "complex"},
                "kz_filter": {"start_iter": 2, "obj_type": "phase"},
                "obj_rblur": None,
                "obj_zblur": None,
            },
            ["kz_filter and obj_gaussian both smooth z; obj_gaussian: null"],
        ),
        (
            {"obj_bandpass": {"start_iter": 1, "q_highpass": 0.1}},  # takes low frequencies away
            [],
        ),
        (
            {
                "obj_smooth": {"start_iter": 1, "obj_type": "amplitude"},
                "obj_bandpass": {"start_iter": 1, "q_lowpass": 0.1, "obj_type": "phase"},
                "obj_rblur": None,
            },
            [],
        ),
        ({"obj_bandpass": {"start_iter": 1}}, ["obj_bandpass: changes nothing with these"]),
        ({"obj_gaussian": {"start_iter": 1, "sigma": 0}}, ["obj_gaussian: changes nothing"]),
        ({"obj_smooth": {"start_iter": 1, "alpha": 0}}, ["obj_smooth: changes nothing"]),
        ({"identical_slices": {"start_iter": 1, "relax": 1}}, ["identical_slices: changes noth"]),
        ({"kr_filter": {"start_iter": None, "end_iter": 1}}, []),
        ({"obj_zblur": {"start_iter": 1}}, ["kernel_size 5", "std 1,", "0.961", "kernel_size 7"]),
        ({"obj_zblur": {"start_iter": 1, "kernel_size": 7}}, []),
        ({"obj_zblur": {"start_iter": None, "std": 4}}, []),
        ({"obj_rblur": {"start_iter": 1, "kernel_size": 1, "std": 0.5}}, ["acts as std 0;"]),
        ({"obj_rblur": {"start_iter": 1, "kernel_size": 1, "std": 0}}, ["changes nothing"]),
        ({"obj_rblur": {"start_iter": 1, "std": 0.7}}, ["kernel_size 5", "needs kernel_size 7"]),
        (
            {"obj_rblur": {"start_iter": 1, "kernel_size": 4095, "std": 1e300}},
            ["fits into no kernel"],
        ),
        ({"kz_filter": {"start_iter": 1}}, ["only by default", "obj_zblur: null"]),
        (
            {
                "kz_filter": {"start_iter": 1},
                "obj_zblur": {"start_iter": 1, "kernel_size": 7},
            },
            ["kz_filter and obj_zblur both smooth z; obj_zblur: null"],
        ),
        ({"kz_filter": {"start_iter": 1}, "obj_zblur": None}, []),
        ({"kz_filter": {"start_iter": 4, "end_iter": 4}, "obj_zblur": None}, ["never runs"]),
        ({"kz_filter": {"start_iter": 1, "obj_type": "phase"}}, ["both smooth z"]),
    ],
)
def test_advice_is_given_and_warned_of(blocks, expected):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        params = ConstraintParams(**blocks)
        arraycon.Constraints(params, defaults="ptyrad")
    caught = [warning for warning in caught if "by default, as in PtyRAD" not in str(warning)]
    assert [str(w.message) for w in caught] == params.notes()
    assert len(caught) == bool(expected)
    for warning in caught:
        assert warning.category is ParameterWarning
        assert warning.filename == __file__
        assert all(part in str(warning.message) for part in expected), warning.message


@pytest.mark.parametrize(
    ("kz", "zblur", "clash"),
    [
        ({"start_iter": 1, "end_iter": 10}, {"start_iter": 10}, False),
        ({"start_iter": 1, "end_iter": 11}, {"start_iter": 10}, True),
        ({"start_iter": 10}, {"start_iter": 1, "end_iter": 10}, False),
        ({"start_iter": 5}, {"start_iter": 20}, True),
        ({"start_iter": 1, "obj_type": "phase"}, {"start_iter": 1, "obj_type": "amplitude"}, False),
        ({"start_iter": 1, "obj_type": "phase"}, {"start_iter": 1, "obj_type": "phase"}, True),
    ],
)
def test_two_blurs_along_z_clash_only_when_both_are_active(kz, zblur, clash):
    notes = make(kz_filter=kz, obj_zblur={**zblur, "kernel_size": 7}).notes()
    assert any("both smooth z" in note for note in notes) is clash


def test_a_model_by_itself_warns_at_its_caller_too():
    with pytest.warns(DeprecatedParameterWarning) as caught:
        P.KzFilter(freq=2)
    assert caught[0].filename == __file__


starts, steps = st.none() | st.integers(1, 12), st.integers(1, 9)


@given(start=starts, step=steps, end=st.none() | st.integers(1, 40))
def test_schedule_agrees_with_counting(start, step, end):
    # brute force: list the iterations one by one instead of computing remainders
    due, at = set(), start
    while at is not None and at < (60 if end is None else end):
        due.add(at)
        at += step
    block = P.Block(start_iter=start, step=step, end_iter=end)
    assert {i for i in range(1, 60) if block.is_due(i)} == {i for i in due if i < 60}
    for i in range(-2, 45):
        later = any(j >= i for j in due) or (start is not None and end is None)
        assert block.runs_from(i) is later
    assert block.enabled is (start is not None)
    assert P.describe_schedule(block).startswith("never") is (block.enabled and not due)


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        ((None, 1, None), "off"),
        ((None, 3, 9), "off"),
        ((1, 1, None), "every iteration"),
        ((10, 1, None), "every iteration from 10"),
        ((1, 1, 50), "from 1 until 50 (exclusive)"),
        ((10, 5, None), "every 5th from 10"),
        ((1, 2, None), "every 2nd from 1"),
        ((1, 3, 7), "every 3rd from 1 until 7 (exclusive)"),
        ((1, 11, None), "every 11th from 1"),
        ((1, 112, None), "every 112th from 1"),
        ((1, 21, None), "every 21st from 1"),
        ((5, 1, 5), "never (end_iter <= start_iter)"),
    ],
)
def test_schedule_in_words(schedule, text):
    start, step, end = schedule
    block = P.OrthoPmode(start_iter=start, step=step, end_iter=end)
    assert P.describe_schedule(block) == text


def test_a_registered_block_follows_the_same_rules(registered):
    assert ConstraintParams().blocks()["shrink"] == registered()
    assert "shrink" not in ConstraintParams().given
    params = ConstraintParams(shrink={"start_iter": 2, "amount": "5e-1"})
    assert list(params.blocks()) == [*DEFAULTS, "shrink"]
    assert params.blocks()["shrink"] == registered(start_iter=2, amount=0.5)
    assert params.given == {"shrink"}
    assert ConstraintParams(**{"shrink": params.model_dump()["shrink"]}) == params
    assert not ConstraintParams(shrink=None).blocks()["shrink"].enabled
    assert errors_of(shrink={"amount": True, "amuont": 1}, shrnk=None) == {
        "shrink.amount": "got true, allowed: a number ≥ 0",
        "shrink.amuont": "unknown key, did you mean amount?",
        "shrnk": "unknown key, did you mean shrink?",
    }
    with pytest.warns(ParameterWarning, match="shrink: stays off"):
        ConstraintParams(shrink={})


def test_an_unregistered_block_is_unknown_again(registered):
    arraycon.unregister("shrink")
    assert "shrink" in errors_of(shrink=None)
    with pytest.raises(KeyError, match="shrink"):
        arraycon.unregister("shrink")
    with pytest.raises(KeyError, match="kz_filter"):
        arraycon.unregister("kz_filter")
    arraycon.register("shrink", model=registered, needs=[])(dict)


def test_what_cannot_be_registered(registered):
    class Needy(P.Block):
        amount: float

    for name in ("kz_filter", "constraint_params", "notes", "model_dump", "a b", "", "shrink", 5):
        with pytest.raises(ValueError, match="name"):
            arraycon.register(name, model=P.KzFilter, needs=[])(dict)
    with pytest.raises(ValueError, match="amount of Needy"):
        arraycon.register("needy", model=Needy, needs=[])(dict)
    for model in (dict, P.KzFilter(), None):
        with pytest.raises(TypeError, match="subclass of Block"):
            arraycon.register("other", model=model, needs=[])(dict)
    arraycon.register("shrink", model=registered, needs=[])(dict)  # the same again is harmless


def test_a_users_own_validator_speaks_for_itself():
    class Even(P.Block):
        size: int = 2
        names: tuple[str, ...] = ()
        exact: bool = True

        @pydantic.field_validator("size")
        @classmethod
        def _even(cls, size):
            if size % 2:
                raise ValueError("must be even")
            return size

    arraycon.register("even", model=Even, needs=[])(dict)
    try:
        assert errors_of(even={"size": 3}) == {"even.size": "got 3, must be even"}
        block = make(even={"names": ["5e-1"], "exact": False}).blocks()["even"]
        assert (block.names, block.exact) == (("5e-1",), False)
    finally:
        arraycon.unregister("even")


@pytest.mark.parametrize("name", sorted(ConstraintParams.model_fields))
def test_functions_and_parameter_files_have_the_same_defaults(name):
    block = declared()[name].model
    signature = inspect.signature(getattr(arraycon, name))
    for field, info in block.model_fields.items():
        if field in {*SCHEDULE, "ramp", "obj_type"}:
            continue
        if field not in signature.parameters or (name, field) == ("obj_shrink", "target"):
            continue  # what the declaration makes arguments of
        default = signature.parameters[field].default
        if default is inspect.Parameter.empty:  # what has to be given
            assert info.default is None
            default = None
        assert default == (tuple(info.default) if isinstance(info.default, list) else info.default)
        assert signature.parameters[field].kind is inspect.Parameter.KEYWORD_ONLY
