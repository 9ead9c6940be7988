"""`arraycon apply` on files that do not fit into memory."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import h5py
import numpy as np
import processes
import ptyrad_file
import pytest
import yaml
from command import PARAMS, apply, environment, names, run, words

from arraycon.cli import job, large
from arraycon.io.errors import ReadError

OBJECTS = [ptyrad_file.ARRAYS[name] for name in ("object_amplitude", "object_phase")]
EVERY = ("--iterations", "5:7")


@pytest.fixture
def expected(folder: Path) -> dict:
    """What the whole in memory gives."""
    assert apply("--out", "whole.hdf5", *EVERY)[0] == 0
    found = ptyrad_file.contents(folder / "whole.hdf5")
    (folder / "whole.hdf5").unlink()
    return found


def assert_close(path: Path, expected: dict) -> None:
    """The objects to rounding, everything else to the bit."""
    found = ptyrad_file.contents(path)
    assert found.keys() == expected.keys()
    for name, item in expected.items():
        if name not in OBJECTS:
            assert found[name] == item, name
            continue
        new, old = (np.frombuffer(each[-2], "f4") for each in (found[name], item))
        assert np.linalg.norm(new - old) < 1e-6 * np.linalg.norm(old)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    "options",
    [
        ("--memory", "20kB"),
        ("--executor", "threads", "--workers", "2", "--memory", "40kB"),
        ("--executor", "serial", "--scratch", "."),
    ],
)
def test_the_result_is_that_of_the_whole(folder: Path, expected: dict, options: tuple[str, ...]):
    code, output = apply("--out", "out.hdf5", *EVERY, *options)
    assert code == 0, output
    assert "iterations 5 to 7 (3 in all), on numpy, block by block" in words(output)
    assert re.search(r"peak memory of a process: \d+", output)
    assert names() == ["model.hdf5", "out.hdf5", "params.yaml"]
    assert_close(folder / "out.hdf5", expected)


@pytest.mark.usefixtures("plain", "folder")
def test_figures_are_those_of_the_whole():
    said = [apply("--out", f"{i}.hdf5", *more) for i, more in enumerate([
        (), ("--memory", "40kB", "--measure"), ("--memory", "40kB")])]  # fmt: skip
    assert [code for code, _ in said] == [0, 0, 0], said
    figures = [re.findall(r"relative change \d[\d.e+-]*", output) for _, output in said]
    assert len(figures[0]) > 2
    assert figures[1] == figures[0]
    assert len(figures[2]) < len(figures[0])


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("compressed", [False, True])
def test_in_place_and_compressed(folder: Path, expected: dict, compressed: bool):
    ptyrad_file.build(folder / "model.hdf5", compressed=compressed)
    code, output = apply("--in-place", *EVERY, "--memory", "20kB")
    assert code == 0, output
    if not compressed:
        assert_close(folder / "model.hdf5", expected)
    with h5py.File("model.hdf5") as file:
        for name in OBJECTS:
            values = np.frombuffer(expected[name][-2], "f4").reshape(file[name].shape)
            np.testing.assert_allclose(file[name][...], values, atol=1e-6)
            assert bool(file[name].compression) == compressed


@pytest.mark.usefixtures("plain")
def test_what_does_not_fit_goes_block_by_block(folder: Path, expected: dict, monkeypatch):
    def require(needed, what, *, mapped=0):
        if mapped and needed > 320 * 2**20 + 15_000:  # the probe alone fits
            raise ReadError(f"{what}: takes more")

    monkeypatch.setattr(job.memory, "require", require)
    code, output = apply("--out", "out.hdf5", *EVERY)
    assert code == 0, output
    assert "block by block" in output
    assert_close(folder / "out.hdf5", expected)


@pytest.mark.usefixtures("plain", "folder")
def test_a_figure_of_a_few_slices(monkeypatch):
    monkeypatch.setattr(large, "_DRAWN", 3)
    titles = []
    draw = job.figure.draw

    def noted(*snapshots, title):
        titles.append(title)
        assert [len(each.profile) for each in snapshots] == [3, 3]
        return draw(*snapshots, title=title)

    monkeypatch.setattr(job.figure, "draw", noted)
    code, output = apply("--out", "out.hdf5", "--memory", "20kB", "--figure", "fig.png")
    assert code == 0, output
    assert titles == ["model.hdf5 · iteration 7 · 3 of 4 slices"]
    assert "fig.png" in names()


@pytest.mark.usefixtures("plain", "folder")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--memory", "lots"), "memory: expected a number of bytes"),
        (("--memory", "100B"), "memory: expected at least"),
        (("--workers", "2"), "--workers: expected --executor threads, or dask without"),
        (("--executor", "serial", "--scheduler", "tcp://x"), "--scheduler: expected --executor"),
        (("--resident", "--memory", "1MB"), "--resident: expected --executor dask"),
        (("--memory", "1MB", "--scratch", "absent"), "--scratch absent: expected a folder"),
        (("--memory", "1MB", "--backend", "cupy"), "--backend cupy: CuPy cannot be imported"),
    ],
)
def test_what_cannot_be(options: tuple[str, ...], said: str):
    code, output = apply("--out", "out.hdf5", *options)
    assert code != 0
    assert said in words(output)
    assert names() == ["model.hdf5", "params.yaml"]


@pytest.mark.usefixtures("plain", "folder")
def test_archives_have_to_fit():
    from saved import npz_state

    from arraycon import io

    io.save("state.npz", npz_state())
    options = ("--params", "params.yaml", "--out", "out.npz", "--memory", "1MB")
    code, output = run("apply", "state.npz", *options)
    assert code == 2
    assert "expected PtyRAD's HDF5 file" in words(output)


@pytest.mark.usefixtures("plain", "folder")
def test_results_that_are_not_finite_are_not_written():
    with h5py.File("model.hdf5", "r+") as file:
        file[OBJECTS[1]][0, 1, 2, 3] = np.nan
    code, output = apply("--out", "out.hdf5", "--iteration", "5", "--memory", "20kB")
    assert code == 1
    assert "a value is NaN or infinite" in words(output)
    assert names() == ["model.hdf5", "params.yaml"]


@pytest.mark.usefixtures("plain")
@pytest.mark.slow
@pytest.mark.parametrize("more", [("--memory", "100kB"), ("--memory", "1MB", "--resident")])
def test_a_cluster_is_started(folder: Path, expected: dict, more: tuple[str, ...]):
    pytest.importorskip("distributed")
    options = ("--executor", "dask", "--workers", "2", *more)
    command = ["apply", "model.hdf5", "-p", "params.yaml", "-o", "out.hdf5", *EVERY, *options]
    done = processes.run(
        [sys.executable, "-m", "arraycon", *command],
        capture_output=True, text=True, env=environment(), cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_close(folder / "out.hdf5", expected)


LIMIT = 420e6
MEASURED = """
import sys
from arraycon.blockwise import tasks
from arraycon.cli import app

