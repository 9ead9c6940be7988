"""What is said of the package in several places is the same everywhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

import arraycon

tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = PROJECT["urls"]["Source"]
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
# what PyPI and conda-forge call differently
CONDA = {"matplotlib": "matplotlib-base"}


def requirements(lines):
    """Least versions by name."""
    found = (re.match(r"([\w-]+)(?:\[\w+\])? *>= *([\d.]+)", line) for line in lines)
    return {each[1].lower(): each[2] for each in found if each}


@pytest.fixture(scope="module")
def recipe():
    text = (ROOT / "recipe" / "meta.yaml").read_text(encoding="utf-8")
    # what stands between braces is filled in by conda
    text = re.sub(r"^\{%.*%\}$", "", text, flags=re.M)
    return yaml.safe_load(re.sub(r"\{\{ (\w+).*?\}\}", r"\1", text))


def test_the_recipe_needs_what_the_package_needs(recipe):
    extra = PROJECT["optional-dependencies"]["cli"]
    needed = requirements([*PROJECT["dependencies"], *extra])
    needed = {CONDA.get(name, name): least for name, least in needed.items()}
    run = requirements(recipe["requirements"]["run"])
    assert run.pop("python") == PROJECT["requires-python"].removeprefix(">=")
    assert run == needed
    (entry,) = recipe["build"]["entry_points"]
    assert entry == f"arraycon = {PROJECT['scripts']['arraycon']}"


def test_one_address(recipe):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert recipe["about"]["home"] == citation["repository-code"] == SOURCE
    assert all(url.startswith(SOURCE) for url in PROJECT["urls"].values())
    assert citation["license"] == recipe["about"]["license"] == PROJECT["license"]


def test_one_version():
    said = (ROOT / "arraycon" / "version.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'__version__ = "(.+)"', said)
    assert version == arraycon.__version__
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert first[1] == version
    for name in ("pyproject.toml", "CITATION.cff", "recipe/meta.yaml"):
        assert version not in re.findall(r"[\d.]+\d", (ROOT / name).read_text(encoding="utf-8"))


def test_the_least_versions_are_those_that_are_tested():
    script = (ROOT / ".ci" / "versions").read_text(encoding="utf-8")
    oldest = re.search(r"^oldest=\((.*?)\)$", script, re.M | re.S)[1]
    tested = dict(re.findall(r'"([\w-]+)==([\d.]+)\.\*"', oldest))
    extras = PROJECT["optional-dependencies"]
    assert tested == requirements([*PROJECT["dependencies"], *extras["dask"], *extras["zarr"]])
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    # the one in between is what everything else is tested on
    assert set(named) - {"3.11"} <= set(
        re.findall(r"environment (3\.\d+|oldest 3\.\d+)", script)
    ) | {"3.12"}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_templates(template):
    content = yaml.safe_load(template.read_text(encoding="utf-8"))
    if template.stem == "config":
        assert content == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "body"} <= set(content)
    assert all(each["attributes"]["label"] and each["id"] for each in content["body"])
