"""Files that change meanwhile, and what killed processes leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import command
import numpy as np
import processes
import ptyrad_file
import pytest
from saved import names_in, npz_state

from arraycon import io
from arraycon.io import apart, atomic
from arraycon.io.regular import Identity

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


def made(path: Path, factor: float = 1.0) -> Path:
    if path.suffix == ".npz":
        state = npz_state()
        state.object_phase *= factor
        io.save(path, state)
        return path
    phase = ptyrad_file.arrays()["object_phase"] * np.float32(factor)
    return ptyrad_file.build(path, optimizable_tensors__objp=phase)


def change(path: Path, how: str) -> None:
    """Change a file as another program does."""
    if how == "replaced":
        os.replace(made(path.with_name(f"new{path.suffix}"), 2.0), path)
    elif how == "edited":
        with path.open("r+b") as file:
            file.seek(40)
            file.write(b"x")
        os.utime(path, ns=(1, 1))
    elif how == "appended":
        modified = path.stat().st_mtime_ns
        with path.open("ab") as file:
            file.write(b"x")
        os.utime(path, ns=(modified, modified))
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["replaced", "edited", "appended", "removed"])
@pytest.mark.parametrize("suffix", [".hdf5", ".npz"])
@pytest.mark.parametrize("in_place", [False, True])
def test_an_input_that_changed_since_it_was_read(
    tmp_path: Path, how: str, suffix: str, in_place: bool
) -> None:
    source = made(tmp_path / f"model{suffix}")
    state = io.read(source).state
    state.object_phase *= 3
    change(source, how)
    names = names_in(tmp_path)
    content = source.read_bytes() if source.exists() else None
    out = source if in_place else tmp_path / f"out{suffix}"
    with pytest.raises((io.WriteError, io.ReadError, FileNotFoundError)) as caught:
        io.write(out, state, source=source, in_place=in_place)
    assert how == "removed" or "another program has changed it" in str(caught.value)
    assert names_in(tmp_path) == names
    assert content is None or source.read_bytes() == content


@pytest.mark.parametrize("suffix", [".hdf5", ".npz"])
def test_an_input_that_changes_while_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    source = made(tmp_path / f"model{suffix}")
    state = io.read(source).state
    copy = shutil.copyfileobj

    def meanwhile(*arguments: Any) -> None:
        copy(*arguments)
        os.utime(source, ns=(1, 1))

    monkeypatch.setattr(shutil, "copyfileobj", meanwhile)
    with pytest.raises(io.WriteError, match="another program has changed it"):
        io.write(tmp_path / f"out{suffix}", state, source=source)
    assert names_in(tmp_path) == [source.name]


def test_an_input_that_changes_while_it_is_read(
    hdf5: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = io.ptyrad.read

    def meanwhile(*arguments: Any) -> Any:
        found = read(*arguments)
        os.utime(hdf5, ns=(1, 1))
        return found

    monkeypatch.setattr(io.ptyrad, "read", meanwhile)
    with pytest.raises(io.ReadError, match="changed by another program while it was read"):
        io.read(hdf5)


def test_links_and_permissions_are_no_change(hdf5: Path, tmp_path: Path) -> None:
    state = io.read(hdf5).state
    (tmp_path / "backup.hdf5").hardlink_to(hdf5)
    hdf5.chmod(0o640)
    io.write(tmp_path / "out.hdf5", state, source=hdf5)
    assert (tmp_path / "out.hdf5").exists()


def test_two_in_place_on_one_file(hdf5: Path) -> None:
    first, second = io.read(hdf5).state, io.read(hdf5).state
    first.probe *= 2
    second.probe *= 3
    io.write(hdf5, first, source=hdf5, in_place=True)
    with pytest.raises(io.WriteError, match="another program has changed it"):
        io.write(hdf5, second, source=hdf5, in_place=True)
    np.testing.assert_array_equal(io.read(hdf5).state.probe, first.probe)


def test_two_at_the_moment_of_replacement(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("0")
    origin = Identity.of(path)
    changed = pytest.raises(io.WriteError, match="another program has changed it")
    with changed, atomic.replacing(path, instead_of=origin) as one:
        one.write_text("1")
        with atomic.replacing(path, instead_of=origin) as other:
            other.write_text("2")
    assert path.read_text() == "2"
    assert names_in(tmp_path) == ["a"]


def test_a_new_file_that_somebody_else_makes_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "a"
    there = pytest.raises(io.WriteError, match="exists by now")
    with there, atomic.replacing(path, replace=False) as draft:
        draft.write_text("mine")
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert names_in(tmp_path) == ["a"]


RACE = """
import sys
from arraycon import io
found = io.read("model.hdf5")
found.state.probe *= 2
print("read", flush=True)
sys.stdin.readline()
try:
    io.write("model.hdf5", found.state, source="model.hdf5", in_place=True)
