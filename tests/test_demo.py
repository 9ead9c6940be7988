"""The demo: its forward model, its reconstruction, its scores, and the command end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from libraries import Library
from typer.testing import CliRunner

from arraycon import Constraints, State, io
from arraycon.cli import app
from arraycon.demo import (
    figures,
    forward,
    loading,
    presets,
    runs,
    scores,
    simulate,
    specimen,
    with_truth,
    without_truth,
)
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.reconstruct import Reconstruction, Result, correction, patterns
from arraycon.demo.settings import Settings, initial

DX, WAVELENGTH = 0.25, 0.0251
SMALL = Settings(modes=2, slices=2, iterations=3, batch=8, mode_power=0.1)
CUPY = Library("cupy")


@pytest.fixture(autouse=True)
def coarse_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arraycon.figure._DPI", 20)


def made(**changes: Any) -> tuple[Dataset, Truth]:
    experiment = simulate.Experiment(dose=1e5, scan=6, window=24, slices=2, seed=3)
    return simulate.simulate(replace(experiment, **changes))


@pytest.fixture(scope="module")
def small() -> tuple[Dataset, Truth]:
    return made()


def random_waves(rng: np.random.Generator, *shape: int) -> Any:
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


# forward model


def dft(n: int) -> Any:
    """Unitary Fourier matrix, written out."""
    return np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) / np.sqrt(n)


def direct_pattern(modes: Any, slices: Any, shift: tuple[float, float], distance: float) -> Any:
    """Intensity by matrices in float64, mode by mode: another way to the same numbers."""
    ny, nx = modes.shape[1:]
    fy, fx = dft(ny), dft(nx)
    ky, kx = (np.array([i if i < (n + 1) // 2 else i - n for i in range(n)]) / n for n in (ny, nx))
    k = 1 / WAVELENGTH
    longitudinal = np.sqrt(k**2 - (ky[:, None] / DX) ** 2 - (kx / DX) ** 2)
    between = np.exp(2j * np.pi * distance * (longitudinal - k))
    ramp = np.exp(-2j * np.pi * (ky[:, None] * shift[0] + kx * shift[1]))
    total = np.zeros((ny, nx))
    for mode in modes.astype(np.complex128):
        wave = fy.conj() @ ((fy @ mode @ fx) * ramp) @ fx.conj()
        for index, transmission in enumerate(slices):
            wave = wave * transmission
            if index < len(slices) - 1:
                wave = fy.conj() @ ((fy @ wave @ fx) * between) @ fx.conj()
        total += np.abs(fy @ wave @ fx) ** 2
    return total


def build(shape: tuple[int, int], distance: float = 12.0) -> forward.Multislice:
    between = forward.propagator(shape, dx=DX, wavelength=WAVELENGTH, distance=distance)
    return forward.Multislice(shape, between, np.zeros(1, np.complex64))


@pytest.mark.parametrize(("shape", "nz"), [((8, 11), 3), ((9, 6), 1), ((7, 7), 2)])
def test_forward_model_is_the_direct_sum(shape: tuple[int, int], nz: int) -> None:
    rng = np.random.default_rng(0)
    modes, slices = random_waves(rng, 2, *shape), random_waves(rng, 2, nz, *shape)
    shifts = np.array([[0.3, -0.45], [0.0, 0.2]], np.float32)
    model = build(shape)
    spectra = forward.fft2(modes.copy()) * model.ramps(shifts)
    far, waves = model(spectra, slices)
    assert far.dtype == np.complex64
    assert len(waves) == nz
    for index in range(2):
        expected = direct_pattern(modes, slices[index], tuple(shifts[index]), 12.0)
        np.testing.assert_allclose(forward.intensity(far)[index], expected, rtol=1e-4, atol=1e-3)


def test_energy_is_conserved() -> None:
    rng = np.random.default_rng(1)
    modes = random_waves(rng, 3, 16, 12)
    slices = np.exp(1j * rng.normal(size=(1, 4, 16, 12))).astype(np.complex64)
    model = build((16, 12), distance=5.0)
    spectra = forward.fft2(modes.copy()) * model.ramps(np.array([[0.2, 0.4]], np.float32))
    power = forward.intensity(model(spectra, slices)[0]).sum()
    assert power == pytest.approx(np.sum(np.abs(modes) ** 2), rel=1e-5)


def test_way_back_is_the_adjoint() -> None:
    rng = np.random.default_rng(2)
    slices, model = random_waves(rng, 1, 3, 10, 8), build((10, 8))
    spectra, change = random_waves(rng, 1, 2, 10, 8), random_waves(rng, 1, 2, 10, 8)
    far, waves = model(spectra.copy(), slices)
    onto_slices, onto_spectra = model.back(change.copy(), slices, waves)
    product = np.vdot(far, change)
    assert np.vdot(spectra, onto_spectra) == pytest.approx(product, rel=1e-4)
    # the far field is linear in each single slice as well
    for z in range(3):
        assert np.vdot(slices[:, z], onto_slices[:, z]) == pytest.approx(product, rel=1e-4)


def test_subpixel_shift_of_a_gaussian() -> None:
    y, x = np.mgrid[:32, :32]
    model = build((32, 32))

    def gaussian(cy: float, cx: float) -> Any:
        return np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 18).astype(np.complex64)

    ramp = model.ramps(np.array([[0.37, -1.21]], np.float32))[0, 0]
    moved = forward.ifft2(forward.fft2(gaussian(16, 16)) * ramp)
    np.testing.assert_allclose(moved, gaussian(16.37, 14.79), atol=2e-5)


def test_focus_of_the_probe() -> None:
    args: dict[str, Any] = {"dx": DX, "wavelength": WAVELENGTH}
    defocused = simulate.focused_probe(64, **args, semi_angle=22e-3, c10=-80.0)
    focused = simulate.focused_probe(64, **args, semi_angle=22e-3, c10=0.0)
    assert np.unravel_index(np.abs(focused).argmax(), (64, 64)) == (32, 32)
    through = forward.propagator((64, 64), **args, distance=80.0)
    np.testing.assert_allclose(
        np.abs(forward.ifft2(forward.fft2(defocused) * through)), np.abs(focused), atol=2e-3
    )


def test_scatter_is_the_adjoint_of_gather() -> None:
    rng = np.random.default_rng(3)
    grid, windows = random_waves(rng, 2, 9, 8), random_waves(rng, 3, 2, 4, 5)
    corners = [(0, 0), (5, 3), (2, 1)]
    total = np.zeros_like(grid)
    forward.scatter(total, corners, windows)
    gathered = forward.gather(grid, corners, (4, 5))
    assert np.vdot(grid, total) == pytest.approx(np.vdot(gathered, windows), rel=1e-5)


# data


def test_source_modes_are_orthogonal_and_keep_the_intensity() -> None:
    probe = simulate.focused_probe(32, dx=DX, wavelength=WAVELENGTH, semi_angle=22e-3, c10=50.0)
    modes = simulate.source_modes(probe, 0.8, 4)
    gram = modes.reshape(4, -1) @ modes.reshape(4, -1).conj().T
    powers = np.diag(gram).real
    assert scores.mode_overlap(modes) < 1e-4
    assert powers.sum() == pytest.approx(1, rel=1e-5)
    assert np.all(np.diff(powers) < 1e-7)
    # without a spread there is one mode, the probe itself
    one = simulate.source_modes(probe, 0.0, 2)
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


# reconstruction


def test_first_guess(small: tuple[Dataset, Truth]) -> None:
    data = small[0]
    state, origin = initial(data, replace(SMALL, modes=3))
    assert scores.mode_overlap(state.probe) < 1e-5
    total = data.counts.sum(axis=(1, 2)).mean()
    assert np.sum(np.abs(state.probe) ** 2) == pytest.approx(total, rel=1e-4)
    assert state.probe_intensity == pytest.approx(total)
    low = data.positions.min(axis=0) - origin - np.array(data.probe.shape) // 2
    assert np.all(low >= 0)


@pytest.mark.parametrize("slices", [1, 2])
def test_the_error_falls(small: tuple[Dataset, Truth], slices: int) -> None:
    settings = replace(SMALL, slices=slices, iterations=5)
    result = runs.run({"one": runs.Task(small[0], settings)})["one"]
    assert len(result.errors) == 5
    assert np.all(np.diff(result.errors) < 0)
    assert result.errors[-1] < 0.9 * result.errors[0]
    assert result.state.object.dtype == result.state.probe.dtype == np.complex64
    # the patterns that the result predicts are those that the iteration would have compared
    predicted = patterns(result, small[0])
    assert scores.intensity_error(predicted, small[0].counts) < result.errors[-1]


def test_correction_of_one_pixel() -> None:
    expected, counts = np.float32([[[4.0, 1.0, 0.0]]]), np.float32([[[9.0, 0.0, 0.0]]])
    amplitude = correction(expected, counts, "amplitude")[0, 0]
    np.testing.assert_allclose(amplitude, [0.5, -1, -1], rtol=1e-6)
    poisson = correction(expected, counts, "poisson")[0, 0]
    np.testing.assert_allclose(poisson, [0.5 * (9.05 / 4.05 - 1), -0.5 / 1.05, 0], atol=1e-6)


@pytest.mark.parametrize("rate", [0.03, 0.3])
def test_few_counts_mislead_the_amplitude_only(rate: float) -> None:
    """At the truth the corrections cancel for the likelihood of counts, not for amplitudes."""
    counts = np.random.default_rng(0).poisson(rate, (40, 100, 100)).astype(np.float32)
    expected = np.full_like(counts, rate)
    assert abs(correction(expected, counts, "poisson").mean()) < 0.01
    assert correction(expected, counts, "amplitude").mean() < -0.45


@pytest.mark.parametrize("modes", [1, 2, 8, 20])
def test_any_number_of_modes(small: tuple[Dataset, Truth], modes: int) -> None:
    state, _ = initial(small[0], replace(SMALL, modes=modes, mode_power=0.15))
    powers = np.sum(np.abs(state.probe) ** 2, axis=(1, 2))
    assert powers[0] > 0.5 * powers.sum()
    assert powers.min() > 0.02 * powers.sum()
    assert powers.sum() == pytest.approx(state.probe_intensity, rel=1e-4)


def test_positions_follow_the_gradient() -> None:
    """With the true object and probe, and no noise, positions go to where they were."""
    data, truth = made(slices=6, scan=4)
    data = replace(data, counts=np.rint(1000 * truth.expected).astype(int))
    settings = replace(
        SMALL, slices=6, modes=6, object_step=0.0, probe_step=0.0, position_step=1.0,
        position_start=1,
    )  # fmt: skip
    going = Reconstruction(data, settings)
    state, origin = true_state(data, truth, settings)
    assert origin == going.origin
    going.state.object, going.state.probe = state.object, state.probe * np.float32(np.sqrt(1000))
    wrong = truth.positions - data.positions
    for _ in range(8):
        going.iterate()
    missed = wrong - going.state.position_shifts
    assert missed.std() < 0.3 * wrong.std()
    assert going.errors[-1] < 0.2 * going.errors[0]


def test_momentum_needs_fewer_iterations(small: tuple[Dataset, Truth]) -> None:
    plain = replace(SMALL, likelihood="poisson", iterations=6)
    tasks = {m: runs.Task(small[0], replace(plain, momentum=m)) for m in (0.0, 0.5)}
    errors = {m: found.errors for m, found in runs.run(tasks).items()}
    assert errors[0.5][0] == errors[0.0][0]
    assert np.all(np.less(errors[0.5][2:], errors[0.0][2:]))
    assert errors[0.5][4] < errors[0.0][5]


def test_a_result_stays_as_it_was(small: tuple[Dataset, Truth]) -> None:
    going = Reconstruction(small[0], SMALL)
    before = going.result()
    kept = before.state.object.copy(), before.state.probe.copy()
    going.iterate()
    np.testing.assert_array_equal(before.state.object, kept[0])
    np.testing.assert_array_equal(before.state.probe, kept[1])
    assert not np.array_equal(going.result().state.object, kept[0])


def test_divergence_is_said(small: tuple[Dataset, Truth]) -> None:
    going = Reconstruction(small[0], SMALL)
    going.iterate()
    going.state.object[:] = np.nan
    with pytest.raises(FloatingPointError, match=r"diverged in iteration 2: its error is nan"):
        going.iterate()


@pytest.mark.skipif(bool(CUPY.available()), reason=CUPY.available())
@pytest.mark.parametrize("likelihood", ["amplitude", "poisson"])
def test_cupy_finds_what_numpy_finds(small: tuple[Dataset, Truth], likelihood: Any) -> None:
    settings = replace(SMALL, likelihood=likelihood, momentum=0.5, position_step=1.0)
    settings = replace(settings, position_start=1)
    task = {"x": runs.Task(small[0], settings, preset(presets.SIMULATED.constraints))}
    numpy, cupy = (runs.run(task, xp=xp)["x"] for xp in (np, CUPY.module))
    np.testing.assert_allclose(cupy.errors, numpy.errors, rtol=1e-4)
    for name in ("object", "probe", "position_shifts"):
        one, two = (getattr(found.state, name) for found in (numpy, cupy))
        assert isinstance(two, np.ndarray)
        np.testing.assert_allclose(two, one, atol=1e-3 * np.abs(one).max(), err_msg=name)


def test_constraints_bring_it_closer_to_the_truth() -> None:
    data, truth = made(scan=14, window=32, slices=6, dose=1e4, seed=7)
    settings = replace(presets.SIMULATED.settings, iterations=8)
    tasks = with_truth.tasks(data, settings, preset(presets.SIMULATED.constraints))
    watch = with_truth.Watch(data, truth)
    results = runs.run(tasks, tell=watch)
    aligned = with_truth.align(results, data, truth)
    rows = with_truth.judge(results, data, truth, aligned, watch)
    total = rows["phase correlation, sum over depth"]
    assert total[1] > total[0] + 0.02
    assert total[1] > rows["the same, in the best iteration"][0]
    assert total[:2] == (watch.curves["without"][-1], watch.curves["with"][-1])
    for name in ("phase correlation, slice 2", "phase correlation, slice 5"):
        assert rows[name][1] > rows[name][0] + 0.02, name


def true_state(data: Dataset, truth: Truth, settings: Settings) -> tuple[State, tuple[int, int]]:
    """Object and probe that were simulated."""
    state, origin = initial(data, settings)
    probe = simulate.focused_probe(
        24, dx=simulate.DX, wavelength=simulate.WAVELENGTH, semi_angle=simulate.SEMI_ANGLE,
        c10=simulate.C10 + data.slice_thickness / 2,
    )  # fmt: skip
    modes = simulate.source_modes(probe, simulate.SOURCE / simulate.DX, 6)
    state.probe = modes * np.float32(np.sqrt(truth.expected[0].sum()))
    phase = truth.window(origin, state.object.shape[1:])
    state.object = np.exp(1j * phase).astype(np.complex64)
    return state, origin


def test_the_truth_predicts_the_patterns() -> None:
    """Slices of 12 Å have the specimen's planes in their middle: nothing is approximated."""
    data, truth = made(slices=6, scan=4)
    state, origin = true_state(data, truth, replace(SMALL, slices=6))
    state.position_shifts = (truth.positions - data.positions).astype(np.float32)
    predicted = patterns(Result(state, origin, ()), data)
    assert scores.intensity_error(predicted, truth.expected) < 1e-4


