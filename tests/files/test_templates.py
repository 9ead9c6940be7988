"""Templates and the schema: they load, and say what the models say."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

import arraycon
from arraycon import params as P
from arraycon.constraints import declared
from arraycon.params import ConstraintParams, files, templates
from arraycon.params.files import load


@pytest.fixture
def write(tmp_path):
    def write(content, name="params.yaml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("kind", ["minimal", "recommended", "full"])
def test_templates_load_without_a_warning(write, kind):
    load(write(templates.template(kind)))  # warnings are errors


def test_the_full_template_is_the_defaults_with_every_field(write):
    text = templates.template("full")
    assert load(write(text)) == ConstraintParams()
    whole = re.sub(r"^# (?=obj_zblur:$|  \w+: )", "", text, flags=re.M)
    assert yaml.safe_load(whole) == everything(ConstraintParams(), mode="json")
    for name, model in ((key, one.model) for key, one in declared().items()):
        part = text.split(f"{name}:\n")[1]
        for field in model.model_fields:
            line = re.search(rf"^(?:# )?  {field}: .*$", part, re.M)[0]
            assert line.endswith(
                f"# {model.model_fields[field].description} [{P.allowed(model, field)}]"
            )


def test_the_minimal_template_shows_what_runs_by_default(write):
    params = load(write(templates.template("minimal")))
    active = {name for name, block in ConstraintParams().blocks().items() if block.enabled}
    assert params.given == active
    assert all(params.blocks()[name].is_due(1) for name in active)
    # the one difference, so that the Gaussian is whole
    assert everything(params) == {
        **everything(ConstraintParams()),
        "obj_zblur": P.ObjZblur(kernel_size=7).model_dump(),
    }


def test_the_recommended_template(write):
    params = load(write(templates.template("recommended")))
    assert {name for name, block in params.blocks().items() if block.enabled} == {
        *("ortho_pmode", "fix_probe_int", "obj_rblur", "kz_filter"),
        *("obja_thresh", "objp_postiv", "pos_recenter"),
    }
    assert "obj_zblur" in params.given


def test_an_unknown_template():
    with pytest.raises(ValueError, match="minimal, recommended, full, got 'best'"):
        templates.template("best")


VALID = [
    {},
    {"kz_filter": None, "obj_rblur": False},
    {"kz_filter": {"start_iter": 1, "beta": "5e-1", "alpha": 1, "step": "1e1"}},
    {"obja_thresh": {"start_iter": 1, "thresh": ["9.6e-1", 1.04]}},
    {"kr_filter": {"freq": 4}, "kr_thresh": {"freq": None}},
    {"kr_filter": {"freq": None, "start_iter": 2, "step": 3}},
    {"obj_z_recenter": {"start_iter": 1, "thresh": None, "max_shift": None}},
    {"constraint_params": {"kz_filter": {"start_iter": 5.0, "end_iter": None}}},
    {"constraint_params": None, "recon_params": {"NITER": 3}, "something": [1, {"a": 2}]},
    {"init_params": None},
    {"obj_rblur": {"start_iter": 1, "kernel_size": 4095, "std": 1e3}},
    {"kz_filter": {"start_iter": 1, "end_iter": 3}, "kz_filter#2": {"start_iter": 3}},
    {"constraint_params": [{"kz_filter": None}, {"kz_filter": {"freq": 3}}]},
]
INVALID = [
    [],
    3,
    {"kz_fliter": {}},
    {"kz_filter": {"betta": 1}},
    {"kz_filter": {"beta": -1}},
    {"kz_filter": {"beta": "0,5"}},
    {"kz_filter": {"beta": "010"}},
    {"kz_filter": {"start_iter": 1.5}},
    {"kz_filter": {"start_iter": True}},
    {"kz_filter": True},
    {"kz_filter": []},
    {"kr_filter": {"freq": 2, "step": 2}},
    {"kr_filter": {"freq": 0}},
    {"obj_rblur": {"kernel_size": 4}},
    {"obj_rblur": {"kernel_size": 4097}},
    {"probe_mask_r": {"z_steps": 100_001}},
    {"obja_thresh": {"thresh": [0.9]}},
    {"obja_thresh": {"thresh": [0.9, 1, 1.1]}},
    {"constraint_params": {"kz_filter": {"betta": 1}}},
    {"constraint_params": 3},
    {"constraint_params": {}, "kz_filter": {"start_iter": 1}},
    {"constraint_params": {"init_params": {}}},
    [{"kz_filter": {"start_iter": 1}}],
    {"kz_filter#1": {}},
    {"kz_filter#02": {}},
    {"kz_filter#100": {}},
    {"kz_filter#2": {"betta": 1}},
    {"constraint_params": []},
    {"constraint_params": ["kz_filter"]},
    {"constraint_params": [{"kz_filter": {}, "kr_filter": {}}]},
    {"constraint_params": [{}]},
    {"constraint_params": [{"kz_filter": {"beta": -1}}]},
    {"constraint_params": [{"kz_filter#2": {}}]},
    {"constraint_params": {}, "kz_filter#2": {"start_iter": 1}},
]


def everything(params, **options):
    """Dump all blocks, also those that were left out."""
    return {name: block.model_dump(**options) for name, block in params.blocks().items()}


@functools.cache
def validator():
    # to make the schema and to check it takes a quarter of a second
    return jsonschema.Draft202012Validator(templates.schema())


@pytest.mark.parametrize("data", VALID)
@pytest.mark.filterwarnings("ignore::arraycon.params.ParameterWarning")
def test_the_schema_takes_what_the_loader_takes(data):
    files.from_mapping(data)
    validator().validate(data)


@pytest.mark.parametrize("data", INVALID)
def test_the_schema_refuses_what_the_loader_refuses(data):
    with pytest.raises(P.ParameterError):
        files.from_mapping(data)
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(data)


def test_the_schema_takes_ptyrads_whole_file_and_all_templates():
    whole = Path(__file__).parents[1] / "data" / "ptyrad_params.yaml"
    for text in (whole.read_text(encoding="utf-8"), *map(templates.template, templates.HEADERS)):
        validator().validate(yaml.safe_load(text))


def test_schema_lets_blocks_be_objects_null_or_false():
    schema = json.loads(json.dumps(templates.schema()))
    assert list(schema["properties"]) == list(declared())
    assert schema["else"]["additionalProperties"] is False
    for name, block in schema["properties"].items():
        reference, *off = block["anyOf"]
        assert off == [{"type": "null"}, {"const": False}]
        assert block["default"] == everything(ConstraintParams(), mode="json")[name]
        model = schema["$defs"][reference["$ref"].removeprefix("#/$defs/")]
        assert model["additionalProperties"] is False
        assert model["description"]
        assert list(model["properties"]) == [*declared()[name].model.model_fields, "freq"]
        assert all(field["description"] for field in model["properties"].values())
    taps = schema["$defs"]["ObjRblur"]["properties"]["kernel_size"]
    assert (taps["anyOf"][0]["maximum"], taps["anyOf"][0]["not"]) == (4095, {"multipleOf": 2})


def test_schema_holds_registered_constraints():
    class Shrink(P.Block):
        """Pull the object towards vacuum."""

        amount: float = 0.1

    arraycon.register("shrink", model=Shrink, needs=[])(dict)
    try:
        schema = templates.schema()
        reference = schema["properties"]["shrink"]["anyOf"][0]["$ref"]
        model = schema["$defs"][reference.removeprefix("#/$defs/")]
        assert model["properties"]["amount"]["default"] == 0.1
        jsonschema.Draft202012Validator.check_schema(schema)
    finally:
        arraycon.unregister("shrink")
    assert "shrink" not in templates.schema()["properties"]
