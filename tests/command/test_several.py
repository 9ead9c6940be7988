"""`arraycon apply` on several files, and what the command line changes in the parameters."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import PARAMS, apply, names, run

from arraycon import Constraints, io

pytestmark = pytest.mark.usefixtures("plain", "folder")


@pytest.fixture(autouse=True)
def two(folder: Path) -> None:
    shutil.copy(folder / "model.hdf5", folder / "other.hdf5")
    (folder / "out").mkdir()


def test_each_file_of_a_pattern_goes_into_a_folder() -> None:
    code, output = run("apply", "*.hdf5", "-p", "params.yaml", "-o", "out/")
    assert code == 0, output
    assert sorted(path.name for path in Path("out").iterdir()) == ["model.hdf5", "other.hdf5"]


@pytest.mark.slow
def test_names_are_made_of_stems() -> None:
    code, output = run(
        "apply", "model.hdf5", "other.hdf5", "-p", "params.yaml", "-o", "out/{stem}_c.hdf5",
        "--figure", "out/{stem}.png", "--report", "out/{stem}.html",
    )  # fmt: skip
    assert code == 0, output
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "model.html", "model.png", "model_c.hdf5", "other.html", "other.png", "other_c.hdf5",
    ]  # fmt: skip


@pytest.mark.parametrize("option", ["--out", "--figure", "--report"])
def test_several_files_do_not_get_one_name(option: str) -> None:
    rest = [] if option == "--out" else ["--out", "out/"]
    code, output = run("apply", "*.hdf5", "-p", "params.yaml", option, "one.hdf5", *rest)
    assert code == 2
    assert "{stem}" in output
    assert list(Path("out").iterdir()) == []


def test_one_that_fails_does_not_keep_the_others() -> None:
    Path("broken.hdf5").write_text("no")
    code, output = run("apply", "broken.hdf5", "model.hdf5", "-p", "params.yaml", "-o", "out/")
    assert code == 2
    assert "broken.hdf5" in output
    assert "1 of 2 files failed" in output
    assert [path.name for path in Path("out").iterdir()] == ["model.hdf5"]


def test_a_pattern_that_matches_nothing() -> None:
    code, output = run("apply", "nix*.hdf5", "-p", "params.yaml", "-o", "out/")
    assert code == 2
    assert "nix*.hdf5: no file matches" in output


def test_a_file_whose_name_looks_like_a_pattern() -> None:
    shutil.copy("model.hdf5", "a[1].hdf5")
    code, output = run("apply", "a[1].hdf5", "-p", "params.yaml", "-o", "out/")
    assert code == 0, output
    assert Path("out/a[1].hdf5").exists()


def test_set_changes_a_parameter() -> None:
    code, output = apply("-o", "out.hdf5", "--iteration", "5", "--set", "kz_filter.beta=0.05",
                         "--set", "objp_postiv.mode=subtract_min")  # fmt: skip
    assert code == 0, output
    state = io.read("model.hdf5").state
    changed = PARAMS | {
        "kz_filter": PARAMS["kz_filter"] | {"beta": 0.05},
        "objp_postiv": {"start_iter": 1, "mode": "subtract_min"},
    }
    Constraints(changed).apply(state, iteration=5)
    np.testing.assert_array_equal(io.read("out.hdf5").state.object_phase, state.object_phase)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kz_filter.beta", "expected NAME.FIELD=VALUE"),
        ("kz_filter.beta=", "expected NAME.FIELD=VALUE"),
        ("beta=1", "expected NAME.FIELD=VALUE"),
        ("kz_filtre.beta=1", "expected a constraint, one of"),
        ("kz_filter.betta=1", "kz_filter has no betta; expected one of start_iter"),
        ("kz_filter.beta=-1", "kz_filter.beta: got -1, allowed: a number ≥ 0"),
        ("kz_filter.beta=[", "expected a value as in YAML"),
    ],
)
def test_what_set_refuses(text: str, said: str) -> None:
    code, output = apply("-o", "out.hdf5", "--set", text)
    assert code == 2
    assert said in output
    assert "out.hdf5" not in names()


def test_only_runs_one_alone() -> None:
    code, output = apply("-o", "out.hdf5", "--only", "objp_postiv")
    assert code == 0, output
    state = io.read("model.hdf5").state
    Constraints({"objp_postiv": {"start_iter": 1}}).apply(state, iteration=7)
    written = io.read("out.hdf5").state
    np.testing.assert_array_equal(written.object_phase, state.object_phase)
    np.testing.assert_array_equal(written.probe, state.probe)


@pytest.mark.parametrize(
    ("name", "said"),
    [("nix", "expected a constraint"), ("tilt_smooth", "is off; --set tilt_smooth")],
)
def test_only_refuses(name: str, said: str) -> None:
    code, output = apply("-o", "out.hdf5", "--only", name)
    assert code == 2
    assert said in output


def test_a_dry_run_checks_and_writes_nothing() -> None:
    code, output = apply("-o", "out.hdf5", "--dry-run", "--report", "r.html")
    assert code == 0, output
    assert "would write out.hdf5; nothing was written" in output
    assert "ortho_pmode" in output
    assert names() == ["model.hdf5", "other.hdf5", "out", "params.yaml"]
    code, output = apply("-o", "out.hdf5", "--dry-run", "--set", "obj_fill.start_iter=1")
    assert code == 2
    assert "obj_fill" in output


def test_json_of_apply() -> None:
    code, output = apply("-o", "out.hdf5", "--json")
    assert code == 0, output
    (found,) = json.loads(output)
    assert found["target"] == "out.hdf5"
    assert found["iterations"] == [7, 7]
    assert found["constraints"]["objp_postiv"]["runs"] == 1
    assert found["constraints"]["objp_postiv"]["last"]["object_phase: relative change"] > 0
    assert found["waiting"] == {"kz_filter": 10, "obja_thresh": None}
    assert found["parameters"]["objp_postiv"]["start_iter"] == 1
    code, output = apply("-o", "again.hdf5", "--json", "--dry-run")
    (found,) = json.loads(output)
    assert found["dry_run"] is True
    assert found["due"] == {"ortho_pmode": 1, "fix_probe_int": 1, "objp_postiv": 1}


def test_quiet() -> None:
    code, output = apply("-o", "out.hdf5", "-q")
    assert (code, output) == (0, "")


def test_json_of_the_others() -> None:
    code, output = run("params", "check", "params.yaml", "--json")
    assert code == 0
    found = json.loads(output)
    assert found["kz_filter"]["active"] is True
    assert found["kz_filter"]["set_by"] == "file"
    assert "5" in found["kz_filter"]["when"]
    assert found["kz_filter"]["parameters"]["beta"] == 0.5
    assert found["obj_tv"]["active"] is False
    code, output = run("doctor", "--json")
    assert code == 0
    assert json.loads(output)["versions"]["numpy"] == np.__version__


def test_the_version_by_one_letter() -> None:
    assert run("-V") == run("--version")
