"""Which layer serves: the reference on request, and a misspelt request is an error."""

from __future__ import annotations

import numpy as np
import pytest
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
