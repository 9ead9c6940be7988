"""Freedoms of the model: phase_ramp, ortho_omode, obj_probe_scale."""

from __future__ import annotations

import numpy as np
import pytest
from cases import OBJ, PROBE, Case, Limit, amplitude, phase, probe

# every check of the contract runs over what this file declares
from contract import *
from hypothesis import given
from hypothesis import strategies as st
from properties import PRECISIONS, SEEDS, assert_same, modes, real
from reference import wide

import arraycon


def coordinates(n):
    return np.arange(n) - n // 2


def planes(phase, weight, *, terms, method):
    """Fit by dense least squares, slice by slice."""
    nz, ny, nx = phase.shape[-3:]
    w = np.broadcast_to(1.0 if weight is None else wide(weight), (nz, ny, nx))
    y, x = np.meshgrid(coordinates(ny), coordinates(nx), indexing="ij")
    slopes = np.zeros((nz, 3))
    for z in range(nz):
        if w[z].sum() == 0:
            continue
        one = phase[..., z, :, :].reshape(-1, ny, nx)
        if method == "plane":
            columns = np.stack([np.ones_like(y), y, x][: 3 if terms == "ramp" else 1], -1)
            root = np.sqrt(w[z]).ravel()
            matrix = root[:, None] * columns.reshape(ny * nx, -1)
            found = np.linalg.lstsq(matrix, root * one.mean(0).ravel(), rcond=None)[0]
            slopes[z, : len(found)] = found
        else:
            g = [0, 0]
            if terms == "ramp":
                pairs = [np.s_[1:, :], np.s_[:-1, :]], [np.s_[:, 1:], np.s_[:, :-1]]
                for axis, (b, a) in enumerate(pairs):
                    turn = np.exp(1j * (one[(slice(None), *b)] - one[(slice(None), *a)]))
                    g[axis] = np.angle(np.sum(w[z][b] * w[z][a] * turn))
            c = np.angle(np.sum(w[z] * np.exp(1j * (one - g[0] * y - g[1] * x))))
            slopes[z] = c, *g
    return slopes


def phase_ramp(phase, probe, weight=None, *, terms="ramp", method="plane", relax=0.0):
    phase = wide(phase)
    slopes = (1 - relax) * planes(phase, weight, terms=terms, method=method)
    y, x = np.meshgrid(*map(coordinates, phase.shape[-2:]), indexing="ij")
    c, gy, gx = slopes.T[:, :, None, None]
    v, u = np.meshgrid(*map(coordinates, probe.shape[-2:]), indexing="ij")
    turn = np.exp(1j * (gy.sum() * v + gx.sum() * u))
    return phase - (c + gy * y + gx * x), wide(probe) * turn


def obj_probe_scale(amplitude, probe, weight=None, *, target=1.0, relax=0.0):
    amplitude = wide(amplitude)
    nz = amplitude.shape[-3]
    w = np.broadcast_to(1.0 if weight is None else wide(weight), amplitude.shape)
    factors = np.ones(nz)
    for z in range(nz):
        n = np.sqrt(np.average(amplitude[..., z, :, :] ** 2, weights=w[..., z, :, :]))
        factors[z] = (n / target) ** (1 - relax)
    return amplitude / factors[:, None, None], wide(probe) * np.prod(factors)


def ortho_omode(obj):
    """Modes up to a unit phasor each, by singular value decomposition."""
    _, sizes, rows = np.linalg.svd(wide(obj).reshape(len(obj), -1), full_matrices=False)
    return (sizes[:, None] * rows).reshape(obj.shape)


def ramp(phase, probe, weight=None, **options):
    return arraycon.phase_ramp(phase, weight, probe, **options)[:2]


def scale(*arrays, **options):
    return arraycon.obj_probe_scale(*arrays, **options)[:2]


def object_modes(rng, shape):
    return probe(rng, (shape[0], *shape[2:]))[:, None]


def light(rng, shape):
    return rng.random(shape)


SHAPES3 = ((5, 9, 14), (2, 3, 20, 16), (1, 4, 13))


def cases(reference, call, maker, *options):
    """Cases without weights, and with those of one slice and of several."""
    weights = (), ((light, (20, 16)),), ((light, (1, 4, 13)),)
    return [
        Case(reference, ((maker, shape), (probe, (2, 8, 9)), *more), option, written=2, call=call)
        for shape, more in zip(SHAPES3, weights, strict=True)
        for option in options
    ]


