"""Amplitude and phase of one material: complex_ratio, mirrored_amp."""

from __future__ import annotations

import numpy as np
import pytest
from cases import OBJ, Limit, first, on_both

# every check of the contract runs over what this file declares
from contract import *
from reference import wide

import arraycon


def complex_ratio(amplitude, phase, *, alpha1, alpha2):
    logarithm = np.log(np.maximum(wide(amplitude), 1e-6))
    phase = wide(phase)
    ratio = np.sum(np.abs(logarithm)) / (np.sum(np.abs(phase)) + 1e-8)
    return (
        np.exp((1 - alpha1) * logarithm - alpha1 * ratio * phase),
        (1 - alpha2) * phase - alpha2 / (ratio + 1e-8) * logarithm,
    )


def mirrored_amp(amplitude, phase, *, relax, scale, power):
    predicted = np.maximum(1 - scale * np.maximum(wide(phase), 0) ** power, 0)
    return relax * wide(amplitude) + (1 - relax) * predicted


CASES = [
    *on_both(
        complex_ratio,
        {"alpha1": 1.0, "alpha2": 0.0},
        {"alpha1": 0.4, "alpha2": 0.3},
        written=2,
    ),
    *on_both(
        mirrored_amp,
        {"relax": 0.1, "scale": 0.03, "power": 4.0},
        {"relax": 0.0, "scale": 9.0, "power": 0.5},
    ),
]

BAD = [
    ("complex_ratio", (OBJ, OBJ[:2]), {}, ValueError, "phase: expected the shape of amplitude"),
    ("complex_ratio", (OBJ, OBJ.astype(float)), {}, TypeError, "phase: expected the dtype of am"),
    ("mirrored_amp", (OBJ, OBJ), {"relax": 2}, ValueError, r"relax: .* in \[0, 1\], got 2"),
]

LIMITS = {"complex_ratio": Limit(0.01), "mirrored_amp": Limit(0.01)}


def test_outputs_may_be_crossed():
    case = first(CASES)["complex_ratio"]
    amplitude, phase = case.make("float64")
    expected = case.function(amplitude, phase, **case.options)
    case.function(amplitude, phase, **case.options, out=(phase, amplitude))
    np.testing.assert_array_equal(phase, expected[0])
    np.testing.assert_array_equal(amplitude, expected[1])


def test_the_other_input_may_be_the_output():
    case = first(CASES)["mirrored_amp"]
    amplitude, phase = case.make("float64")
    expected = case.function(amplitude, phase, **case.options)
    case.function(amplitude, phase, **case.options, out=phase)
    np.testing.assert_array_equal(phase, expected)


def test_out_of_two_results_is_a_pair():
    with pytest.raises(TypeError, match=r"out: expected a tuple of 2 arrays \(amplitude, phase\)"):
        arraycon.complex_ratio(OBJ, OBJ, out=OBJ.copy())


def test_non_positive_amplitudes_are_floored():
    amplitude = np.array([[0.0, -1.0], [0.9, 1.1]])
    phase = np.full((2, 2), 0.1)
    for result in arraycon.complex_ratio(amplitude, phase, alpha1=0.5, alpha2=0.5):
        assert np.all(np.isfinite(result))


def test_mirrored_amp_never_goes_negative():
    amplitude = np.ones((2, 2))
    assert np.all(arraycon.mirrored_amp(amplitude, 9 * amplitude, relax=0, scale=1) == 0)
