"""Data that the demo reads: what is taken, and what is refused."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from demo_files import DX, NUMBERS, SIDE, N, grid, hdf5, npz, patterns, probe, refused

from arraycon.demo import loading
from arraycon.demo.dataset import Dataset


def test_npz_is_read(tmp_path: Path) -> None:
    data = loading.load(npz(tmp_path, probe=np.stack([probe(), 0 * probe()])), 1)
    np.testing.assert_array_equal(data.counts, patterns())
    np.testing.assert_array_equal(data.probe, probe())
    assert (data.positions.dtype, data.probe.dtype) == (np.float64, np.complex64)


@pytest.mark.parametrize("dtype", [np.uint64, np.int64, ">u8", ">u2", np.int8])
def test_counts_of_any_integer_can_be_thinned(tmp_path: Path, dtype: Any) -> None:
    data = loading.load(npz(tmp_path, diffraction=patterns().astype(dtype)), 1)
    one, other = data.thin(0.5, np.random.default_rng(2))
    np.testing.assert_array_equal(one.counts + other.counts, patterns())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32, np.longdouble])
def test_positions_of_any_real_type(tmp_path: Path, dtype: Any) -> None:
    data = loading.load(npz(tmp_path, positions=grid().astype(dtype)), 1)
    np.testing.assert_array_equal(data.positions, grid())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe": np.full((N, N), "a")}, "probe: expected numbers, got text of shape (16, 16)"),
        ({"probe": np.full((N, N), None)}, "probe: holds pickled Python objects"),
        ({"probe": np.array(1.0)}, "probe: expected (16, 16) as the patterns, or modes of it"),
        ({"probe": np.ones((1, 1, N, N))}, "as the patterns, or modes of it, got (1, 1, 16, 16)"),
        ({"probe": np.ones(N)}, "probe: expected (16, 16) as the patterns"),
        ({"probe": np.ones((0, N, N))}, "probe: expected numbers, got float64 of shape (0, 16"),
        ({"probe": np.full((N, N), 1e300)}, "probe: holds NaN or infinite values, expected finite"),
        ({"probe": np.full((N, N), np.nan)}, "probe: holds NaN or infinite values"),
        ({"probe": np.full((N, N), 1e-300)}, "probe: expected values that are not all 0"),
        ({"positions": grid() + 0j}, "positions: expected real numbers, got complex128 of shape"),
        ({"positions": grid().astype(str)}, "positions: expected real numbers, got text of shape"),
        ({"positions": grid().astype(bytes)}, "positions: expected real numbers, got text of"),
        ({"positions": grid() > 0}, "positions: expected real numbers, got bool of shape (16, 2)"),
        ({"positions": np.array(1.0)}, "positions: expected (16, 2), got ()"),
        ({"positions": grid()[:, :1]}, "positions: expected (16, 2), got (16, 1)"),
        ({"positions": grid()[:0]}, "positions: expected real numbers, got float64 of shape (0, 2"),
        ({"positions": np.full((16, 2), np.longdouble("1e400"))}, "positions: holds NaN or infin"),
        ({"diffraction": np.full((16, N, N), 2**63, np.uint64)}, "diffraction: expected counts be"),
        ({"diffraction": patterns(window=0)}, "diffraction: expected patterns (n, ny, nx) of int"),
        ({"diffraction": patterns()[:, :0]}, "got uint16 of shape (16, 0, 16)"),
        ({"diffraction": patterns()[:0]}, "got uint16 of shape (0, 16, 16)"),
        ({"diffraction": patterns()[0]}, "got uint16 of shape (16, 16)"),
        ({"diffraction": np.array(5)}, "integer counts, got 5"),
        ({"diffraction": patterns() > 0}, "got bool of shape"),
        ({"diffraction": patterns().astype(int) - 9}, "diffraction: expected counts of 0 or more"),
    ],
)  # fmt: skip
def test_wrong_arrays(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with refused(message):
        loading.load(npz(tmp_path, **changes), 1)


@pytest.mark.parametrize(
    ("positions", "span"),
    [
        (np.full((16, 2), 30.0), "1 x 1 px"),
        (np.full((16, 2), 30.5), "0 x 0 px"),
        (grid() * (1, 0), "7 x 1 px"),
        (grid() * (0, 1), "1 x 7 px"),
        (grid(step=1.0), "4 x 4 px"),
        (np.full((16, 2), 1e300), "1 x 1 px"),
    ],
)
def test_positions_that_span_too_little(tmp_path: Path, positions: Any, span: str) -> None:
    with refused(f"data.npz: positions: span {span}, expected at least 5 x 5"):
        loading.load(npz(tmp_path, positions=positions), 1)


def test_one_position(tmp_path: Path) -> None:
    path = npz(tmp_path, diffraction=patterns(1), positions=grid()[:1])
    with refused("positions: span 1 x 1 px, expected at least 5 x 5"):
        loading.load(path, 1)


def test_positions_that_span_enough(tmp_path: Path) -> None:
    assert loading.load(npz(tmp_path, positions=grid(step=4 / 3)), 1).positions.shape == (16, 2)


@pytest.mark.parametrize("far", [2e4, 1e9, 1e300, 1.7e308, -1.7e308])
def test_positions_that_span_too_much(tmp_path: Path, far: float) -> None:
    positions = grid()
    positions[3] = far
    positions[4] = -far
    with refused("GiB for an object of 1 slices, expected at most 2 GiB") as caught:
        loading.load(npz(tmp_path, positions=positions), 1)
    assert "data.npz: positions: span " in str(caught.value)


def test_slices_count_towards_the_limit(tmp_path: Path) -> None:
    places = DX * grid(step=3000.0).reshape(SIDE, SIDE, 2)
    path = hdf5(tmp_path, scan_positions_A=places)
    assert loading.load(path, 1).positions.max() == pytest.approx(9030)
    with refused("positions: span 9016 x 9016 px with the window, 2.42 GiB for an object of 4 sli"):
        loading.load(path, 4)


def test_positions_far_from_the_origin(tmp_path: Path) -> None:
    with refused("positions: expected them within 1e+09 px of 0, got 1e+19"):
        loading.load(npz(tmp_path, positions=1e19 + 2048 * grid() / 2), 1)


def test_hdf5_is_read(tmp_path: Path) -> None:
    data = loading.load(hdf5(tmp_path, n_slabs=np.array([4])), 2)
    np.testing.assert_allclose(data.positions, grid())
    np.testing.assert_array_equal(np.fft.fftshift(data.counts, axes=(1, 2)), patterns())
    assert data.slice_thickness == 20
    assert np.linalg.norm(data.probe) == pytest.approx(1)


@pytest.mark.parametrize("name", list(NUMBERS))
@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("none", "'none'"),
        ("a" * 300, "'aaaa"),
        (np.bytes_(b"12"), "text of shape ()"),
        (np.array([1.0, 2.0]), "float64 of shape (2,)"),
        (np.array(["a", "b"], dtype=h5py.string_dtype()), "object of shape (2,)"),
        (np.zeros(0), "float64 of shape (0,)"),
        (h5py.Empty("f8"), "float32 of shape (0,)"),
        (0.02 + 0j, "0.02+0j"),
        (np.bool_(True), "bool of shape ()"),
        (np.nan, "nan"),
        (np.inf, "inf"),
        (-np.inf, "-inf"),
        (1e300, "1e+300"),
    ],
)
def test_attributes_of_the_wrong_kind(tmp_path: Path, name: str, value: Any, got: str) -> None:
    with refused(f"data.h5: {name}: expected ") as caught:
        loading.load(hdf5(tmp_path, **{name: value}), 1)
    assert f", got {got}" in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *((name, value, f"{name}: expected ") for name in NUMBERS if name != "C10_A"
          for value in (0.0, -1.0)),
        ("wavelength_A", 1.5, "wavelength_A: expected electrons: wavelength below 1 Å"),
        ("convergence_mrad", 200.0, "convergence_mrad: expected a semi-angle above 0 and be"),
        ("convergence_mrad", 1e-9, "convergence_mrad: expected an aperture with a radius of 1"),
        ("convergence_mrad", 150.0, "px on the detector, got 24 px"),
        ("wavelength_A", 0.9, "got 0.0978 px"),
    ],
)  # fmt: skip
def test_attributes_that_cannot_be(tmp_path: Path, name: str, value: float, message: str) -> None:
    with refused(message):
        loading.load(hdf5(tmp_path, **{name: value}), 1)


@pytest.mark.parametrize("c10", [0.0, 500.0, -500.0, 9e6])
def test_focus_may_have_either_sign(tmp_path: Path, c10: float) -> None:
    assert np.all(np.isfinite(loading.load(hdf5(tmp_path, C10_A=c10), 1).probe))


@pytest.mark.parametrize("name", ["data", "scan_positions_A"])
@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "a group"),
        ("text", "text of shape ()"),
        (np.array([b"a", b"b"]), "text of shape (2,)"),
        (np.dtype("f8"), "a datatype"),
        (h5py.Empty("i4"), "float32 of shape (0,)"),
        (np.zeros((SIDE, SIDE, N, N), complex), "complex128 of shape"),
        (np.zeros(0), "float64 of shape (0,)"),
    ],
)
def test_datasets_of_the_wrong_kind(tmp_path: Path, name: str, value: Any, got: str) -> None:
    with refused(f"data.h5: {name}: expected ") as caught:
        loading.load(hdf5(tmp_path, **{name: value}), 1)
    assert f", got {got}" in str(caught.value)


def test_damaged_dataset_is_named(tmp_path: Path) -> None:
    path = hdf5(tmp_path)
    with h5py.File(path, "a") as file:
        values = file["data"][()]
        del file["data"]
        made = file.create_dataset("data", data=values, compression="gzip")
        offset, size = made.id.get_chunk_info(0).byte_offset, made.id.get_chunk_info(0).size
    with path.open("r+b") as raw:
        raw.seek(offset)
        raw.write(bytes(size))
    with refused("data.h5: data: cannot be read: "):
        loading.load(path, 1)


@pytest.mark.parametrize("far", [1e300, 1e308])
def test_places_that_overflow(tmp_path: Path, far: float) -> None:
    places = grid().reshape(SIDE, SIDE, 2)
    places[0, 0] = -far
    with refused("expected at most 2 GiB"):
        loading.load(hdf5(tmp_path, scan_positions_A=places), 1)


def either(path: Path) -> list[Any]:
    data = Dataset(patterns(), grid(), probe())
    ways = [lambda: loading.load(path, 1)]
    return [*ways, lambda: loading.load_truth(path, data, 1)] if path.suffix == ".npz" else ways


def numpy_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, patterns())


def pickled(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([{}], dtype=object), allow_pickle=True)


def truncated(path: Path) -> None:
    whole = npz(path.parent).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    "write",
    [
        numpy_array,
        pickled,
        truncated,
        lambda path: path.write_text("diffraction, positions"),
        lambda path: path.write_bytes(b""),
    ],
)
def test_no_archive(tmp_path: Path, write: Any) -> None:
    path = tmp_path / "wrong.npz"
    write(path)
    for read in either(path):
        with refused(f"{path}: is not an .npz archive, or is truncated"):
            read()


def test_text_named_as_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "wrong.h5"
    path.write_text("data")
    with refused(f"{path}: is not an HDF5 file"):
        loading.load(path, 1)


@pytest.mark.parametrize("content", [b"text", b"\x93NUMPY\x01\x00", b""])
def test_damaged_member_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("diffraction", "positions", "probe"):
            archive.writestr(f"{name}.npy", content)
    with refused(f"{path}: diffraction: cannot be read"):
        loading.load(path, 1)


@pytest.mark.parametrize("name", ["data", "scan_positions_A"])
def test_dataset_that_is_declared_and_not_there(tmp_path: Path, name: str) -> None:
    path = hdf5(tmp_path)
    with h5py.File(path, "r+") as file:
        del file[name]
        file.create_dataset(name, (2**20, 64, 64, 64), "u2", chunks=(1, 64, 64, 64))
    with refused(f"data.h5: {name}: the file is incomplete: 0 of 1048576 blocks"):
        loading.load(path, 1)


def test_array_that_is_declared_and_not_there(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    header = {"descr": "<u2", "fortran_order": False, "shape": (2**40, 64, 64)}
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("diffraction", "positions", "probe"):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array_header_1_0(file, header)
    with refused(f"{path}: diffraction: the file is damaged"):
        loading.load(path, 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["pipe.npz", "pipe.h5"])
def test_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    for read in either(tmp_path / name):
        with refused("is not an ordinary file, expected a file"):
            read()


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices here")
@pytest.mark.parametrize("name", ["zero.npz", "zero.h5"])
def test_device_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/dev/zero")
    for read in either(tmp_path / name):
        with refused("is not an ordinary file, expected a file"):
            read()


@pytest.mark.parametrize("name", ["gone.npz", "gone.h5"])
def test_missing_file_and_folder(tmp_path: Path, name: str) -> None:
    for read in either(tmp_path / name):
        with refused("no such file"):
            read()
    (tmp_path / name).mkdir()
    for read in either(tmp_path / name):
        with refused("is a folder, expected a file"):
            read()


@pytest.mark.parametrize("suffix", [".NPZ", ".Npz", ".H5", ".HDF5", ".HDF"])
def test_suffix_in_upper_case(tmp_path: Path, suffix: str) -> None:
    path = (npz if suffix.lower() == ".npz" else hdf5)(tmp_path)
    assert loading.load(path.rename(path.with_suffix(suffix)), 1).counts.shape == (16, N, N)


def test_slices_need_a_thickness(tmp_path: Path) -> None:
    with refused("holds no pixel size, wavelength or thickness; expected --slices 1"):
        loading.load(npz(tmp_path), 2)


def test_what_is_missing_is_named_beside_what_is_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "part.npz", diffraction=patterns(), probe=probe())
    with refused("no array positions; it has diffraction, probe"):
        loading.load(tmp_path / "part.npz", 1)
    with refused("no array potential_VA, sigma_rad_per_VA; it has diffraction, probe"):
        loading.load_truth(tmp_path / "part.npz", loading.load(npz(tmp_path), 1), 1)
    path = hdf5(tmp_path)
    with h5py.File(path, "a") as file:
        del file.attrs["C10_A"], file.attrs["dx_A"]
    with refused("no attribute dx_A, C10_A; it has convergence_mrad"):
        loading.load(path, 2)
    with h5py.File(path, "a") as file:
        del file["data"]
    with refused("no dataset data; it has scan_positions_A"):
        loading.load(path, 2)
