"""`arraycon params`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import run, words

from arraycon.params import ConstraintParams

pytestmark = pytest.mark.usefixtures("plain", "folder")


def test_params_check() -> None:
    code, output = run("params", "check", "params.yaml")
    assert code == 0
    assert re.search(r"kz_filter +active +every 5th from 5 +the file .*beta 0\.5", words(output))
    assert re.search(r"obj_zblur +off +the file", output)
    assert re.search(r"tilt_smooth +off +default", output)
    for name in ConstraintParams.model_fields:
        assert name in output
    Path("empty.json").write_text("{}")
    code, output = run("params", "check", "empty.json")
    assert code == 0
    assert re.search(r"obj_rblur +active +every iteration +default", output)


def test_params_check_names_those_that_are_there_twice() -> None:
    twice = "constraint_params:\n- kz_filter: {start_iter: 1, end_iter: 5, beta: 1}\n"
    Path("p.yaml").write_text(
        f"{twice}- obj_zblur: null\n- kz_filter: {{start_iter: 5, beta: 0.2}}\n"
    )
    code, output = run("params", "check", "p.yaml")
    assert code == 0
    assert re.search(r"kz_filter +active +from 1 until 5 .*the file .*beta 1\.0", words(output))
    assert re.search(r"kz_filter#2 +active +every iteration from 5 +the file .*beta 0\.2",
                     words(output))  # fmt: skip


def test_params_check_warns() -> None:
    Path("p.yaml").write_text("kz_filter: {beta: 1}\n")
    code, output = run("params", "check", "p.yaml")
    assert code == 0
    assert re.search(r"^warning: .*kz_filter", output, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.yaml", "kz_filter: {beta: -1}", "kz_filter.beta"),
        ("p.yaml", "a: [", "p.yaml"),
        ("p.txt", "", "p.txt"),
        ("gone/p.yaml", None, "no such file"),
    ],
)
def test_params_check_refuses(name: str, content: Any, message: str) -> None:
    if content is not None:
        Path(name).write_text(content)
    code, output = run("params", "check", name)
    assert code == 2
    assert re.search(rf"error: (.|\n)*{message}", output)


def test_params_schema() -> None:
    code, output = run("params", "schema")
    assert code == 0
    assert "kz_filter" in json.loads(output)["properties"]
    assert run("params", "schema", "--out", "s.json")[0] == 0
    assert Path("s.json").read_text(encoding="utf-8") == output


@pytest.mark.parametrize("kind", ["minimal", "recommended", "full"])
def test_params_template(kind: str) -> None:
    code, output = run("params", "template", "--kind", kind)
    assert code == 0
    assert isinstance(yaml.safe_load(output), dict)
    assert run("params", "template", "--kind", kind, "-o", "t.yaml")[0] == 0
    assert Path("t.yaml").read_text(encoding="utf-8") == output
    code, output = run("params", "check", "t.yaml")
    assert code == 0
    # with all fields written out its defaults bring a warning, so that they are comments there
    told = "obj_zblur runs by default" if kind == "full" else ""
    assert output.count("warning") == bool(told)
    assert told in output


def test_an_edited_template_is_not_overwritten() -> None:
    before = Path("params.yaml").read_text()
    code, output = run("params", "template", "-o", "params.yaml")
    assert code == 2
    assert "params.yaml: exists already" in output
    assert Path("params.yaml").read_text() == before
