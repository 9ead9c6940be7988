"""Parameter files: what is read, and how what cannot be is named."""

from __future__ import annotations

import builtins
import importlib.util
import json
import os
import re
import sys
import warnings
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from arraycon import params as P
from arraycon.constraints import declared
from arraycon.params import ConstraintParams, ParameterError, ParameterWarning
from arraycon.params.files import from_mapping, load

PTYRAD = Path(__file__).parents[1] / "data" / "ptyrad_params.yaml"
HAS_TOML = sys.version_info >= (3, 11) or importlib.util.find_spec("tomli") is not None


needs_toml = pytest.mark.skipif(not HAS_TOML, reason="neither tomllib nor tomli is there")


@pytest.fixture
def write(tmp_path):
    def write(content, name="params.yaml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def failure(path):
    """Text of the error without the file's name; it must hold no trace of the libraries used."""
    with pytest.raises(ParameterError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "pydantic" not in text
    return text.removeprefix(f"{path}: ")


def problems(path):
    header, *lines = failure(path).splitlines()
    number = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    assert header == f"{number} in the parameters"
    assert all(line.startswith("  ") for line in lines)
    return [line[2:] for line in lines]


def test_ptyrads_whole_file_loads_without_a_warning():
    params = load(PTYRAD)
    assert params.given == {
        *("ortho_pmode", "fix_probe_int", "obj_zblur", "obj_rblur"),
        *("kz_filter", "obja_thresh", "objp_postiv"),
    }
    assert params.kz_filter.model_dump() == {
        **{"start_iter": 1, "step": 1, "end_iter": None, "start_when": None},
        **{"obj_type": "both", "beta": 0.5, "alpha": 1.0, "boundary": "periodic"},
    }
    assert not params.obj_zblur.enabled
    assert not params.obj_rblur.enabled
    assert params.pos_recenter.enabled  # never mentioned, on all the same
    assert from_mapping(yaml.safe_load(PTYRAD.read_text())) == params
    assert load(os.fspath(PTYRAD)) == params


@pytest.mark.parametrize(
    "top", ["{}: {{}}", "init_params: {{}}\n{}:", "{}: {{}}\nrecon_params: []"]
)
def test_only_the_section_for_constraints_is_read(write, top):
    text = top.format("model_params") + "\nconstraint_params: {obj_rblur: null}\nmine: {x: 1}\n"
    assert load(write(text)) == ConstraintParams(obj_rblur=None)


@pytest.mark.parametrize("text", ["model_params: {}", "constraint_params:", "loss_params: 1"])
def test_a_whole_file_without_the_section_means_defaults_and_says_so(write, text):
    path = write(text)
    with pytest.warns(ParameterWarning, match="constraint_params is missing or empty") as caught:
        assert load(path) == ConstraintParams()
    assert str(path) in str(caught[0].message)
    assert caught[0].filename == __file__


def test_blocks_beside_sections_and_misspelt_sections_are_errors(write):
    path = write("""
        model_params: {kz_filter: not ours}
        kz_filter: {start_iter: 1}
        constraints_params: {obj_rblur: null}
        obj_rblurr: null
        7: seven
        other: {}
        constraint_params: {recon_params: {}, kr_filter: {radius: -1}}
    """)
    assert problems(path) == [
        "kz_filter: would be ignored beside PtyRAD's sections, move it into constraint_params",
        "constraints_params: unknown key, did you mean constraint_params?",
        "obj_rblurr: unknown key, did you mean obj_rblur?",
        "7: unknown key, keys must be text",
        "recon_params: a section of PtyRAD's file: it belongs at the top level, not among "
        "constraints",
        "kr_filter.radius: got -1, allowed: a number ≥ 0",
    ]


@pytest.mark.parametrize("value", ["[]", "3", "'kz_filter'", "false"])
def test_the_section_must_hold_blocks(write, value):
    (line,) = problems(write(f"constraint_params: {value}"))
    assert line.startswith("constraint_params: got ")


def test_a_misspelt_section_alone_is_recognised(write):
    assert problems(write("constraint_param: {}")) == [
        "constraint_param: unknown key, did you mean constraint_params?"
    ]


def test_all_problems_at_once_one_line_each(write):
    path = write("""
        kz_filter: {beta: -1, betta: 2}
        obj_rblur: {kernel_size: 4, std: .nan}
        obja_thresh: {thresh: [1.04, .96]}
        on: {}
        2020-01-01: 1
        ~: 1
        1.5: 1
        kr_filter: {no: 1, ~: 2, 1.5: 3}
        "a\\nb": 1
    """)
    *lines, weird = problems(path)
    assert lines == [
        "kz_filter.beta: got -1, allowed: a number ≥ 0",
        "kz_filter.betta: unknown key, did you mean beta?",
        "obj_rblur.kernel_size: got 4, allowed: an odd integer in [1, 4095]",
        "obj_rblur.std: got nan, allowed: a number ≥ 0",
        "obja_thresh.thresh: got [1.04, 0.96], allowed: an ascending pair of numbers",
        *(
            f"{key}: unknown key, keys must be text"
            for key in ("true", "2020-01-01", "null", "1.5")
        ),
        *(f"kr_filter.{key}: unknown key, keys must be text" for key in ("false", "null", "1.5")),
    ]
    assert weird.startswith("'a\\nb': unknown key")


def test_a_mapping_reports_like_a_file():
    with pytest.raises(ParameterError) as caught:
        from_mapping({"kz_filter": {"beta": "much"}})
    assert str(caught.value).splitlines() == [
        "parameters: 1 problem in the parameters",
        "  kz_filter.beta: got 'much', allowed: a number ≥ 0",
    ]
    for other in ([], "kz_filter", None, 3):
        with pytest.raises(ParameterError, match="expected constraint blocks by name"):
            from_mapping(other)
    assert from_mapping({}) == ConstraintParams()


def test_what_yaml_1_1_reads_differently(write):
    path = write("""
        kz_filter: {start_iter: 1, beta: 5e-1, alpha: 1E1, step: 3.0}
        obj_zblur: off
        obj_rblur: no
        kr_filter: ~
    """)
    params = load(path)
    assert (params.kz_filter.beta, params.kz_filter.alpha, params.kz_filter.step) == (0.5, 10, 3)
    assert not any(b.enabled for b in (params.obj_zblur, params.obj_rblur, params.kr_filter))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.yaml", "# 1 Å\nkr_filter:\n  radius: 0.5\n  start_iter: 2\nobj_rblur: null\n"),
        ("p.YML", "kr_filter: {radius: 0.5, start_iter: 2}\nobj_rblur: false\n"),
        ("p.json", '{"kr_filter": {"radius": 0.5,\n"start_iter": 2}, "obj_rblur": null}'),
        pytest.param(
            "p.toml",
            "obj_rblur = false\n[kr_filter]\nradius = 0.5\nstart_iter = 2\n",
            marks=needs_toml,
        ),
    ],
)
def test_every_format_byte_order_mark_and_line_end(write, name, text, newline, encoding):
    path = write(text.replace("\n", newline).encode(encoding), name)
    expected = {"start_iter": 2, "radius": 0.5}
    assert load(path) == ConstraintParams(kr_filter=expected, obj_rblur=None)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("p.yaml", "kr_filter: {}\nobj_rblur: {std: 1}\nkr_filter: null", "kr_filter .* 1 and 3"),
        ("p.yaml", "kr_filter:\n  width: 1\n  'width': 2", "key width .* 2 and 3"),
        ("p.yaml", "init_params: {a: 1, a: 2}\nconstraint_params: {}", "key a .* 1 and 1"),
        ("p.json", '{"kr_filter": {"width": 1, "width": 2}}', "key width stands there twice"),
        pytest.param("p.toml", "a = 1\na = 2\n", "line 2", marks=needs_toml),
        ("p.yaml", "", "holds no parameters"),
        ("p.yaml", "# nothing\n", "holds no parameters"),
        ("p.json", " \n", "holds no parameters"),
        ("p.json", "null", "holds no parameters"),
        pytest.param("p.toml", "# nothing", "holds no parameters", marks=needs_toml),
        ("p.yaml", "- kz_filter", r"got \['kz_filter'\], expected constraint blocks"),
        ("p.yaml", "kz_filter", "got 'kz_filter', expected constraint blocks"),
        ("p.json", "[1]", r"got \[1\], expected constraint blocks"),
        ("p.json", "3", "got 3, expected constraint blocks"),
        ("p.yaml", "kr_filter:\n\twidth: 1", "line 2, column 1: a tab"),
        ("p.yaml", "kr_filter: {width: 1\nobj_rblur: 1", "line 2, column 10: .*expected ',' or"),
        ("p.yaml", "a: *b", "line 1, column 4: .*undefined alias"),
        ("p.yaml", "[a]: 1", "line 1, column 1: .*unhashable key"),
        ("p.yaml", "a: !!python/name:os.system", "line 1, column 4: .*constructor"),
        ("p.yaml", "a: 1\n---\nb: 1", "line 2, column 1: .*another document"),
        ("p.yaml", "a: 2020-13-45", "cannot be read: month"),
        ("p.yaml", "a: !!int ''", "cannot be read"),
        ("p.yaml", "a: " + "9" * 5000, "cannot be read"),
        ("p.yaml", "[" * 5000, "nested too deeply"),
        ("p.json", "[" * 200_000, "nested too deeply"),
        ("p.json", '{"a": ' + "9" * 5000 + "}", "limit"),
        ("p.json", '{"a": 1,}', r"line 1, column \d: "),
        pytest.param("p.toml", "a = \n", "line 1, column 5", marks=needs_toml),
        ("p.yaml", b"a: \x00\x01\x02", "character 4 cannot be in a text file"),
        ("p.yaml", b"\x89HDF\r\n\x1a\n\xff\xff", r"not a text file in UTF-8 \(byte 1 "),
        ("p.json", "{}".encode("utf-16"), "not a text file in UTF-8"),
        pytest.param("p.toml", "a = 'Å'".encode("latin-1"), "byte 6", marks=needs_toml),
        ("p.txt", "kr_filter: null", "unknown kind of file, expected .yaml, .yml, .toml, .json"),
        ("params", "kr_filter: null", "unknown kind of file"),
    ],
)
def test_files_that_cannot_be_understood_get_one_line(write, name, content, expected):
    text = failure(write(content, name))
    assert re.search(expected, text), text
    assert "\n" not in text


