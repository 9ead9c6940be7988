"""Sparsity on the compiled path: sizes, engines, threads, selection."""

from __future__ import annotations

import numpy as np
import pytest
from cases import LATERAL, family
from libraries import FLOAT32, FLOAT64, REAL, relative_error

import arraycon

pytest.importorskip("numba", reason="numba is not installed")

from arraycon.kernels.cpu import dct
from arraycon.kernels.cpu.tools import selection

FORMULA = family("dct")
TOLERANCE = {"float32": FLOAT32, "float64": FLOAT64}
SINGLE_AND_ONE_LIBRARY = pytest.mark.quick(
    when=lambda dtype, engine, **_: dtype == "float32" and engine != "ducc0"
)


def objects(shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).normal(0.1, 0.3, shape).astype(dtype)


@SINGLE_AND_ONE_LIBRARY
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", LATERAL)
def test_lateral_sizes(shape, dtype):
    obj = objects((2, 3, *shape), dtype)
    for scope in ("global", "slice"):
        result = arraycon.kr_thresh(obj, thresh=0.3, scope=scope)
        expected = FORMULA.kr_thresh(obj, thresh=0.3, scope=scope)
        assert relative_error(result, expected) <= TOLERANCE[dtype], scope


@pytest.mark.usefixtures("divided")
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_the_number_of_threads_changes_nothing(number):
    """With more threads than slices it is the transforms that are divided."""
    obj = objects((1, 4, 70, 66), "float32")
    calls = [
        lambda: arraycon.kr_thresh(obj),
        lambda: arraycon.kr_thresh(obj, scope="slice"),
    ]
    for call in calls:
        with arraycon.use_threads(2):
            expected = call()
        with arraycon.use_threads(number):
            np.testing.assert_allclose(call(), expected, atol=1e-6)


def test_ties_are_kept_and_nan_keeps_everything():
    x = np.array([1.0, -1.0, 0.5, 0.0, 1.0, -2.0])
    dct._drop_below(x, 1.0)
    np.testing.assert_array_equal(x, [1, -1, 0, 0, 1, -2])
    x = np.array([1.0, np.nan, -np.inf, 0.25])
    dct._drop_below(x, 0.5)
    np.testing.assert_array_equal(x, [1, np.nan, -np.inf, 0])
    dct._drop_below(x, np.nan)
    np.testing.assert_array_equal(x, [1, np.nan, -np.inf, 0])


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("thresh", [0.05, 0.5])
def test_a_large_object_is_sparsified_like_a_small_one(thresh):
    obj = objects((1, 3, 300, 310))
    assert obj.size > selection._LARGE
    result = arraycon.kr_thresh(obj, thresh=thresh)
    assert relative_error(result, FORMULA.kr_thresh(obj, thresh=thresh)) <= FLOAT64


def test_kr_thresh_of_one_returns_the_object_itself():
    obj = objects((2, 5, 6), "float32")
    np.testing.assert_array_equal(arraycon.kr_thresh(obj, thresh=1.0), obj)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("scope", ["global", "slice"])
def test_kr_thresh_keeps_what_is_not_finite_within_its_slice(value, scope):
    obj = objects((4, 12, 12))
    obj[2, 3, 4] = value
    result = arraycon.kr_thresh(obj, thresh=0.5, scope=scope)
    assert not np.any(np.isfinite(result[2]))
    assert np.all(np.isfinite(result[[0, 1, 3]]))
