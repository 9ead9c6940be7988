"""The compiled total variation: bands, updates that go together, and threads."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from cases import LATERAL, family
from libraries import COMPLEX, FLOAT32, FLOAT64, REAL, relative_error

import arraycon

pytest.importorskip("numba", reason="numba is not installed")

from arraycon.kernels.cpu import variation

FORMULA = family("variation")
TOLERANCE = {"float32": FLOAT32, "float64": FLOAT64}
VARIANTS = [
    {"weight": 0.1, "n_iter": 13},
    {"weight": 0.1, "n_iter": 10, "solver": "chambolle"},
    {"weight": 0.1, "n_iter": 11, "axes_weight": (0.4, 1.0, 1.2), "norm": "layered"},
    {"weight": 0.1, "n_iter": 9, "axes_weight": (1.0, 1.0, 1.0), "solver": "chambolle"},
    {"weight": 0.1, "n_iter": 5, "axes_weight": (1.0, 0.0, 0.3), "norm": "anisotropic"},
    {"weight": 0.1, "n_iter": 5, "axes_weight": (1.0, 0.0, 0.0)},
]
EVERY = pytest.mark.parametrize("options", VARIANTS, ids=range(len(VARIANTS)))
BOTH = pytest.mark.parametrize("number", ["real", "complex"])


def objects(shape, dtype, number, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(0.1, 0.3, shape)
    if number == "complex":
        return (values + 1j * rng.normal(0.1, 0.3, shape)).astype(COMPLEX[dtype])
    return values.astype(dtype)


@BOTH
@EVERY
@pytest.mark.quick(when=lambda dtype, **_: dtype == "float64")
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", LATERAL)
def test_lateral_sizes(shape, options, dtype, number):
    obj = objects((2, 3, *shape), dtype, number)
    arraycon.obj_tv(np.full_like(obj, 1e6), **options)  # nothing of one call is left for the next
    found = arraycon.obj_tv(obj, **options)
    assert found.dtype == obj.dtype
    assert relative_error(found, FORMULA.obj_tv(obj, **options)) <= TOLERANCE[dtype]


@pytest.fixture
def in_bands(monkeypatch):
    """Divide also what is too small to be worth it."""
    monkeypatch.setattr(variation, "_SMALL", 1)
    monkeypatch.setattr(variation, "_ROWS", 2)


@BOTH
@EVERY
@pytest.mark.usefixtures("in_bands")
@pytest.mark.parametrize("together", [1, 3, 8])
def test_the_number_of_threads_changes_nothing(options, number, together, monkeypatch):
    """Bands meet without a seam, however many updates they make before they wait."""
    monkeypatch.setattr(variation, "_MOST_TOGETHER", together)
    obj = objects((1, 2, 37, 21), "float32", number)
    with arraycon.use_threads(1):
        expected = arraycon.obj_tv(obj, **options)
    for threads in (2, 3, 7):
        with arraycon.use_threads(threads):
            np.testing.assert_array_equal(arraycon.obj_tv(obj, **options), expected)


@pytest.mark.usefixtures("in_bands")
@EVERY
def test_bands_are_right(options):
    obj = objects((1, 2, 41, 9), "float64", "real")
    with arraycon.use_threads(5):
        found = arraycon.obj_tv(obj, **options)
    assert relative_error(found, FORMULA.obj_tv(obj, **options)) <= FLOAT64


@pytest.mark.usefixtures("in_bands")
@pytest.mark.filterwarnings("ignore:(invalid|overflow):RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("threads", [1, 2])
def test_bands_of_one_volume_do_not_reach_another(threads, value):
    obj = objects((3, 2, 40, 11), "float32", "real")
    options = {"weight": 0.1, "n_iter": 9, "axes_weight": (1, 1, 1)}
    spotted = obj.copy()
    spotted[[0, 2]] = value
    with arraycon.use_threads(threads):
        clean, found = (arraycon.obj_tv(each, **options) for each in (obj, spotted))
    np.testing.assert_array_equal(found[1], clean[1])


@pytest.mark.parametrize(("solver", "planes"), [("fgp", 6), ("chambolle", 3)])
def test_memory_over_the_volume(solver, planes):
    """As many volumes as the dual variable has components, and some rows, not more for two."""
    obj = objects((2, 4, 256, 128), "float32", "real")
    options = {"axes_weight": (1, 1, 1), "solver": solver, "n_iter": 9, "out": obj}
    with arraycon.use_threads(2):
        arraycon.obj_tv(obj, **options)  # compiled
        tracemalloc.start()
        try:
            arraycon.obj_tv(obj, **options)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak <= 1.35 * planes * obj[0].nbytes
