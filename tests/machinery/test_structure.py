"""The rooms: what may import what, and who may know a constraint by its name."""

from __future__ import annotations

import ast
import functools
import graphlib
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import arraycon
from arraycon import kernels
from arraycon.bench import NAMES

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for top in ("kernels", "arraycon") for path in (ROOT / top).rglob("*.py"))
FAMILIES = (
    "blur", "clamp", "coupling", "dct", "fourier", "gauge", "linear", "modes", "probe_masks",
    "recenter", "values", "variation",
)  # fmt: skip
# What constraints work on, and no constraints.
HELPERS = ("polar",)
# From the bottom up: a room may import those before it, those on its own line excepted.
FLOORS = (
    ("version", "kernels"),
    ("showing",),
    ("state", "blocks", "plain", "misfit"),
    ("constraints", "io"),
    ("params", "figure", "monitor", "blockwise"),
    ("pipeline", "presets"),
    ("tuning",),
    ("", "adapters", "bench", "demo"),
    ("cli",),
    ("__main__",),
)
LAYERS_BESIDE_DOORS = ("common", "agnostic", "cpu", "gpu", "blocks")
LAYERS = (("common",), ("agnostic",), ("cpu", "gpu"), ("door",), ("blocks",), ("",))
# Studies, ports, floors, presets and templates name what they show; a door and its twins are named
# after it, and so are the declarations.
MAY_NAME = re.compile(
    r"kernels/|arraycon/constraints/|arraycon/bench/(plain|ptyrad_model|peers|floors/\w+)\.py"
    r"|arraycon/presets\.py|arraycon/params/templates\.py|arraycon/cli/doctor\.py"
)


def module(path: Path) -> str:
    """Dotted name of a source file, as it is installed."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    parts = parts if parts[0] == "arraycon" else ["arraycon", *parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in SOURCES}


def imports(path: Path) -> Iterator[str]:
    """Modules of this package that a file imports, wherever in it, for types only included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("arraycon"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("arraycon"):
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield full if full in MODULES else str(node.module)


@functools.cache
def graph() -> dict[str, set[str]]:
    """Return what each module imports."""
    return {name: set(imports(path)) - {name} for name, path in MODULES.items()}


def test_there_are_no_circles():
    assert tuple(graphlib.TopologicalSorter(graph()).static_order())


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_nothing_imports_upwards():
    floors = {each: number for number, floor in enumerate(FLOORS) for each in floor}
    for name, others in graph().items():
        for other in others:
            if room(other) != room(name):
                assert floors[room(other)] < floors[room(name)], f"{name} imports {other}"


def layer(name: str) -> str:
    parts = name.split(".")
    if len(parts) < 3:
        return ""
    return parts[2] if parts[2] in LAYERS_BESIDE_DOORS else "door"


def test_layers_of_kernels():
    floors = {each: number for number, floor in enumerate(LAYERS) for each in floor}
    inside = {name: others for name, others in graph().items() if room(name) == "kernels"}
    for name, other in ((name, other) for name, others in inside.items() for other in others):
        if layer(other) != layer(name):
            assert floors[layer(other)] < floors[layer(name)], f"{name} imports {other}"
        else:
            assert layer(name) != "door", f"{name} imports {other}, another door"


def test_nobody_inside_imports_the_face():
    face = {"arraycon", "arraycon.kernels"}
    found = {name for name, others in graph().items() if others & face}
    assert found == {"arraycon"}


def test_kernels_have_doors_and_metrics_at_their_root():
    assert {path.stem for path in (ROOT / "kernels").glob("*.py")} == {
        *FAMILIES, *HELPERS, "metrics", "__init__",
    }  # fmt: skip


@pytest.mark.parametrize("place", ["arraycon/constraints", "kernels/agnostic", "kernels/cpu",
                                   "kernels/gpu", "tests/constraints"])  # fmt: skip
def test_a_family_has_one_name_everywhere(place):
    families = FAMILIES if place == "arraycon/constraints" else FAMILIES + HELPERS
    found = {path.stem for path in (ROOT / place).glob("*.py")}
    assert set(families) <= found


def test_nobody_outside_asks_for_a_constraint_by_name():
    for path in SOURCES:
        place = path.relative_to(ROOT).as_posix()
        if MAY_NAME.match(place):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
            named = getattr(node, "attr", named)
            assert named not in NAMES, f"{place}, line {node.lineno}"


def test_the_faces_export_what_the_doors_do():
    doors = {name for family in FAMILIES for name in getattr(kernels, family).__all__}
    assert doors == set(NAMES)
    helpers = {name for family in HELPERS for name in importlib.import_module(
        f"arraycon.kernels.{family}").__all__}  # fmt: skip
    assert not helpers & set(arraycon.__all__)
    assert doors | {"use_agnostic", "use_threads", "clear_caches"} == set(kernels.__all__)
    assert set(kernels.__all__) <= set(arraycon.__all__)
    for name in arraycon.__all__:
        assert getattr(arraycon, name).__doc__
        assert name in dir(arraycon)


def test_modules_and_functions_are_small():
    lines = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES)
    assert lines[len(lines) // 2] <= 120
    functions = [
        node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    assert sum(length <= 35 for length in functions) >= 0.9 * len(functions)