def test_merge_keys_may_be_overridden(write):
    path = write("""
        constraint_params:
            obj_rblur: &blur {start_iter: 1, std: .3}
            obj_zblur: {<<: *blur, kernel_size: 7, std: 1}
            kr_filter: null
        init_params: {a: &a {<<: &b {x: 1}, x: 2}, c: {<<: [*a, *b], x: 3}}
    """)
    assert load(path).obj_zblur == P.ObjZblur(start_iter=1, kernel_size=7, std=1)


def test_a_file_that_holds_itself_is_refused(write):
    (line,) = problems(write("kr_filter: &a {kr_filter: *a}"))
    assert line.startswith("kr_filter.kr_filter: ")
    (line,) = problems(write("obja_thresh: {thresh: &a [*a, *a]}"))
    assert line.startswith("obja_thresh.thresh: got [")


def test_numbers_that_json_should_not_have(write):
    assert problems(write('{"kr_filter": {"radius": NaN, "width": Infinity}}', "p.json")) == [
        "kr_filter.radius: got nan, allowed: a number ≥ 0",
        "kr_filter.width: got inf, allowed: a number ≥ 0",
    ]


def test_folders_and_missing_files(tmp_path):
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    assert failure(folder) == "a folder, not a parameter file"
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.yaml")