def test_positions_are_refined() -> None:
    data, truth = made(scan=8, dose=1e6)
    settings = replace(SMALL, iterations=10, position_step=1.0, mode_power=0.2)
    found = runs.run({"one": runs.Task(data, settings)})["one"].state.position_shifts
    wrong = truth.positions - data.positions
    before, after = ((v - v.mean(axis=0)).std() for v in (wrong, wrong - found))
    assert after < 0.7 * before


def test_one_seed_one_result(small: tuple[Dataset, Truth]) -> None:
    constraints = preset(presets.ELECTRONS.constraints)
    task = runs.Task(small[0], replace(SMALL, position_step=0.5), constraints)
    found = runs.run({"one": task, "two": task, "three": task})
    for field in ("object", "probe", "position_shifts"):
        one, two = (getattr(found[name].state, field) for name in ("one", "three"))
        np.testing.assert_array_equal(one, two)
    assert found["one"].errors == found["two"].errors
    other = runs.run({"x": replace(task, settings=replace(task.settings, seed=9))})["x"]
    assert other.errors != found["one"].errors


def test_constraints_run_once_per_iteration(small: tuple[Dataset, Truth]) -> None:
    seen: list[int] = []

    class Counting(Constraints):
        def apply(self, state: Any, iteration: int, *, measure: bool = True) -> Any:
            seen.append(iteration)
            return super().apply(state, iteration, measure=measure)

    constraints = Counting({"ortho_pmode": {"start_iter": 1}})
    result = runs.run({"one": runs.Task(small[0], SMALL, constraints)})["one"]
    assert seen == [1, 2, 3]
    assert scores.mode_overlap(result.state.probe) < 1e-4


