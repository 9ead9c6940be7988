"""States to be monitored, and what is seen of them."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import ALL
from schedules import make_state

LIBRARIES = pytest.mark.parametrize("library", ALL, ids=lambda library: library.name)
ROADS = pytest.mark.parametrize("road", ["apply", "measured", "bound"])


def complex_state(dtype="float32"):
    state = make_state(dtype)
    transmission = state.object_amplitude * np.exp(1j * state.object_phase)
    return make_state(
        dtype, object_amplitude=None, object_phase=None,
        object=transmission.astype(state.probe.dtype),
    )  # fmt: skip


def phase_only():
    return make_state(object_amplitude=None)


MADE = {"parts": make_state, "complex": complex_state, "phase": phase_only}
FORMS = pytest.mark.parametrize("form", MADE)


def applied(constraints, state, road, monitor):
    """A function of an iteration that runs what is due."""
    if road == "bound":
        return constraints.bind(state, monitor=monitor).apply
    return lambda i: constraints.apply(state, i, measure=road == "measured", monitor=monitor)


def values(state):
    """The object as one vector of real numbers."""
    held = (state.object, state.object_amplitude, state.object_phase)
    parts = [np.asarray(x).ravel() for x in held if x is not None]
    vector = np.concatenate(parts).astype(np.result_type(*parts, np.float64))
    return np.concatenate([vector.real, vector.imag])


class Seen:
    """A misfit that keeps what it has seen, and numbers its calls."""

    def __init__(self, state):
        self.state, self.objects = state, []

    def __call__(self):
        self.objects.append(values(self.state))
        return float(len(self.objects))


def move(state, rng):
    """What the data do to the object, in place."""
    for name in ("object", "object_amplitude", "object_phase"):
        array = getattr(state, name)
        if array is not None:
            array += rng.normal(0, 0.01, array.shape).astype(array.real.dtype)
