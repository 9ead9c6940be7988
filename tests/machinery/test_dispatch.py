"""Which layer serves: the reference on request, and a misspelt request is an error."""

from __future__ import annotations

import numpy as np
import pytest
from cases import all_cases, first, results
from libraries import relative_error

import arraycon
from arraycon.kernels.common import dispatch, fft

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
