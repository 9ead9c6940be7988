"""What holds for every compiled constraint of the probe; its family hands it over in ``CALLS``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cases
import numpy as np
import pytest
from libraries import FLOAT32, FLOAT64, relative_error

import arraycon
from arraycon.kernels.common import threads

__all__ = [
    "test_blocks_and_odd_numbers_of_modes",
    "test_the_number_of_threads_does_not_matter",
    "test_warnings_made_errors_leave_nothing_half_done",
]


@dataclass(frozen=True)
class Call:
    """A constraint of the probe with its options; some of them transform it."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    transforms: bool = False


def probe(*shape, dtype="complex64", seed=0):
    return cases.probe(np.random.default_rng(seed), shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("shape", [(1, 40, 41), (2, 64, 64), (5, 129, 3), (13, 37, 70)])
def test_blocks_and_odd_numbers_of_modes(call, shape, dtype):
    given = probe(*shape, dtype=dtype)
    with arraycon.use_agnostic():
        expected = getattr(arraycon, call.name)(given, **call.options)
    result = getattr(arraycon, call.name)(given, **call.options)
    assert relative_error(result, expected) < (FLOAT32 if dtype == "complex64" else FLOAT64)


def test_the_number_of_threads_does_not_matter(call):
    given = probe(5, 96, 100)
    results = []
    for number in (1, 2, 3, 7):
        with threads.use_threads(number):
            results.append(getattr(arraycon, call.name)(given, **call.options))
    for result in results[1:]:
        assert relative_error(result, results[0]) < 1e-6
        if not call.transforms:  # they may differ in their last bit
            np.testing.assert_array_equal(result, results[0])


def test_warnings_made_errors_leave_nothing_half_done(call):
    given = probe(3, 16, 16)
    given[1, 3, 4] = np.inf
    out = given.copy()
    try:
        with np.errstate(all="raise"):
            getattr(arraycon, call.name)(out, **call.options, out=out)
    except FloatingPointError:
        np.testing.assert_array_equal(out, given)
    else:
        assert not np.all(np.isfinite(out))