CASES = [
    *cases(
        phase_ramp, ramp, phase, {}, {"terms": "offset", "relax": 0.2},
        {"method": "gradient", "relax": 0.3}, {"method": "gradient", "terms": "offset"},
    ),
    *cases(obj_probe_scale, scale, amplitude, {}, {"target": 0.5, "relax": 0.25}),
    *(
        Case(ortho_omode, ((object_modes, shape),), {}, phases_free=True, fixed=(1,))
        for shape in ((4, 1, 9, 8), (1, 1, 3, 5))
    ),
]  # fmt: skip

BAD = [
    ("phase_ramp", (OBJ,), {"terms": "all"}, ValueError, "terms: expected ramp or offset, got"),
    ("phase_ramp", (OBJ,), {"method": "fit"}, ValueError, "method: expected plane or gradient"),
    ("phase_ramp", (OBJ[0],), {}, ValueError, "phase: expected at least 3 axes"),
    ("phase_ramp", (OBJ, OBJ[:2]), {}, ValueError, "weight: expected a shape that fits the last"),
    ("phase_ramp", (OBJ[None], OBJ[None]), {}, ValueError, "weight: expected a shape that fits"),
    ("phase_ramp", (OBJ, None, OBJ), {}, TypeError, "probe: expected complex64 or complex128"),
    ("ortho_omode", (PROBE[:, None][:, [0, 0]],), {}, ValueError, r"obj: expected shape \(omode"),
    ("obj_probe_scale", (OBJ, PROBE), {"target": 0}, ValueError, "target: expected a number > 0"),
    ("obj_probe_scale", (OBJ, PROBE), {"relax": 2}, ValueError, r"relax: expected .* \[0, 1\]"),
]

LIMITS = {"phase_ramp": Limit(0.02), "ortho_omode": Limit(0.02), "obj_probe_scale": Limit(0.02)}


def intensities(probe, objects, place):
    """Of the wave behind one slice, per probe and object mode."""
    ny, nx = probe.shape[-2:]
    window = objects[:, place[0] : place[0] + ny, place[1] : place[1] + nx]
    return np.abs(np.fft.fft2(probe[:, None] * window[None])) ** 2


@given(SEEDS, PRECISIONS, st.sampled_from(["plane", "gradient"]), st.floats(0, 1))
def test_with_one_slice_a_ramp_leaves_the_intensities(seed, dtype, method, relax):
    phase, probe = 0.5 * real(seed, (2, 1, 12, 15), dtype), modes(seed, (2, 6, 5), dtype)
    phase = phase + (0.05 * np.arange(15) - 0.1 * np.arange(12)[:, None]).astype(dtype)
    new, turned, _ = arraycon.phase_ramp(phase, None, probe, method=method, relax=relax)
    for place in ((0, 0), (3, 7)):
        before = intensities(probe, np.exp(1j * phase[:, 0]), place)
        after = intensities(turned, np.exp(1j * new[:, 0]), place)
        tolerance = 1e-4 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(after, before, rtol=tolerance, atol=tolerance * before.max())


@pytest.mark.parametrize("method", ["plane", "gradient"])
def test_an_exact_ramp_is_found_and_goes_once(method):
    y, x = np.meshgrid(coordinates(16), coordinates(11), indexing="ij")
    slopes = np.array([[0.3, 0.5, -0.2], [-0.1, 0.0, 0.7]])
    ramps = np.einsum("zk,kyx->zyx", slopes, np.stack([np.ones_like(y), y, x]))
    given = np.angle(np.exp(1j * ramps)) if method == "gradient" else ramps
    flat, _, found = arraycon.phase_ramp(given, method=method)
    np.testing.assert_allclose(found, slopes, atol=1e-13)
    np.testing.assert_allclose(np.exp(1j * flat), 1, atol=1e-12)
    again, _, rest = arraycon.phase_ramp(flat, method="plane")
    if method == "plane":
        np.testing.assert_allclose(again, flat, atol=1e-12)
        np.testing.assert_allclose(rest, 0, atol=1e-13)


def test_without_weight_or_extent_there_is_no_slope():
    phase = np.random.default_rng(0).normal(size=(2, 6, 1))
    weight = np.stack([np.ones((6, 1)), np.zeros((6, 1))])
    new, none, slope = arraycon.phase_ramp(phase, weight)
    assert none is None
    np.testing.assert_array_equal(new[1], phase[1])
    np.testing.assert_array_equal(slope[1], 0)
    assert slope[0, 2] == 0


