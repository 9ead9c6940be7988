"""The reconstruction: it converges, repeats itself, and calls the constraints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from demo_data import SMALL, made, preset
from libraries import Library

import arraycon
from arraycon import Constraints, State
from arraycon import presets as kinds
from arraycon.demo import presets, runs, scores, simulate, with_truth
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.probe import focused_probe, source_modes
from arraycon.demo.reconstruct import Reconstruction, Result, correction, patterns
from arraycon.demo.settings import Settings, initial

CUPY = Library("cupy")


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
    task = {"x": runs.Task(small[0], settings, preset(kinds.text("thin-layers")))}
    numpy, cupy = (runs.run(task, xp=xp)["x"] for xp in (np, CUPY.module))
    np.testing.assert_allclose(cupy.errors, numpy.errors, rtol=1e-4)
    for name in ("object", "probe", "position_shifts"):
        one, two = (getattr(found.state, name) for found in (numpy, cupy))
        assert isinstance(two, np.ndarray)
        np.testing.assert_allclose(two, one, atol=1e-3 * np.abs(one).max(), err_msg=name)


@pytest.mark.slow
def test_constraints_bring_it_closer_to_the_truth() -> None:
    data, truth = made(scan=14, window=32, slices=6, dose=1e4, seed=7)
    settings = replace(presets.SIMULATED, iterations=8)
    tasks = with_truth.tasks(data, settings, preset(kinds.text("thin-layers")))
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
    probe = focused_probe(
        24, dx=simulate.DX, wavelength=simulate.WAVELENGTH, semi_angle=simulate.SEMI_ANGLE,
        c10=simulate.C10 + data.slice_thickness / 2,
    )  # fmt: skip
    modes = source_modes(probe, simulate.SOURCE / simulate.DX, 6, nodes=5)
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
    constraints = preset(kinds.text("thin-layers"))
    task = runs.Task(small[0], replace(SMALL, position_step=0.5), constraints)
    found = runs.run({"one": task, "two": task, "three": task})
    for field in ("object", "probe", "position_shifts"):
        one, two = (getattr(found[name].state, field) for name in ("one", "three"))
        np.testing.assert_array_equal(one, two)
    assert found["one"].errors == found["two"].errors
    other = runs.run({"x": replace(task, settings=replace(task.settings, seed=9))})["x"]
    assert other.errors != found["one"].errors


def test_constraints_run_once_per_iteration(
    small: tuple[Dataset, Truth], request: pytest.FixtureRequest
) -> None:
    seen: list[int] = []

    class Seen(arraycon.Block):
        """Count the iterations."""

        start_iter: int | None = 1

    @arraycon.register("seen", model=Seen, needs=["probe"])
    def count(*_: Any) -> dict[str, Any]:
        seen.append(len(seen) + 1)
        return {}

    request.addfinalizer(lambda: arraycon.unregister("seen"))
    constraints = Constraints({"ortho_pmode": {"start_iter": 1}, "seen": {"start_iter": 1}})
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
