"""Reconstruction files: what is read, what is written, and that nothing else changes."""

from __future__ import annotations

import io as stdlib_io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import ptyrad_file
import pytest

from arraycon import io
from arraycon.io import atomic
from arraycon.io import hdf5 as layout
from arraycon.state import State

ARRAYS = ptyrad_file.ARRAYS
NUMBERS = {"probe_intensity": 500.0, "dx": 0.25, "wavelength": 0.025, "slice_thickness": 12.0}


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    return ptyrad_file.build(tmp_path / "model.hdf5")


def npz_state() -> State:
    return State(**ptyrad_file.arrays(), **NUMBERS, scan_shape=(2, 3))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# reading


def test_hdf5_fields(hdf5: Path) -> None:
    found = io.read(hdf5)
    for field, expected in ptyrad_file.arrays().items():
        actual = getattr(found.state, field)
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected)
    for field, expected in NUMBERS.items():
        assert getattr(found.state, field) == pytest.approx(expected, rel=1e-7)
    assert found.state.scan_shape == (2, 3)
    assert found.iteration == 7
    assert found.state.object is None


@pytest.mark.parametrize("field", ARRAYS)
def test_hdf5_array_absent(tmp_path: Path, field: str) -> None:
    path = ptyrad_file.build(tmp_path / "model.hdf5", omit=(ARRAYS[field],))
    state = io.read(path).state
    assert getattr(state, field) is None
    assert all(getattr(state, other) is not None for other in set(ARRAYS) - {field})


@pytest.mark.parametrize("name", [*layout._NUMBERS.values(), "niter", *layout._SCAN])
@pytest.mark.parametrize("how", ["absent", "none"])
def test_hdf5_number_absent(tmp_path: Path, name: str, how: str) -> None:
    change: dict[str, Any] = {"omit": (name,)}
    if how == "none":
        change = {name.replace("/", "__"): "__NONE__"}
    found = io.read(ptyrad_file.build(tmp_path / "model.hdf5", **change))
    values = {field: getattr(found.state, field) for field in (*NUMBERS, "scan_shape")}
    values["niter"] = found.iteration
    missing = {field for field, value in values.items() if value is None}
    fields = {value: key for key, value in layout._NUMBERS.items()} | {"niter": "niter"}
    assert missing == {fields.get(name, "scan_shape")}


def test_hdf5_number_in_an_array_of_one(tmp_path: Path) -> None:
    path = ptyrad_file.build(tmp_path / "m.hdf5", model_attributes__dx=np.array([0.5]))
    assert io.read(path).state.dx == 0.5


@pytest.mark.parametrize("suffix", [".h5", ".HDF5", ".hdf"])
def test_hdf5_suffixes(tmp_path: Path, suffix: str) -> None:
    assert io.read(ptyrad_file.build(tmp_path / f"model{suffix}")).iteration == 7


def test_foreign_byte_order_is_read_as_native(tmp_path: Path) -> None:
    phase = ptyrad_file.arrays()["object_phase"]
    path = ptyrad_file.build(tmp_path / "m.h5", optimizable_tensors__objp=phase.astype(">f4"))
    found = io.read(path)
    assert found.state.object_phase.dtype == np.float32
    assert found.state.object_phase.dtype.isnative
    found.state.object_phase[...] *= 2
    io.write(tmp_path / "out.h5", found.state, source=path)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["optimizable_tensors/objp"].dtype == np.dtype(">f4")
        np.testing.assert_array_equal(file["optimizable_tensors/objp"][()], 2 * phase)


