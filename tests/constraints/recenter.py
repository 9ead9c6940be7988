"""Drifts: obj_z_recenter, pos_recenter."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from cases import (
    OBJ,
    OBJECTS,
    OPTICS,
    PROBE,
    TABLE,
    Case,
    Limit,
    amplitude,
    first,
    on_objects,
    phase,
    probe,
    table,
)

# every check of the contract runs over what this file declares
from contract import *
from hypothesis import given
from hypothesis import strategies as st
from libraries import relative_error
from properties import SEEDS, SHAPES, real
from reference import propagate, wide

import arraycon


def z_shift(phase, *, thresh, scale, max_shift):
    nz = phase.shape[-3]
    v = np.maximum(wide(phase), 0)
    if thresh is not None:
        v[v < np.percentile(v, thresh)] = 0
    axes = tuple(i for i in range(v.ndim) if i != v.ndim - 3)
    mass = v.mean(axis=axes)
    centre = np.sum(np.arange(nz) * mass) / (mass.sum() + 1e-8)
    limit = (nz - 1) / 2 if max_shift is None else min(max_shift, (nz - 1) / 2)
    return np.clip(scale * ((nz - 1) / 2 - centre), -limit, limit)


def obj_z_recenter(
    amplitude, phase, probe, *, dx, wavelength, slice_thickness, thresh, scale, max_shift
):
    shift = z_shift(phase, thresh=thresh, scale=scale, max_shift=max_shift)
    if abs(shift) < 1e-3:
        return wide(amplitude), wide(phase), wide(probe), 0.0
    kz = np.fft.fftfreq(phase.shape[-3])[:, None, None]
    ramp = np.exp(-2j * np.pi * kz * shift)

    def move(x):
        return np.fft.ifft(np.fft.fft(x, axis=-3) * ramp, axis=-3)

    moved = move(wide(amplitude) * np.exp(1j * wide(phase)))
    expected = move(wide(phase)).real
    turns = np.round((expected - np.angle(moved)) / (2 * np.pi))
    refocused = propagate(wide(probe), -shift * slice_thickness, dx, wavelength)
    return np.abs(moved), np.angle(moved) + 2 * np.pi * turns, refocused, shift


def pos_recenter(shifts, *, relax):
    return wide(shifts) - (1 - relax) * wide(shifts).mean(axis=0)


RECENTER = {**OPTICS, "slice_thickness": 8.0, "thresh": 95.0, "scale": 1.0, "max_shift": 10.0}

CASES = [
    *[
        Case(
            obj_z_recenter,
            ((amplitude, shape), (phase, shape), (probe, (3, 8, 10))),
            option,
            written=3,
        )
        for shape in OBJECTS
        for option in (
            RECENTER,
            {**RECENTER, "thresh": None, "scale": 0.3},
            {**RECENTER, "thresh": 37.5, "max_shift": None},
            {**RECENTER, "max_shift": 0.25},
            {**RECENTER, "scale": 0.0},
        )
    ],
    *on_objects(
        pos_recenter, table, {"relax": 0.0}, {"relax": 0.4}, shapes=((72, 2), (1, 2)), fixed=(1,)
    ),
]

BAD = [
    ("obj_z_recenter", (OBJ, OBJ, PROBE), {**RECENTER, "scale": -1}, ValueError, "scale: "),
    ("obj_z_recenter", (OBJ, OBJ, PROBE), {**RECENTER, "thresh": 101}, ValueError, "thresh: "),
    ("obj_z_recenter", (OBJ, OBJ, OBJ), RECENTER, TypeError, "probe: expected complex64"),
    ("pos_recenter", (TABLE.T,), {}, ValueError, r"shifts: expected shape \(n, 2\)"),
]

LIMITS = {"obj_z_recenter": Limit(2.1, {**OPTICS, "slice_thickness": 8.0})}


def test_outputs_may_be_crossed():
    case = first(CASES)["obj_z_recenter"]
    amplitude, phase, probe = case.make("float64")
    expected = case.function(amplitude, phase, probe, **case.options)
    case.function(amplitude, phase, probe, **case.options, out=(phase, amplitude, probe))
    np.testing.assert_array_equal(phase, expected[0])
    np.testing.assert_array_equal(amplitude, expected[1])


def test_phases_beyond_pi_survive_recentring():
    phase = np.zeros((9, 8, 8))
    phase[2] = 3.5
    amplitude = np.ones_like(phase)
    _, moved, _, shift = arraycon.obj_z_recenter(
        amplitude, phase, np.ones((1, 8, 8), complex), dx=0.2, wavelength=0.025, slice_thickness=8
    )
    assert float(shift) == pytest.approx(2.0)
    np.testing.assert_allclose(moved[4], 3.5, atol=1e-9)


def test_recentring_refocuses_the_probe_the_other_way():
    rng = np.random.default_rng(20)
    probe = rng.normal(size=(2, 8, 8)) + 1j * rng.normal(size=(2, 8, 8))
    phase = np.zeros((5, 8, 8))
    phase[1] = 0.2
    calibration = {"dx": 0.2, "wavelength": 0.025, "slice_thickness": 8.0}
    *_, refocused, shift = arraycon.obj_z_recenter(np.ones_like(phase), phase, probe, **calibration)
    assert float(shift) == pytest.approx(1.0)
    expected = propagate(probe, -8.0, 0.2, 0.025)
    assert relative_error(refocused, expected) < 1e-6  # the guard 1e-8 moves the centre of mass


@pytest.mark.parametrize("phase", [np.zeros((6, 4, 4)), -np.ones((6, 4, 4))])
def test_an_object_without_positive_phase_stays(phase):
    probe = np.ones((1, 6, 8), complex)
    *results, shift = arraycon.obj_z_recenter(
        np.ones_like(phase), phase, probe, dx=0.2, wavelength=0.025, slice_thickness=8.0
    )
    assert float(shift) == 0
    for result, before in zip(results, (np.ones_like(phase), phase, probe), strict=True):
        np.testing.assert_array_equal(result, before)


@given(SEEDS, st.integers(1, 50), st.floats(0, 1))
def test_pos_recenter_leaves_the_chosen_part_of_the_mean(seed, n, relax):
    shifts = real(seed, (n, 2), "float64", mean=3)
    result = arraycon.pos_recenter(shifts, relax=relax)
    np.testing.assert_allclose(result.mean(axis=0), relax * shifts.mean(axis=0), atol=1e-12)


@given(SEEDS, SHAPES, st.floats(0, 100), st.integers(0, 5))
def test_the_depth_shift_uses_the_exact_percentile(seed, shape, thresh, repeats):
    """Also among many equal values, where an interpolated threshold would round to either side."""
    phase = np.round(real(seed, shape, "float64"), repeats)
    amplitude = np.ones_like(phase)
    probe = np.ones((1, 4, 4), complex)
    options = {"thresh": thresh, "scale": 1.0, "max_shift": None}
    *_, shift = arraycon.obj_z_recenter(
        amplitude, phase, probe, dx=1.0, wavelength=0.02, slice_thickness=1.0, **options
    )
    expected = z_shift(phase, **options) if phase.max() > 0 else 0.0
    if abs(expected) < 1e-3:
        expected = 0.0
    assert float(shift) == pytest.approx(expected, abs=1e-9)


def test_one_slice_in_place_is_neither_copied_nor_touched():
    amplitude, phase = np.ones((1, 256, 256), "float32"), np.full((1, 256, 256), 0.5, "float32")
    probe = np.ones((2, 128, 128), "complex64")
    arrays = (amplitude, phase, probe)
    tracemalloc.start()
    try:
        answers = arraycon.obj_z_recenter(*arrays, **OPTICS, slice_thickness=5.0, out=arrays)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(answer is array for answer, array in zip(answers, arrays, strict=False))
    assert peak < amplitude.nbytes / 10


def test_one_slice_with_crossed_outputs():
    amplitude, phase = np.ones((1, 3, 4)), np.full((1, 3, 4), 0.5)
    probe = np.ones((1, 3, 4), complex)
    out = (phase, amplitude, probe)
    arraycon.obj_z_recenter(amplitude, phase, probe, **OPTICS, slice_thickness=5.0, out=out)
    np.testing.assert_array_equal(phase, 1.0)
    np.testing.assert_array_equal(amplitude, 0.5)
