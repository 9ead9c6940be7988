"""The bench of ways to call runs, and what it calls changes the arrays it is said to change."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import processes
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "bench" / "roads.py"


@pytest.fixture(scope="module")
def roads():
    spec = importlib.util.spec_from_file_location("roads", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_prints_its_tables():
    command = [sys.executable, SCRIPT, "--rounds", "1", "--sizes", "tiny", "--widths", "30"]
    done = processes.run(command, capture_output=True, text=True, check=True)
    ways, tensors, widths = done.stdout.strip().split("\n\n")
    assert [line.split(" | ")[1] for line in ways.splitlines()[2:]] == [
        "obja_thresh", "objp_postiv", "mirrored_amp", "obj_rblur", "kr_filter", "kz_filter",
    ]  # fmt: skip
    assert all(float(cell) > 0 for line in ways.splitlines()[2:] for cell in numbers(line)[2:])
    installed = importlib.util.find_spec("torch") is not None
    assert len(tensors.splitlines()) == (8 if installed else 1)
    assert all(float(cell) > 0 for cell in numbers(widths.splitlines()[-1]))


def numbers(line):
    return line.strip("| ").split(" | ")


def test_all_ways_do_the_same(roads):
    for name, target in roads.CONSTRAINTS.items():
        results = []
        for way in ("function", "apply", "bound"):
            fields = roads.made((1, 3, 12, 14))
            before = {field: array.copy() for field, array in fields.items()}
            roads.ways_to_call(name, fields)[way]()
            changed = [field for field in fields if np.any(fields[field] != before[field])]
            assert changed == [target], (name, way)
            results.append(fields[target])
        np.testing.assert_array_equal(results[0], results[1], err_msg=name)
        np.testing.assert_array_equal(results[0], results[2], err_msg=name)


def test_every_round_starts_with_the_same_values(roads):
    memory = {"x": np.ones(3)}
    seen = []

    def increase():
        seen.append(memory["x"][0])
        memory["x"] += 1

    found = roads.measured({"one": increase, "two": increase}, memory, rounds=4)
    assert {len(times) for times in found.values()} == {4}
    assert seen.count(1.0) >= 8
    assert roads.ratio({"a": [2.0, 6.0, 1.0], "b": [1.0, 2.0, 1.0]}, "a", "b") == 2.0
