"""Which layout a file has: its content says so, and its suffix only where there is none."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from saved import npz_state

from arraycon import io
from arraycon.io import atomic


@pytest.mark.parametrize("name", ["model.dat", "model", "model.npz"])
def test_hdf5_under_another_name(hdf5: Path, name: str) -> None:
    expected = io.read(hdf5).state
    other = hdf5.rename(hdf5.with_name(name))
    np.testing.assert_array_equal(io.read(other).state.probe, expected.probe)


def test_an_archive_under_another_name(tmp_path: Path) -> None:
    state = npz_state()
    io.save(tmp_path / "state.npz", state)
    other = (tmp_path / "state.npz").rename(tmp_path / "state.h5")
    np.testing.assert_array_equal(io.read(other).state.probe, state.probe)


def test_hdf5_behind_a_user_block(hdf5: Path, tmp_path: Path) -> None:
    target = tmp_path / "block.dat"
    with h5py.File(hdf5) as source, h5py.File(target, "w", userblock_size=2048) as copy:
        for name in source:
            source.copy(name, copy)
    assert target.read_bytes()[:4] != b"\x89HDF"
    assert io.read(target).state.probe is not None


def test_outputs_may_be_called_as_the_input_or_as_its_layout(hdf5: Path) -> None:
    source = hdf5.rename(hdf5.with_name("model.dat"))
    state = io.read(source).state
    for name in ("out.dat", "out.hdf5", "out.H5"):
        out = source.with_name(name)
        state.probe[...] *= 2
        assert io.write(out, state, source=source) == ("optimizable_tensors/probe",)
        np.testing.assert_array_equal(io.read(out).state.probe, state.probe)
    with pytest.raises(atomic.OutputError, match=r"expected a name ending in .hdf5, .*, .dat$"):
        io.write(source.with_name("out.npz"), state, source=source)


@pytest.mark.parametrize(("name", "message"), [
    ("empty.hdf5", "is not an HDF5 file .it is empty"),
    ("empty.npz", "is not an .npz archive"),
    ("empty.dat", "unknown format: expected an HDF5 file or an .npz archive"),
])  # fmt: skip
def test_what_is_empty_is_told_as_its_name_promises(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(atomic.ReadError, match=message):
        io.read(tmp_path / name)
