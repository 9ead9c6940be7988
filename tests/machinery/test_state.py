"""State: what may be in it, together and alone."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import relative_error
from schedules import EVERY, make_state, only

import arraycon


def test_a_complex_object_is_split_and_joined():
    parts = make_state("float64")
    together = make_state(
        "float64",
        object_amplitude=None,
        object_phase=None,
        object=parts.object_amplitude * np.exp(1j * parts.object_phase),
    )
    transmission = together.object
    # positive amplitudes: a complex object cannot tell a negative one from a phase of π
    assert parts.object_amplitude.min() > 0
    constraints = arraycon.Constraints(EVERY)
    reports = [constraints.apply(state, 1) for state in (parts, together)]
    assert together.object is transmission
    expected = parts.object_amplitude * np.exp(1j * parts.object_phase)
    assert relative_error(transmission, expected) < 1e-12
    assert [r.targets for r in reports[0]] == [r.targets for r in reports[1]]


def test_a_complex_object_is_left_alone_by_other_constraints():
    rng = np.random.default_rng(0)
    transmission = rng.normal(size=(2, 5, 5)) + 1j * rng.normal(size=(2, 5, 5))
    before = transmission.copy()
    state = arraycon.State(object=transmission, position_shifts=np.ones((3, 2)))
    only(pos_recenter={}).apply(state, 1)
    np.testing.assert_array_equal(transmission, before)


BAD_STATES = [
    ({"object": np.ones((2, 3, 3))}, TypeError, "object: expected complex64 or complex128, got fl"),
    ({"object_phase": np.ones((3, 3))}, ValueError, "object_phase: expected at least 3 axes"),
    ({"object_phase": np.ones((2, 3, 3), int)}, TypeError, "object_phase: expected float32 or fl"),
    (
        {"object_phase": np.ones((2, 3, 3)), "object_amplitude": np.ones((2, 3, 4))},
        ValueError,
        "object_phase: expected the shape of object_amplitude",
    ),
    (
        {"object_phase": np.ones((2, 3, 3)), "object": np.ones((2, 3, 3), complex)},
        ValueError,
        "object: expected either a complex object or .* got object and object_phase",
    ),
    ({"probe": np.ones((3, 3), complex)}, ValueError, r"probe: .*a single mode is probe\[None\]"),
    ({"tilts": np.ones(2)}, ValueError, r"tilts: expected shape \(n, 2\)"),
    ({"scan_shape": (3,)}, TypeError, "scan_shape: expected a pair of integers"),
    ({"dx": -0.2}, ValueError, "dx: expected a number > 0, got -0.2"),
    ({"wavelength": "0.025 Å"}, TypeError, "wavelength: expected a number > 0, got '0.025 Å'"),
    ({"illumination": np.ones((3, 4), int)}, TypeError, "illumination: expected float32 or float"),
    ({"illumination": np.ones((1, 3, 4))}, ValueError, r"illumination: expected shape \(ny, nx\)"),
    (
        {"object_phase": np.ones((2, 3, 4)), "illumination": np.ones((4, 3))},
        ValueError,
        r"illumination: expected shape \(ny, nx\) of the object, \(3, 4\), got shape \(4, 3\)",
    ),
    (
        {"vacuum_mask": np.ones((3, 4), complex)},
        TypeError,
        "vacuum_mask: expected bool, float32 or",
    ),
    (
        {"object": np.ones((2, 3, 4), complex), "vacuum_mask": np.ones((3, 3, 4), bool)},
        ValueError,
        r"vacuum_mask: .* \(ny, nx\) or \(nz, ny, nx\) of the object, \(3, 4\) or \(2, 3, 4\), got",
    ),
    ({"probe_intensity": np.nan}, ValueError, "probe_intensity: .* got nan"),
]


@pytest.mark.parametrize(("fields", "error", "message"), BAD_STATES)
def test_impossible_states(fields, error, message):
    with pytest.raises(error, match=message):
        arraycon.State(**fields)


def test_a_field_that_becomes_wrong_later_is_found_by_apply():
    state = make_state()
    state.probe = state.probe[0]
    with pytest.raises(ValueError, match="probe: expected shape"):
        only(pos_recenter={}).apply(state, 1)


def test_a_state_of_two_libraries():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with pytest.raises(TypeError, match="mix: probe is numpy, tilts is torch"):
        arraycon.State(probe=np.ones((1, 3, 3), complex), tilts=torch.ones(1, 2))


def test_what_is_not_a_state():
    with pytest.raises(TypeError, match="state: expected a State, got dict"):
        arraycon.Constraints({"pos_recenter": {"start_iter": 1}}).apply({}, 1)
