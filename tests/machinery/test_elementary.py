"""Functions for vectorised loops against the library's, in higher precision."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import REAL

pytest.importorskip("numba", reason="numba is not installed")

import numba

from arraycon.kernels.cpu.tools import elementary, matrix

RNG = np.random.default_rng(0)
# in units of the last place: two roundings more than the library functions take
ULP = 4


# loops around the functions are compiled anew in each run
PRECISIONS = pytest.mark.parametrize(
    "dtype", [REAL[0], pytest.param(REAL[1], marks=pytest.mark.slow)]
)


def over(function, *arguments):
    """Apply a function of numbers to arrays."""

    @numba.njit(fastmath={"contract"})
    def loop(x, y, result, tables):
        for i in range(x.size):
            result[i] = function(x[i], y[i], tables)

    result = np.empty_like(arguments[0])
    loop(*arguments, result, elementary.tables(result.dtype))
    return result


def two(function):
    return numba.njit(lambda x, _, tables: function(x, tables))


def wide(x):
    return x.astype(np.longdouble)


def assert_exact(result, expected, *, scale=None):
    error = np.abs(wide(result) - expected) / (np.abs(expected) if scale is None else scale)
    assert np.max(error) <= ULP * np.finfo(result.dtype).eps


@PRECISIONS
def test_sines_and_cosines(dtype):
    small, large = RNG.uniform(-10, 10, 5000), RNG.uniform(-1000, 1000, 5000)
    for x in (small, large, np.array([0, 1e-30, np.pi / 2, np.pi, -1000.0, 1000.0])):
        x = x.astype(dtype)
        sines, cosines = np.empty((2, x.size), dtype)
        elementary.sines_and_cosines(x, sines, cosines, elementary.tables(x.dtype))
        assert_exact(sines, np.sin(wide(x)), scale=1)
        assert_exact(cosines, np.cos(wide(x)), scale=1)


@PRECISIONS
def test_huge_angles_and_what_is_no_number(dtype):
    x = np.array([0.5, 1e6, -3e7, np.nan, np.inf], dtype)
    sines, cosines = np.empty((2, x.size), dtype)
    elementary.sines_and_cosines(x, sines, cosines, elementary.tables(x.dtype))
    assert_exact(sines[:3], np.sin(wide(x[:3])), scale=1)
    assert_exact(cosines[:3], np.cos(wide(x[:3])), scale=1)
    assert np.all(np.isnan([sines[3:], cosines[3:]]))


@pytest.mark.slow
@PRECISIONS
def test_arctangent_and_modulus(dtype):
    x, y = (RNG.normal(size=(2, 20000)) * np.exp(3 * RNG.normal(size=(2, 20000)))).astype(dtype)
    assert_exact(over(elementary.arctangent, y, x), np.arctan2(wide(y), wide(x)))
    assert_exact(over(elementary.modulus, x, y), np.hypot(wide(x), wide(y)))
    y = np.array([0, 0, 1, -1, 0, 3, -3, np.nan, 1, 1e30, 1e-30], dtype)
    x = np.array([1, -1, 0, 0, 0, -3, -3, 1, np.nan, 1e30, 1e-30], dtype)
    np.testing.assert_allclose(over(elementary.arctangent, y, x), np.arctan2(y, x), rtol=1e-6)
    np.testing.assert_allclose(over(elementary.modulus, x, y), np.hypot(x, y), rtol=1e-6)


@pytest.mark.slow
@PRECISIONS
def test_logarithm(dtype):
    x = np.exp(RNG.uniform(-80, 80, 20000)).astype(dtype)
    near = (1 + RNG.normal(size=20000) * 0.01).astype(dtype)
    ends = np.array([np.finfo(dtype).tiny, np.finfo(dtype).max, 1.0], dtype)
    assert_exact(over(two(elementary.logarithm), x, x), np.log(wide(x)))
    assert_exact(over(two(elementary.logarithm), near, near), np.log(wide(near)))
    # relative to 1: ln 1 is 0
    ours = over(two(elementary.logarithm), ends, ends)
    assert_exact(ours, np.log(wide(ends)), scale=np.array([90, 90, 1]))
    assert ours[2] == 0


@PRECISIONS
def test_exponentials(dtype):
    x = RNG.uniform(-80, 80, 20000).astype(dtype)
    result = x.copy()
    elementary.exponentiate(result, elementary.tables(x.dtype))
    assert_exact(result, np.exp(wide(x)))
    x = np.array([0.25, -700, 1e4, -1e4, np.nan, np.inf, -np.inf], dtype)
    result = x.copy()
    elementary.exponentiate(result, elementary.tables(x.dtype))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(result, np.exp(x), rtol=1e-6)


@PRECISIONS
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 4), (5, 5), (8, 9), (21, 20)])
@pytest.mark.parametrize("columns", [1, 7, 64])
def test_product(shape, columns, dtype):
    a, b = RNG.normal(size=shape).astype(dtype), RNG.normal(size=(shape[1], columns)).astype(dtype)
    target = np.full((shape[0], columns), np.nan, dtype)
    matrix.product(a, b, target)
    np.testing.assert_allclose(target, wide(a) @ wide(b), atol=20 * np.finfo(dtype).eps)
