"""Figures about arrays: the fast layers and the reference agree, whatever the arrays."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import Library

from arraycon.kernels import metrics
from arraycon.kernels.common import arrays, dispatch, threads

DTYPES = ("float32", "float64", "complex64", "complex128")
SHAPES = ((1, 3, 40, 41), (5, 2), (1, 1, 1), (2, 0, 4), (3, 130, 131))


def pair(shape, dtype):
    rng = np.random.default_rng(0)
    one, two = (rng.normal(size=shape) + 1j * rng.normal(size=shape) for _ in range(2))
    return [x.astype(dtype) if "complex" in dtype else x.real.astype(dtype) for x in (one, two)]


@pytest.mark.parametrize("name", ["numpy", "cupy", "array_api_strict"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_change(shape, dtype, name):
    library = Library(name)
    if reason := library.available():
        pytest.skip(reason)
    new, old = pair(shape, dtype)
    given = [library.array(x) for x in (new, old)]
    with library.without_waiting():
        found = metrics.change(*given, xp=arrays.namespace(new=given[0]))
    wide = np.result_type(dtype, np.float64)
    expected = [np.sum(np.abs(x) ** 2) for x in (new.astype(wide) - old, old.astype(wide))]
    assert [float(x) for x in found] == pytest.approx(expected, rel=1e-6)
    assert all(x.ndim == 0 for x in found)


def test_the_reference_is_asked_where_it_is_forced():
    new, old = pair((2, 5, 6), "float64")
    xp = arrays.namespace(new=new)
    fast = metrics.change(new, old, xp=xp)
    with dispatch.use_agnostic():
        slow = metrics.change(new, old, xp=xp)
    np.testing.assert_allclose(fast, slow, rtol=1e-13)


def test_strided_arrays_and_any_number_of_threads():
    new, old = (x[:, :, ::2] for x in pair((7, 200, 302), "float32"))
    xp = arrays.namespace(new=new)
    found = []
    for number in (1, 2, 3):
        with threads.use_threads(number):
            found.append([float(x) for x in metrics.change(new, old, xp=xp)])
    assert found[0] == found[1] == found[2]


def test_nan_stays_visible():
    new, old = pair((2, 5, 6), "float32")
    new[0, 0, 0] = np.nan
    changed, before = metrics.change(new, old, xp=arrays.namespace(new=new))
    assert np.isnan(changed)
    assert np.isfinite(before)
