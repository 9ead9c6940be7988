"""Examples in docstrings run as they stand, and what is public has one, and its source."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import arraycon
from arraycon.bench import NAMES

ROOT = Path(__file__).resolve().parents[2]
# what they need may not be installed, and they have no examples
PROGRAMS = ("adapters", "bench", "cli", "demo", "figure", "__main__")
SOURCED = (*NAMES, "misfit_ratio", "Monitor", "tune")


def modules():
    """Dotted names of all modules that may have examples."""
    for top in ("kernels", "arraycon"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if top == "arraycon" else ("arraycon", *parts)
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if not set(parts) & {*PROGRAMS, "cpu", "gpu"}:
                yield ".".join(parts)


def examples():
    """Each docstring with an example, and where it is; the faces show what others define."""
    finder = doctest.DocTestFinder()
    for name in modules():
        module = importlib.import_module(name)
        # as in a session of a user's own, who is in none of our modules
        for found in finder.find(module, globs={"__name__": "__main__"}):
            if not found.examples:
                continue
            marks = [pytest.mark.slow] if found.name.endswith(".warmup.warmup") else []
            yield pytest.param(found, id=found.name.removeprefix("arraycon."), marks=marks)


@pytest.mark.parametrize("example", list(examples()))
def test_example(example):
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert not said, "".join(said)


SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n(.*?)(?=\n\n\w[\w ]*\n-{3,}\n|\Z)", re.M | re.S)


def sections(name):
    return dict(SECTION.findall(inspect.getdoc(getattr(arraycon, name)) or ""))


@pytest.mark.parametrize("name", [name for name in arraycon.__all__ if name != "presets"])
def test_what_is_public_has_an_example(name):
    assert ">>> import arraycon" in sections(name)["Examples"]


@pytest.mark.parametrize("name", SOURCED)
def test_what_computes_has_a_source(name):
    source = sections(name)["References"]
    assert re.search(r"\((19|20)\d\d\)", source) or re.search(r"\d+\.\d+\.\d+", source)


@pytest.mark.parametrize("name", ["text", "params"])
def test_presets_have_examples(name):
    assert ">>> " in inspect.getdoc(getattr(arraycon.presets, name))


# numpydoc's, of which Sphinx takes no other
ORDER = (
    "Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns", "See Also", "Notes",
    "References", "Examples",
)  # fmt: skip


@pytest.mark.parametrize("name", arraycon.__all__)
def test_sections_stand_in_numpydocs_order(name):
    found = list(sections(name))
    assert found == [each for each in ORDER if each in found]
