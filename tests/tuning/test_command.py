"""`arraycon tune` on tiny simulated data."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import processes
import pytest
from command import environment, run, words
from demo_data import made

from arraycon import Constraints
from arraycon.demo import simulate
from arraycon.tuning import report

OPTIONS = ("tune", "--data", "data.h5", "--iterations", "1", "--slices", "2", "--modes", "1")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("arraycon.figure._DPI", 20)
    data, truth = made()
    with h5py.File("data.h5", "w") as file:
        file["data"] = np.fft.fftshift(data.counts, axes=(1, 2)).reshape(6, 6, 24, 24)
        file["scan_positions_A"] = data.positions.reshape(6, 6, 2) * simulate.DX
        file.attrs.update(
            dx_A=simulate.DX, wavelength_A=simulate.WAVELENGTH, convergence_mrad=22.0,
            C10_A=120.0, slab_thickness_A=36.0, n_slabs=2,
        )  # fmt: skip
    np.savez("truth.npz", potential_VA=truth.phase, sigma_rad_per_VA=1.0)
    return tmp_path


def test_tune() -> None:
    code, output = run(*OPTIONS, "--truth", "truth.npz", "--vary", "obja_thresh.relax=0,0.9")
    assert code == 0, output
    assert "suggested: " in output
    assert sorted(path.name for path in Path("tune").iterdir()) == sorted(report.FILES)
    trials = json.loads(Path("tune/trials.json").read_text(encoding="utf-8"))["trials"]
    assert [t["name"] for t in trials[1:]] == ["obja_thresh.relax=0", "obja_thresh.relax=0.9"]
    assert all(-1 <= one["truth"] <= 1 for one in trials)
    assert "objp_postiv" in trials[1]["constraints"]
    suggested = Constraints.from_file("tune/suggested.yaml", defaults="none")
    name = re.search(r"suggested: (.*)", output)[1].strip()
    assert [str(suggested)] == [one["constraints"] for one in trials if one["name"] == name]
    code, output = run(*OPTIONS, "--vary", "obja_thresh.relax=0")
    assert code == 2
    assert "--force" in output


def test_what_a_file_leaves_out_runs_as_it_would_there() -> None:
    Path("p.yaml").write_text("objp_postiv: {start_iter: 1}\nobj_zblur: null\n")
    code, output = run(*OPTIONS, "-p", "p.yaml", "--vary", "objp_postiv.relax=0.5")
    assert code == 0, output
    trials = json.loads(Path("tune/trials.json").read_text(encoding="utf-8"))["trials"]
    assert "obj_rblur" in trials[1]["constraints"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_soon_and_leaves_nothing(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "arraycon", *OPTIONS, "--vary", "objp_postiv.relax=0,0.5"]
    command[command.index("--iterations") + 1] = "100000"
    with processes.start(command, env=environment(), stderr=processes.PIPE) as child:
        while not Path("tune").exists() and child.poll() is None:  # the last thing before it begins
            time.sleep(0.05)
        time.sleep(1)
        child.send_signal(number)
        _, errors = processes.finished(child, limit=60)
    assert child.returncode == 128 + number
    assert b"Traceback" not in errors
    assert errors.count(b"error: ") == 1
    assert list(Path("tune").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vary", "kz_filter.beta"), "--vary: expected NAME.FIELD=A,B"),
        (("--vary", "kz_filter.beta=[1"), "values cannot be read"),
        (("--vary", "kz_filter.beta=-1"), "kz_filter.beta"),
        (("--vary", "kz_filter.gamma=1"), "kz_filter.gamma"),
        (("--vary", "objp_postiv.relax=0", "--vary", "objp_postiv.relax=1"), "each field once"),
        (("--vary", "objp_postiv.relax=0", "-p", "gone.yaml"), "gone.yaml: no such file"),
        (("--vary", "objp_postiv.relax=0", "--truth", "gone.npz"), "gone.npz: no such file"),
        (("--vary", "objp_postiv.relax=0", "--out", "data.h5/x"), "cannot be made"),
    ],
)
def test_wrong_options(options: tuple[str, ...], message: str) -> Any:
    code, output = run(*OPTIONS, *options)
    assert code == 2
    assert message in words(output)
    assert not Path("tune").exists()
