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
        # each way to a power: squares, a product, an exponential, element by element
        *({"relax": 0.2, "scale": 0.8, "power": power} for power in (0.0, 1.0, 2.0, 3.0, 13.0)),
        {"relax": 0.2, "scale": 1e3, "power": 7.3},
        {"relax": 0.0, "scale": 1e16, "power": 23.5},
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


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("path", ["accelerated", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("power", [0.0, 0.01, 1.0, 2.0, 2.5, 4.0, 5.0, 10.0, 300.0, 1e300])
@pytest.mark.parametrize("scale", [0.0, 1e-35, 0.03, 1e20, 1e39, 1e300])
def test_mirrored_amp_of_extreme_values(scale, power, dtype, path, monkeypatch):
    """What overflows is the clipped 0, what vanishes leaves the amplitude of nothing absorbed."""
    monkeypatch.setenv("ARRAYCON_BACKEND", "auto" if path == "accelerated" else "agnostic")
    small = np.finfo(dtype).smallest_subnormal
    phase = np.array([-1, 0, small, 1e-20, 0.5, 1, 3, 1e10, 1e30, np.finfo(dtype).max], dtype)
    if dtype == "float32":
        scale = min(scale, float(np.finfo(dtype).max))  # as close as the precision comes
    with np.errstate(over="ignore", under="ignore"):
        strength = np.maximum(wide(phase), 0).astype(np.longdouble) ** np.longdouble(power)
        absorbed = np.longdouble(scale) * np.minimum(strength, np.finfo(np.longdouble).max)
    expected = 0.1 + 0.9 * np.maximum(1 - absorbed, 0).astype(float)
    result = arraycon.mirrored_amp(np.ones_like(phase), phase, relax=0.1, scale=scale, power=power)
    # float32 holds a product of 1e-45 and 1e38 to a digit only
    tolerance = {"float32": 2e-6, "float64": 1e-12}[dtype]
    certain = (np.abs(strength) > np.finfo(dtype).smallest_normal) | (absorbed < tolerance)
    certain |= strength == 0
    np.testing.assert_allclose(result[certain], expected[certain], atol=tolerance)
    assert np.all(np.isfinite(result))


@pytest.mark.parametrize("path", ["accelerated", "agnostic"])
@pytest.mark.parametrize("power", [0.0, 1.0, 2.5, 3.0])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_mirrored_amp_shows_every_phase_that_is_not_finite(value, power, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", "auto" if path == "accelerated" else "agnostic")
    phase = np.full((3, 700), 0.1, "float32")
    phase[1, 600] = value
    result = arraycon.mirrored_amp(np.ones_like(phase), phase, power=power)
    np.testing.assert_array_equal(np.isnan(result), np.arange(2100).reshape(3, 700) == 1300)