def test_several_slices_need_lengths(small: tuple[Dataset, Truth]) -> None:
    with pytest.raises(ValueError, match="several need dx, wavelength and slice_thickness"):
        Reconstruction(replace(small[0], slice_thickness=None), SMALL)


def test_a_failing_reconstruction_ends_the_others(small: tuple[Dataset, Truth]) -> None:
    told: list[str] = []

    def tell(name: str, _: Reconstruction) -> None:
        told.append(name)
        raise RuntimeError("enough")

    tasks = {name: runs.Task(small[0], replace(SMALL, iterations=50)) for name in "ab"}
    with pytest.raises(RuntimeError, match="enough"):
        runs.run(tasks, tell=tell)
    assert len(told) <= 2


# scores


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


# the command


def preset(text: str) -> Constraints:
    return Constraints(yaml.safe_load(text))


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app.app, ["demo", *arguments], prog_name="arraycon")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


FILES = {
    "figure.png", "table.txt", "unconstrained.npz", "constrained.npz", "demo.json",
    "used_params.yaml",
}  # fmt: skip


@pytest.mark.usefixtures("here")
def test_demo() -> None:
    options = ("--scan", "6", "--iterations", "2", "--slices", "2", "--modes", "2", "--dose", "1e5")
    code, output = run(*options)
    assert code == 0, output
    assert {path.name for path in Path("demo").iterdir()} == FILES
    assert "phase correlation, sum over depth" in output
    table = Path("demo/table.txt").read_text(encoding="utf-8")
    assert "cross-talk" in table
    assert "\x1b" not in table
    recorded = json.loads(Path("demo/demo.json").read_text())
    assert recorded["settings"]["slices"] == 2
    assert recorded["about"] == "simulated, 100000 electrons per Å²"
    found = io.read("demo/constrained.npz").state
    assert found.object.shape[0] == 2
    assert scores.mode_overlap(found.probe) < 1e-4
    # the parameters that are left behind are those that were used
    assert "obja_thresh" in str(Constraints.from_file("demo/used_params.yaml"))
    assert run(*options, "--out", "again", "--params", "demo/used_params.yaml")[0] == 0
    for name in FILES - {"figure.png"}:
        assert Path("demo", name).read_bytes() == Path("again", name).read_bytes(), name


