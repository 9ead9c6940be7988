"""A few hundred of the random cases of `bench/fuzz.py`, and that it finds what is wrong."""

from __future__ import annotations

import fuzz
import numpy as np
import pytest
from fuzzing import functions, judge

from arraycon.kernels.cpu import clamp


@pytest.mark.quick(when=lambda numbers, **_: numbers.start == 0)
@pytest.mark.parametrize("kind", fuzz.KINDS)
@pytest.mark.parametrize("numbers", [range(80), range(80, 320)], ids=str)
def test_random_cases(kind, numbers):
    assert fuzz.run(kind, seed=13, numbers=numbers) == 0


def test_a_wrong_kernel_is_found(monkeypatch):
    right = clamp.obja_thresh

    def wrong(amplitude, **options):
        right(amplitude, **options)
        amplitude.reshape(-1)[-1:] += amplitude.dtype.type(0.5)

    monkeypatch.setattr(clamp, "obja_thresh", wrong)
    assert fuzz.run("functions", seed=13, numbers=range(160)) > 0


def test_what_a_case_is_follows_from_seed_and_number():
    assert fuzz.attempt(functions.case, 3, 14) == fuzz.attempt(functions.case, 3, 14)


def test_the_judge_wants_nan_in_the_same_places():
    x, y = np.array([1.0, np.nan]), np.array([np.nan, 1.0])
    rng = np.random.default_rng(0)
    assert "NaN differs" in judge.differs([x], [y], [x], lambda _: [y], rng)
    assert not judge.differs([x], [x.copy()], [x], lambda _: [x], rng)


def test_the_judge_forgives_what_rounding_decides():
    # a selection at its limit: the reference itself drops it or not
    rng = np.random.default_rng(0)

    def select(inputs):
        return [np.where(inputs[0] < 1, 0.0, inputs[0])]

    x = np.array([1.0, 2.0])
    assert not judge.differs([np.array([0.0, 2.0])], select([x]), [x], select, rng)
    x = np.array([1.5, 2.0])
    assert judge.differs([np.array([0.0, 2.0])], select([x]), [x], select, rng)