def test_missing_readers_name_the_command_that_installs_them(write, monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name in ("yaml", "tomllib", "tomli"):
            raise ModuleNotFoundError(name)
        return original(name, *args, **kwargs)

    yaml_file, toml_file = write("kr_filter:"), write("kr_filter = false", "p.toml")
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(importlib, "import_module", without)
    assert 'pip install "arraycon[cli]"' in failure(yaml_file)
    assert 'pip install "arraycon[cli]"' in failure(toml_file)


def test_warnings_point_at_the_caller(write):
    with pytest.warns(ParameterWarning) as caught:
        load(write("kr_filter: {freq: 2}\nkr_thresh: {}\n"))
    assert [w.filename for w in caught] == [__file__] * 2


fraction = st.floats(0, 1)


length = st.floats(0, 1e6)


schedules = st.fixed_dictionaries(
    {"start_iter": st.integers(1, 99)},
    optional={"step": st.integers(1, 9), "end_iter": st.integers(1, 99)},
)

FIELDS = {
    "probe_mask_r": {
        "radius": length,
        "order": st.integers(1, 20),
        "z_range": st.tuples(st.floats(-1e4, 0), st.floats(0.01, 1e4)),
    },
    "obj_rblur": {
        "obj_type": st.sampled_from(["amplitude", "phase", "both"]),
        "kernel_size": st.integers(0, 20).map(lambda n: 2 * n + 1),
        "std": length,
    },
    "kz_filter": {"beta": length, "boundary": st.sampled_from(["periodic", "mirror"])},
    "kr_thresh": {"thresh": st.floats(0, 1, exclude_min=True)},
    "obj_z_recenter": {"thresh": st.floats(0, 100), "max_shift": length},
    "objp_postiv": {"relax": fraction, "mode": st.sampled_from(["clip_neg", "subtract_min"])},
    "ortho_pmode": {},
}


@st.composite
def block_sets(draw):
    blocks = {}
    for name in draw(st.sets(st.sampled_from(sorted(FIELDS)))):
        own = draw(st.fixed_dictionaries({}, optional=FIELDS[name]))
        blocks[name] = draw(st.none() | schedules.map(lambda s, own=own: {**s, **own}))
    return blocks


def toml(blocks):
    """TOML of a parameter set: JSON's scalars and arrays are TOML's, null has no spelling."""
    lines = [f"{name} = false" for name, block in blocks.items() if block is None]
    for name, block in blocks.items():
        if block is not None:
            lines += [f"[{name}]", *(f"{key} = {json.dumps(v)}" for key, v in block.items())]
    return "\n".join(lines) + "\n"


@pytest.mark.slow
@given(blocks=block_sets())
def test_dumped_parameters_load_equal(blocks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dump")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarning)
        params = ConstraintParams(**blocks)
        dump = params.model_dump(mode="json")
        (folder / "all.json").write_text(json.dumps(dump))
        (folder / "all.yaml").write_text(yaml.safe_dump(dump))
        whole = {"init_params": {"probe_kv": 200}, "constraint_params": blocks}
        (folder / "whole.json").write_text(json.dumps(whole))
        assert load(folder / "all.json") == params
        assert load(folder / "all.yaml") == params
        assert load(folder / "whole.json") == params
        assert load(folder / "whole.json").given == set(blocks)
        if HAS_TOML and blocks:
            (folder / "given.toml").write_text(toml(blocks))
            assert load(folder / "given.toml") == params


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()


anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | scalars, inner),
    max_leaves=8,
)


names = st.sampled_from([*declared(), *P.SECTIONS, "start_iter", "freq", "thresh", "std", "relax"])


nearly = st.dictionaries(names, anything | st.dictionaries(names, anything))


@pytest.mark.slow
@given(data=anything | nearly)
def test_any_content_is_read_or_refused_in_words(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarning)
        try:
            assert isinstance(from_mapping(data), ConstraintParams)
        except ParameterError as error:
            lines = str(error).split("\n")
            assert all(line.startswith("  ") for line in lines[1:])
