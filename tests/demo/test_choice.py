"""What the demo chooses by itself: preset, step, slices, modes; and how it judges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demo_data import SMALL, made

import arraycon
from arraycon.demo import (
    choice,
    depth,
    loading,
    plan,
    presets,
    report,
    runs,
    scores,
    simulate,
    with_truth,
)
from arraycon.demo.dataset import Dataset
from arraycon.demo.forward import Multislice, fft2, gather, intensity, propagator
from arraycon.demo.settings import initial


def crystal(strength: float, dose: float) -> Dataset:
    """Columns of atoms through 16 planes 8 Å apart, `strength` rad at the peak of each."""
    data, planes, window = made(scan=12, slices=4)[0], 16, 24
    axis = np.arange(96) * simulate.DX
    peak = np.exp(-(((axis % 3.0) - 1.5) ** 2) / (2 * 0.3**2))
    plane = np.exp(1j * strength * np.outer(peak, peak)).astype(np.complex64)
    between = propagator(
        (window, window), dx=simulate.DX, wavelength=simulate.WAVELENGTH, distance=8.0
    )
    model = Multislice((window, window), between, data.probe)
    corners = np.rint(data.positions).astype(int) - window // 2
    fractions = (data.positions - corners - window // 2).astype(np.float32)
    patches = gather(np.repeat(plane[None], planes, axis=0), corners, (window, window))
    spectrum = fft2(data.probe[None].copy())
    expected = intensity(model(spectrum * model.ramps(fractions), patches)[0])
    counts = np.random.default_rng(4).poisson(dose * expected)
    return replace(data, counts=counts, slice_thickness=32.0)


@pytest.mark.parametrize(
    ("strength", "dose", "kind"),
    [(0.1, 2e5, "thin-layers"), (1.0, 2e4, "crystal"), (0.03, 200.0, "low-dose")],
)
def test_the_choice(strength: float, dose: float, kind: str) -> None:
    settings = replace(presets.ELECTRONS, modes=1, slices=4)
    found = choice.choose(crystal(strength, dose), settings)
    assert found.preset.kind == kind, found.why
    assert "first pass: Q" in found.why


@pytest.mark.parametrize(
    ("thickness", "slices", "step"), [(10.0, 2, 1.0), (25.0, 4, 1.93), (32.0, 8, 3.0)]
)
def test_the_thicker_a_crystal_the_longer_its_steps(
    thickness: float, slices: int, step: float
) -> None:
    data = replace(made()[0], slice_thickness=thickness)  # λ/α² is 51.8 Å
    assert presets.CRYSTAL.step(data, slices) == step
    assert presets.THIN_LAYERS.step(data, slices) == 1.0
    assert presets.X_RAY.step(replace(data, wavelength=None), slices) == presets.X_RAYS.object_step


def test_as_many_iterations_as_the_preset_says_or_fewer() -> None:
    data = crystal(0.03, 200.0)
    base = replace(presets.ELECTRONS, modes=1, slices=4)

    def iterations(most: int | None = None, **asked: int) -> int:
        return plan.suited(data, base, plan.Wanted(asked), most=most).settings.iterations

    assert iterations() == iterations(most=18) == presets.LOW_DOSE.iterations
    assert iterations(most=5) == 5
    assert iterations(most=5, iterations=7) == 7


def test_a_plan_has_gentler_ones_down_to_a_step_of_one() -> None:
    data = made()[0]
    settings = replace(SMALL, object_step=3.0)
    constraints = arraycon.Constraints(arraycon.presets.params("crystal"))
    chosen = plan.Chosen(settings, constraints, "crystal", "strong, step 3")
    tasks = with_truth.tasks(data, settings, constraints)
    found: plan.Plan | None = plan.Plan(data, None, (1.0,), chosen, tasks, "")
    steps = []
    while (found := found.gentler()) is not None:
        steps.append(found.settings.object_step)
        assert {task.settings.object_step for task in found.tasks.values()} == {steps[-1]}
    assert steps == [1.5, 1.0]


@pytest.mark.parametrize(
    ("slabs", "wanted", "slices"),
    [(9, 6, 9), (12, 6, 6), (6, 6, 6), (7, 6, 7), (25, 6, 5), (1, 6, 1), (37, 6, 1), (8, 6, 8)],
)
def test_slices_that_a_truth_allows(tmp_path: Path, slabs: int, wanted: int, slices: int) -> None:
    path = tmp_path / "truth.npz"
    np.savez(path, potential_VA=np.ones((slabs, 2, 2)), sigma_rad_per_VA=1.0)
    assert loading.slices_of(path, wanted) == slices
    assert plan.base_settings(Path("data.h5"), None, path).slices == slices
    assert plan.base_settings(Path("data.h5"), 2, path).slices == 2
    assert plan.base_settings(Path("data.npz"), None, path).slices == 1


def test_modes_of_a_known_source() -> None:
    data = made()[0]
    settings = replace(SMALL, modes=6, source_size=0.2)
    probe = initial(data, settings)[0].probe
    powers = np.sum(np.abs(probe) ** 2, axis=(1, 2))
    assert powers.sum() == pytest.approx(data.counts.sum() / len(data.counts), rel=1e-5)
    # the simulation made its patterns by the same source
    np.testing.assert_allclose(powers / powers.sum(), made()[1].powers, atol=0.01)
    with pytest.raises(ValueError, match="expected data that know their pixel size"):
        initial(replace(data, dx=None), settings)
    with pytest.raises(ValueError, match="modes: expected no more than 49 of a source, got 50"):
        initial(data, replace(settings, modes=50))


def test_cross_talk_is_told_where_two_layers_differ() -> None:
    data, truth = made()
    settings = replace(SMALL, iterations=1)
    results = runs.run({name: runs.Task(data, settings) for name in with_truth.NAMES})
    watch = with_truth.Watch(data, truth)
    for name, result in results.items():
        aligned = with_truth.align({name: result}, data, truth)
        watch.curves[name].append(
            scores.correlation(aligned.found[name].sum(axis=0), aligned.truth.sum(axis=0))
        )
    for layers, told in ((truth.phase, True), (truth.phase[[0, 0]], False)):
        truth = replace(truth, phase=layers)
        aligned = with_truth.align(results, data, truth)
        rows = with_truth.judge(results, data, truth, aligned, watch)
        assert any(name.startswith("cross-talk") for name in rows) is told
        assert "phase correlation, all voxels" in rows


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("phase correlation", (0.8, 0.9, 1.0), "better"),
        ("phase correlation", (0.9, 0.8, 1.0), "worse"),
        ("phase correlation", (0.9, 0.901, 1.0), "same"),
        ("cross-talk", (0.04, 0.05, 0.0), "worse"),
        ("misfit", (0.9, 1.05, 1.0), "better"),
        ("best iteration", (0.9, 0.8, None), ""),
        ("10 % of the counts: mean FRC, halves", (0.3, 0.4), "better"),
        ("all counts, not halved: error of the last iteration", (0.3, 0.4), ""),
    ],
)
def test_marks(name: str, values: tuple[float | None, ...], expected: str) -> None:
    assert report.mark(name, values) == expected


def test_what_single_scattering_carries_of_a_wave_in_depth() -> None:
    data = replace(made(slices=8)[0], slice_thickness=9.0)
    x = np.arange(64) * simulate.DX
    kx = 8 / (64 * simulate.DX)
    wave = np.broadcast_to(np.cos(2 * np.pi * kx * x), (8, 64, 64))
    depth_of = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0]
    fast = wave * np.array(depth_of)[:, None, None]
    # its |kz| is 1/18 Å; λ/2 (k² + 2kα/λ) is 0.0142/Å
    assert np.abs(depth.visible(fast, data)).std() < 0.35 * fast.std()
    # the projection of what changes sideways alone comes through, but at the ends
    middle = depth.visible(wave, data)[3:5]
    np.testing.assert_allclose(middle, wave[3:5], atol=0.25)
    # beyond what the detector holds nothing does
    edge = np.broadcast_to(np.cos(np.pi * np.arange(64)), (8, 64, 64))
    assert np.abs(depth.visible(edge, data)).max() < 1e-12


def test_the_demo_hands_over_the_error_that_a_late_clip_waits_for() -> None:
    data = crystal(1.0, 2e4)
    settings = replace(presets.ELECTRONS, modes=1, slices=2, iterations=2)
    constraints = arraycon.Constraints(arraycon.presets.params("crystal"))
    tasks = {"with": runs.Task(data, settings, constraints)}
    chosen = plan.Chosen(settings, constraints, "crystal", "")
    made_plan = plan.Plan(data, None, (1.0,), chosen, tasks, "")
    assert made_plan.begun([0.5, 0.4]) == {"obja_thresh": None}
    assert made_plan.begun([0.5, 0.4, 0.4, 0.4, 0.4, 0.6]) == {"obja_thresh": 5}
    found = runs.run(tasks)["with"]
    # not yet clipped: the error still falls
    assert np.abs(np.abs(found.state.object) - 1).max() > 0.01
    assert len(found.misfits) == 2


def test_the_choice_does_not_depend_on_what_is_known_of_the_source() -> None:
    data = crystal(1.0, 2e4)
    settings = replace(presets.ELECTRONS, slices=2)
    known = replace(settings, source_size=0.2, modes=6)
    assert choice.choose(data, known).why == choice.choose(data, settings).why