@given(SEEDS, st.integers(0, 8), st.integers(0, 6), st.floats(0.01, 1))
def test_a_single_pixel_has_no_slope(seed, y, x, strength):
    phase, weight = real(seed, (1, 9, 7), "float64"), np.zeros((9, 7))
    weight[y, x] = strength
    new, _, slope = arraycon.phase_ramp(phase, weight)
    np.testing.assert_allclose(slope, [[phase[0, y, x], 0, 0]], atol=1e-15)
    np.testing.assert_allclose(new, phase - phase[0, y, x], atol=1e-15)


@given(SEEDS, PRECISIONS, st.floats(0.1, 3), st.floats(0, 1))
def test_a_scale_leaves_exit_waves_of_any_number_of_slices(seed, dtype, target, relax):
    amplitude, probe = 1 + 0.3 * real(seed, (2, 4, 6, 5), dtype), modes(seed, (2, 6, 5), dtype)
    new, scaled, factor = arraycon.obj_probe_scale(amplitude, probe, target=target, relax=relax)
    assert factor.shape == (4,)
    before = probe[:, None] * np.prod(amplitude, axis=1)
    assert_same(scaled[:, None] * np.prod(new, axis=1), before, factor=3)
    if relax == 0:
        power = np.mean(wide(new) ** 2, axis=(0, 2, 3))
        np.testing.assert_allclose(power, target**2, rtol=1e-5)


def test_a_scale_of_nothing_is_one():
    nothing, probe = np.zeros((1, 2, 3, 4)), np.ones((1, 2, 2), complex)
    for old, weight in ((nothing, None), (nothing + 2, np.zeros((3, 4)))):
        new, same, factor = arraycon.obj_probe_scale(old, probe, weight)
        np.testing.assert_array_equal(new, old)
        np.testing.assert_array_equal(same, probe)
        np.testing.assert_array_equal(factor, 1)


@given(SEEDS, PRECISIONS)
def test_object_modes_keep_their_intensities(seed, dtype):
    obj, probe = modes(seed, (3, 1, 8, 9), dtype), modes(seed + 1, (2, 4, 5), dtype)
    mixed, rotation = arraycon.ortho_omode(obj, return_rotation=True)
    for place in ((0, 0), (4, 3)):
        before, after = (intensities(probe, x[:, 0], place).sum(axis=1) for x in (obj, mixed))
        tolerance = 1e-4 if dtype == "float32" else 1e-11
        np.testing.assert_allclose(after, before, rtol=tolerance, atol=tolerance * before.max())
    assert_same(np.einsum("ij,jzyx->izyx", rotation, obj), mixed, factor=5)
    assert_same(arraycon.ortho_omode(mixed), mixed, factor=5)


@pytest.mark.parametrize("method", ["plane", "gradient"])
@given(seed=SEEDS, dtype=PRECISIONS)
def test_flips_flip_what_a_ramp_leaves(method, seed, dtype):
    phase = 0.2 * real(seed, (2, 3, 9, 7), dtype)
    weight = np.random.default_rng(seed).random((9, 7))
    left = arraycon.phase_ramp(phase, weight, method=method)[0]
    for axis in (-1, -2):
        turned, flipped = np.flip(phase, axis), np.flip(weight, axis)
        again = arraycon.phase_ramp(turned, flipped, method=method)[0]
        np.testing.assert_allclose(np.flip(again, axis), left, atol=20 * np.finfo(dtype).eps)


@given(SEEDS, PRECISIONS)
def test_a_ramp_goes_once_by_gradients_too(seed, dtype):
    phase = 0.2 * real(seed, (2, 3, 9, 7), dtype)
    phase = phase + np.asarray(0.3 * np.arange(7) - 0.5, dtype)
    once, _, _ = arraycon.phase_ramp(phase, method="gradient")
    again, _, rest = arraycon.phase_ramp(once, method="gradient")
    np.testing.assert_allclose(again, once, atol=100 * np.finfo(dtype).eps)
    np.testing.assert_allclose(rest, 0, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_nothing_there_comes_no_nan(dtype):
    phase, probe = np.zeros((2, 3, 4, 5), dtype), modes(0, (2, 4, 5), dtype)
    for method in ("plane", "gradient"):
        new, same, slope = arraycon.phase_ramp(phase, None, probe, method=method)
        assert not new.any()
        assert not slope.any()
        assert_same(same, probe)
    nothing = np.zeros_like(probe)
    amplitude, scaled, factor = arraycon.obj_probe_scale(phase, nothing)
    assert not amplitude.any()
    assert not scaled.any()
    assert np.all(factor == 1)
    assert not arraycon.ortho_omode(nothing[:, None]).any()
