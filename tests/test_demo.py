"""The demo: a seeded specimen with the defects it promises, and the judgement of a result."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from arraycon import Constraints, demo, io
from arraycon.demo import specimen
from arraycon.io import atomic


@pytest.fixture(scope="module")
def made() -> specimen.Specimen:
    return specimen.make(3, size=64, slices=6)


def test_equal_seeds_give_equal_specimens() -> None:
    one, two, other = (specimen.make(seed, size=40, slices=4).state for seed in (5, 5, 6))
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name))
    assert not np.array_equal(one.object_phase, other.object_phase)
    assert not np.array_equal(one.probe, other.probe)


@pytest.mark.parametrize(("size", "slices"), [(32, 2), (33, 3), (100, 9)])
def test_shapes(size: int, slices: int) -> None:
    made = specimen.make(size=size, slices=slices)
    assert made.phase.shape == (slices, size, size)
    assert made.state.object_phase.shape == (1, slices, size, size)
    assert made.state.object_phase.dtype == np.float32
    assert made.state.probe.dtype == np.complex64
    assert made.state.probe.shape == (4, size // 2, size // 2)
    assert made.layers[0] < made.layers[1]


@pytest.mark.parametrize(("size", "slices"), [(31, 8), (64, 1)])
def test_too_small(size: int, slices: int) -> None:
    with pytest.raises(ValueError, match="size ≥ 32 and slices ≥ 2"):
        specimen.make(size=size, slices=slices)


def test_truth(made: specimen.Specimen) -> None:
    assert made.phase.min() >= 0
    assert 0.1 < made.phase.max() < 1
    for layer in made.layers:
        assert made.phase[layer].max() > 0.1
    upper, lower = (made.phase[layer] for layer in made.layers)
    assert abs(demo.correlation(upper, lower)) < 0.5  # two different patterns


def test_defects(made: specimen.Specimen) -> None:
    state = made.state
    assert np.mean(state.object_phase < 0) > 0.05
    assert np.mean((state.object_amplitude < 0.96) | (state.object_amplitude > 1.04)) > 0.05
    assert abs(state.object_amplitude.mean() - 1) < 0.05
    empty = made.phase[0]  # vacuum that the elongated layers leak into
    assert not empty.any()
    leak = demo.correlation(state.object_phase[0, 0], made.phase[made.layers[0]])
    assert leak > 0.2
    assert demo.mode_overlap(state.probe) > 0.1
    power = np.sum(np.abs(state.probe) ** 2, dtype=np.float64)
    assert power == pytest.approx(1.1 * 500, rel=1e-4)
    assert state.probe_intensity == 500
    assert np.linalg.norm(state.position_shifts.mean(axis=0)) > 0.2
    tilts = state.tilts.reshape(*(state.scan_shape or ()), 2)
    assert np.std(np.diff(tilts, axis=1)) > 0.3


def test_correlation() -> None:
    x = np.array([1.0, 2.0, 4.0])
    assert demo.correlation(x, 3 * x + 7) == pytest.approx(1)
    assert demo.correlation(x, -x) == pytest.approx(-1)
    assert demo.correlation(x, np.ones(3)) == 0


def test_mode_overlap() -> None:
    modes = np.zeros((2, 2, 2), complex)
    modes[0, 0, 0], modes[1, 0, 0], modes[1, 1, 1] = 2j, 3, 4
    assert demo.mode_overlap(modes) == pytest.approx(0.6)
    assert demo.mode_overlap(np.eye(4).reshape(4, 2, 2)) == 0
    assert demo.mode_overlap(np.ones((1, 2, 2))) == 0


def test_prepared_files_are_what_the_command_takes(tmp_path: Path) -> None:
    done = demo.prepare(tmp_path / "new" / "demo", size=64, slices=4, iterations=2)
    found = io.read(done.job.source).state
    np.testing.assert_array_equal(found.probe, done.specimen.state.probe)
    constraints = Constraints.from_file(done.job.params)
    for iteration in done.job.iterations or ():
        constraints.apply(found, iteration=iteration)
    rows = demo.compare(done, found)
    assert all(np.isfinite(value) for row in rows.values() for value in row if value is not None)
    before, after, truth = rows["largest overlap of two probe modes"]
    assert before > 0.1
    assert after < 1e-5
    assert truth == 0
    assert rows["probe intensity"][1] == pytest.approx(500, rel=1e-4)
    assert rows["phase below zero (% of the voxels)"][0] > 5
    assert rows["phase below zero (% of the voxels)"][1] == 0
    assert rows["amplitude outside 0.96 to 1.04 (% of the voxels)"][1] == 0
    assert rows["common drift of the positions (px)"][1] < 1e-6
    before, after, _ = rows["phase correlation with the truth, sum over depth"]
    assert after > before + 0.05


def test_the_truth_is_judged_perfect() -> None:
    made = specimen.make(size=64, slices=6)
    made.state.object_phase[0] = made.phase
    rows = demo.compare(demo.Demo(None, made), made.state)  # type: ignore[arg-type]
    for name, (_, after, truth) in rows.items():
        if name.startswith(("phase", "cross-talk")) and truth is not None:
            assert after == pytest.approx(truth, abs=1e-6), name


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(atomic.OutputError, match=r"cannot be made: (Not a directory|File exists)"):
        demo.prepare(tmp_path / "file" / "demo")