@pytest.mark.usefixtures("here")
def test_constraints_that_are_not_due_are_named() -> None:
    code, output = run("--scan", "4", "--iterations", "2", "--slices", "2", "--modes", "1")
    assert code == 0
    assert "kz_filter, kr_thresh: not due within 2 iterations" in output


@pytest.mark.parametrize(
    ("options", "files"),
    [
        (("--scan", "4", "--iterations", "1", "--slices", "1", "--modes", "1"), FILES),
        (("--study",), {"study.txt", "study.json", "study.md"}),
    ],
)
def test_results_outlive_a_closed_pipe(
    here: Path, options: tuple[str, ...], files: set[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "arraycon", "demo", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=environment)
    os.close(writing)
    assert b"Traceback" not in done.stderr
    assert {path.name for path in (here / "demo").iterdir()} == files


def test_many_electrons_are_counted() -> None:
    data, truth = made(scan=4, dose=9e8, slices=1)
    np.testing.assert_allclose(data.counts.sum(), truth.expected.sum(), rtol=1e-3)


def write_npz(path: Path, **changes: Any) -> None:
    data = made(scan=5)[0]
    members = {"diffraction": data.counts, "positions": data.positions, "probe": data.probe[None]}
    np.savez(path, **(members | changes))


def write_hdf5(path: Path) -> Path:
    data = made()[0]
    with h5py.File(path, "w") as file:
        file["data"] = np.fft.fftshift(data.counts, axes=(1, 2)).reshape(6, 6, 24, 24)
        file["scan_positions_A"] = data.positions.reshape(6, 6, 2) * simulate.DX
        file.attrs.update(
            dx_A=simulate.DX, wavelength_A=simulate.WAVELENGTH, convergence_mrad=22.0,
            C10_A=120.0, slab_thickness_A=36.0, n_slabs=2,
        )  # fmt: skip
    return path


def write_truth(path: Path) -> Path:
    np.savez(path, potential_VA=made()[1].phase, sigma_rad_per_VA=1.0)
    return path


@pytest.mark.parametrize("halves", ["counts", "positions"])
def test_halves_of_data_without_a_truth(here: Path, halves: str) -> None:
    write_npz(here / "data.npz")
    code, output = run(
        "--data", "data.npz", "--dose", "1,0.5", "--iterations", "2", "--modes", "2",
        "--halves", halves,
    )  # fmt: skip
    assert code == 0, output
    assert {path.name for path in Path("demo").iterdir()} == FILES
    assert "100 % of the counts: mean FRC, halves" in output
    assert "50 % of the counts: mean FRC, unseen counts" in output
    assert "11 reconstructions in" in output


def test_data_with_a_truth(here: Path) -> None:
    write_hdf5(here / "data.h5")
    write_truth(here / "truth.npz")
    options = ("--data", "data.h5", "--truth", "truth.npz", "--slices", "2", "--iterations", "2")
    code, output = run(*options, "--modes", "2")
    assert code == 0, output
    assert "phase correlation, slice 2" in output
    code, output = run(*options, "--dose", "0.5", "--out", "half")
    assert code == 0, output
    assert "50 % of the counts" in json.loads(Path("half/demo.json").read_text())["about"]


def test_loaded_data_are_those_that_were_written(here: Path) -> None:
    data = made()[0]
    found = loading.load(write_hdf5(here / "data.h5"), 2)
    np.testing.assert_array_equal(found.counts, data.counts)
    np.testing.assert_allclose(found.positions, data.positions, rtol=1e-12)
    np.testing.assert_allclose(found.probe, data.probe, atol=1e-6)
    assert found.slice_thickness == data.slice_thickness
    truth = loading.load_truth(write_truth(here / "truth.npz"), found, 1)
    np.testing.assert_allclose(truth.phase[0], made()[1].phase.sum(axis=0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "gone.npz"), "gone.npz: no such file"),
        (("--data", "."), "unknown format"),
        (("--data", "folder.npz"), "is a folder, expected a file"),
        (("--data", "text.npz"), "text.npz: is not an .npz archive"),
        (("--data", "text.h5"), "text.h5: is not an HDF5 file"),
        (("--data", "data.npz", "--slices", "2"), "expected --slices 1"),
        (("--data", "data.npz", "--dose", "2"), "--dose: expected fractions of the counts"),
        (("--data", "data.npz", "--dose", "a,b"), "--dose: expected fractions of the counts"),
        (("--data", "data.npz", "--dose", "1,nan,0.5"), "--dose: expected fractions"),
        (("--data", "data.npz", "--dose", "0.5,0.50000001"), "differ in six digits"),
        (("--data", "data.npz", "--dose", "1e-8"), "dose: leaves no counts to reconstruct"),
        (("--data", "data.npz", "--scan", "5"), "--scan: expected none with --data"),
        (("--data", "data.npz", "--modes", "20", "--params", "z.yaml"), "obj_z_recenter: needs"),
        (("--data", "data.npz", "--truth", "x.npz", "--dose", "1,0.5"), "expected one fraction"),
        (("--data", "data.npz", "--truth", "x", "--halves", "counts"), "--halves: expected none"),
        (("--data", "constrained.npz", "--out", "."), "is the same file as constrained.npz"),
        (("--data", "apart.npz", "--halves", "positions"), "lie apart from the others"),
        (("--study", "--data", "x", "--dose", "1"), "--data, --dose: expected none with --study"),
        (("--halves", "counts"), "--halves: expected none with no --data"),
        (("--dose", "none"), "--dose: expected electrons per Å²"),
        (("--dose", "1e9"), "above 0 and below 1e9"),
        (("--dose", "1e-9", "--scan", "4"), "dose: leaves no counts to reconstruct 'without'"),
        (("--truth", "data.npz"), "--truth: expected none with no --data"),
        (("--params", "gone.yaml"), "gone.yaml: no such file"),
        (("--out", "text.h5/demo"), "text.h5/demo: cannot be made"),
        (("--params", "tilt.yaml", "--scan", "4"), "tilt_smooth"),
    ],
)
def test_wrong_options(here: Path, options: tuple[str, ...], message: str) -> None:
    write_npz(here / "data.npz")
    write_npz(here / "constrained.npz")
    positions = made(scan=5)[0].positions.copy()
    positions[::2] += 500
    write_npz(here / "apart.npz", positions=positions)
    (here / "z.yaml").write_text("obj_z_recenter: {start_iter: 5}\n")
    (here / "folder.npz").mkdir()
    (here / "tilt.yaml").write_text("tilt_smooth: {start_iter: 5}\nobj_zblur: null\n")
    for name in ("text.npz", "text.h5"):
        (here / name).write_text("not what it says")
    code, output = run(*options)
    assert code == 2
    assert message in output
    assert not (here / "demo").exists()


