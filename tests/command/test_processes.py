"""The command as a real process, where that matters."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import processes
import ptyrad_file
import pytest
import yaml
from command import ESCAPE, OFF, environment, names

from arraycon import io

pytestmark = pytest.mark.usefixtures("plain", "folder")


def process(*arguments: str, **options: Any) -> Any:
    """Run the command to its end."""
    options = {"text": True, "encoding": "utf-8", "env": environment()} | options
    command = [sys.executable, "-m", "arraycon", *arguments]
    return processes.run(command, capture_output=True, **options)


@pytest.mark.slow
def test_process() -> None:
    done = process("apply", "model.hdf5", "-p", "params.yaml", "-o", "out.hdf5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ortho_pmode" in done.stdout
    assert ESCAPE not in done.stdout
    assert io.read("out.hdf5").iteration == 7
    done = process("apply", "gone.hdf5", "-p", "params.yaml", "-o", "out.hdf5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: gone.hdf5: no such file\n"


def with_small_files(limit: int, *arguments: str) -> Any:
    """Run the command in a process whose files cannot grow beyond `limit` bytes."""
    code = (
        "import resource, runpy; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "runpy.run_module('arraycon', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, *arguments]
    return processes.run(
        command, capture_output=True, text=True, encoding="utf-8", env=environment()
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_disk_full() -> None:
    # the copy of the input does not fit
    limit = Path("model.hdf5").stat().st_size // 2
    done = with_small_files(limit, "apply", "model.hdf5", "-p", "params.yaml", "-o", "out.hdf5")
    assert done.returncode == 1
    assert re.fullmatch(r"error: out\.hdf5: writing failed, .*\n", done.stderr)
    assert names() == ["model.hdf5", "params.yaml"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_disk_full_inside_hdf5(folder: Path) -> None:
    # the copy fits, but noise compresses worse than the zeros it replaces
    ptyrad_file.build(
        folder / "model.hdf5", compressed=True,
        optimizable_tensors__objp=np.eye(200, dtype=np.float32)[None],
        optimizable_tensors__obja=np.ones((1, 200, 200), np.float32),
    )  # fmt: skip
    Path("params.yaml").write_text(yaml.safe_dump(OFF | {"kr_filter": {"start_iter": 1}}))
    limit = Path("model.hdf5").stat().st_size + 1000
    done = with_small_files(limit, "apply", "model.hdf5", "-p", "params.yaml", "-o", "out.hdf5")
    assert done.returncode == 1, done.stderr
    # a line before it may say that kernels are compiled
    assert re.search(r"^error: .*out\.hdf5: ", done.stderr, re.MULTILINE)
    assert names() == ["model.hdf5", "params.yaml"]


# the command, and a line as soon as constraints have been applied once
TELLING = """
import runpy
from arraycon import Constraints

apply = Constraints.apply

def tell(*arguments, **options):
    Constraints.apply = apply
    report = apply(*arguments, **options)
    print("applied", flush=True)
    return report

Constraints.apply = tell
runpy.run_module("arraycon", run_name="__main__")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(number: signal.Signals, code: int) -> None:
    arguments = ("-p", "params.yaml", "-o", "out.hdf5", "--iterations", "1:10000000")
    with processes.start(
        [sys.executable, "-c", TELLING, "apply", "model.hdf5", *arguments],
        stdout=processes.PIPE, stderr=processes.PIPE, text=True, env=environment(),
    ) as running:  # fmt: skip
        # ends by itself when the process is killed after its limit
        assert "applied\n" in iter(running.stdout.readline, "")
        running.send_signal(number)
        _, errors = processes.finished(running, limit=60)
        # Python ends by SIGINT itself if it was interrupted inside exec(), as imports do
        assert running.returncode in (code, -number)
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
    assert errors == f"error: {word}\n"
    assert names() == ["model.hdf5", "params.yaml"]


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_packages_of_the_command(tmp_path: Path, package: str) -> None:
    (tmp_path / f"{package}.py").write_text(
        f"raise ModuleNotFoundError('No module named {package}', name='{package}')"
    )
    done = process("--version", env=environment(first=str(tmp_path)))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'error: the command needs pip install "arraycon[cli]"\n'


@pytest.mark.slow
def test_a_terminal_of_ascii() -> None:
    ascii_only = environment(PYTHONIOENCODING="ascii")
    done = process("params", "schema", "--out", "Å.json", env=ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "wrote ?.json"
    assert "Å.json" in names()
