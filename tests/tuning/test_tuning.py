"""A denoising whose best strength is known, and what the judge says of others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import arraycon
from arraycon import Constraints, ParameterError, State
from arraycon.tuning import Trial, Tuning, report, scoring
from arraycon.tuning.judging import NONE

STRENGTHS = (0.3, 1.0, 2.0, 5.0)
BASE = {"obj_rblur": {"start_iter": 1, "obj_type": "phase", "kernel_size": 31}}


@dataclass
class Blurred:
    """The patterns themselves are the object; `share` of them is what the model misses."""

    volume: Any
    factor: float = 1.0

    def patterns(self) -> Any:
        return self.factor * np.maximum(self.volume, 0)


def blur(counts: Any, constraints: Constraints | None) -> Blurred:
    state = State(object_phase=counts.astype(np.float64))
    if constraints is not None:
        constraints.apply(state, 1)
    return Blurred(state.object_phase)


def rates(width: float = 3.0) -> Any:
    noise = np.random.default_rng(1).normal(size=(6, 48, 48))
    smooth = gaussian_filter(noise, (0, width, width), mode="nearest")
    return 4 * np.exp(0.6 * smooth / smooth.std())


def counted() -> Any:
    return np.random.default_rng(2).poisson(rates()).astype(np.uint16)


@pytest.fixture(scope="module")
def tuned() -> Tuning:
    return arraycon.tune(blur, counted(), arraycon.vary(BASE, {"obj_rblur.std": STRENGTHS}))


def test_the_known_best_strength_is_suggested(tuned: Tuning) -> None:
    # against the rates themselves, which no candidate has seen
    errors = {
        trial.name: float(np.mean((blur(counted(), trial.constraints).volume - rates()) ** 2))
        for trial in tuned.trials
    }
    assert tuned.judge == "held-out"
    assert tuned.suggested is not None
    assert tuned.suggested.name == min(errors, key=lambda name: errors[name])
    assert not tuned.doubts


def test_training_error_would_choose_nothing(tuned: Tuning) -> None:
    assert min(tuned.trials, key=lambda trial: trial.misfit).name == NONE
    assert tuned.trials[0].misfit == 0


def test_equal_seeds_give_equal_numbers(tuned: Tuning) -> None:
    strengths = arraycon.vary(BASE, {"obj_rblur.std": STRENGTHS})
    again = arraycon.tune(blur, counted(), strengths, workers=3)
    assert report.numbers(again) == report.numbers(tuned)
    other = arraycon.tune(blur, counted(), strengths, seed=1)
    assert report.numbers(other) != report.numbers(tuned)


def test_the_agreement_of_halves_decides_where_the_model_limits() -> None:
    def wrong(counts: Any, constraints: Constraints | None) -> Blurred:
        return Blurred(blur(counts, constraints).volume, 2.5)

    found = arraycon.tune(wrong, counted(), arraycon.vary(BASE, {"obj_rblur.std": STRENGTHS}))
    assert found.trials[0].misfit > 1
    assert found.judge == "halves"
    assert found.suggested is not None
    # the strongest blur agrees best, and is still within the limits of a model that explains little
    assert found.suggested.agreement == max(trial.agreement for trial in found.within)
    assert any("no candidate explains the data" in doubt for doubt in found.doubts)


def trial(name: str, misfit: float, deviances: Any, agreements: Any) -> Trial:
    return Trial(name, None, misfit, np.array(deviances, float), float(np.mean(agreements)),
                 np.array(agreements, float))  # fmt: skip


def test_candidates_that_left_the_data_are_not_suggested() -> None:
    found = Tuning((
        trial(NONE, 1.2, [4, 5], [0.5, 0.52, 0.49, 0.5]),
        trial("good", 1.3, [5, 6], [0.8, 0.82, 0.79, 0.8]),
        trial("flat", 1.4, [9, 9], [0.99, 0.99, 0.99, 0.99]),
    ))  # fmt: skip
    assert [t.name for t in found.ranked] == ["good", NONE]
    assert found.rank(found.trials[2], "halves") == 1
    assert found.rank(found.trials[2], "held-out") == 3
    assert not found.doubts


@pytest.mark.parametrize(
    ("trials", "doubt"),
    [
        ([(1.2, [4, 5], [0.5] * 4), (1.9, [4, 5], [0.9] * 4)], "only candidate whose misfit"),
        ([(2.5, [4, 5], [0.5] * 4), (2.5, [4, 5], [0.9] * 4)], "no candidate explains"),
        ([(0.9, [4, 5, 6], [0.5] * 4), (0.9, [5, 4, 6.1], [0.5] * 4)], "cannot be told from b"),
        ([(1.2, [4, 5], [0.5, 0.6, 0.5, 0.6]), (1.2, [4, 5], [0.6, 0.5, 0.6, 0.51])],
         "cannot be told from a"),
        ([(np.inf, [np.inf] * 2, [-np.inf] * 4)], "every reconstruction diverged"),
    ],
)  # fmt: skip
def test_it_says_when_there_is_no_ground(trials: list[Any], doubt: str) -> None:
    found = Tuning(tuple(trial("ab"[i], *values) for i, values in enumerate(trials)))
    assert any(doubt in text for text in found.doubts)


def test_what_diverges_is_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    def fragile(counts: Any, constraints: Constraints | None) -> Blurred:
        if constraints is not None and constraints["obj_rblur"].std == 2.0:  # type: ignore[attr-defined]
            raise FloatingPointError("too long steps")
        return blur(counts, constraints)

    found = arraycon.tune(fragile, counted(), arraycon.vary(BASE, {"obj_rblur.std": STRENGTHS}))
    assert np.isinf(found.trials[3].misfit)
    assert "obj_rblur.std=2.0" not in [one.name for one in found.ranked]
    report.write(found, tmp_path)
    assert json.loads((tmp_path / "trials.json").read_text())["trials"][3]["Q"] is None


def test_other_failures_and_interrupts_pass() -> None:
    def broken(*_: Any) -> Blurred:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        arraycon.tune(broken, counted(), arraycon.vary(BASE, {"obj_rblur.std": [1.0]}))


def test_deviance_is_that_of_poisson() -> None:
    model, counts = np.full((1, 1, 4), 2.0), np.array([[[0, 1, 2, 5]]])
    expected = 2 * sum(
        2.0 - n + (n * np.log(n / 2.0) if n else 0.0) for n in (0, 1, 2, 5)
    )  # fmt: skip
    np.testing.assert_allclose(scoring.deviance(model, counts), [expected], rtol=3e-3)
    assert np.isfinite(scoring.deviance(np.zeros((1, 1, 4)), counts)).all()


def test_thinned_parts_make_up_the_counts() -> None:
    one, other = scoring.thinned(counted(), 0.1, np.random.default_rng(0))
    np.testing.assert_array_equal(one + other, counted())
    assert one.sum() / counted().sum() == pytest.approx(0.1, abs=0.005)


def test_files(tuned: Tuning, tmp_path: Path) -> None:
    report.write(tuned, tmp_path, title="$x", correlations={t.name: 0.5 for t in tuned.trials})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(report.FILES)
    assert tuned.suggested is not None
    again = Constraints.from_file(tmp_path / "suggested.yaml")
    assert again == tuned.suggested.constraints
    assert "suggested: obj_rblur.std" in (tmp_path / "table.txt").read_text(encoding="utf-8")


def test_no_constraints_can_be_suggested() -> None:
    found = Tuning((trial(NONE, 0.9, [4, 5], [0.5] * 4), trial("b", 0.9, [5, 6], [0.5] * 4)))
    assert found.suggested is found.trials[0]
    assert "obj_zblur: null" in report.parameters(found.suggested)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "at least one field"),
        ({"obj_rblur.std": []}, "at least one value"),
        ({"obj_rblur": [1]}, "expected CONSTRAINT.FIELD"),
        ({"obj_rblur.std": [-1]}, "std=-1: obj_rblur.std"),
        ({"obj_blur.std": [1]}, "obj_blur"),
    ],
)
def test_wrong_variations(fields: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        arraycon.vary(BASE, fields)


@pytest.mark.parametrize(
    ("counts", "names", "error", "message"),
    [
        (np.ones((3, 4, 4)), {"a": BASE}, TypeError, "counts: expected integers"),
        (np.ones((4, 4), int), {"a": BASE}, TypeError, "counts: expected integers"),
        (np.zeros((3, 4, 4), int), {"a": BASE}, ValueError, "not all 0"),
        (np.ones((3, 4, 4), int), {}, ValueError, "candidates: expected at least one"),
        (np.ones((3, 4, 4), int), {NONE: BASE}, ValueError, "is always among them"),
    ],
)
def test_wrong_arguments(counts: Any, names: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        arraycon.tune(blur, counts, names)


@pytest.mark.parametrize(("volume", "factor"), [(np.ones((4, 4)), 1.0), (np.ones((2, 4, 4)), 1.0)])
def test_other_shapes_are_refused(volume: Any, factor: float) -> None:
    with pytest.raises((TypeError, ValueError), match="expected"):
        arraycon.tune(lambda *_: Blurred(volume, factor), np.ones((3, 4, 4), int), {"a": BASE})
