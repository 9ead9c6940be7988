"""Random shapes, values and precisions for what SPEC promises, and how equal is equal."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from libraries import relative_error

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.tuples(*(st.integers(1, 9),) * 3)
PRECISIONS = st.sampled_from(["float32", "float64"])
ROUNDING = {"float32": 2e-6, "float64": 1e-12, "complex64": 2e-6, "complex128": 1e-12}


def real(seed, shape, dtype, mean=0.1):
    return np.random.default_rng(seed).normal(mean, 0.3, shape).astype(dtype)


def modes(seed, shape, dtype):
    rng = np.random.default_rng(seed)
    probe = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return probe.astype({"float32": "complex64", "float64": "complex128"}[dtype])


def assert_same(actual, expected, factor=1.0):
    assert actual.dtype == expected.dtype
    assert relative_error(actual, expected) <= factor * ROUNDING[actual.dtype.name]
