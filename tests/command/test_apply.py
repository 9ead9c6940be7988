"""`arraycon apply`: what it does, says and writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import ptyrad_file
import pytest
import yaml
from command import ESCAPE, OFF, PARAMS, apply, names, run

from arraycon import Constraints, io, params, pipeline
from arraycon.cli import apply as apply_command
from arraycon.cli import tables
from arraycon.cli.iterations import next_due
from arraycon.kernels.common import threads as kernel_threads

pytestmark = pytest.mark.usefixtures("plain", "folder")


def test_apply_is_what_the_library_does(folder: Path) -> None:
    code, output = apply("--out", "out.hdf5")
    assert code == 0, output
    state = io.read("model.hdf5").state
    Constraints(PARAMS).apply(state, iteration=7)
    written = io.read("out.hdf5").state
    for field in ptyrad_file.ARRAYS:
        np.testing.assert_array_equal(getattr(written, field), getattr(state, field))
    assert names() == ["model.hdf5", "out.hdf5", "params.yaml"]
    before, after = (ptyrad_file.contents(folder / n) for n in ("model.hdf5", "out.hdf5"))
    assert {name for name in before if before[name] != after[name]} == {
        "optimizable_tensors/objp",
        "optimizable_tensors/probe",
    }


def test_apply_says_what_it_did() -> None:
    code, output = apply("-o", "out.hdf5")
    assert code == 0
    assert "iteration 7 (where the file ended), on numpy" in output
    assert re.search(r"ortho_pmode +1 +probe +relative change \d", output)
    assert re.search(r"objp_postiv +1 +object_phase +relative change 0\.\d{3}\b", output)
    assert "not due: kz_filter, next at iteration 10" in output
    assert "not due: obja_thresh, never again" in output
    assert "wrote out.hdf5" in output
    assert "tilt_smooth" not in output  # off
    assert ESCAPE not in output


def test_iterations() -> None:
    code, output = apply("--iterations", "2:6", "-o", "out.hdf5")
    assert code == 0, output
    assert "iterations 2 to 6 (5 in all)" in output
    assert re.search(r"ortho_pmode +5 +probe", output)
    assert re.search(r"obja_thresh +3 +object_amplitude", output)
    assert re.search(r"kz_filter +1 +object_amplitude", output)
    state = io.read("model.hdf5").state
    constraints = Constraints(PARAMS)
    for iteration in (2, 3, 4, 5, 6):
        constraints.apply(state, iteration=iteration)
    np.testing.assert_array_equal(io.read("out.hdf5").state.object_phase, state.object_phase)


def test_iteration() -> None:
    code, output = apply("--iteration", "10", "-o", "out.hdf5")
    assert code == 0
    assert "iteration 10, on numpy" in output
    assert re.search(r"kz_filter +1 ", output)


def test_a_file_without_iterations_counts_from_1() -> None:
    io.save("a.npz", io.read("model.hdf5").state)
    code, output = run("apply", "a.npz", "-p", "params.yaml", "-o", "b.npz")
    assert code == 0
    assert "iteration 1 (the file records none)" in output
    assert io.read("b.npz").state.object_phase.min() >= 0


def test_nothing_due(folder: Path) -> None:
    late = OFF | {"ortho_pmode": None, "fix_probe_int": {"start_iter": 50}}
    Path("params.yaml").write_text(yaml.safe_dump(late))
    code, output = apply("-o", "out.hdf5")
    assert code == 0
    assert "nothing was due" in output
    assert "not due: fix_probe_int, next at iteration 50" in output
    assert "warning: out.hdf5: nothing was changed" in output
    assert ptyrad_file.contents(folder / "out.hdf5") == ptyrad_file.contents(folder / "model.hdf5")


def test_skipped_by_default(folder: Path) -> None:
    ptyrad_file.build(folder / "model.hdf5", omit=("optimizable_tensors/probe_pos_shifts",))
    Path("params.yaml").write_text(yaml.safe_dump({"obj_zblur": None}))
    code, output = apply("-o", "out.hdf5")
    assert code == 0
    assert "skipped: pos_recenter, on by default, but the file holds no position_shifts" in output


def test_missing_input(folder: Path) -> None:
    ptyrad_file.build(folder / "model.hdf5", omit=("optimizable_tensors/probe",))
    code, output = apply("-o", "out.hdf5")
    assert code == 2
    assert re.fullmatch(r"error: model\.hdf5: .*needs probe.*\n", output.splitlines(True)[-1])
    assert "out.hdf5" not in names()


def test_in_place(folder: Path) -> None:
    before = ptyrad_file.contents(folder / "model.hdf5")
    code, output = apply("--in-place")
    assert code == 0, output
    after = ptyrad_file.contents(folder / "model.hdf5")
    assert {name for name in before if before[name] != after[name]} == {
        "optimizable_tensors/objp",
        "optimizable_tensors/probe",
    }
    assert names() == ["model.hdf5", "params.yaml"]


@pytest.mark.slow
def test_figure() -> None:
    code, output = apply("-o", "out.hdf5", "--figure", "fig.png")
    assert code == 0, output
    assert Path("fig.png").read_bytes().startswith(b"\x89PNG")
    assert "wrote fig.png" in output


def test_parameter_warnings_are_lines() -> None:
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS | {"obj_zblur": {"start_iter": 1}}))
    code, output = apply("-o", "out.hdf5")
    assert code == 0
    lines = [line for line in output.splitlines() if line.startswith("warning: ")]
    assert any("obj_zblur" in line and "kz_filter" in line for line in lines)
    assert "Warning:" not in output  # Python's own way of showing them
    assert "params.py" not in output


@pytest.mark.slow
def test_brackets_in_names_are_literal() -> None:
    Path("model.hdf5").rename("a[red]b[-x].hdf5")
    code, output = run("apply", "a[red]b[-x].hdf5", "-p", "params.yaml", "-o", "[bold]o.hdf5",
                       "--figure", "[f].png")  # fmt: skip
    assert code == 0, output
    assert "wrote [bold]o.hdf5" in output
    code, output = run("apply", "[no].hdf5", "-p", "params.yaml", "-o", "out.hdf5")
    assert output == "error: [no].hdf5: no such file\n"


@pytest.mark.parametrize("columns", ["20", "40", "200"])
def test_narrow_terminals(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for arguments in (("-o", "out.hdf5"), ("-o", "more.hdf5", "--iterations", "1:3")):
        code, output = apply(*arguments)
        assert code == 0
        assert "ortho_pmode" in output or columns == "20"
    assert run("params", "check", "params.yaml")[0] == 0


@pytest.mark.parametrize(
    ("block", "after", "expected"),
    [
        ({"start_iter": 5}, 1, 5),
        ({"start_iter": 5}, 5, 6),
        ({"start_iter": 5, "step": 10}, 5, 15),
        ({"start_iter": 5, "step": 10}, 14, 15),
        ({"start_iter": 5, "step": 10}, 15, 25),
        ({"start_iter": 5, "step": 10, "end_iter": 15}, 5, None),
        ({"start_iter": 5, "end_iter": 7}, 5, 6),
        ({"start_iter": None}, 5, None),
    ],
)
def test_next_due(block: dict[str, Any], after: int, expected: int | None) -> None:
    found = params.Block(**block)
    assert next_due(found, after) == expected
    brute = [i for i in range(after + 1, after + 50) if found.is_due(i)]
    assert (brute[0] if brute else None) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123456, "0.0123"),
        (12345.6, "1.23e+04"),
        ((1.0, 0.25), "1, 0.25"),
        (tuple(range(8)), "0, 1, 2, 3, 4, 5, … (8 in all)"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_in_tables(value: Any, text: str) -> None:
    assert tables.number(value) == text


def test_users_own_constraint() -> None:
    class Halve(params.Block):
        """Halve the phase."""

        factor: float = 0.5

    def halve(fields: Any, block: Any) -> Any:
        return {"object_phase": fields["object_phase"] * block.factor}, {"strength": 0.123456}

    pipeline.register("halve", model=Halve, needs=("object_phase",), writes=("object_phase",))(
        halve
    )
    try:
        Path("params.yaml").write_text(yaml.safe_dump(PARAMS | {"halve": {"start_iter": 7}}))
        code, output = apply("-o", "out.hdf5")
    finally:
        pipeline.unregister("halve")
    assert code == 0, output
    assert "strength 0.123" in output


def test_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        apply_command, "perform", lambda *_, **__: seen.append(kernel_threads.count())
    )
    assert run("apply", "a.npz", "-p", "p.yaml", "-o", "b.npz", "--threads", "5")[0] == 0
    assert run("apply", "a.npz", "-p", "p.yaml", "-o", "b.npz", "--threads", "0")[0] == 2
    assert seen == [5]


@pytest.mark.slow
@pytest.mark.skipif(not ptyrad_file.REAL.exists(), reason=ptyrad_file.NO_REAL)
def test_real_reconstruction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = run("apply", str(ptyrad_file.REAL), "--params", str(ptyrad_file.REAL_PARAMS),
                       "--out", "out.hdf5", "--figure", "fig.png")  # fmt: skip
    assert code == 0, output
    assert "iteration 30" in output
    found = io.read("out.hdf5").state
    assert found.object_phase.min() >= 0
    assert 0.96 <= found.object_amplitude.min() <= found.object_amplitude.max() <= 1.04 + 1e-6
    before, after = (ptyrad_file.contents(p) for p in (ptyrad_file.REAL, tmp_path / "out.hdf5"))
    assert {name for name in before if before[name] != after[name]} <= {
        *ptyrad_file.ARRAYS.values()
    }
    assert before.keys() == after.keys()


HISTORY = np.column_stack([np.arange(1, 8), [0.5, 0.4, 0.3, 0.299, 0.2985, 0.298, 0.2978]])


@pytest.mark.parametrize(
    ("history", "at", "said"),
    [
        (HISTORY, 7, "obja_thresh 1"),
        (HISTORY, 4, "not due: obja_thresh"),
        (HISTORY, 9, "obja_thresh 1"),  # it has begun by then
        (HISTORY[:4], 7, "start_when waits for the error of the reconstruction"),
        (HISTORY[:, :1], 7, "start_when waits for the error of the reconstruction"),
        (HISTORY * np.nan, 7, "start_when waits for the error of the reconstruction"),
    ],
)
def test_rules_are_decided_by_the_losses_in_the_file(
    folder: Path, history: np.ndarray, at: int, said: str
) -> None:
    ptyrad_file.build(folder / "model.hdf5", loss_iters=history)
    rule = {"error_falls_below": 0.005, "for": 3}
    block = {"start_iter": 1, "start_when": rule, "thresh": [0.99, 1.01]}
    (folder / "params.yaml").write_text(yaml.safe_dump({"constraint_params": OFF | {
        "obja_thresh": block, "objp_postiv": {"start_iter": 1}}}))  # fmt: skip
    code, output = apply("--out", "out.hdf5", "--iteration", str(at))
    assert said in " ".join(output.split()), output
    assert (code == 0) == ("waits" not in said)


def test_what_was_read_of_losses_is_in_the_state(folder: Path) -> None:
    rows = np.concatenate([HISTORY, [[8.5, 0.2], [9, np.inf], [10, -1]]])
    ptyrad_file.build(folder / "model.hdf5", loss_iters=rows)
    assert io.read("model.hdf5").state.errors == dict(HISTORY.tolist())
