"""`arraycon show` and `arraycon diff`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from command import ESCAPE, PARAMS, apply, names, run

from arraycon import State
from arraycon.cli import looking

pytestmark = pytest.mark.usefixtures("plain", "folder")


def test_show_says_what_is_in_a_file() -> None:
    code, output = run("show", "model.hdf5")
    assert code == 0, output
    assert re.search(r"object_phase +\d+(×\d+){3} +float32 .* rad", output)
    assert "dx: " in output
    assert "iterations done: 7" in output
    assert ESCAPE not in output


def test_show_as_json() -> None:
    values = np.array([[-1.0, 0.0], [2.0, 3.0]]).reshape(1, 1, 2, 2)
    np.savez("a.npz", object_phase=values, dx=0.5, slice_thickness=2.0)
    code, output = run("show", "a.npz", "--json")
    assert code == 0, output
    found = json.loads(output)
    assert found["fields"]["object_phase"] == {
        "shape": [1, 1, 2, 2], "dtype": "float64", "least": -1.0, "mean": 1.0, "largest": 3.0,
        "unit": "rad",
    }  # fmt: skip
    assert found["facts"]["object, z × y × x"] == "2 × 1 × 1 Å"


def test_show_draws() -> None:
    code, output = run("show", "model.hdf5", "--figure", "f.png")
    assert code == 0, output
    assert Path("f.png").read_bytes().startswith(b"\x89PNG")
    code, output = run("show", "model.hdf5", "--figure", "model.hdf5", "--force")
    assert code == 2
    assert names() == ["f.png", "model.hdf5", "params.yaml"]


def test_show_knows_parameter_files() -> None:
    code, output = run("show", "params.yaml")
    assert code == 2
    assert "arraycon params check params.yaml" in output


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 3), (5, 1), (40, 90), (91, 17)])
def test_a_preview_of_any_shape(shape: tuple[int, int]) -> None:
    phase = np.random.default_rng(0).normal(0, 1, (1, 2, *shape))
    text = looking.preview(State(object_phase=phase), 20)
    lines = text.plain.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) == min(20, shape[1])
    assert len(lines) >= 1


def test_a_preview_is_bright_where_the_phase_is() -> None:
    phase = np.zeros((1, 1, 20, 20))
    phase[..., 10:, :] = 1.0
    text = looking.preview(State(object_phase=phase), 10)
    first, last = text.spans[0].style, text.spans[-1].style
    assert first == "rgb(0,0,4) on rgb(0,0,4)"
    assert last == "rgb(252,253,191) on rgb(252,253,191)"


def test_diff_of_equal_files() -> None:
    code, output = run("diff", "model.hdf5", "model.hdf5", "--exit-code")
    assert (code, output) == (0, "equal\n")


def test_diff_says_how_much() -> None:
    apply("-o", "out.hdf5", "--only", "objp_postiv")
    code, output = run("diff", "model.hdf5", "out.hdf5", "--exit-code")
    assert code == 1
    assert re.search(r"object_phase +0\.\d+ +\d", output)
    assert re.search(r"probe +0 +0 +equal", output)
    code, output = run("diff", "model.hdf5", "out.hdf5", "--json")
    found = json.loads(output)
    assert code == 0
    assert found["differ"] is True
    assert found["fields"]["object_phase"]["relative"] > 0.1


def test_diff_of_shapes_types_fields_and_numbers() -> None:
    np.savez("a.npz", object_phase=np.ones((1, 2, 4, 4)), probe=np.ones((1, 4, 4), complex), dx=1.0)
    np.savez("b.npz", object_phase=np.ones((1, 3, 4, 4)), probe=1j * np.ones((1, 4, 4)), dx=2.0,
             tilts=np.zeros((1, 2)))  # fmt: skip
    _, output = run("diff", "a.npz", "b.npz")
    assert "shape 1×2×4×4 → 1×3×4×4" in output
    assert "turned by 1.57 rad as a whole" in output
    assert "only in the second" in output
    assert "dx: 1.0 → 2.0" in output


def test_diff_of_parameter_files() -> None:
    other = {name: block for name, block in PARAMS.items() if name != "objp_postiv"}
    other["kz_filter"] = PARAMS["kz_filter"] | {"beta": 0.25}
    Path("other.yaml").write_text(yaml.safe_dump(other))
    code, output = run("diff", "params.yaml", "other.yaml")
    assert code == 0
    assert "kz_filter.beta: 0.5 → 0.25" in output
    assert "objp_postiv: on → off" in output
    code, output = run("diff", "params.yaml", "model.hdf5")
    assert code == 2
    assert "expected two reconstructions, or two parameter files" in output
