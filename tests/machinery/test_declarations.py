"""Declarations: what follows from them, and the one way to make them."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import re
from pathlib import Path

import numpy as np
import pydantic
import pytest
from allowed import ALLOWED

import arraycon
from arraycon import bench
from arraycon.bench import plain
from arraycon.bench.cases import Case, Size
from arraycon.bench.floors import cpu as floors
from arraycon.constraints import declared, order
from arraycon.params import templates

ROOT = Path(__file__).resolve().parents[2]
TINY = Size("tiny", (1, 3, 10, 12), (2, 8, 8), (4, 5))
OWN = {name: one for name, one in declared().items() if one.built_in}
EVERY = pytest.mark.parametrize("name", OWN)
LACKING: dict[str, set[str]] = {"study": set(), "port": set(), "floor": set()}
"""Constraints that nobody has studied, written in plain NumPy, or given a floor."""


@functools.cache
def schema_and_template():
    """Both hold all constraints, and take 0.3 s."""
    return templates.schema(), re.sub("^# ", "", templates.template("full"), flags=re.M)


@pytest.mark.quick(when=lambda name: name in ("kz_filter", "ortho_pmode", "obja_thresh"))
@EVERY
def test_declared_means_exported_documented_warm_and_benched(name):
    one = OWN[name]
    function = getattr(arraycon, name)
    assert inspect.unwrap(function) is one.kernel
    assert name in arraycon.__all__
    for section in ("Parameters", "Returns", "Raises"):
        assert f"{section}\n---" in inspect.getdoc(function)
    assert one.meaning.endswith(".")
    assert f"## `{name}`" in (ROOT / "docs" / "constraints.md").read_text(encoding="utf-8")
    schema, template = schema_and_template()
    assert name in schema["properties"]
    assert f"\n{name}:" in template
    assert name in bench.NAMES
    assert Case(name, TINY).constraints.due(1) == (name,)
    assert hasattr(arraycon.ConstraintParams(), name)


def test_every_constraint_is_warmed_up():
    assert tuple(arraycon.warmup()) == tuple(OWN)


def test_who_lacks_a_study_a_port_or_a_floor():
    import study

    studied = {experiment.__name__ for experiment in study.EXPERIMENTS}
    assert {
        "study": {name for name in OWN if name not in studied},
        "port": set(OWN) - set(plain.ports("cpu")),
        "floor": set(OWN) - set(floors.FLOORS),
    } == LACKING


def test_the_tables_in_readme_and_docs_are_up_to_date():
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs" / "make_tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    for path, text in tables.files().items():
        assert path.read_text(encoding="utf-8") == text, "run python docs/make_tables.py"


def test_properties():
    assert {name for name, one in OWN.items() if one.centred} == {"probe_mask_r"}
    assert {name: one.returns for name, one in OWN.items() if one.returns} == {
        "ortho_pmode": ("rotation",),
        "ortho_omode": ("rotation",),
        "obj_probe_scale": ("factor",),
        "phase_ramp": ("slope",),
        "obj_z_recenter": ("shift",),
    }
    assert [name for name, one in OWN.items() if one.default_on] == [
        "ortho_pmode", "fix_probe_int", "obj_rblur", "obj_zblur", "pos_recenter",
    ]  # fmt: skip
    objects = {name for name in OWN if any("object" in field for field in Case(name, TINY).needs)}
    assert {name for name, one in OWN.items() if one.layout(one.model(**one.typical))} == objects


# Parameters: what the models take and refuse, the functions take and refuse.

VALUES = [
    (*key, value)
    for key, (_, good, _) in ALLOWED.items()
    for value in good
    if key[1] in inspect.signature(OWN[key[0]].kernel).parameters
]
REFUSED = [
    (*key, value)
    for key, (_, _, bad) in ALLOWED.items()
    for value in bad
    if key[1] in inspect.signature(OWN[key[0]].kernel).parameters
]


@pytest.mark.parametrize(("name", "field", "value"), VALUES)
def test_the_functions_take_what_the_models_take(name, field, value):
    block = OWN[name].model(start_iter=1, **{**OWN[name].typical, field: value})
    fields = {needed: Case(name, TINY).field(needed) for needed in OWN[name].needs(block)}
    for array in OWN[name].run(fields, block, {}).updates.values():
        assert np.all(np.isfinite(array))


@pytest.mark.parametrize(("name", "field", "value"), REFUSED)
def test_the_functions_refuse_what_the_models_refuse(name, field, value):
    case = Case(name, TINY)
    # as if it had been validated
    block = OWN[name].model.model_construct(start_iter=1, **{**OWN[name].typical, field: value})
    with pytest.raises((TypeError, ValueError), match=rf"^{field}(\[\d\])?: expected .*, got"):
        OWN[name].run(case.fields(), block, {})


@EVERY
def test_ranges_of_the_models_end_where_the_functions_say(name):
    """A value just beyond each bound of the schema is refused by the function, too."""
    case, model = Case(name, TINY), OWN[name].model
    for field, schema in model.model_json_schema()["properties"].items():
        if field not in inspect.signature(OWN[name].kernel).parameters:
            continue
        for option in schema.get("anyOf", [schema]):
            for bound, step in (("minimum", -1), ("maximum", 1), ("exclusiveMinimum", 0)):
                if bound in option:
                    beyond = {**OWN[name].typical, field: option[bound] + step}
                    block = model.model_construct(start_iter=1, **beyond)
                    with pytest.raises(ValueError, match=f"^{field}: expected"):
                        OWN[name].run(case.fields(), block, {})


# Declaring one's own.


class Shrink(arraycon.Block):
    """Pull the phase towards zero."""

    amount: float = pydantic.Field(0.1, ge=0)


def shrink(phase, *, amount, out=None):
    """Scale a phase."""
    result = (1 - amount) * phase
    return result if out is None else np.copyto(out, result) or out


@pytest.fixture
def forgotten():
    yield
    for name in ("shrink", "second", "first"):
        if name in declared():
            arraycon.unregister(name)


def state():
    return arraycon.State(object_phase=np.full((2, 4, 4), 1.0))


@pytest.mark.usefixtures("forgotten")
def test_users_declare_a_kernel_as_this_package_does():
    decorate = arraycon.register(shrink, on="object_phase", after="kr_filter")
    assert decorate(Shrink) is Shrink
    names = list(declared())
    assert names[names.index("kr_filter") + 1] == "shrink"
    assert not declared()["shrink"].built_in
    given = state()
    off = dict.fromkeys(("obj_rblur", "obj_zblur"))
    constraints = arraycon.Constraints({"shrink": {"start_iter": 1, "amount": 0.5}, **off})
    constraints.apply(given, 1, measure=False)
    np.testing.assert_array_equal(given.object_phase, 0.5)


@pytest.mark.usefixtures("forgotten")
def test_functions_of_fields_run_where_they_are_put():
    for name, after in (("second", "first"), ("first", "obja_thresh")):
        if name == "second":
            with pytest.raises(ValueError, match=r"second: expected a constraint .*, got 'first'"):
                arraycon.register(name, model=Shrink, needs=["probe"], after=after)(dict)
    arraycon.register("first", model=Shrink, needs=["object_phase"], after="obja_thresh")(dict)
    arraycon.register("second", model=Shrink, needs=["probe"], after="first")(dict)
    names = list(declared())
    place = names.index("obja_thresh")
    assert names[place : place + 4] == ["obja_thresh", "first", "second", "objp_thresh"]
    assert [declared()[name].centred for name in ("first", "second")] == [False, True]
    with pytest.raises(ValueError, match="second: expected a constraint that it runs after"):
        arraycon.unregister("first")
    assert "first" in declared()


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"on": "phase"},
            ValueError,
            "on: expected names out of object_amplitude, .*, got 'phase'",
        ),
        ({"on": "probe", "reads": ["dx"]}, ValueError, "reads: expected names out of .*, got 'dx'"),
        ({"on": "probe", "scalars": {"a": "b"}}, ValueError, "scalars: .*, got 'b'"),
        ({"on": "probe", "after": "nobody"}, ValueError, "shrink: expected .*, got 'nobody'"),
    ],
)
def test_impossible_declarations(options, error, message):
    with pytest.raises(error, match=message):
        arraycon.register(shrink, **options)(Shrink)
    assert "shrink" not in declared()


def test_a_field_that_the_kernel_does_not_take():
    class Odd(arraycon.Block):
        amount: float = 0.1
        depth: float = 1.0

    with pytest.raises(TypeError, match="Odd: expected fields that shrink takes, got depth"):
        arraycon.register(shrink, on="object_phase")(Odd)


def test_by_products_are_kept_in_the_record():
    case = Case("ortho_pmode", TINY)
    fields = case.fields()
    before = fields["probe"].copy()
    report = case.constraints.apply(arraycon.State(**fields), 1, measure=False)
    rotation = report[0].returned["rotation"]
    expected = np.einsum("ij,jyx->iyx", rotation, before)
    np.testing.assert_allclose(fields["probe"], expected, atol=1e-4 * np.abs(before).max())
    case = Case("obj_z_recenter", TINY)
    (record,) = case.constraints.apply(arraycon.State(**case.fields()), 1, measure=False)
    assert record.metrics["shift (slices)"] == float(record.returned["shift"]) != 0


def test_order():
    assert tuple(OWN) == order.ORDER
    places = dict.fromkeys(order.ORDER)
    mine = {"b": "a", "a": "ortho_pmode", "c": "ortho_pmode", "d": None}
    found = order.arrange({**mine, **places})
    start = found.index("ortho_pmode")
    assert found[start : start + 4] == ("ortho_pmode", "a", "b", "c")
    assert found[-1] == "d"
    for circle in ({"a": "b", "b": "a"}, {"a": "a"}, {"a": "nobody"}):
        with pytest.raises(ValueError, match="expected a constraint that it runs after"):
            order.arrange({**places, **circle})
