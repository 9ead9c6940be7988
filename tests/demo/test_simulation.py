"""Simulated data: specimen, probe, counts, doses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from demo_data import DX, SMALL, WAVELENGTH, made, preset

from arraycon import presets as kinds
from arraycon.demo import scores, simulate, specimen, without_truth
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.probe import focused_probe, source_modes


def test_source_modes_are_orthogonal_and_keep_the_intensity() -> None:
    probe = focused_probe(32, dx=DX, wavelength=WAVELENGTH, semi_angle=22e-3, c10=50.0)
    modes = source_modes(probe, 0.8, 4)
    gram = modes.reshape(4, -1) @ modes.reshape(4, -1).conj().T
    powers = np.diag(gram).real
    assert scores.mode_overlap(modes) < 1e-4
    assert powers.sum() == pytest.approx(1, rel=1e-5)
    assert np.all(np.diff(powers) < 1e-7)
    # without a spread there is one mode, the probe itself
    one = source_modes(probe, 0.0, 2)
    assert abs(np.vdot(one[0], probe)) == pytest.approx(1, rel=1e-4)


def test_simulation(small: tuple[Dataset, Truth]) -> None:
    data, truth = small
    assert data.counts.shape == truth.expected.shape == (36, 24, 24)
    assert truth.phase.shape[0] == 2
    assert truth.phase.min() >= 0
    # the whole dose reaches the detector
    dose = 1e5 * simulate.STEP**2
    np.testing.assert_allclose(truth.expected.sum(axis=(1, 2)), dose, rtol=1e-4)
    # Poisson noise: variance equals mean
    bright = truth.expected > 20
    z = (data.counts[bright] - truth.expected[bright]) / np.sqrt(truth.expected[bright])
    assert abs(z.mean()) < 0.1
    assert abs(z.std() - 1) < 0.1
    assert 0.1 < np.std(truth.positions - data.positions) * simulate.DX / simulate.SCAN_ERROR < 1.5


def test_equal_seeds_give_equal_data() -> None:
    one, two, other = (made(seed=seed)[0].counts for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_slabs_hold_every_plane() -> None:
    found = specimen.make(np.random.default_rng(0), size=32, dx=0.5)
    for slices in (1, 2, 5, 6):
        slabs = found.slabs(slices)
        assert slabs.shape == (slices, 32, 32)
        np.testing.assert_allclose(slabs.sum(axis=0), found.planes.sum(axis=0), rtol=1e-6)
    assert not found.slabs(6)[[0, 5]].any()


def test_thinning_splits_the_counts(small: tuple[Dataset, Truth]) -> None:
    data = small[0]
    one, other = data.thin(0.25, np.random.default_rng(0))
    np.testing.assert_array_equal(one.counts + other.counts, data.counts)
    assert one.counts.sum() == pytest.approx(0.25 * data.counts.sum(), rel=0.02)
    assert len(data.select(slice(0, None, 2)).positions) == 18


def test_many_electrons_are_counted() -> None:
    data, truth = made(scan=4, dose=9e8, slices=1)
    np.testing.assert_allclose(data.counts.sum(), truth.expected.sum(), rtol=1e-3)


def test_lower_doses_are_parts_of_higher_ones(small: tuple[Dataset, Truth]) -> None:
    data, constraints = small[0], preset(kinds.text("x-ray"))
    tasks = without_truth.tasks(data, replace(SMALL, slices=1), constraints, (1.0, 0.2, 0.1))
    assert len(tasks) == 15

    def counts(dose: float) -> Any:
        keys = (without_truth.key(dose, "with", half) for half in "AB")
        return sum(tasks[key].data.counts.astype(int) for key in keys)

    np.testing.assert_array_equal(counts(1.0), data.counts)
    assert np.all(counts(0.1) <= counts(0.2))
    unseen = tasks[without_truth.REFERENCE].data.counts
    np.testing.assert_array_equal(unseen + counts(0.2), data.counts)
