"""Only regular files are opened: whatever else has a name would be waited for, or never end."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import command
import demo_files
import processes
import pytest

from arraycon import Constraints, io
from arraycon.demo import loading
from arraycon.io.errors import ReadError
from arraycon.params import ParameterError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices have no names")

KINDS = {
    "pipe": "a pipe",
    "socket": "a socket",
    "device": "a device",
    "link to a device": "a device",
    "link to a pipe": "a pipe",
    "folder": "a folder",
}
READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "reconstruction": ("x.hdf5", io.read),
    "archive": ("x.npz", io.read),
    "without suffix": ("x", io.read),
    "outline": ("x.hdf5", io.outline),
    "parameters": ("x.yaml", Constraints.from_file),
    "parameters of a reconstruction": ("x.hdf5", Constraints.from_file),
    "data": ("x.h5", lambda path: loading.load(path, 1)),
    "patterns": ("x.npz", lambda path: loading.load(path, 1)),
}


@pytest.fixture
def odd(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Path]]:
    """Make something that is no regular file, under a name."""
    opened: list[socket.socket] = []

    def make(name: str) -> Path:
        path, kind = tmp_path / name, request.param
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            opened.append(socket.socket(socket.AF_UNIX))
            opened[0].bind(str(path))
        elif kind == "device":
            return Path("/dev/zero")
        elif kind == "link to a device":
            path.symlink_to("/dev/zero")
        elif kind == "link to a pipe":
            os.mkfifo(tmp_path / "pipe")
            path.symlink_to("pipe")
        else:
            path.mkdir()
        return path

    yield make
    for one in opened:
        one.close()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("odd", "said"), KINDS.items(), indirect=["odd"], ids=KINDS)
def test_inputs(odd: Callable[[str], Path], said: str, reader: str) -> None:
    name, read = READERS[reader]
    path = odd(name)
    words = f"{said}|not an ordinary file|unknown format"  # the last: /dev/zero has no suffix
    with pytest.raises((ReadError, ParameterError), match=words) as caught:
        read(path)
    assert str(caught.value).count(str(path)) == 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("odd", ["pipe"], indirect=True)
def test_a_truth(odd: Callable[[str], Path], tmp_path: Path) -> None:
    data = loading.load(demo_files.npz(tmp_path), 1)
    with pytest.raises(ReadError, match="not an ordinary file"):
        loading.load_truth(odd("t.npz"), data, 1)


@pytest.mark.parametrize("odd", ["pipe", "socket", "link to a device"], indirect=True)
def test_outputs(odd: Callable[[str], Path], hdf5: Path) -> None:
    path = odd("out.hdf5")
    with pytest.raises(io.OutputError, match=r"cannot be written: it is a (pipe|socket|device)"):
        io.write(path, io.read(hdf5).state, source=hdf5)


def test_a_link_without_target(tmp_path: Path) -> None:
    (tmp_path / "x.hdf5").symlink_to("gone.hdf5")
    with pytest.raises(ReadError, match=r"x\.hdf5: no such file \(it is a link whose target"):
        io.read(tmp_path / "x.hdf5")


@pytest.mark.quick(when=lambda arguments, **_: arguments[:2] == ("apply", "x.fifo"))
@pytest.mark.parametrize("arguments", [
    ("apply", "x.fifo", "-p", "p.yaml", "-o", "o.hdf5"),
    ("apply", "model.hdf5", "-p", "x.fifo", "-o", "o.hdf5"),
    ("apply", "model.hdf5", "-p", "p.yaml", "-o", "x.fifo"),
    ("params", "check", "x.fifo"),
    ("demo", "--data", "x.fifo", "-o", "d"),
    ("demo", "--params", "x.fifo", "-o", "d"),
])  # fmt: skip
def test_the_command_does_not_wait(
    hdf5: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(hdf5.parent)
    os.mkfifo("x.fifo")
    Path("p.yaml").write_text("objp_postiv: {start_iter: 1}\n")
    done = processes.run(
        [sys.executable, "-m", "arraycon", *arguments],
        limit=60, capture_output=True, text=True, env=command.environment(),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("warning")]
    assert line.startswith("error: x.fifo: ")
