"""Templates and the schema: they load, and say what the models say."""

from __future__ import annotations

import json
import re

import pytest
import yaml

import arraycon
from arraycon import params as P
from arraycon.constraints import declared
from arraycon.params import ConstraintParams, templates
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
    assert yaml.safe_load(whole) == ConstraintParams().model_dump(mode="json")
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
    assert params.model_dump() == {
        **ConstraintParams().model_dump(),
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


def test_schema_lets_blocks_be_objects_null_or_false():
    schema = json.loads(json.dumps(templates.schema()))
    assert list(schema["properties"]) == list(declared())
    assert schema["additionalProperties"] is False
    for name, block in schema["properties"].items():
        reference, *off = block["anyOf"]
        assert off == [{"type": "null"}, {"const": False}]
        assert block["default"] == ConstraintParams().model_dump(mode="json")[name]
        model = schema["$defs"][reference["$ref"].removeprefix("#/$defs/")]
        assert model["additionalProperties"] is False
        assert model["description"]
        assert list(model["properties"]) == list(declared()[name].model.model_fields)
        assert all(field["description"] for field in model["properties"].values())
    taps = schema["$defs"]["ObjRblur"]["properties"]["kernel_size"]
    assert (taps["minimum"], taps["not"]) == (1, {"multipleOf": 2})


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
    finally:
        arraycon.unregister("shrink")
    assert "shrink" not in templates.schema()["properties"]
