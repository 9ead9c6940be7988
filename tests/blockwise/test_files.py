"""Files of numbers: each region by itself, wherever it lies."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest

from arraycon.blockwise import files
from arraycon.io.pieces import pieces

SHAPES = [(7,), (4, 5), (2, 3, 4, 5), (1, 1, 6, 1), (3, 1, 5, 2)]


def some(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Regions: all, none, the first, the last and an inner part along each axis."""
    cuts = [
        [slice(None), slice(0, 0), slice(0, 1), slice(n - 1, n), slice(n // 3, n // 3 + 2)]
        for n in shape
    ]
    return list(itertools.product(*cuts))[:: 1 if len(shape) < 3 else 7]


def values(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    made = np.random.default_rng(0).normal(size=shape)
    return made.astype(dtype) + (1j * made[::-1] if dtype.startswith("complex") else 0)


@pytest.mark.parametrize("dtype", ["float32", ">f8", "complex64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_regions_are_read_as_numpy_sees_them(tmp_path: Path, shape, dtype):
    expected = values(shape).astype(dtype)
    np.save(tmp_path / "x.npy", expected)
    found = files.npy(str(tmp_path / "x.npy"), shape, dtype)
    for index in some(shape):
        got = found.read(index)
        np.testing.assert_array_equal(got, expected[index])
        assert got.dtype == np.dtype(dtype).newbyteorder("=")
        assert got.flags.c_contiguous


@pytest.mark.parametrize("shape", SHAPES)
def test_regions_make_the_file_that_numpy_would(tmp_path: Path, shape):
    expected = values(shape)
    np.save(tmp_path / "x.npy", expected)
    made = files.npy(str(tmp_path / "y.npy"), shape, "float32")
    regions = list(pieces(shape, 4, 24))
    for index in [*regions[::-1], regions[0]]:  # in any order, and one of them again
        made.write(index, expected[index])
    assert (tmp_path / "y.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()


def test_several_write_at_once(tmp_path: Path):
    expected = values((2, 8, 64, 64))
    made = files.npy(str(tmp_path / "x.npy"), expected.shape, "float32")
    cuts = list(pieces(expected.shape, 4, 8 << 10))
    threads = [
        threading.Thread(target=lambda i=i: [made.write(c, expected[c]) for c in cuts[i::4]])
        for i in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)


def test_a_file_that_ends_too_early(tmp_path: Path):
    np.save(tmp_path / "x.npy", np.zeros(10, "float32"))
    found = files.npy(str(tmp_path / "x.npy"), (20,), "float32")
    with pytest.raises(OSError, match=r"x\.npy: ends before its last number"):
        found.read((slice(None),))


@pytest.mark.parametrize("offset", [0, 128, 5000 * 4])
@pytest.mark.parametrize("view", [np.s_[:], np.s_[1:], np.s_[0, 2:], np.s_[:, 1]])
def test_views_of_memory_maps_are_found_in_their_files(tmp_path: Path, offset, view):
    whole = np.memmap(tmp_path / "x", "float32", "w+", offset, (3, 4, 50))
    whole[...] = values(whole.shape)
    part = whole[view]
    found = files.mapped(part)
    if not part.flags.c_contiguous:
        assert found is None
        return
    index = (slice(None),) * part.ndim
    np.testing.assert_array_equal(found.read(index), part)
    found.write(index, part + 1)
    np.testing.assert_array_equal(found.read(index), part)  # the same pages


def test_what_is_in_no_file_is_not_looked_for_there(tmp_path: Path):
    np.memmap(tmp_path / "x", "float32", "w+", shape=(4,)).flush()
    assert files.mapped(np.memmap(tmp_path / "x", "float32", "c", shape=(4,))) is None


@pytest.mark.parametrize("stored", [None, (1, 2, 5, 4)])
@pytest.mark.parametrize("limit", [1, 100, 1000, 10**9])
def test_pieces_cover_all_once_and_are_small(stored, limit):
    shape, seen = (2, 5, 13, 9), np.zeros((2, 5, 13, 9), int)
    for index in pieces(shape, 4, limit, stored):
        seen[index] += 1
        size = seen[index].size * 4
        assert size <= max(limit, 4 * np.prod(stored or 1))
        if stored:  # whole chunks
            assert all(cut.start % n == 0 for cut, n in zip(index, stored, strict=True))
    assert (seen == 1).all()
