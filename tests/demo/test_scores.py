"""Scores: what they are of cases that can be told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from demo_data import SMALL, random_waves

from arraycon.demo import runs, scores, with_truth
from arraycon.demo.dataset import Dataset, Truth


def test_correlation() -> None:
    x = np.array([1.0, 2.0, 4.0])
    assert scores.correlation(x, 3 * x + 7) == pytest.approx(1)
    assert scores.correlation(x, -x) == pytest.approx(-1)
    assert scores.correlation(x, np.ones(3)) == 0


def test_mode_overlap() -> None:
    modes = np.zeros((2, 2, 2), complex)
    modes[0, 0, 0], modes[1, 0, 0], modes[1, 1, 1] = 2j, 3, 4
    assert scores.mode_overlap(modes) == pytest.approx(0.6)
    assert scores.mode_overlap(np.eye(4).reshape(4, 2, 2)) == 0
    assert scores.mode_overlap(np.zeros((2, 2, 2))) == 0
    assert scores.mode_overlap(np.ones((1, 2, 2))) == 0


def test_plane_is_taken_away() -> None:
    y, x = np.mgrid[:5, :7]
    bump = np.zeros((5, 7))
    bump[2, 3] = 1
    expected = scores.without_plane(bump)
    np.testing.assert_allclose(scores.without_plane(bump + 3 + 2 * y - x), expected, atol=1e-12)
    assert abs(expected.sum()) < 1e-12


def blobs(shape: tuple[int, int] = (40, 48)) -> Any:
    rng = np.random.default_rng(0)
    ky, kx = (np.fft.fftfreq(n) for n in shape)
    low = np.exp(-120 * (ky[:, None] ** 2 + kx**2))
    return np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * low).real


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.3, -0.6), (-2.75, 3.5)])
def test_offset(shift: tuple[float, float]) -> None:
    image = blobs()
    found = scores.offset(image, scores.moved(image, shift))
    np.testing.assert_allclose(found, shift, atol=0.12)


def test_offset_is_bounded() -> None:
    rng = np.random.default_rng(0)
    found = scores.offset(rng.normal(size=(32, 32)), rng.normal(size=(32, 32)), within=2)
    assert max(map(abs, found)) <= 2.5


def test_what_data_leave_open_is_matched() -> None:
    image = np.exp(2j * blobs() / np.abs(blobs()).max())
    y, x = np.mgrid[:40, :48]
    other = image * np.exp(1j * (1.2 + 0.02 * y - 0.05 * x))
    assert np.abs(scores.on_top(other, image) - image).mean() < 0.06
    assert np.abs(other - image).mean() > 0.5


def test_ring_correlation() -> None:
    rng = np.random.default_rng(1)
    image = random_waves(rng, 64, 64)
    frequency, same = scores.ring_correlation(image, 2 * image)
    np.testing.assert_allclose(same, 1, rtol=1e-6)
    np.testing.assert_allclose(scores.ring_correlation(image, -image)[1], -1, rtol=1e-6)
    assert len(frequency) == 31
    assert 0 < frequency[0] < frequency[-1] < 1
    # no bias where nothing is in common, in rings of few pixels either
    others = [scores.ring_correlation(image, random_waves(rng, 64, 64))[1] for _ in range(40)]
    assert abs(np.mean(others)) < 0.01
    # as much noise as signal in each half: an expected correlation of one half
    noisy = [image + random_waves(rng, 64, 64) for _ in range(2)]
    assert scores.ring_correlation(*noisy)[1][8:].mean() == pytest.approx(0.5, abs=0.05)


def test_resolution() -> None:
    frequency = np.array([0.1, 0.3, 0.5])
    assert scores.resolution(frequency, np.array([0.9, 0.7, 0.3])) == pytest.approx(0.4)
    assert scores.resolution(frequency, np.array([0.9, 0.8, 0.7])) == 0.5
    assert scores.resolution(frequency, np.array([0.1, 0.8, 0.7])) == 0.1


def test_cross_talk() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4, 16, 16))
    assert scores.cross_talk(truth, truth, (0, 2)) == pytest.approx(0, abs=1e-9)
    mixed = truth.copy()
    mixed[0], mixed[2] = 0.75 * truth[0] + 0.25 * truth[2], 0.5 * truth[2]
    assert scores.cross_talk(mixed, truth, (0, 2)) == pytest.approx(0.125, abs=1e-9)


def test_intensity_error() -> None:
    assert scores.intensity_error(np.array([4.0, 9.0]), np.array([1.0, 9.0])) == pytest.approx(0.1)


def test_the_truth_is_judged_perfect(small: tuple[Dataset, Truth]) -> None:
    data, truth = small
    result = runs.run({"x": runs.Task(data, replace(SMALL, iterations=1))})["x"]
    phase = truth.window(result.origin, result.state.object.shape[1:])
    result.state.object = np.exp(1j * phase).astype(np.complex64)
    results = {"without": result, "with": result}
    aligned = with_truth.align(results, data, truth)
    watch = with_truth.Watch(data, truth)
    watch.curves = {"without": [0.5, 0.2], "with": [0.3, 0.5]}
    rows = with_truth.judge(results, data, truth, aligned, watch)
    assert rows["the same, in the best iteration"] == (0.5, 0.5, None)
    for name, (one, other, true) in rows.items():
        assert one == other, name
        if name.startswith(("phase", "cross", "variance")):
            assert one == pytest.approx(true, abs=2e-3), name
