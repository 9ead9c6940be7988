"""Where files are written, and that a failure leaves what was there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import ptyrad_file
import pytest
from saved import names_in, npz_state

from arraycon import io
from arraycon.io import atomic


def test_existing_output_is_replaced(hdf5: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.hdf5"
    out.write_text("old")
    io.write(out, io.read(hdf5).state, source=hdf5)
    assert io.read(out).iteration == 7


@pytest.mark.parametrize("link", ["itself", "symbolic", "hard", "roundabout"])
def test_the_input_is_never_the_output(hdf5: Path, tmp_path: Path, link: str) -> None:
    out = tmp_path / "link.hdf5"
    if link == "itself":
        out = hdf5
    elif link == "symbolic":
        out.symlink_to(hdf5)
    elif link == "hard":
        out.hardlink_to(hdf5)
    else:
        (tmp_path / "sub").mkdir()
        out = tmp_path / "sub" / ".." / hdf5.name
    raw, state = hdf5.read_bytes(), io.read(hdf5).state
    state.probe[...] *= 2
    with pytest.raises(atomic.OutputError, match="--in-place"):
        io.write(out, state, source=hdf5)
    assert hdf5.read_bytes() == raw


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("out.npz", r"format of the input.*\.hdf5, \.h5, \.hdf"),
        ("out.dat", "format of the input"),
        ("no/out.hdf5", "folder .*no does not exist"),
        ("model.hdf5/out.hdf5", "is not a folder"),
        ("folder.hdf5", "is a folder"),
    ],
)
def test_impossible_outputs(hdf5: Path, tmp_path: Path, out: str, message: str) -> None:
    (tmp_path / "folder.hdf5").mkdir()
    names = names_in(tmp_path)
    with pytest.raises(atomic.OutputError, match=message):
        io.write(tmp_path / out, io.read(hdf5).state, source=hdf5)
    assert names_in(tmp_path) == names


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_device_is_no_output() -> None:
    with pytest.raises(atomic.OutputError, match="it is a device"):
        atomic.check_output(Path("/dev/full"))


def test_folder_without_permission(
    hdf5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(atomic.OutputError, match="no permission in the folder"):
        io.write(tmp_path / "out.hdf5", io.read(hdf5).state, source=hdf5)


def test_file_without_permission(hdf5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(atomic.ReadError, match=r"model\.hdf5: cannot be read: Permission denied"):
        io.read(hdf5)


@pytest.mark.parametrize(
    ("source", "replaced", "mask", "expected"),
    [
        (0o644, None, 0o022, 0o644),
        (0o600, None, 0o022, 0o600),
        (0o666, None, 0o027, 0o640),
        (0o664, 0o644, 0o077, 0o644),
        (0o644, 0o600, 0o022, 0o600),
        (0o600, 0o644, 0o022, 0o600),
        (0o444, None, 0o022, 0o444),
    ],
)
def test_permissions_are_never_wider(
    hdf5: Path, tmp_path: Path, source: int, replaced: int | None, mask: int, expected: int
) -> None:
    out = tmp_path / "out.hdf5"
    if replaced is not None:
        out.touch()
        out.chmod(replaced)
    hdf5.chmod(source)
    previous = os.umask(mask)
    try:
        io.write(out, io.read(hdf5).state, source=hdf5)
    finally:
        os.umask(previous)
    assert out.stat().st_mode & 0o777 == expected


@pytest.mark.parametrize("link", [False, True])
def test_in_place(hdf5: Path, tmp_path: Path, link: bool) -> None:
    hdf5.chmod(0o640)
    path = hdf5
    if link:
        path = tmp_path / "link.hdf5"
        path.symlink_to(hdf5.name)
    state = io.read(path).state
    state.probe[...] *= 2
    names = names_in(tmp_path)
    io.write(path, state, source=path, in_place=True)
    assert path.is_symlink() == link
    assert hdf5.stat().st_mode & 0o777 == 0o640
    np.testing.assert_array_equal(io.read(hdf5).state.probe, state.probe)
    assert names_in(tmp_path) == names


@pytest.mark.parametrize("where", ["fsync", "replace", "copyfileobj"])
@pytest.mark.parametrize("suffix", [".hdf5", ".npz"])
def test_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, suffix: str
) -> None:
    source = tmp_path / f"model{suffix}"
    if suffix == ".npz":
        io.save(source, npz_state())
    else:
        ptyrad_file.build(source)
    out = tmp_path / f"out{suffix}"
    out.write_text("precious")
    state = io.read(source).state
    names = names_in(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    module = "shutil" if where == "copyfileobj" else "os"
    monkeypatch.setattr(f"{module}.{where}", full)
    with pytest.raises(atomic.WriteError, match=rf"out\{suffix}: .*No space left on device"):
        io.write(out, state, source=source)
    assert names_in(tmp_path) == names
    assert out.read_text() == "precious"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_interruption(
    hdf5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    state = io.read(hdf5).state
    state.probe[...] *= 2

    def interrupt(*_: Any) -> None:
        assert len(names_in(tmp_path)) == 2  # the copy is there, half done
        raise error

    monkeypatch.setattr(h5py.File, "flush", interrupt)
    with pytest.raises((error, atomic.WriteError)):
        io.write(tmp_path / "out.hdf5", state, source=hdf5)
    assert names_in(tmp_path) == ["model.hdf5"]


def test_nan_is_not_written(hdf5: Path, tmp_path: Path) -> None:
    state = io.read(hdf5).state
    state.object_phase[0, 1, 2, 3] = np.nan
    with pytest.raises(
        atomic.WriteError, match=r"not written: object_phase: 1 value is .*0, 1, 2, 3"
    ):
        io.write(tmp_path / "out.hdf5", state, source=hdf5)
    assert names_in(tmp_path) == ["model.hdf5"]


def test_changed_shape_is_not_written(hdf5: Path, tmp_path: Path) -> None:
    state = io.read(hdf5).state
    state.probe = state.probe[:1]
    with pytest.raises(atomic.WriteError, match="shape"):
        io.write(tmp_path / "out.hdf5", state, source=hdf5)
    assert names_in(tmp_path) == ["model.hdf5"]
