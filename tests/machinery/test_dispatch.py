"""Which layer serves: the reference on request, and a misspelt request is an error."""

from __future__ import annotations

import contextlib
import sys

import numpy as np
import pytest
from cases import all_cases, first, results
from libraries import relative_error

import arraycon
from arraycon.kernels.common import changes, dispatch, fft

RNG_SEED = 20


def test_the_reference_path_can_be_forced(monkeypatch):
    called = []
    engine = fft._numpy_engine()
    monkeypatch.setattr(fft, "_numpy_engine", lambda: called.append(1) or engine)
    obj = np.random.default_rng(RNG_SEED).random((2, 6, 7)).astype("float32")
    usual = arraycon.kr_filter(obj)
    assert called
    called.clear()
    with arraycon.use_agnostic():
        forced = arraycon.kr_filter(obj)
    assert not called
    assert relative_error(forced, usual) < 1e-6
    assert dispatch.accelerated()
    monkeypatch.setenv("ARRAYCON_BACKEND", "agnostic")
    arraycon.kr_filter(obj)
    assert not called


def test_a_mistyped_backend_is_an_error(monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", "agnotsic")
    with pytest.raises(ValueError, match="ARRAYCON_BACKEND: expected auto or agnostic, got 'agnot"):
        arraycon.kr_filter(np.ones((4, 4)))


def test_a_twin_serves_the_numbers_that_it_is_meant_for(monkeypatch):
    called = []

    @dispatch.serving(lambda options: options["radius"] > 0.5)
    def twin(obj, *, radius, width):  # noqa: ARG001
        called.append(radius)
        obj[...] = 7

    monkeypatch.setattr(dispatch.fast("fourier", np), "kr_filter", twin)
    obj = np.ones((4, 4))
    np.testing.assert_allclose(arraycon.kr_filter(obj, radius=0.5), obj)
    assert not called
    np.testing.assert_array_equal(arraycon.kr_filter(obj, radius=0.6), 7 * obj)
    assert called == [0.6]


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("case", first(all_cases()).values(), ids=lambda case: case.name)
def test_an_output_of_its_own_gets_what_is_returned_without_one(case, kind):
    """The first half of a kernel must not read: an output has no values yet."""
    arrays = case.make("float64")
    if kind == "complex":
        if len(arrays) > 1 or np.iscomplexobj(arrays[0]):
            pytest.skip("takes no complex object, or nothing else")
        arrays = [arrays[0] * np.exp(1j * arrays[0])]
    try:
        expected = results(case.function(*arrays, **case.options))[: case.written]
    except TypeError:
        assert kind == "complex"
        pytest.skip("takes real objects only")
    outs = [np.full_like(array, np.nan) for array in arrays[: case.written]]
    found = case.function(*arrays, **case.options, out=case.out(outs))
    for out, target, answer in zip(outs, expected, results(found), strict=False):
        assert answer is out
        np.testing.assert_array_equal(out, target)


def roads():
    """Ways to call a door that are not the usual one, and give the same."""

    def prepared(call):
        (result,) = dispatch.begin(call)()
        return result

    def measured(call):
        with changes.collect(lambda new, old, **_: (abs(new - old).sum(), abs(old).sum())):
            return call()

    return {"prepared": prepared, "measured": measured}


@pytest.mark.parametrize("road", roads())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 3, 4, 1030, 5000])
def test_the_usual_call_gives_what_all_others_do(road, dtype, size):
    """In place and for a new array, which kernels may write straight away."""
    x = np.random.default_rng(size).normal(1, 0.5, (1, size)).astype(dtype)
    x[0, size // 2] = np.nan
    before = x.copy()
    for call in (
        lambda **kept: arraycon.obja_thresh(x, relax=0.1, thresh=(0.9, 1.2), **kept),
        lambda **kept: arraycon.objp_postiv(x, relax=0.1, **kept),
        lambda **kept: arraycon.objp_postiv(x, relax=0.1, mode="subtract_min", **kept),
        lambda **kept: arraycon.objp_thresh(x, thresh=(0.9, 1.2), **kept),
        lambda **kept: arraycon.obj_shrink(x, amount=0.1, **kept),
    ):
        new = call()
        np.testing.assert_array_equal(x, before)
        assert new is not x
        out = np.empty_like(x)
        assert roads()[road](lambda call=call, out=out: call(out=out)) is out
        np.testing.assert_allclose(new, out, rtol=1e-6 if dtype == "float32" else 1e-15)
        assert call(out=x) is x
        np.testing.assert_allclose(new, x, rtol=1e-6 if dtype == "float32" else 1e-15)
        x[...] = before


@contextlib.contextmanager
def counted():
    """Count interpreted functions, the one in the context's own end included."""
    found = []
    sys.setprofile(lambda frame, event, _: found.append(frame) if event == "call" else None)
    try:
        yield found
    finally:
        sys.setprofile(None)


def test_the_usual_call_is_short():
    """Between calls on large arrays an interpreted function takes a microsecond or two."""
    pytest.importorskip("numba", reason="numba is not installed")
    x = np.ones((2, 8, 8), "float32")
    for call in (
        lambda: arraycon.obja_thresh(x, thresh=(0.9, 1.2), out=x),
        lambda: arraycon.obja_thresh(x, thresh=(0.9, 1.2)),
        lambda: arraycon.objp_postiv(x, out=x),
    ):
        call()
        with counted() as found:
            call()
        assert len(found) <= 22  # 46 before there was a road for it