try:
    app.app(sys.argv[1:], prog_name="arraycon")
finally:
    print("peak", tasks.peak())
"""


@pytest.mark.slow
def test_300_mb_in_100(tmp_path: Path):
    """Under 420 MB, of which Python with its libraries and the compiled kernels are half."""
    rng = np.random.default_rng(0)
    shape = 1, 36, 1024, 1024
    arrays = {
        "optimizable_tensors__obja": 1 + 0.05 * rng.standard_normal(shape, "f4"),
        "optimizable_tensors__objp": 0.1 + 0.1 * rng.standard_normal(shape, "f4"),
    }
    ptyrad_file.build(tmp_path / "model.hdf5", **arrays)
    blocks = PARAMS | {"obj_rblur": {"start_iter": 1}, "kz_filter": {"start_iter": 1}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(blocks))
    assert (tmp_path / "model.hdf5").stat().st_size > 300e6
    for out, options in (("whole.hdf5", ()), ("blocks.hdf5", ("--memory", "100MB"))):
        command = ["apply", "model.hdf5", "-p", "params.yaml", "-o", out, "--iteration", "5"]
        done = processes.run(
            [sys.executable, "-c", MEASURED, *command, *options],
            capture_output=True, text=True, env=environment(), cwd=tmp_path, limit=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < LIMIT
    with h5py.File(tmp_path / "whole.hdf5") as one, h5py.File(tmp_path / "blocks.hdf5") as other:
        for name in OBJECTS:
            for z in range(shape[1]):
                a, b = one[name][0, z], other[name][0, z]
                assert np.linalg.norm(a - b) < 1e-6 * np.linalg.norm(a)