def test_presets_load_without_a_warning() -> None:
    for found in (presets.ELECTRONS, presets.SIMULATED, presets.X_RAYS):
        assert "ortho_pmode" in str(preset(found.constraints))


def test_figure_of_one_slice() -> None:
    data, truth = made(slices=1)
    settings = replace(SMALL, slices=1, iterations=1)
    tasks = with_truth.tasks(data, settings, preset(presets.X_RAYS.constraints))
    watch = with_truth.Watch(data, truth)
    results = runs.run(tasks, tell=watch)
    aligned = with_truth.align(results, data, truth)
    assert aligned.layers == (0,)
    drawn = figures.with_truth(aligned, results, data, watch, title="$one_slice")
    assert drawn.get_suptitle() == "$one_slice"


def test_lower_doses_are_parts_of_higher_ones(small: tuple[Dataset, Truth]) -> None:
    data, constraints = small[0], preset(presets.X_RAYS.constraints)
    tasks = without_truth.tasks(data, replace(SMALL, slices=1), constraints, (1.0, 0.2, 0.1))
    assert len(tasks) == 15

    def counts(dose: float) -> Any:
        keys = (without_truth.key(dose, "with", half) for half in "AB")
        return sum(tasks[key].data.counts.astype(int) for key in keys)

    np.testing.assert_array_equal(counts(1.0), data.counts)
    assert np.all(counts(0.1) <= counts(0.2))
    unseen = tasks[without_truth.REFERENCE].data.counts
    np.testing.assert_array_equal(unseen + counts(0.2), data.counts)
