"""Stores: where arrays are read, and what is left of what was written on the way."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import h5py
import numpy as np
import processes
import pytest
import stored
from command import environment
from stored import KINDS, fetch

from arraycon.blockwise import arriving, executors
from arraycon.blockwise.files import Numbers
from arraycon.blockwise.stores import Held, Scratch, Store, Stored, chunks, source
from arraycon.kernels.common import elsewhere

SHAPE = (1, 5, 20, 18)
VALUES = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
PART = (slice(0, 1), slice(1, 4), slice(2, 9), slice(0, 18))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read_region_by_region(tmp_path: Path, kind):
    array = stored.store(kind, tmp_path, "x", VALUES)
    found = source(array, travels=False)
    if kind == "dask":
        assert found is None  # its graph would be run again for each region
        return
    np.testing.assert_array_equal(found.read(PART), VALUES[PART])
    assert tuple(found.shape) == SHAPE


READ = """
import pickle, sys
import numpy as np
from arraycon.blockwise.stores import Held

with open(sys.argv[1], "rb") as file:
    found, part = pickle.load(file)
np.save(sys.argv[2], found.read(part))
"""


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_each_kind_is_read_by_another_process(tmp_path: Path, kind):
    array = stored.store(kind, tmp_path, "x", VALUES)  # open for writing here meanwhile
    found = source(array, travels=True)
    assert not isinstance(found, Held) or kind == "zarr"
    (tmp_path / "told").write_bytes(pickle.dumps((found, PART)))
    command = [sys.executable, "-c", READ, tmp_path / "told", tmp_path / "read.npy"]
    processes.run(command, check=True, capture_output=True, env=environment())
    np.testing.assert_array_equal(np.load(tmp_path / "read.npy"), VALUES[PART])


def test_what_is_in_memory_is_copied_for_others():
    assert source(VALUES, travels=True) is None
    with h5py.File("x", "w", driver="core", backing_store=False) as file:
        assert source(file.create_dataset("x", data=VALUES), travels=True) is None
    zarr = pytest.importorskip("zarr")
    assert source(zarr.array(VALUES), travels=True) is None


@pytest.mark.parametrize("travels", [False, True])
def test_a_dataset_that_was_just_written_is_read_from_the_disk(tmp_path: Path, travels):
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=1024) as file:
        array = file.create_dataset("x", data=VALUES)
        array[...] = VALUES + 1
        np.testing.assert_array_equal(source(array, travels=travels).read(PART), VALUES[PART] + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_known_of_an_array_takes_no_memory(tmp_path: Path, kind):
    array = stored.store(kind, tmp_path, "x", VALUES)
    seen = elsewhere.outline("x", array)
    assert isinstance(seen, np.ndarray)
    assert (seen.shape, seen.dtype) == (SHAPE, VALUES.dtype)
    assert bool(elsewhere.kind(array)) == (kind != "memmap")


@pytest.mark.parametrize("kind", KINDS)
def test_results_go_where_the_user_has_them(tmp_path: Path, kind):
    array = stored.store(kind, tmp_path, "x", VALUES)
    with arriving.opened(tmp_path, {"x": array}) as store:
        arriving.arrive(store, {"x": array}, executors.Serial(), 10**6)
        new = store.new("x", SHAPE, "float32")
        new.write((slice(None),) * 4, VALUES * 2)
        store.swap({"x": new})
        result = arriving.leave(store, "x", array, 1000)
    assert (result is array) == (kind != "dask")
    np.testing.assert_array_equal(fetch(result), VALUES * 2)
    assert type(result) is type(array)
    assert chunks(result) == chunks(array)


def test_versions_that_nobody_reads_are_removed(tmp_path: Path):
    with Scratch(tmp_path) as scratch:
        store = Store(scratch)
        first, second, third = (store.new("x", (2,), "float32") for _ in range(3))
        for each in (first, second, third):
            each.write((slice(None),), np.zeros(2))
        store.swap({"x": first})
        kept = store.keep("x")
        store.swap({"x": second})
        store.swap({"x": third})
        assert sorted(map(str, scratch.path.iterdir())) == sorted([first.path, third.path])
        store.release(kept)
        store.drop(["x"])
        assert not list(scratch.path.iterdir())


def test_scratch_lies_beside_the_data_and_is_removed(tmp_path: Path):
    array = stored.store("hdf5", tmp_path, "x", VALUES)

    def fail():
        with Scratch(near=[VALUES, array]) as scratch:
            assert scratch.path.parent == tmp_path
            (scratch.path / "rest").write_text("")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_scratch_that_cannot_be(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(ValueError, match="scratch: expected a folder that can be written"):
            Scratch(place).__enter__()
    with Scratch(tmp_path) as scratch, pytest.raises(ValueError, match=r"scratch: takes 1e\+09 GB"):
        scratch.require(10**18)


def test_a_result_lasts_as_long_as_somebody_has_it(tmp_path: Path):
    first = Stored(source(stored.store("memmap", tmp_path, "x", VALUES), travels=True))
    with arriving.opened(tmp_path, {}) as store:
        new = store.new("x", SHAPE, "float32")
        new.write((slice(None),) * 4, VALUES * 2)
        store.swap({"x": new})
        result = arriving.leave(store, "x", first, 1000)
    np.testing.assert_array_equal(result[0, 1:, 3], 2 * VALUES[0, 1:, 3])
    assert isinstance(result.source, Numbers)
    folder = Path(result.source.path).parent
    assert folder.parent == tmp_path
    del store, result
    assert not folder.exists()
    assert (tmp_path / "x.npy").exists()
