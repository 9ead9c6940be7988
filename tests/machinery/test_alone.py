"""Few large slices are filtered in place, by blocks of their rows and columns."""

import tracemalloc

import numpy as np
import pytest

import arraycon
from arraycon.kernels.common import fft
from arraycon.kernels.cpu.tools import alone


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(alone, "_LEAST", 1)


@pytest.fixture(params=["_Ducc", "_Scipy"])
def library(request, monkeypatch):
    if request.param == "_Ducc":
        pytest.importorskip("ducc0")
    made = getattr(fft, request.param)()
    monkeypatch.setattr(fft, "_numpy_engine", lambda: made)


def filters(x):
    yield arraycon.kr_filter(x, radius=0.3)
    yield arraycon.obj_bandpass(x, dx=0.5, q_highpass=0.2, q_lowpass=0.8)
    yield arraycon.obj_gaussian(x, dx=0.5, sigma=0.7, boundary="periodic")


@pytest.mark.parametrize("shape", [(1, 2), (2, 2), (3, 4), (40, 6), (33, 64), (64, 64), (97, 130)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.usefixtures("small", "library")
def test_it_is_what_the_reference_says(shape, dtype, threads):
    x = np.random.default_rng(0).normal(0, 1, (1, 2 if threads > 2 else 1, *shape)).astype(dtype)
    with arraycon.use_threads(threads):
        assert alone.suits(x[0])
        found = list(filters(x))
    with arraycon.use_agnostic():
        expected = list(filters(x.astype("float64")))
    for new, old in zip(found, expected, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-13 if dtype == "float64" else 2e-6)


@pytest.mark.parametrize("shape", [(1, 2), (33, 64), (64, 66)])
@pytest.mark.usefixtures("small", "library")
def test_measured_by_the_spectrum(shape):
    x = np.random.default_rng(0).normal(0.5, 1, (1, 1, *shape))
    state = arraycon.State(object_phase=x.copy())
    blocks = {"kr_filter": {"start_iter": 1, "radius": 0.3, "obj_type": "phase"}}
    report = arraycon.Constraints(blocks).apply(state, 1, measure=True)
    change = np.linalg.norm(state.object_phase - x) / np.linalg.norm(x)
    assert report[0].metrics["object_phase: relative change"] == pytest.approx(change, rel=1e-12)


@pytest.mark.usefixtures("small")
def test_what_is_not_finite_stays_visible():
    x = np.zeros((1, 1, 16, 16), "float32")
    x[0, 0, 3, 3] = np.nan
    assert np.isnan(arraycon.kr_filter(x)).all()


def test_odd_complex_and_small_ones_go_the_usual_way():
    large = np.broadcast_to(np.float32(0), (1, 2048, 2048))
    assert alone.suits(large)
    assert not alone.suits(large[:, :, 1:])
    assert not alone.suits(large[:, :512])
    assert not alone.suits(np.broadcast_to(np.complex64(0), (1, 2048, 2048)))
    assert not alone.suits(np.broadcast_to(np.float32(0), (64, 2048, 2048)))


def test_a_large_slice_takes_less_than_itself():
    x = np.random.default_rng(0).normal(0, 1, (1, 1, 2048, 2048)).astype("float32")
    with arraycon.use_threads(2):
        arraycon.kr_filter(x, out=x)
        tracemalloc.start()
        arraycon.kr_filter(x, out=x)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # 0.34 by ducc0; SciPy makes new arrays of each block
    assert peak < 0.7 * x.nbytes
