"""`--illumination` and `--vacuum-mask`: fields of the state out of files of their own."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from command import apply, run

from arraycon import io
from arraycon.cli import job
from arraycon.io.atomic import ReadError

pytestmark = pytest.mark.usefixtures("plain", "folder")


@pytest.fixture
def plane() -> np.ndarray:
    shape = io.read("model.hdf5").state.object_phase.shape
    return np.random.default_rng(4).random(shape[-2:])


def loaded(**options: str) -> io.Reconstruction:
    todo = job.Job(Path("model.hdf5"), Path("out.hdf5"), Path("params.yaml"), **options)
    return job.load(todo)[0]


def test_files_of_every_kind(plane: np.ndarray) -> None:
    np.save("plane.npy", plane)
    np.savez("one.npz", anything=plane)
    np.savez("several.npz", illumination=plane, other=plane + 1)
    with h5py.File("maps.h5", "w") as file:
        file["deep/map"] = plane
        file["illumination"] = plane + 1
    np.save("with:colon.npy", plane)
    places = ("plane.npy", "one.npz", "several.npz", "maps.h5:deep/map", "maps.h5:/deep/map",
              "with:colon.npy")  # fmt: skip
    for place in places:
        np.testing.assert_array_equal(loaded(illumination=place).state.illumination, plane)
    for place in ("several.npz:other", "maps.h5"):
        np.testing.assert_array_equal(loaded(illumination=place).state.illumination, plane + 1)


def test_masks_may_be_bool_or_integers(plane: np.ndarray) -> None:
    np.save("mask.npy", plane > 0.5)
    np.save("numbers.npy", (plane > 0.5).astype("uint8"))
    assert loaded(vacuum_mask="mask.npy").state.vacuum_mask.dtype == bool
    mask = loaded(vacuum_mask="numbers.npy").state.vacuum_mask
    assert mask.dtype == np.float64
    np.testing.assert_array_equal(mask, plane > 0.5)


def test_the_output_keeps_what_the_input_holds(plane: np.ndarray) -> None:
    state = io.read("model.hdf5").state
    state.vacuum_mask = plane > 0.5
    io.save("a.npz", state)
    np.testing.assert_array_equal(io.read("a.npz").state.vacuum_mask, plane > 0.5)
    np.save("other.npy", plane)
    code, output = run(
        "apply", "a.npz", "-p", "params.yaml", "-o", "b.npz", "--vacuum-mask", "other.npy"
    )
    assert code == 0, output
    np.testing.assert_array_equal(io.read("b.npz").state.vacuum_mask, plane > 0.5)


BAD = [
    ("absent.npy", "absent.npy: cannot be read: No such file"),
    ("model.hdf5", "several arrays and none named illumination; expected FILE:NAME out of"),
    ("model.hdf5:nothing", "holds no array nothing; expected FILE:NAME out of"),
    ("params.yaml", "params.yaml: expected an .npy, .npz or HDF5 file"),
    ("negative.npy", "negative.npy: expected finite numbers ≥ 0"),
    ("nan.npy", "nan.npy: expected finite numbers ≥ 0"),
    ("complex.npy", "complex.npy: expected real numbers or bool, got complex128"),
    ("small.npy", r"illumination: expected shape (ny, nx) of the object"),
    ("small.npy:a", "holds one array without a name; expected no :a behind it"),
    ("objects.npy", "objects.npy: cannot be read"),
    ("cut.npz", "cut.npz: is not an .npz archive, or is truncated"),
]


@pytest.mark.parametrize(("place", "message"), BAD)
def test_what_cannot_be_used(place: str, message: str, plane: np.ndarray) -> None:
    np.save("negative.npy", plane - 0.5)
    np.save("nan.npy", np.where(plane > 0.5, np.nan, plane))
    np.save("complex.npy", plane + 0j)
    np.save("small.npy", plane[:-1])
    np.save("objects.npy", np.array([{}], dtype=object))
    with zipfile.ZipFile("whole.npz", "w") as archive:
        archive.writestr("a.npy", b"1234")
    Path("cut.npz").write_bytes(Path("whole.npz").read_bytes()[:30])
    code, output = apply("-o", "out.hdf5", "--illumination", place)
    assert code == 2
    assert message in " ".join(output.split())
    assert not Path("out.hdf5").exists()


def test_negative_weights_in_an_archive(plane: np.ndarray) -> None:
    np.savez("a.npz", object_phase=np.ones((1, 2, *plane.shape)), illumination=plane - 0.5)
    with pytest.raises(ReadError, match=r"a\.npz: illumination: expected finite numbers ≥ 0"):
        io.read("a.npz")
