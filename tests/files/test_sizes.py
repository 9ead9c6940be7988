"""Sizes and numbers out of files are known to be right before they cost anything."""

from __future__ import annotations

import difflib
import json
import sys
import tracemalloc
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import ptyrad_file
import pytest
from saved import npz_state

from arraycon import io
from arraycon.io import memory
from arraycon.params import ParameterError
from arraycon.params.files import load

HUGE = 10**8
NUMBERS = [*io.ptyrad._NUMBERS.values(), "niter", *io.ptyrad._SCAN]


@pytest.fixture
def frugal() -> Iterator[None]:
    """Fail where more than 30 MB are taken."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6


@pytest.mark.usefixtures("frugal")
@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("how", ["sparse", "four", "subarray", "text"])
def test_what_is_no_single_number_is_not_read(hdf5: Path, name: str, how: str) -> None:
    with h5py.File(hdf5, "r+") as file:
        del file[name]
        if how == "sparse":
            file.create_dataset(name, (HUGE,), "f8", chunks=(1 << 20,))
        elif how == "four":
            file[name] = np.ones((2, 2))
        elif how == "subarray":
            space, kind = h5py.h5s.create(h5py.h5s.SCALAR), h5py.h5t.py_create(("f8", (HUGE,)))
            links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
            links.set_create_intermediate_group(True)
            h5py.h5d.create(file.id, name.encode(), kind, space, None, links)
        else:
            file.create_dataset(name, (), f"S{HUGE}")
    with pytest.raises(io.ReadError, match=f"{name}: expected (one number|numbers, got text)"):
        io.read(hdf5)


@pytest.mark.usefixtures("frugal")
@pytest.mark.parametrize("storage", [{"chunks": (1, 1, 100, 100)}, {"chunks": None}])
def test_values_that_were_never_written(hdf5: Path, storage: dict[str, Any]) -> None:
    name = ptyrad_file.ARRAYS["object_phase"]
    with h5py.File(hdf5, "r+") as file:
        del file[name]
        file.create_dataset(name, (1, 400, 500, 500), "f4", **storage)
        if storage["chunks"]:
            file[name][0, 0, :100, :100] = 1
    with pytest.raises(io.ReadError, match=rf"{name}: .*incomplete: [01] of (10000|1) blocks"):
        io.read(hdf5)


@pytest.mark.parametrize("value", [2.5, -1, np.nan, np.inf, 1e300, 2**60])
def test_iterations_that_are_no_number_of_iterations(tmp_path: Path, value: float) -> None:
    path = ptyrad_file.build(tmp_path / "m.hdf5", niter=value)
    with pytest.raises(io.ReadError, match="niter: expected a number of iterations"):
        io.read(path)


@pytest.mark.parametrize("value", [np.float32(30), np.uint64(30), np.array([30])])
def test_iterations_in_other_forms(tmp_path: Path, value: Any) -> None:
    found = io.read(ptyrad_file.build(tmp_path / "m.hdf5", niter=value)).iteration
    assert (found, type(found)) == (30, int)


def header(path: Path, member: str, shape: tuple[int, ...], content: bytes = b"") -> Path:
    """Write an archive whose member declares a shape."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(f"{member}.npy", "w") as file:
            described = {"descr": "<f8", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, described)
            file.write(content)
        if member != "probe":
            probe = npz_state().probe
            with archive.open("probe.npy", "w") as file:
                np.lib.format.write_array(file, probe)
    return path


@pytest.mark.usefixtures("frugal")
@pytest.mark.parametrize(
    ("member", "shape", "content", "said"),
    [
        ("object_phase", (HUGE, 10, 10), b"", "the file is damaged: .* 80000000000 bytes, 0 are"),
        ("dx", (HUGE,), b"", "the file is damaged"),
        ("dx", (1 << 20,), bytes(1 << 23), "expected one number, got float64 of shape"),
        ("dx", (4,), bytes(32), "expected one number"),
        ("scan_shape", (3,), bytes(24), "expected two integers"),
    ],
)
def test_archives(
    tmp_path: Path, member: str, shape: tuple[int, ...], content: bytes, said: str
) -> None:
    path = header(tmp_path / "a.npz", member, shape, content)
    with pytest.raises(io.ReadError, match=f"{member}: {said}"):
        io.read(path)


def test_a_field_that_stands_twice_in_an_archive(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, of the duplicate
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            for value in (1.0, 2.0):
                with archive.open("dx.npy", "w") as file:
                    np.lib.format.write_array(file, np.array(value))
    with pytest.raises(io.ReadError, match="dx: stands there twice"):
        io.read(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", [".hdf5", ".npz"])
def test_memory_is_asked_for_before_arrays_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        io.save(path, npz_state())
    else:
        ptyrad_file.build(path)
    phase = 4 * 4 * 20 * 18
    monkeypatch.setattr(memory, "_system", lambda: iter([phase]))
    with pytest.raises(io.ReadError, match=r"takes .* of memory, 5\.76 kB are free"):
        io.read(path)
    state = io.read(path, arrays=("object_phase",)).state
    assert state.present & set(ptyrad_file.ARRAYS) == {"object_phase"}
    monkeypatch.setattr(memory, "_system", lambda: iter([]))
    assert io.read(path).state.probe is not None


def test_only_the_arrays_that_are_wanted_are_read_and_the_others_stay(hdf5: Path) -> None:
    whole = io.read(hdf5).state
    state = io.read(hdf5, arrays=("probe",)).state
    assert state.object_phase is None
    assert state.dx == whole.dx
    state.probe *= 2
    out = hdf5.with_name("out.hdf5")
    assert io.write(out, state, source=hdf5) == (ptyrad_file.ARRAYS["probe"],)
    np.testing.assert_array_equal(io.read(out).state.object_phase, whole.object_phase)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="knows Linux's own figures")
def test_the_memory_that_there_is() -> None:
    (free, *_) = memory._system()
    assert 1 << 20 < free < 1 << 50
    assert memory.readable(1_234_000) == "1.23 MB"
    assert memory.readable(0) == "0 B"


@pytest.mark.parametrize("where", ["top", "block", "beside"])
def test_many_unknown_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    calls = 0
    close = difflib.get_close_matches

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return close(*arguments, **options)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    keys = {f"kz_filter_{number}": {} for number in range(3000)}
    content = {"top": keys, "block": {"kz_filter": keys}, "beside": {"model_params": {}} | keys}
    path = tmp_path / "p.json"
    path.write_text(json.dumps(content[where]))
    with pytest.raises(ParameterError, match=r"did you mean|valid keys") as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert calls <= 500
    assert len(lines) == 102
    assert lines[-1].startswith("  and ")


def test_a_huge_parameter_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"#" * ((1 << 23) + 1))
    with pytest.raises(ParameterError, match="larger than 8 MiB"):
        load(path)
    path.write_text("k" * 100_000 + ": 1")
    with pytest.raises(ParameterError) as caught:
        load(path)
    assert len(str(caught.value)) < 1000
