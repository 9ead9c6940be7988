"""Parameters that travel: other kinds of numbers, copies, dumps and back, pickles."""

from __future__ import annotations

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
import yaml

import arraycon
from arraycon import params as P
from arraycon.params import ConstraintParams, ParameterWarning
from arraycon.params.files import load

GIVEN = {
    "objp_postiv": {"start_iter": 1},
    "obja_thresh": {"start_iter": 2, "thresh": (0.9, 1.1)},
    "obj_zblur": None,
    "probe_mask_r": {"start_iter": 3, "z_range": (-50.0, 50.0)},
}


@pytest.fixture
def params():
    return ConstraintParams(**GIVEN)


@pytest.mark.parametrize(
    "pair",
    [
        np.array([0.9, 1.1]), [0.9, 1.1], (np.float64(0.9), np.array(1.1)), ["9e-1", 1.1],
        np.array([0.9, 1.1], object),
    ],
    ids=["array", "list", "numpy scalars", "text", "objects"],
)  # fmt: skip
def test_pairs_of_all_kinds(pair):
    found = ConstraintParams(obja_thresh={"start_iter": 1, "thresh": pair}).obja_thresh.thresh
    assert found == (0.9, 1.1)
    assert set(map(type, found)) == {float}


def test_scalars_of_all_kinds():
    block = P.KzFilter(
        start_iter=np.array(2),
        step=np.int32(3),
        end_iter=np.array(None),
        beta=np.array(0.5),
        alpha=np.float32(0.25),
        obj_type=np.array("phase"),
        boundary=np.str_("mirror"),
    )
    assert block == P.KzFilter(
        start_iter=2, step=3, beta=0.5, alpha=0.25, obj_type="phase", boundary="mirror"
    )
    kinds = {str, int, float, type(None)}
    assert {type(value) for value in block.model_dump().values()} <= kinds


@pytest.mark.parametrize(
    "pair", [np.array([[0.9, 1.1]]), np.array(0.9), np.array([1.0]), np.array([True, False])]
)
def test_arrays_that_are_no_pair(pair):
    with pytest.raises(ValueError, match=r"obja_thresh\.thresh\n +got .*an ascending pair"):
        ConstraintParams(obja_thresh={"start_iter": 1, "thresh": pair})


ROADS = {
    "dict": lambda params: ConstraintParams(**params.model_dump()),
    "json mode": lambda params: ConstraintParams(**params.model_dump(mode="json")),
    "json": lambda params: ConstraintParams.model_validate_json(params.model_dump_json()),
    "json.dumps": lambda params: ConstraintParams(**json.loads(json.dumps(params.model_dump()))),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "model_copy": lambda params: params.model_copy(),
    "pickle": lambda params: pickle.loads(pickle.dumps(params)),
    "replace": lambda params: params.replace(),
    "construct": lambda params: ConstraintParams.model_construct(
        **{name: getattr(params, name) for name in params.given}
    ),
}


@pytest.mark.parametrize("road", ROADS)
def test_what_was_asked_for_stays_so(params, road):
    back = ROADS[road](params)
    assert back.given == params.given == GIVEN.keys()
    assert back == params
    constraints = arraycon.Constraints(back)
    assert constraints == arraycon.Constraints(params)
    assert list(constraints) == ["probe_mask_r", "obja_thresh", "objp_postiv"]


@pytest.mark.parametrize("dump", [yaml.dump, yaml.safe_dump, json.dumps])
def test_written_to_a_file_and_read(params, dump, tmp_path):
    path = tmp_path / "dumped.yaml"
    path.write_text(dump(params.model_dump()))
    assert load(path) == params
    assert load(path).given == params.given


@pytest.mark.parametrize(
    "block",
    [
        P.KzFilter(start_iter=1).model_copy(update={"beta": -1}),
        P.KzFilter(start_iter=1).model_copy(update={"beta": "much"}),
        P.KzFilter(start_iter=1).model_copy(update={"betta": 1}),
        P.KzFilter.model_construct(start_iter=0),
        {"start_iter": 1, "beta": -1},
    ],
)
def test_blocks_that_were_not_validated_are(params, block):
    for made in (
        lambda: arraycon.Constraints(params.model_copy(update={"kz_filter": block})),
        lambda: arraycon.Constraints(ConstraintParams.model_construct(kz_filter=block)),
        lambda: arraycon.Constraints({"kz_filter": block}),
    ):
        with pytest.raises(P.ParameterError, match=r"kz_filter\.(beta|betta|start_iter): "):
            made()


def test_valid_copies_are_taken_with_the_kinds_that_validation_makes(params):
    block = P.KzFilter(start_iter=1).model_copy(update={"beta": np.array(0.5)})
    made = arraycon.Constraints(params.model_copy(update={"kz_filter": block, "obj_zblur": None}))
    assert made["kz_filter"] == P.KzFilter(start_iter=1, beta=0.5)
    assert type(made["kz_filter"].beta) is float


def test_ptyrads_own_dictionary():
    block = {"freq": None, "start_iter": 1, "step": 1, "end_iter": None, "obj_type": "both"}
    whole = {
        "init_params": {"probe_kv": 200.0},
        "constraint_params": {
            "kz_filter": {**block, "beta": np.float64(0.5)},
            "obj_zblur": {**block, "start_iter": None, "kernel_size": np.int64(5), "std": 1},
        },
        "recon_params": {"NITER": np.int64(30)},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", ParameterWarning)
        constraints = arraycon.Constraints(whole)
    assert list(constraints) == ["kz_filter"]
