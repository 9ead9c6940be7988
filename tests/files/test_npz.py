"""The package's own .npz: what is read, what is written, and that nothing else changes."""

from __future__ import annotations

import io as stdlib_io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import ptyrad_file
import pytest
from saved import NUMBERS, npz_state

from arraycon import io
from arraycon.io import atomic

ARRAYS = ptyrad_file.ARRAYS


def test_npz_round_trip(tmp_path: Path) -> None:
    state = npz_state()
    io.save(tmp_path / "state.npz", state)
    found = io.read(tmp_path / "state.npz")
    assert found.iteration is None
    for field in ARRAYS:
        np.testing.assert_array_equal(getattr(found.state, field), getattr(state, field))
        assert getattr(found.state, field).dtype == getattr(state, field).dtype
    for field in (*NUMBERS, "scan_shape"):
        assert getattr(found.state, field) == getattr(state, field)
    with np.load(tmp_path / "state.npz") as archive:  # numpy reads it too
        np.testing.assert_array_equal(archive["probe"], state.probe)


def test_npz_of_numpy_with_a_complex_object(tmp_path: Path) -> None:
    transmission = np.exp(1j * np.ones((2, 4, 5)))
    np.savez(tmp_path / "a.npz", object=transmission, dx=np.array([0.3]), scan_shape=[4, 5])
    state = io.read(tmp_path / "a.npz").state
    np.testing.assert_array_equal(state.object, transmission)
    assert (state.dx, state.scan_shape, state.probe) == (0.3, (4, 5), None)


def test_equal_states_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        io.save(tmp_path / name, npz_state())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_npz_unknown_members_are_kept(tmp_path: Path) -> None:
    source, out = tmp_path / "model.npz", tmp_path / "out.npz"
    probe = np.asfortranarray(ptyrad_file.arrays()["probe"].astype(">c8"))
    members = {
        "notes.txt": b"keep [me]\x00",
        "history.npy": _npy(np.array([{"a": 1}], dtype=object)),
        "tilts.npy": _npy(ptyrad_file.arrays()["tilts"]),
        "probe.npy": _npy(probe),
        "extra.npy": _npy(np.arange(1000)),
        "folder/probe.npy": b"not a field",
    }
    kinds = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]
    with zipfile.ZipFile(source, "w") as archive:
        archive.comment = b"made by hand"
        for number, (name, content) in enumerate(members.items()):
            info = zipfile.ZipInfo(name, (2020, 2, 3, 4, 5, 6))
            info.compress_type, info.comment = kinds[number % 3], b"c"
            archive.writestr(info, content)
    state = io.read(source).state
    state.probe[...] *= 2
    assert io.write(out, state, source=source) == ("probe",)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out) as new:
        assert new.comment == old.comment
        assert new.namelist() == old.namelist()
        for name in members:
            one, other = old.getinfo(name), new.getinfo(name)
            assert (one.date_time, one.compress_type, one.comment) == (
                other.date_time, other.compress_type, other.comment)  # fmt: skip
            assert (old.read(name) == new.read(name)) == (name != "probe.npy")
    with np.load(out) as archive:
        assert archive["probe"].dtype == np.dtype(">c8")
        np.testing.assert_array_equal(archive["probe"], 2 * probe)


def _npy(array: Any) -> bytes:
    file = stdlib_io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


class _Bomb:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was loaded",))


def test_pickled_field_is_refused(tmp_path: Path) -> None:
    content = bytearray(_npy(np.array([None], dtype=object)))
    head = content[: content.index(b"\n") + 1]
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("probe.npy", bytes(head) + pickle.dumps(_Bomb()))
    with pytest.raises(atomic.ReadError, match=r"a\.npz: probe: holds pickled Python objects"):
        io.read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"objp": np.ones(3)}, "holds no reconstruction: .*object_phase"),
        ({"probe": np.ones((2, 4, 4))}, "a.npz: probe: .*complex64"),
        ({"object_phase": np.ones((4, 4))}, "a.npz: object_phase: .*axes"),
        ({"object_phase": np.full((1, 4, 4), np.inf)}, r"object_phase: 16 values .*\(0, 0, 0\)"),
        ({"dx": np.ones(2)}, "a.npz: dx: expected one number"),
        ({"dx": "0.2"}, "a.npz: dx: expected one number"),
        ({"dx": -0.2}, "a.npz: dx: .*-0.2"),
        ({"scan_shape": 4}, "a.npz: scan_shape: expected two integers"),
        ({"scan_shape": [2.5, 3]}, "scan_shape.*2.5"),
    ],
)
def test_bad_npz(tmp_path: Path, members: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "a.npz", **members)
    with pytest.raises(atomic.ReadError, match=message):
        io.read(tmp_path / "a.npz")


@pytest.mark.parametrize("damage", ["short", "no zip", "bits", "empty"])
def test_damaged_npz(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npz"
    io.save(path, npz_state())
    content = bytearray(path.read_bytes())
    if damage == "bits":
        content[2000] ^= 0xFF
    damaged: dict[str, bytes | bytearray] = {
        "short": content[:-500],
        "no zip": b"x" * 900,
        "bits": content,
        "empty": b"",
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(atomic.ReadError, match=r"a\.npz: .*(truncated|damaged)"):
        io.read(path)


def test_npz_to_hdf5_is_refused(tmp_path: Path) -> None:
    io.save(tmp_path / "a.npz", npz_state())
    with pytest.raises(atomic.OutputError, match=r"expected a name ending in \.npz"):
        io.check_target(tmp_path / "a.hdf5", tmp_path / "a.npz")
