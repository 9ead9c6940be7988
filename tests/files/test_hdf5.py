"""PtyRAD's HDF5 layout: what is read, what is written, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import ptyrad_file
import pytest
from saved import NUMBERS, names_in

from arraycon import io
from arraycon.io import atomic
from arraycon.io import ptyrad as layout

ARRAYS = ptyrad_file.ARRAYS


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
    plain(
        "model.pt",
        b"PK",
        r"unknown format: expected an HDF5 file or an .npz archive \(.hdf5, .h5, .hdf, .npz\)",
    )
    plain("model", b"PK", "unknown format")
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
