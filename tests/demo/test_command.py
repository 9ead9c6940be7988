"""`arraycon demo` from end to end."""

from __future__ import annotations

import functools
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import processes
import pytest
from demo_data import SMALL, made, preset
from typer.testing import CliRunner

from arraycon import Constraints, io
from arraycon import presets as kinds
from arraycon.cli import app
from arraycon.demo import figures, loading, plan, runs, scores, simulate, with_truth
from arraycon.demo.dataset import Dataset


def run(*arguments: str) -> tuple[int, str]:
    # wide enough for names of quantities not to be folded
    runner = CliRunner(env={"COLUMNS": "120"})
    result = runner.invoke(app.app, ["demo", *arguments], prog_name="arraycon")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


FILES = {
    "figure.png", "table.txt", "unconstrained.npz", "constrained.npz", "demo.json",
    "used_params.yaml",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_demo() -> None:
    options = ("--scan", "6", "--iterations", "2", "--slices", "2", "--modes", "2", "--dose", "1e5")
    code, output = run(*options)
    assert code == 0, output
    assert {path.name for path in Path("demo").iterdir()} == FILES
    assert "phase correlation, sum over depth" in output
    table = Path("demo/table.txt").read_text(encoding="utf-8")
    assert "misfit Q over that of noise" in table
    assert "\x1b" not in table
    recorded = json.loads(Path("demo/demo.json").read_text())
    assert recorded["settings"]["slices"] == 2
    assert recorded["about"] == "simulated, 100000 electrons per Å²"
    found = io.read("demo/constrained.npz").state
    assert found.object.shape[0] == 2
    assert scores.mode_overlap(found.probe) < 1e-4
    # the parameters that are left behind are those that were used
    assert "obja_thresh" in str(Constraints.from_file("demo/used_params.yaml"))
    assert run(*options, "--out", "again", "--params", "demo/used_params.yaml")[0] == 0
    for name in FILES - {"figure.png", "demo.json"}:
        assert Path("demo", name).read_bytes() == Path("again", name).read_bytes(), name
    again = json.loads(Path("again/demo.json").read_text())
    preset = "; constraints: preset thin-layers"
    assert recorded.pop("chosen").replace(preset, "") == again.pop("chosen")
    assert recorded == again


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_what_diverges_is_done_again_with_shorter_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    choose, do = plan.suited, runs.run

    def bold(*arguments: Any, **options: Any) -> plan.Chosen:
        chosen = choose(*arguments, **options)
        return replace(chosen, settings=replace(chosen.settings, object_step=3.0))

    def run_short(tasks: Any, **options: Any) -> Any:
        if any(task.settings.object_step > 1 for task in tasks.values()):
            raise FloatingPointError("it diverged")
        return do(tasks, **options)

    monkeypatch.setattr(plan, "suited", bold)
    monkeypatch.setattr(runs, "run", run_short)
    tiny = ("--scan", "4", "--iterations", "1", "--slices", "2", "--modes", "1")
    code, output = run(*tiny)
    assert code == 0, output
    assert "it diverged; now with a step of 1.5" in output
    assert "it diverged; now with a step of 1 " in output
    recorded = json.loads(Path("demo/demo.json").read_text())
    assert recorded["settings"]["object_step"] == 1.0
    assert "it diverged: step 1" in recorded["chosen"]
    code, output = run(*tiny, "--step", "3", "--out", "asked")
    assert code != 0
    assert "now with" not in output


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_constraints_that_are_not_due_are_named() -> None:
    tiny = ("--scan", "4", "--iterations", "2", "--slices", "2", "--modes", "1")
    code, output = run(*tiny)
    assert code == 0
    assert "obja_thresh: did not begin within 2 iterations: the error still fell" in output
    assert json.loads(Path("demo/demo.json").read_text())["began"] == {"obja_thresh": None}
    Path("late.yaml").write_text(
        "kz_filter: {start_iter: 3}\nobj_rblur: null\nobj_zblur: null\n"
        "objp_postiv: {start_iter: 1, start_when: {error_falls_below: 0.99, for: 1}}\n"
    )
    code, output = run(*tiny, "--params", "late.yaml", "--out", "late")
    assert code == 0
    assert "kz_filter: not due within 2 iterations" in output
    assert "objp_postiv: began at iteration 2" in output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "files"),
    [
        (("--scan", "4", "--iterations", "1", "--slices", "1", "--modes", "1"), FILES),
    ],
)
def test_results_outlive_a_closed_pipe(
    here: Path, options: tuple[str, ...], files: set[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "arraycon", "demo", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = processes.run(command, stdout=writing, stderr=processes.PIPE, env=environment)
    os.close(writing)
    assert b"Traceback" not in done.stderr
    assert {path.name for path in (here / "demo").iterdir()} == files


@functools.cache
def scanned() -> Dataset:
    """Return data that are simulated once, and that nobody may change."""
    return made(scan=5)[0]


def write_npz(path: Path, **changes: Any) -> None:
    data = scanned()
    members = {"diffraction": data.counts, "positions": data.positions, "probe": data.probe[None]}
    np.savez(path, **(members | changes))


def write_hdf5(path: Path) -> Path:
    data = made()[0]
    with h5py.File(path, "w") as file:
        file["data"] = np.fft.fftshift(data.counts, axes=(1, 2)).reshape(6, 6, 24, 24)
        file["scan_positions_A"] = data.positions.reshape(6, 6, 2) * simulate.DX
        file.attrs.update(
            dx_A=simulate.DX, wavelength_A=simulate.WAVELENGTH, convergence_mrad=22.0,
            C10_A=120.0, slab_thickness_A=36.0, n_slabs=2,
        )  # fmt: skip
    return path


def write_truth(path: Path) -> Path:
    np.savez(path, potential_VA=made()[1].phase, sigma_rad_per_VA=1.0)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("halves", ["counts", "positions"])
def test_halves_of_data_without_a_truth(here: Path, halves: str) -> None:
    write_npz(here / "data.npz")
    code, output = run(
        "--data", "data.npz", "--dose", "1,0.5", "--iterations", "2", "--modes", "2",
        "--halves", halves,
    )  # fmt: skip
    assert code == 0, output
    assert {path.name for path in Path("demo").iterdir()} == FILES
    assert "100 % of the counts: mean FRC, halves" in output
    assert "50 % of the counts: mean FRC, unseen counts" in output
    assert "11 reconstructions in" in output


@pytest.mark.slow
def test_data_with_a_truth(here: Path) -> None:
    write_hdf5(here / "data.h5")
    write_truth(here / "truth.npz")
    options = ("--data", "data.h5", "--truth", "truth.npz", "--slices", "2", "--iterations", "2")
    code, output = run(*options, "--modes", "2")
    assert code == 0, output
    assert "phase correlation, slice 2" in output
    code, output = run(*options, "--dose", "0.5", "--out", "half")
    assert code == 0, output
    assert "50 % of the counts" in json.loads(Path("half/demo.json").read_text())["about"]


def test_loaded_data_are_those_that_were_written(here: Path) -> None:
    data = made()[0]
    found = loading.load(write_hdf5(here / "data.h5"), 2)
    np.testing.assert_array_equal(found.counts, data.counts)
    np.testing.assert_allclose(found.positions, data.positions, rtol=1e-12)
    np.testing.assert_allclose(found.probe, data.probe, atol=1e-6)
    assert found.slice_thickness == data.slice_thickness
    truth = loading.load_truth(write_truth(here / "truth.npz"), found, 1)
    np.testing.assert_allclose(truth.phase[0], made()[1].phase.sum(axis=0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "gone.npz"), "gone.npz: no such file"),
        (("--data", "."), "unknown format"),
        (("--data", "folder.npz"), "is a folder, expected a file"),
        (("--data", "text.npz"), "text.npz: is not an .npz archive"),
        (("--data", "text.h5"), "text.h5: is not an HDF5 file"),
        (("--data", "data.npz", "--slices", "2"), "expected --slices 1"),
        (("--data", "data.npz", "--dose", "2"), "--dose: expected fractions of the counts"),
        (("--data", "data.npz", "--dose", "a,b"), "--dose: expected fractions of the counts"),
        (("--data", "data.npz", "--dose", "1,nan,0.5"), "--dose: expected fractions"),
        (("--data", "data.npz", "--dose", "0.5,0.50000001"), "differ in six digits"),
        (("--data", "data.npz", "--dose", "1e-8"), "dose: leaves no counts to reconstruct"),
        (("--data", "data.npz", "--scan", "5"), "--scan: expected none with --data"),
        (("--data", "data.npz", "--modes", "20", "--params", "z.yaml"), "obj_z_recenter: needs"),
        (("--data", "data.npz", "--truth", "x.npz", "--dose", "1,0.5"), "expected one fraction"),
        (("--data", "data.npz", "--truth", "x", "--halves", "counts"), "--halves: expected none"),
        (("--data", "constrained.npz", "--out", "."), "is the same file as constrained.npz"),
        (("--data", "apart.npz", "--halves", "positions"), "lie apart from the others"),
        (("--halves", "counts"), "--halves: expected none with no --data"),
        (("--dose", "none"), "--dose: expected electrons per Å²"),
        (("--dose", "1e9"), "above 0 and below 1e9"),
        (("--dose", "1e-9", "--scan", "4"), "dose: leaves no counts to reconstruct"),
        (("--truth", "data.npz"), "--truth: expected none with no --data"),
        (("--params", "gone.yaml"), "gone.yaml: no such file"),
        (("--out", "text.h5/demo"), "text.h5/demo: cannot be made"),
        (("--params", "tilt.yaml", "--scan", "4"), "tilt_smooth"),
    ],
)
def test_wrong_options(here: Path, options: tuple[str, ...], message: str) -> None:
    write_npz(here / "data.npz")
    write_npz(here / "constrained.npz")
    positions = scanned().positions.copy()
    positions[::2] += 500
    write_npz(here / "apart.npz", positions=positions)
    (here / "z.yaml").write_text("obj_z_recenter: {start_iter: 5}\n")
    (here / "folder.npz").mkdir()
    (here / "tilt.yaml").write_text("tilt_smooth: {start_iter: 5}\nobj_zblur: null\n")
    for name in ("text.npz", "text.h5"):
        (here / name).write_text("not what it says")
    code, output = run(*options)
    assert code == 2
    assert message in output
    assert not (here / "demo").exists()


def test_figure_of_one_slice() -> None:
    data, truth = made(slices=1)
    settings = replace(SMALL, slices=1, iterations=1)
    tasks = with_truth.tasks(data, settings, preset(kinds.text("x-ray")))
    watch = with_truth.Watch(data, truth)
    results = runs.run(tasks, tell=watch)
    aligned = with_truth.align(results, data, truth)
    assert aligned.layers == (0,)
    drawn = figures.with_truth(aligned, results, data, watch, title="$one_slice")
    assert drawn.get_suptitle() == "$one_slice"
