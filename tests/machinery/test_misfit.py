"""Q: 1 where noise is all that is left."""

from __future__ import annotations

import math

import numpy as np
import pytest
from libraries import ALL

import arraycon
from arraycon import misfit


def expected(m: float) -> float:
    """E(√N - √m)² for N ~ Poisson(m), summed over all N that matter."""
    k = np.arange(0, int(m + 40 * math.sqrt(m) + 60))
    chances = np.exp(k * math.log(m) - m - np.array([math.lgamma(i + 1) for i in k]))
    return float(np.sum(chances * (np.sqrt(k) - math.sqrt(m)) ** 2))


@pytest.mark.parametrize("m", [1e-6, 1e-3, 0.05, 0.3, 1, 4.7, 10, 30.2, 63.9, 64.1, 1000, 4e4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_expected_of_noise(m, dtype):
    # with n = 0 the numerator is m, so that Q is m / g(m)
    model = np.full((3, 5), m, dtype)
    q = float(arraycon.misfit_ratio(model, np.zeros_like(model)))
    assert q == pytest.approx(m / expected(float(model[0, 0])), rel=1e-5)


@pytest.mark.parametrize("mean", [0.02, 0.5, 3.0, 200.0])
def test_noise_alone_is_one(mean):
    rng = np.random.default_rng(1)
    model = rng.uniform(0, 2 * mean, 200_000)
    assert float(arraycon.misfit_ratio(model, rng.poisson(model) * 1.0)) == pytest.approx(
        1, abs=0.02
    )


def test_blocks_add_up(monkeypatch):
    rng = np.random.default_rng(2)
    model, counts = rng.uniform(0, 9, (2, 7, 31, 5))
    whole = float(arraycon.misfit_ratio(model, counts))
    monkeypatch.setattr(misfit, "_BLOCK", 100)
    assert float(arraycon.misfit_ratio(model, counts)) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("library", ALL, ids=lambda library: library.name)
def test_every_library(library):
    if reason := library.available():
        pytest.skip(reason)
    rng = np.random.default_rng(3)
    model, counts = rng.uniform(0, 9, (2, 7, 31)).astype("float32")
    q = arraycon.misfit_ratio(*map(library.module.asarray, (model, counts)))
    assert float(q) == pytest.approx(float(arraycon.misfit_ratio(model, counts)), rel=1e-5)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_impossible_values_show(bad, which):
    pair = [np.ones(4), np.ones(4)]
    pair[which][2] = bad
    assert not np.isfinite(arraycon.misfit_ratio(*pair))


def test_counts_may_be_integers():
    model, counts = np.full((4, 5), 1.5), np.arange(20, dtype=np.uint16).reshape(4, 5)
    same = arraycon.misfit_ratio(model, counts.astype(float))
    assert arraycon.misfit_ratio(model, counts) == same


def test_nothing_to_compare_is_nan():
    assert np.isnan(arraycon.misfit_ratio(np.zeros((0, 3)), np.zeros((0, 3))))


def test_counts_where_none_can_be():
    assert np.isinf(arraycon.misfit_ratio(np.zeros(3), np.ones(3)))


def test_arguments():
    with pytest.raises(TypeError, match="model"):
        arraycon.misfit_ratio([1.0], np.ones(1))
    with pytest.raises(TypeError, match="counts"):
        arraycon.misfit_ratio(np.ones(2), np.ones(2, bool))
    with pytest.raises(ValueError, match="counts"):
        arraycon.misfit_ratio(np.ones(2), np.ones(3))