@pytest.mark.parametrize("precision", ["f8", "f4"])
def test_precision_is_kept(tmp_path: Path, precision: str) -> None:
    kept = {"f8": ("f8", "c16"), "f4": ("f4", "c8")}[precision]
    values = {
        f"optimizable_tensors__{ARRAYS[field].split('/')[1]}": array.astype(
            kept[array.dtype.kind == "c"]
        )
        for field, array in ptyrad_file.arrays().items()
    }
    found = io.read(ptyrad_file.build(tmp_path / "m.h5", **values))
    assert found.state.object_phase.dtype == kept[0]
    assert found.state.probe.dtype == kept[1]


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Unusable inputs by name: the file, and what the message has to say."""
    good = ptyrad_file.build(folder / "good.hdf5")
    made: dict[str, tuple[Path, str]] = {}

    def plain(name: str, content: bytes, message: str) -> None:
        path = folder / name
        path.write_bytes(content)
        made[name] = (path, message)

    def tensors(name: str, message: str, **changed: Any) -> None:
        path = ptyrad_file.build(folder / f"{name}.hdf5", **changed)
        made[name] = (path, message)

    array = ptyrad_file.arrays()
    holes = array["object_phase"].copy()
    holes[0, 2, 3, 4], holes[0, 3, 0, 0] = np.nan, np.inf
    plain("truncated.hdf5", good.read_bytes()[:20_000], "truncated")
    plain("empty.hdf5", b"", "is not an HDF5 file .it is empty")
    plain("text.hdf5", b"obja: 1\n" * 500, "is not an HDF5 file")
    plain("model.pt", b"PK", r"unknown format: expected a suffix .hdf5, .h5, .hdf, .npz, got .pt")
    plain("model", b"PK", "got none")
    made["missing"] = (folder / "nowhere.hdf5", "no such file")
    made["missing folder"] = (folder / "no" / "where.hdf5", "no such file")
    made["under a file"] = (good / "model.hdf5", "no such file|Not a directory")
    (folder / "folder.hdf5").mkdir()
    made["folder"] = (folder / "folder.hdf5", "is a folder")
    tensors(
        "nan",
        r"optimizable_tensors/objp: 2 values are NaN or infinite, .* index \(0, 2, 3, 4\)",
        optimizable_tensors__objp=holes,
    )
    tensors(
        "shape", "optimizable_tensors/probe: .*shape", optimizable_tensors__probe=array["probe"][0]
    )
    tensors(
        "unequal",
        "optimizable_tensors/objp: .*shape",
        optimizable_tensors__objp=holes[:, :2] * 0 + 1,
    )
    tensors(
        "dtype",
        "optimizable_tensors/obja: .*int32",
        optimizable_tensors__obja=np.ones((1, 2, 4, 4), "i4"),
    )
    tensors(
        "real probe",
        "optimizable_tensors/probe: .*complex64",
        optimizable_tensors__probe=np.ones((1, 4, 4)),
    )
    tensors("text array", "optimizable_tensors/probe: .*text", optimizable_tensors__probe="later")
    tensors("negative", "model_attributes/dx: .*-1", model_attributes__dx=-1.0)
    tensors("nan number", "model_attributes/lambd: .*nan", model_attributes__lambd=np.nan)
    tensors(
        "two numbers", "model_attributes/dx: expected one number", model_attributes__dx=[1.0, 2.0]
    )
    tensors(
        "half a position", "model_attributes/N_scan_slow: .*2.5", model_attributes__N_scan_slow=2.5
    )
    tensors("stranger", "holds no reconstruction", omit=tuple(ARRAYS.values()))
    tensors("group", "optimizable_tensors/objp: expected a dataset, got a group",
            omit=("optimizable_tensors/objp",), optimizable_tensors__objp__x=1)  # fmt: skip
    return made


BAD = (
    "truncated.hdf5", "empty.hdf5", "text.hdf5", "model.pt", "model", "missing", "missing folder",
    "under a file", "folder", "nan", "shape", "unequal", "dtype", "real probe", "text array",
    "negative", "nan number", "two numbers", "half a position", "stranger", "group",
)  # fmt: skip


def test_the_list_of_bad_files_is_whole(tmp_path: Path) -> None:
    assert set(bad_files(tmp_path)) == set(BAD)


@pytest.mark.parametrize("name", BAD)
def test_bad_hdf5(tmp_path: Path, name: str) -> None:
    path, message = bad_files(tmp_path)[name]
    with pytest.raises(atomic.ReadError, match=message) as caught:
        io.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_chunk(tmp_path: Path) -> None:
    path = ptyrad_file.build(tmp_path / "model.hdf5", compressed=True)
    with h5py.File(path) as file:
        where = file["optimizable_tensors/objp"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[where.byte_offset : where.byte_offset + 40] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(atomic.ReadError, match=r"objp: cannot be read.*damaged"):
        io.read(path)


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_values_in_another_file_are_refused(tmp_path: Path, kind: str) -> None:
    other = ptyrad_file.build(tmp_path / "other.hdf5")
    name = ARRAYS["object_phase"]
    path = ptyrad_file.build(tmp_path / "model.hdf5", omit=(name,))
    with h5py.File(path, "r+") as file:
        if kind == "external":
            file[name] = h5py.ExternalLink("other.hdf5", name)
        else:
            layout = h5py.VirtualLayout((1, 4, 20, 18), np.float32)
            layout[...] = h5py.VirtualSource(str(other), name, (1, 4, 20, 18))
            file.create_virtual_dataset(name, layout)
    with pytest.raises(atomic.ReadError, match=r"optimizable_tensors/objp: .*another file"):
        io.read(path)


# writing HDF5


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("changed", [(), ("object_phase",), ("probe", "tilts"), tuple(ARRAYS)])
def test_hdf5_only_what_changed_is_written(
    tmp_path: Path, compressed: bool, changed: tuple[str, ...]
) -> None:
    source = ptyrad_file.build(tmp_path / "model.hdf5", compressed=compressed)
    before, raw = ptyrad_file.contents(source), source.read_bytes()
    state = io.read(source).state
    for field in changed:
        getattr(state, field)[...] *= 1.5
    written = io.write(tmp_path / "out.h5", state, source=source)
    assert set(written) == {ARRAYS[field] for field in changed}
    assert source.read_bytes() == raw
    after = ptyrad_file.contents(tmp_path / "out.h5")
    assert list(after) == list(before)
    different = {name for name in before if before[name] != after[name]}
    assert different == set(written)
    for name in different:  # the values only: neither type nor storage nor attributes
        assert [x for x, y in zip(before[name], after[name], strict=True) if x != y] == [
            before[name][-2]
        ]
    again = io.read(tmp_path / "out.h5").state
    for field in ARRAYS:
        np.testing.assert_array_equal(getattr(again, field), getattr(state, field))
    assert names_in(tmp_path) == ["model.hdf5", "out.h5"]


def test_hdf5_traps_are_in_the_file(hdf5: Path) -> None:
    found = ptyrad_file.contents(hdf5)
    assert len(found["/"][2]["provenance_json"]) > 64 * 1024
    assert found["params/model_params/optimizer_params/configs"][1] == []
    assert found["model_attributes/tilt_obj"][1] == np.dtype(bool)
    assert "__NONE__" in found["model_attributes/detector_blur_std"][-2]
    assert "optim_state_dict/state/0/exp_avg" in found


@pytest.mark.skipif(not ptyrad_file.REAL.exists(), reason=ptyrad_file.NO_REAL)
def test_real_file(tmp_path: Path) -> None:
    found = io.read(ptyrad_file.REAL)
    assert found.iteration == 30
    assert found.state.object_phase.shape == (1, 6, 142, 142)
    power = float(np.sum(np.abs(found.state.probe) ** 2, dtype=np.float64))
    assert found.state.probe_intensity == pytest.approx(power, rel=1e-3)
    found.state.object_phase[...] += 1
    written = io.write(tmp_path / "out.hdf5", found.state, source=ptyrad_file.REAL)
    before, after = (ptyrad_file.contents(p) for p in (ptyrad_file.REAL, tmp_path / "out.hdf5"))
    assert {name for name in before if before[name] != after[name]} == set(written)
    assert written == ("optimizable_tensors/objp",)
    assert before.keys() == after.keys()


# where it is written


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
    with pytest.raises(atomic.OutputError, match="not an ordinary file"):
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


def test_permissions_of_a_new_file(hdf5: Path, tmp_path: Path) -> None:
    hdf5.chmod(0o600)
    previous = os.umask(0o027)
    try:
        io.write(tmp_path / "out.hdf5", io.read(hdf5).state, source=hdf5)
    finally:
        os.umask(previous)
    assert (tmp_path / "out.hdf5").stat().st_mode & 0o777 == 0o640


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


# failures while writing


@pytest.mark.parametrize("where", ["fsync", "replace", "copyfile"])
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

    target = {"fsync": "os.fsync", "replace": "os.replace", "copyfile": "shutil.copyfile"}[where]
    if (where, suffix) == ("copyfile", ".npz"):
        target = "shutil.copyfileobj"
    monkeypatch.setattr(target, full)
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


# npz


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


@pytest.mark.parametrize("damage", ["short", "no zip", "npy", "bits", "empty"])
def test_damaged_npz(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npz"
    io.save(path, npz_state())
    content = bytearray(path.read_bytes())
    if damage == "bits":
        content[2000] ^= 0xFF
    damaged: dict[str, bytes | bytearray] = {
        "short": content[:-500],
        "no zip": b"x" * 900,
        "npy": _npy(np.ones(5)),
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


def test_hdf5_never_learns_of_a_failing_disk(hdf5: Path) -> None:
    full = OSError(28, "No space left on device")

    class Full:
        def write(self, _: Any) -> int:
            raise full

        truncate = write

        def close(self) -> None:
            pass

    with pytest.raises(OSError, match="No space left"), layout._Patient(hdf5) as storage:  # noqa: PT012
        storage._file.close()
        storage._file = Full()  # type: ignore[assignment]
        assert storage.write(b"abc") == 3
        assert storage.truncate(5) == 5
