"""Complex objects: amplitudes near 1, and phases that drift in depth."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from contract import BIG
from libraries import (
    COMPLEX,
    REAL,
)

PRECISIONS = pytest.mark.parametrize("dtype", REAL)


def parts(shape, seed=0, *, spread=0.4, offset=0.7):
    rng = np.random.default_rng(seed)
    drift = offset * np.arange(shape[-3])[:, None, None]
    return 1 + rng.normal(0, 0.05, shape), drift + rng.normal(0, spread, shape)


def make(shape, dtype="float64", **options):
    amplitude, phase = parts(shape, **options)
    return (amplitude * np.exp(1j * phase)).astype(COMPLEX[dtype])


@functools.cache
def large():
    """An object of 42 MB, which takes longer to make than to constrain; nobody may change it."""
    return make(BIG["object"], "float32", offset=0.1, spread=0.2)