except io.WriteError:
    sys.exit(7)
"""


@posix
def test_processes_in_place_on_one_file(hdf5: Path) -> None:
    options = {"stdin": processes.PIPE, "stdout": processes.PIPE, "text": True,
               "cwd": hdf5.parent, "env": command.environment()}  # fmt: skip
    code = [sys.executable, "-c", RACE]
    probe = io.read(hdf5).state.probe
    with processes.start(code, **options) as one, processes.start(code, **options) as other:
        for child in (one, other):
            assert child.stdout.readline() == "read\n"
        for child in (one, other):
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in (one, other):
            processes.finished(child, limit=60)
        assert sorted([one.returncode, other.returncode]) == [0, 7]
    np.testing.assert_array_equal(io.read(hdf5).state.probe, 2 * probe)
    assert names_in(hdf5.parent) == [hdf5.name]


KILLED = """
import os, sys
from pathlib import Path
from arraycon.io import atomic
with atomic.replacing(Path("a")) as draft:
    print(draft.name, flush=True)
    sys.stdin.readline()
"""


@posix
def test_what_a_killed_process_left_is_removed_and_named(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    foreign = (".arraycon-mine.tmp", ".arraycon-0123456789abcdef.tmp.bak", "0123456789abcdef.tmp")
    for name in foreign:
        (tmp_path / name).touch()
    with processes.start(
        [sys.executable, "-c", KILLED], stdin=processes.PIPE, stdout=processes.PIPE, text=True,
        cwd=tmp_path, env=command.environment(),
    ) as child:  # fmt: skip
        draft = child.stdout.readline().strip()
        atomic.write_text(tmp_path / "b", "")
        assert draft in names_in(tmp_path)  # its process lives
        child.send_signal(signal.SIGKILL)
        child.wait(60)
    assert draft in names_in(tmp_path)
    assert not recwarn.list
    with pytest.warns(UserWarning, match=rf"{draft}: removed; a run that was killed"):
        atomic.write_text(tmp_path / "b", "")
    assert names_in(tmp_path) == sorted([*foreign, "b"])


@linux
def test_a_crash_in_the_child() -> None:
    with pytest.raises(apart.CrashedError, match="SIGSEGV"):
        apart.run(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    with pytest.raises(ZeroDivisionError, match="zero"):
        apart.run(lambda: 1 // 0)
    assert apart.run(lambda: "done") == "done"
    with pytest.raises(apart.CrashedError, match="too early"):
        apart.run(lambda: os._exit(0))


@linux
def test_a_damaged_index_that_crashes_hdf5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ptyrad_file.build(tmp_path / "model.hdf5", compressed=True)
    monkeypatch.setattr(io.ptyrad, "_update", lambda *_: os.kill(os.getpid(), signal.SIGSEGV))
    state = io.read(source).state
    state.probe *= 2
    with pytest.raises(io.WriteError, match=r"may be damaged: .*crashed \(SIGSEGV\)"):
        io.write(tmp_path / "out.hdf5", state, source=source)
    assert names_in(tmp_path) == ["model.hdf5"]
