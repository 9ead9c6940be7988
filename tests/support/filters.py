"""What holds for every linear filter; its family hands it over in ``FILTERS``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import SEEDS, SHAPES, real

import arraycon

__all__ = [
    "test_an_impulse_stays_where_it_is",
    "test_filters_are_linear",
    "test_filters_commute_with_flips",
]


@dataclass(frozen=True)
class Filter:
    """A constraint that is linear with these options."""

    name: str
    options: dict[str, Any]
    variant: str = ""

    @property
    def id(self) -> str:
        return "-".join(filter(None, (self.name, self.variant)))


def apply(linear, obj):
    return getattr(arraycon, linear.name)(obj, **linear.options)


@given(SEEDS, SHAPES, st.floats(-3, 3), st.floats(-3, 3))
def test_filters_are_linear(linear, seed, shape, a, b):
    x, y = real(seed, shape, "float64"), real(seed + 1, shape, "float64")
    mixed = apply(linear, a * x + b * y)
    np.testing.assert_allclose(mixed, a * apply(linear, x) + b * apply(linear, y), atol=1e-12)


@pytest.mark.parametrize("axis", [-3, -2, -1])
@given(SEEDS, SHAPES)
def test_filters_commute_with_flips(linear, axis, seed, shape):
    x = real(seed, shape, "float64")
    flipped = apply(linear, np.flip(x, axis))
    np.testing.assert_allclose(np.flip(flipped, axis), apply(linear, x), atol=1e-13)


@given(SHAPES, st.data())
def test_an_impulse_stays_where_it_is(linear, shape, data):
    shape = tuple(n + 4 for n in shape)
    position = tuple(data.draw(st.integers(2, n - 3)) for n in shape)
    impulse = np.zeros(shape)
    impulse[position] = 1
    filtered = apply(linear, impulse)
    assert np.unravel_index(np.argmax(filtered), shape) == position
