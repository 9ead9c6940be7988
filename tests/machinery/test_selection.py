"""Order statistics by sampling: exact whatever the sample says."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from libraries import REAL

pytest.importorskip("numba", reason="numba is not installed")

from arraycon.kernels.common import threads
from arraycon.kernels.cpu.tools import selection

SIZE = 2 * selection._LARGE


def spread(size, rng):
    return rng.normal(size=size) * np.exp(3 * rng.normal(size=size))


ARRAYS = {
    "spread": spread,
    "smooth": lambda size, _: np.linspace(-1, 1, size),
    "one value": lambda size, _: np.full(size, -2.5),
    "mostly zero": lambda size, rng: np.where(rng.random(size) < 0.01, spread(size, rng), 0),
    "few values": lambda size, rng: np.round(rng.normal(size=size)),
    "misleading": lambda size, rng: np.where(
        np.arange(size) % (size // selection._SAMPLE | 1) == 0, 1e3, spread(size, rng)
    ),
    "infinite": lambda size, rng: np.where(rng.random(size) < 0.2, -np.inf, spread(size, rng)),
    "subnormal": lambda size, rng: spread(size, rng) * 1e-40,
}
RANKS = (0, 1, SIZE // 20, SIZE // 2, SIZE - SIZE // 20, SIZE - 100, SIZE - 1)


def expected(x, k, *, moduli):
    return np.sort(np.abs(x) if moduli else x, axis=None)[k]


@pytest.mark.quick(when=lambda dtype, moduli, **_: dtype == "float32" and moduli)
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("moduli", [True, False])
def test_the_selection_is_exact(name, moduli, dtype):
    x = ARRAYS[name](SIZE, np.random.default_rng(3)).astype(dtype)
    before = x.copy()
    for k in RANKS:
        assert selection.kth_smallest(x, k, moduli=moduli) == expected(x, k, moduli=moduli), k
    np.testing.assert_array_equal(x, before)


@pytest.mark.quick(when=lambda share, **_: share == 0.01)
@pytest.mark.parametrize("share", [1e-5, 0.01, 0.2])
@pytest.mark.parametrize("moduli", [True, False])
def test_nan_is_the_largest(share, moduli):
    rng = np.random.default_rng(4)
    x = spread(SIZE, rng)
    x[rng.random(SIZE) < share] = np.nan
    numbers = SIZE - np.count_nonzero(np.isnan(x))
    for k in (*RANKS, numbers - 1, numbers):
        found = selection.kth_smallest(x, k, moduli=moduli)
        np.testing.assert_equal(found, expected(x, k, moduli=moduli))


@pytest.mark.parametrize(
    ("name", "halved"), [("spread", False), ("one value", False), ("few values", True)]
)
def test_nothing_as_large_as_the_array_is_allocated(name, halved, monkeypatch):
    """Not even where the bracket holds too many; what is halved then is the range of numbers."""
    x = ARRAYS[name](SIZE, np.random.default_rng(5))
    calls = []
    bisect = selection._bisect
    monkeypatch.setattr(selection, "_bisect", lambda *given: calls.append(1) or bisect(*given))
    # between -1 and 0 of the few values: the bracket has one at each end
    k = np.count_nonzero(x < 0) if halved else SIZE // 2
    selection.kth_smallest(x, k)  # compiles
    tracemalloc.start()
    try:
        selection.kth_smallest(x, k)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(calls) == 2 * halved
    assert peak < x.nbytes / 4


def test_any_number_of_threads():
    x = spread(4 * SIZE, np.random.default_rng(7))
    for number in (1, 2, 5):
        with threads.use_threads(number):
            assert selection.kth_smallest(x, SIZE) == expected(x, SIZE, moduli=False)
