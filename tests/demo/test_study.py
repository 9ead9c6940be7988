"""The study: every constraint helps where it should, hurts where that is said, and always alike."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import make_study
import pytest
import study
from study import scenes
from typer.testing import CliRunner

from arraycon.bench import NAMES

Findings = dict[tuple[str, int], study.Finding]

# at most what fraction of an error remains, at least how many times a measure that should grow
# grows; measured values lie well inside, those of other seeds as well
STUDIED = [
    name for name in NAMES if name in {experiment.__name__ for experiment in study.EXPERIMENTS}
]
HELPS: dict[tuple[str, int], float] = {
    ("probe_mask_k", 0): 0.25,
    ("probe_mask_r", 0): 0.12,
    ("ortho_pmode", 0): 1.8,
    ("fix_probe_int", 0): 0.05,
    ("obj_rblur", 0): 0.5,
    ("obj_zblur", 0): 0.4,
    ("kr_filter", 0): 0.55,
    ("kz_filter", 0): 0.55,
    ("kz_filter", 1): 0.12,
    ("kr_thresh", 0): 0.6,
    ("kr_thresh", 1): 1.07,
    ("complex_ratio", 0): 0.25,
    ("mirrored_amp", 0): 0.2,
    ("obj_z_recenter", 0): 0.05,
    ("obja_thresh", 0): 0.25,
    # apart from a constant, which no pattern fixes: clipping returns little of what is missing
    ("objp_postiv", 0): 0.9,
    ("pos_recenter", 0): 0.2,
    ("tilt_smooth", 0): 0.4,
    ("obj_probe_scale", 0): 0.01,
    ("phase_ramp", 0): 0.1,
    ("obj_gaussian", 0): 0.55,
    ("obj_smooth", 0): 0.5,
    ("obj_bandpass", 0): 0.3,
    ("grid_notch", 0): 0.02,
    ("obj_wedge", 0): 0.6,
    ("identical_slices", 0): 0.35,
    ("obj_tv", 0): 0.25,
    ("ortho_omode", 0): 1.05,
    ("obj_baseline", 0): 0.01,
    ("obj_shrink", 0): 0.65,
    ("obj_fill", 0): 0.8,
    ("objp_thresh", 0): 0.12,
}

# constraint, how many of its findings came before, which of the limits: verdict, and a bound on how
# many times as much there is: for "worse" at least (errors) or at most (measures that should grow),
# for "better" the other way round, for "same" how far from 1
LIMITS: dict[tuple[str, int, int], tuple[str, float]] = {
    ("probe_mask_k", 0, 0): ("worse", 4),
    ("probe_mask_k", 0, 1): ("same", 1e-6),
    ("probe_mask_r", 0, 0): ("worse", 3),
    ("ortho_pmode", 0, 0): ("worse", 0.95),
    ("ortho_pmode", 0, 1): ("same", 0.03),
    ("fix_probe_int", 0, 0): ("worse", 10),
    ("obj_rblur", 0, 0): ("worse", 2.5),
    ("obj_rblur", 0, 1): ("better", 0.95),
    ("obj_zblur", 0, 0): ("worse", 0.45),
    ("kr_filter", 0, 0): ("worse", 3.5),
    ("kz_filter", 0, 0): ("better", 0.96),
    ("kz_filter", 0, 1): ("better", 0.85),
    ("kz_filter", 0, 2): ("worse", 1.04),
    ("kz_filter", 0, 3): ("worse", 0.85),
    ("kz_filter", 1, 0): ("worse", 1.08),
    ("kr_thresh", 0, 0): ("worse", 1.5),
    ("kr_thresh", 0, 1): ("better", 0.85),
    ("kr_thresh", 0, 2): ("worse", 1.3),
    ("kr_thresh", 0, 3): ("worse", 0.8),
    ("kr_thresh", 0, 4): ("same", 0.03),
    ("kr_thresh", 1, 0): ("better", 0.6),
    ("kr_thresh", 1, 1): ("worse", 1.7),
    ("kr_thresh", 1, 2): ("worse", 1.3),
    ("kr_thresh", 1, 3): ("worse", 1.1),
    ("complex_ratio", 0, 0): ("worse", 1.3),
    ("complex_ratio", 0, 1): ("worse", 40),
    ("complex_ratio", 0, 2): ("better", 0.95),
    ("mirrored_amp", 0, 0): ("better", 0.75),
    ("mirrored_amp", 0, 1): ("worse", 5),
    ("mirrored_amp", 0, 2): ("worse", 2),
    ("obj_z_recenter", 0, 0): ("worse", 1e3),
    ("obj_z_recenter", 0, 1): ("worse", 1),
    ("obj_z_recenter", 0, 2): ("worse", 1),
    ("obja_thresh", 0, 0): ("worse", 4),
    ("objp_postiv", 0, 0): ("worse", 20),
    ("objp_postiv", 0, 1): ("worse", 1),
    ("objp_postiv", 0, 2): ("worse", 50),
    ("pos_recenter", 0, 0): ("worse", 3),
    ("pos_recenter", 0, 1): ("worse", 4),
    ("tilt_smooth", 0, 0): ("worse", 1.15),
    ("obj_probe_scale", 0, 0): ("better", 0.03),
    ("obj_probe_scale", 0, 1): ("worse", 1e5),
    ("phase_ramp", 0, 0): ("worse", 1.5),
    ("obj_gaussian", 0, 0): ("worse", 2.5),
    ("obj_gaussian", 0, 1): ("better", 0.4),
    ("obj_gaussian", 0, 2): ("worse", 1.4),
    ("obj_smooth", 0, 0): ("better", 0.7),
    ("obj_smooth", 0, 1): ("worse", 1.8),
    ("obj_bandpass", 0, 0): ("worse", 1e5),
    ("obj_bandpass", 0, 1): ("better", 0.45),
    ("obj_bandpass", 0, 2): ("worse", 3.5),
    ("grid_notch", 0, 0): ("better", 0.25),
    ("grid_notch", 0, 1): ("worse", 1e5),
    ("grid_notch", 0, 2): ("better", 0.35),
    ("grid_notch", 0, 3): ("better", 0.3),
    ("obj_wedge", 0, 0): ("better", 0.97),
    ("obj_wedge", 0, 1): ("worse", 0.7),
    ("identical_slices", 0, 0): ("worse", 2.5),
    ("obj_tv", 0, 0): ("better", 0.75),
    ("obj_tv", 0, 1): ("worse", 2),
    ("obj_tv", 0, 2): ("better", 0.8),
    ("ortho_omode", 0, 0): ("same", 0.01),
    ("obj_baseline", 0, 0): ("worse", 1e5),
    ("obj_baseline", 0, 1): ("better", 0.01),
    ("obj_shrink", 0, 0): ("better", 0.9),
    ("obj_shrink", 0, 1): ("worse", 0.93),
    ("obj_shrink", 0, 2): ("worse", 1.04),
    ("obj_shrink", 0, 3): ("worse", 2),
    ("obj_fill", 0, 0): ("worse", 3),
    ("objp_thresh", 0, 0): ("worse", 1e5),
}


def numbered(findings: tuple[study.Finding, ...]) -> Findings:
    seen: Findings = {}
    for finding in findings:
        number = sum(name == finding.constraint for name, _ in seen)
        seen[finding.constraint, number] = finding
    return seen


@pytest.fixture(scope="module")
def both() -> tuple[Findings, Findings]:
    return numbered(study.run(0)), numbered(study.run(1))


@pytest.fixture(params=[0, 1])
def findings(both: tuple[Findings, Findings], request: pytest.FixtureRequest) -> Findings:
    return both[request.param]


@pytest.mark.slow
def test_all_in_their_order(findings: Findings) -> None:
    assert list(dict.fromkeys(name for name, _ in findings)) == STUDIED
    assert set(findings) == set(HELPS)


@pytest.mark.slow
def test_every_limit_is_tested(findings: Findings) -> None:
    limits = {(*key, n) for key, finding in findings.items() for n in range(len(finding.limits))}
    assert limits == set(LIMITS)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number"), HELPS, ids=str)
def test_helps(findings: Findings, name: str, number: int) -> None:
    trial = findings[name, number].helps
    assert trial.verdict == "better"
    ratio, limit = trial.after / trial.before, HELPS[name, number]
    assert ratio > limit if trial.measure.better == "higher" else ratio < limit


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number", "which"), LIMITS, ids=str)
def test_limits(findings: Findings, name: str, number: int, which: int) -> None:
    trial = findings[name, number].limits[which]
    verdict, limit = LIMITS[name, number, which]
    assert trial.verdict == verdict
    if verdict == "same":
        assert trial.after == pytest.approx(trial.before, rel=limit)
    elif (verdict == "worse") == (trial.measure.better == "lower"):
        assert trial.after > limit * trial.before
    else:
        assert trial.after < limit * trial.before


@pytest.mark.slow
def test_every_finding_has_a_limit_that_is_no_gain(findings: Findings) -> None:
    for finding in findings.values():
        assert any(trial.verdict != "better" for trial in finding.limits), finding.constraint


@pytest.mark.slow
def test_limits_in_figures(findings: Findings) -> None:
    """What must have a certain size, not only a direction."""
    recenter = findings["obj_z_recenter", 0]
    assert recenter.helps.before == pytest.approx(24, rel=1e-3)  # 20 · 1.2 Å
    assert recenter.limits[0].after == pytest.approx(36, rel=1e-2)  # 4.5 slices
    assert recenter.limits[1].after < 1 < recenter.limits[2].after
    fixed = findings["fix_probe_int", 0]
    assert fixed.helps.before == pytest.approx(100 * (1 - 1.2**-0.5), abs=0.1)
    assert fixed.limits[0].after == pytest.approx(100 * (1 - 1.1**-0.5), abs=0.1)
    blurred = findings["obj_zblur", 0].limits[0]
    assert (blurred.before, blurred.after) == (pytest.approx(100), pytest.approx(40.26, abs=0.1))
    predicted = findings["mirrored_amp", 0].helps
    # a tenth of the noise stays by `relax`; with the phase's noise that is not all
    assert 0.11 < predicted.after / predicted.before < 0.16
    noisy, lowered, spoilt = findings["objp_postiv", 0].limits
    assert noisy.before == pytest.approx(1e3 / (2 * 200**0.5) / scenes.SIZE, rel=0.15)
    # mean of the positive half of a normal distribution: σ/√(2π)
    assert noisy.after == pytest.approx(1e3 / (2 * 200**0.5) / (2 * math.pi) ** 0.5, rel=0.02)
    assert lowered.before < 1e-9
    assert spoilt.before == 0
    assert spoilt.after == pytest.approx(500, rel=1e-4)


@pytest.mark.slow
def test_equal_seeds_give_equal_numbers(both: tuple[Findings, Findings]) -> None:
    assert numbered(study.run(0)) == both[0] != both[1]


def test_verdicts() -> None:
    def verdict(before: float, after: float, better: Any = "lower") -> str:
        return study.Trial("", study.Measure("", "", better), before, after).verdict

    assert verdict(1, 0.5) == "better"
    assert verdict(1, 0.5, "higher") == "worse"
    assert verdict(0, 1) == "worse"
    assert verdict(0, 0) == "same"
    assert verdict(1, 1.02) == verdict(1, 0.98) == "same"


# situations


def test_wedge_keeps_what_is_constant_in_depth() -> None:
    column = scenes.crystal()[None].repeat(8, axis=0)
    assert scenes.rms(scenes.seen_through_wedge(column) - column) < 1e-12
    layers = scenes.layers()
    seen = scenes.seen_through_wedge(layers)
    assert scenes.rms(seen.sum(axis=0) - layers.sum(axis=0)) < 1e-12
    assert scenes.rms(seen[0]) > 0.1 * scenes.rms(layers[3])  # smeared over the depth
    assert scenes.rms(scenes.seen_through_wedge(layers, unseen=layers) - layers) < 1e-12


def test_probe_modes_are_orthogonal_and_of_power_one() -> None:
    modes = scenes.probe(defocus=50.0, modes=4).reshape(4, -1)
    assert scenes.rms(modes @ modes.conj().T - scenes.np.eye(4)) < 1e-12


def test_multislice_conserves_power_and_knows_depth_against_defocus() -> None:
    phase = scenes.layers(slices=8, at=(2,))
    one = scenes.np.ones_like(phase)
    pattern = scenes.diffraction(one, phase, scenes.probe(30.0))
    assert pattern.sum() == pytest.approx(scenes.SIZE**2)
    moved = scenes.moved_in_depth(phase, 2)
    assert scenes.rms(moved - scenes.np.roll(phase, 2, axis=0)) < 1e-12
    probe = scenes.propagate(scenes.probe(30.0), -2 * scenes.SLICE_THICKNESS)
    assert scenes.rms(scenes.diffraction(one, moved, probe) - pattern) < 1e-9 * pattern.max()


# what is written


@pytest.mark.slow
def test_json_and_markdown(findings: Findings) -> None:
    result = study.as_json(tuple(findings.values()), seed=7)
    assert json.loads(json.dumps(result)) == result
    assert result["seed"] == 7
    assert len(result["findings"]) == len(findings)
    page = study.markdown(tuple(findings.values()), seed=7)
    assert "--seed 7" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    trials = sum(1 + len(finding.limits) for finding in findings.values())
    assert len(rows) == 2 + len(findings) + trials
    # bars inside of cells are escaped
    assert {line.replace("\\|", "").count("|") for line in rows} == {8}
    assert all(f"`{name}`" in page for name in STUDIED)


@pytest.mark.slow
def test_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, both: tuple[Findings, Findings]
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(study, "run", lambda seed: asked.append(seed) or tuple(both[1].values()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    done = CliRunner().invoke(make_study.app, ["--seed", "1"])
    assert done.exit_code == 0, done.output
    assert asked == [1]
    files = {path.name for path in Path("study").iterdir()}
    assert files == {"study.txt", "study.json", "study.md"}
    text = Path("study/study.txt").read_text(encoding="utf-8")
    for name in STUDIED:
        assert f"\n{name}: " in text
        assert f"\n{name}: " in done.output
    assert max(map(len, text.splitlines())) <= 110
    assert json.loads(Path("study/study.json").read_text(encoding="utf-8"))["seed"] == 1


def test_script_in_an_impossible_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(make_study.app, ["--out", str(tmp_path / "file" / "x")])
    assert done.exit_code == 2
    assert "cannot be made" in done.output
    assert CliRunner().invoke(make_study.app, ["--seed", "-1"]).exit_code == 2


@pytest.mark.slow
def test_the_committed_page_is_what_the_script_makes() -> None:
    page = Path(__file__).resolve().parents[2] / "bench" / "study.md"
    head = study.markdown(study.run(0)[:1], seed=0).partition("\n| constraint")[0]
    assert page.read_text(encoding="utf-8").startswith(head)
