"""`arraycon apply` that cannot: one line, an exit code, and no file."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import ptyrad_file
import pytest
import yaml
from command import OFF, apply, names, run
from typer.testing import CliRunner

from arraycon import Constraints, io
from arraycon.cli import app

pytestmark = pytest.mark.usefixtures("plain", "folder")


def usage(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Return bad calls of `apply` by name: its arguments, and what the line says."""
    ptyrad_file.build(folder / "nan.hdf5", optimizable_tensors__objp=np.full((1, 2, 4, 4), np.nan))
    ptyrad_file.build(folder / "shape.hdf5", optimizable_tensors__probe=np.ones((4, 4), "c8"))
    ptyrad_file.build(folder / "scan.hdf5", model_attributes__N_scan_slow=5)
    (folder / "short.hdf5").write_bytes((folder / "model.hdf5").read_bytes()[:30_000])
    (folder / "tilt.yaml").write_text(yaml.safe_dump(OFF | {"tilt_smooth": {"start_iter": 1}}))
    (folder / "bad.yaml").write_text("kz_filter: {beta: -1, start_iter: 1}\nkz_filtr: {}\n")
    (folder / "sub").mkdir()
    (folder / "link.hdf5").symlink_to("model.hdf5")
    (folder / "link.png").symlink_to("model.hdf5")
    end = ["-p", "params.yaml", "-o", "out.hdf5"]
    good = ["model.hdf5", "-p", "params.yaml"]
    return {
        "missing": (["gone.hdf5", *end], "gone.hdf5: no such file"),
        "folder": (["sub", *end], "sub: is a folder"),
        "format": (["params.yaml", *end], "is a parameter file, .* RECONSTRUCTION --params"),
        "truncated": (["short.hdf5", *end], "short.hdf5: .*truncated"),
        "nan": (["nan.hdf5", *end], r"nan.hdf5: optimizable_tensors/objp: 32 values .*\(0, 0, 0"),
        "shape": (["shape.hdf5", *end], "shape.hdf5: optimizable_tensors/probe: .*shape"),
        "tilts": (["scan.hdf5", "-p", "tilt.yaml", "-o", "out.hdf5"], "tilts"),
        "no params": (["model.hdf5", "-p", "gone.yaml", "-o", "out.hdf5"], "gone.yaml: no such"),
        "params folder": (["model.hdf5", "-p", "sub", "-o", "out.hdf5"], "sub: is a folder"),
        "no output": (good, "expected --out FILE, or --in-place"),
        "two outputs": ([*good, "-o", "out.hdf5", "--in-place"], "no --out beside it"),
        "same": ([*good, "-o", "model.hdf5"], "same file .*--in-place"),
        "same by link": ([*good, "-o", "link.hdf5"], "same file .*--in-place"),
        "other format": ([*good, "-o", "out.npz"], "out.npz: .*format of the input"),
        "no folder": ([*good, "-o", "gone/out.hdf5"], "gone/out.hdf5: .*does not exist"),
        "file as folder": ([*good, "-o", "model.hdf5/a.hdf5"], "is not a folder"),
        "figure kind": ([*good, "-o", "out.hdf5", "--figure", "a.doc"], "unknown image format"),
        "figure folder": ([*good, "-o", "out.hdf5", "--figure", "gone/a.png"], "does not exist"),
        "figure on input": ([*good, "-o", "out.hdf5", "--figure", "link.png"], "same file"),
        "both": ([*good, "-o", "out.hdf5", "--iteration", "1", "--iterations", "1:2"], "got both"),
        "backwards": ([*good, "-o", "out.hdf5", "--iterations", "5:4"], "1 ≤ A ≤ B.*'5:4'"),
        "from zero": ([*good, "-o", "out.hdf5", "--iterations", "0:4"], "1 ≤ A ≤ B.*'0:4'"),
        "no colon": ([*good, "-o", "out.hdf5", "--iterations", "4"], "1 ≤ A ≤ B.*'4'"),
    }  # fmt: skip


USAGE = (
    "missing", "folder", "format", "truncated", "nan", "shape", "tilts", "no params",
    "params folder", "no output", "two outputs", "same", "same by link", "other format",
    "no folder", "file as folder", "figure kind", "figure folder", "figure on input", "both",
    "backwards", "from zero", "no colon",
)  # fmt: skip


def test_the_list_of_errors_is_whole(folder: Path) -> None:
    assert set(usage(folder)) == set(USAGE)


@pytest.mark.parametrize("name", USAGE)
def test_errors(folder: Path, name: str) -> None:
    arguments, message = usage(folder)[name]
    files = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    code, output = run("apply", *arguments)
    assert code == 2
    (line,) = [line for line in output.splitlines() if not line.startswith("iteration")]
    assert re.search(rf"^error: .*{message}", line)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == files


def test_parameter_errors_name_every_field(folder: Path) -> None:
    usage(folder)
    code, output = run("apply", "model.hdf5", "-p", "bad.yaml", "-o", "out.hdf5")
    assert code == 2
    assert "kz_filter.beta" in output
    assert "did you mean kz_filter" in output
    assert "Traceback" not in output
    assert "out.hdf5" not in names()


def test_debug_shows_the_traceback() -> None:
    result = CliRunner().invoke(
        app.app, ["apply", "gone.hdf5", "-p", "p", "-o", "o.hdf5", "--debug"]
    )
    assert isinstance(result.exception, io.ReadError)


@pytest.mark.slow
@pytest.mark.quick(when=lambda error, **_: isinstance(error, OSError))
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError(28, "No space left on device"), 1, "error: out.hdf5: .*No space left on device"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
        (MemoryError(), 1, "error: out of memory"),
        (ZeroDivisionError("odd"), 1, "error: ZeroDivisionError: odd .--debug shows where"),
    ],
)
def test_failures_while_writing(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    found, output = apply("-o", "out.hdf5", "--figure", "fig.png")
    assert found == code
    lines = [line for line in output.splitlines() if not line.startswith("iteration")]
    assert len(lines) == 1
    assert re.match(message.replace("out.hdf5", r"(out\.hdf5|fig\.png)"), lines[0])
    assert names() == ["model.hdf5", "params.yaml"]


def test_interrupted_while_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Constraints, "apply", interrupt)
    code, output = apply("-o", "out.hdf5")
    assert code == 130
    assert output.endswith("error: interrupted\n")
    assert names() == ["model.hdf5", "params.yaml"]


@pytest.mark.slow
def test_failed_output_leaves_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise io.WriteError("out.hdf5: disk full")

    monkeypatch.setattr(io, "written", fail)
    assert apply("-o", "out.hdf5", "--figure", "fig.png")[0] == 1
    assert names() == ["model.hdf5", "params.yaml"]


@pytest.mark.parametrize("package", ["h5py", "yaml", "matplotlib"])
def test_missing_package(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    loaded = [name for name in sys.modules if name.partition(".")[0] == package]
    for name in loaded:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    code, output = apply("-o", "out.hdf5", "--figure", "fig.png")
    assert code in (1, 2)  # a parameter file's own reader says it for YAML
    assert 'pip install "arraycon[cli]"' in output
    assert "out.hdf5" not in names()
