"""The compiled filters: sizes, engines and threads that choose a route."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from cases import LATERAL, family
from libraries import FLOAT32, FLOAT64, REAL, relative_error

import arraycon

pytest.importorskip("numba", reason="numba is not installed")

from arraycon.kernels.cpu.tools import volume

FORMULA = family("fourier")
TOLERANCE = {"float32": FLOAT32, "float64": FLOAT64}
SINGLE_AND_ONE_LIBRARY = pytest.mark.quick(
    when=lambda dtype, engine, **_: dtype == "float32" and engine != "ducc0"
)


def objects(shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).normal(0.1, 0.3, shape).astype(dtype)


def spoil_and_repeat(function, obj, **options):
    """Run twice: scratch memory that is not overwritten would bring the first run into the next."""
    function(np.full_like(obj, 1e6), **options)
    return function(obj, **options)


DEPTHS = (1, 2, 3, 4, 5, 6, 7, 8, 20, volume._DENSE, volume._DENSE + 1, volume._DENSE + 2, 61)


@SINGLE_AND_ONE_LIBRARY
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("boundary", ["periodic", "mirror"])
@pytest.mark.parametrize("nz", DEPTHS)
def test_kz_filter_at_every_depth(nz, boundary, dtype):
    obj = objects((2, nz, 9, 14), dtype)
    options = {"beta": 0.7, "alpha": 0.5, "boundary": boundary}
    for obj_type in ("phase", "amplitude"):
        result = spoil_and_repeat(arraycon.kz_filter, obj, obj_type=obj_type, **options)
        expected = FORMULA.kz_filter(obj, obj_type=obj_type, **options)
        assert result.dtype == obj.dtype
        assert relative_error(result, expected) <= TOLERANCE[dtype]


@SINGLE_AND_ONE_LIBRARY
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", LATERAL)
def test_lateral_sizes(shape, dtype):
    obj = objects((2, 3, *shape), dtype)
    for name, options in (
        ("kr_filter", {"radius": 0.4, "width": 0.1}),
        ("kz_filter", {"beta": 0.7, "alpha": 0.5}),
        ("kz_filter", {"beta": 0.7, "alpha": 0.5, "boundary": "mirror"}),
    ):
        result = getattr(arraycon, name)(obj, **options)
        expected = getattr(FORMULA, name)(obj, **options)
        assert relative_error(result, expected) <= TOLERANCE[dtype], (name, options)


@pytest.mark.parametrize("beta", [0.0, 1e-9, 0.3, 50.0, 1e12])
@pytest.mark.parametrize("dtype", REAL)
def test_the_weights_are_the_formula(beta, dtype):
    """An impulse shows them, small ones included."""
    impulse = np.zeros((8, 10, 12), dtype)
    impulse[0, 0, 0] = 1
    filtered = arraycon.kz_filter(impulse, beta=beta, alpha=1.0)
    expected = FORMULA.wedge(impulse.shape, beta, 1.0)
    np.testing.assert_allclose(
        np.fft.fftn(filtered.astype(float)).real, expected, atol=10 * TOLERANCE[dtype]
    )


def test_small_weights_keep_their_digits():
    """1 - (2/π)·arctan(t) has none left at t = 10¹⁶."""
    obj = objects((2, 1, 1))
    difference = np.diff(arraycon.kz_filter(obj, beta=1e8, alpha=0.0)[:, 0, 0])
    weight = 2 / np.pi / (1e8 * 0.5 / np.sqrt(1e-3)) ** 2
    # the difference of two rounded values: digits of the weight beyond 10⁻¹⁶ are lost there
    assert difference == pytest.approx(np.diff(obj[:, 0, 0]) * weight, abs=3e-17)


@pytest.mark.usefixtures("divided")
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_the_number_of_threads_changes_nothing(number):
    """With more threads than slices it is the transforms that are divided."""
    obj = objects((1, 4, 70, 66), "float32")
    calls = [
        lambda: arraycon.kr_filter(obj),
        lambda: arraycon.kz_filter(obj),
        lambda: arraycon.kz_filter(obj[:, [0, 1, 2, 3] * 8]),
    ]
    for call in calls:
        with arraycon.use_threads(2):
            expected = call()
        with arraycon.use_threads(number):
            np.testing.assert_allclose(call(), expected, atol=1e-6)


def test_concurrent_calls():
    objs = [objects((3, 40, 44), "float32", seed) for seed in range(6)]

    def constrain(obj):
        kept = arraycon.kr_thresh(arraycon.kr_filter(obj), thresh=0.4)
        return arraycon.kz_filter(kept)

    expected = [constrain(obj) for obj in objs]
    results = [None] * len(objs)

    def work(i):
        for _ in range(5):
            results[i] = constrain(objs[i])

    callers = [threading.Thread(target=work, args=(i,)) for i in range(len(objs))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for result, target in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, target)
