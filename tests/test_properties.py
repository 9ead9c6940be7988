"""Properties that SPEC promises, on random shapes, options and values."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from libraries import relative_error

import arraycon

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


@given(SEEDS, SHAPES, PRECISIONS)
def test_ortho_pmode_is_idempotent(seed, shape, dtype):
    once = arraycon.ortho_pmode(modes(seed, shape, dtype))
    assert_same(arraycon.ortho_pmode(once), once)


@given(SEEDS, SHAPES, PRECISIONS)
def test_ortho_pmode_keeps_the_intensity_of_every_pixel(seed, shape, dtype):
    probe = modes(seed, shape, dtype)
    before = np.sum(np.abs(probe) ** 2, axis=0)
    after = np.sum(np.abs(arraycon.ortho_pmode(probe)) ** 2, axis=0)
    np.testing.assert_allclose(after, before, rtol=20 * ROUNDING[dtype])


@given(SEEDS, SHAPES, PRECISIONS)
def test_ortho_pmode_gives_orthogonal_modes_by_falling_power(seed, shape, dtype):
    probe = modes(seed, shape, dtype)
    pixels = arraycon.ortho_pmode(probe).reshape(len(probe), -1).astype(complex)
    gram = pixels @ pixels.conj().T
    power = np.diag(gram).real
    off = gram - np.diag(np.diag(gram))
    assert np.abs(off).max() <= 5 * ROUNDING[dtype] * power.sum()
    assert np.all(np.diff(power) <= 5 * ROUNDING[dtype] * power.sum())


@given(SEEDS, SHAPES, PRECISIONS)
def test_ortho_pmode_returns_the_unitary(seed, shape, dtype):
    probe = modes(seed, shape, dtype)
    result, rotation = arraycon.ortho_pmode(probe, return_rotation=True)
    assert rotation.dtype == probe.dtype
    np.testing.assert_allclose(
        rotation @ rotation.conj().T, np.eye(len(probe)), atol=5 * ROUNDING[dtype]
    )
    assert_same(result, np.einsum("ij,jyx->iyx", rotation, probe).astype(probe.dtype), 2)


@given(SEEDS, SHAPES)
def test_ortho_pmode_fixes_the_phase_by_the_largest_overlap(seed, shape):
    probe = modes(seed, shape, "float64")
    result = arraycon.ortho_pmode(probe)
    overlaps = np.einsum("iyx,jyx->ij", result, probe.conj())
    for row in overlaps[: min(shape[0], shape[1] * shape[2])]:  # further modes hold no power
        largest = row[np.argmax(np.abs(row))]
        assert largest.real > 0
        assert abs(largest.imag) <= 1e-10 * largest.real


@given(SEEDS, SHAPES, st.floats(-np.pi, np.pi))
def test_ortho_pmode_follows_a_global_phase(seed, shape, angle):
    probe = modes(seed, shape, "float64")
    turned = arraycon.ortho_pmode(probe * np.exp(1j * angle))
    assert_same(turned, arraycon.ortho_pmode(probe) * np.exp(1j * angle), 1e3)


@given(SEEDS, SHAPES, PRECISIONS, st.floats(0, 1))
def test_idempotent_clamps(seed, shape, dtype, low):
    amplitude = real(seed, shape, dtype, mean=1)
    once = arraycon.obja_thresh(amplitude, thresh=(low, low + 0.3))
    np.testing.assert_array_equal(arraycon.obja_thresh(once, thresh=(low, low + 0.3)), once)
    assert once.min() >= np.asarray(low, dtype)
    assert once.max() <= np.asarray(low + 0.3, dtype)
    for mode in ("clip_neg", "subtract_min"):
        once = arraycon.objp_postiv(amplitude - 1, mode=mode)
        np.testing.assert_array_equal(arraycon.objp_postiv(once, mode=mode), once)
        assert once.min() >= 0


@given(SEEDS, SHAPES, PRECISIONS, st.floats(0.01, 1), st.sampled_from(["global", "slice"]))
def test_kr_thresh_is_idempotent_on_its_own_output(seed, shape, dtype, thresh, scope):
    once = arraycon.kr_thresh(real(seed, shape, dtype), thresh=thresh, scope=scope)
    assert_same(arraycon.kr_thresh(once, thresh=thresh, scope=scope), once, 4)


@given(SEEDS, SHAPES, PRECISIONS)
def test_kr_thresh_of_one_is_the_identity(seed, shape, dtype):
    obj = real(seed, shape, dtype)
    assert_same(arraycon.kr_thresh(obj, thresh=1.0), obj)


BOUNDARIES = st.sampled_from(["periodic", "mirror"])


@given(SEEDS, SHAPES, PRECISIONS, st.floats(0, 5), st.floats(0, 5), BOUNDARIES)
def test_kz_filter_keeps_the_mean_phase(seed, shape, dtype, beta, alpha, boundary):
    phase = real(seed, shape, dtype, mean=0.5)
    filtered = arraycon.kz_filter(phase, beta=beta, alpha=alpha, boundary=boundary)
    mean = phase.mean(dtype="float64")
    assert filtered.mean(dtype="float64") == pytest.approx(mean, abs=5 * ROUNDING[dtype])


FILTERS = {
    "obj_rblur": {"kernel_size": 5, "std": 1.1},
    "obj_zblur": {"kernel_size": 5, "std": 1.1},
    "kr_filter": {"radius": 0.4, "width": 0.1},
    "kz_filter": {"beta": 0.7, "alpha": 0.5},
    "kz_filter mirror": {"beta": 0.7, "alpha": 0.5, "boundary": "mirror"},
}
EACH_FILTER = pytest.mark.parametrize("name", FILTERS)


def apply_filter(name, obj):
    return getattr(arraycon, name.split()[0])(obj, **FILTERS[name])


@EACH_FILTER
@given(SEEDS, SHAPES, st.floats(-3, 3), st.floats(-3, 3))
def test_filters_are_linear(name, seed, shape, a, b):
    x, y = real(seed, shape, "float64"), real(seed + 1, shape, "float64")
    mixed = apply_filter(name, a * x + b * y)
    np.testing.assert_allclose(mixed, a * apply_filter(name, x) + b * apply_filter(name, y),
                               atol=1e-12)  # fmt: skip


@EACH_FILTER
@pytest.mark.parametrize("axis", [-3, -2, -1])
@given(SEEDS, SHAPES)
def test_filters_commute_with_flips(name, axis, seed, shape):
    x = real(seed, shape, "float64")
    flipped = apply_filter(name, np.flip(x, axis))
    np.testing.assert_allclose(np.flip(flipped, axis), apply_filter(name, x), atol=1e-13)


@pytest.mark.parametrize("axis", [-2, -1])
@given(SEEDS, SHAPES, st.floats(0.05, 0.9))
def test_kr_thresh_commutes_with_flips(axis, seed, shape, thresh):
    x = real(seed, shape, "float64")
    flipped = arraycon.kr_thresh(np.flip(x, axis), thresh=thresh)
    np.testing.assert_allclose(np.flip(flipped, axis), arraycon.kr_thresh(x, thresh=thresh),
                               atol=1e-12)  # fmt: skip


@EACH_FILTER
@given(SHAPES, st.data())
def test_an_impulse_stays_where_it_is(name, shape, data):
    shape = tuple(n + 4 for n in shape)
    position = tuple(data.draw(st.integers(2, n - 3)) for n in shape)
    impulse = np.zeros(shape)
    impulse[position] = 1
    filtered = apply_filter(name, impulse)
    assert np.unravel_index(np.argmax(filtered), shape) == position


@given(SEEDS, st.integers(1, 9), st.integers(1, 9))
def test_masked_modes_lose_power_and_stay_sorted(seed, ny, nx):
    probe = modes(seed, (4, ny, nx), "float64")
    for result in (
        arraycon.probe_mask_k(probe, radius=0.3, width=0.1),
        arraycon.probe_mask_r(probe, dx=0.2, wavelength=0.0251, radius=0.5, z_steps=3),
    ):
        power = np.sum(np.abs(result) ** 2, axis=(1, 2))
        assert power.sum() <= np.sum(np.abs(probe) ** 2) * (1 + 1e-12)
        assert np.all(np.diff(power) <= 1e-12)


@given(SEEDS, st.floats(1e-6, 1e9), PRECISIONS)
def test_fix_probe_int_reaches_the_intensity(seed, intensity, dtype):
    probe = arraycon.fix_probe_int(modes(seed, (3, 7, 8), dtype), intensity=intensity)
    total = np.sum(np.abs(probe.astype(complex)) ** 2)
    assert total == pytest.approx(intensity, rel=ROUNDING[dtype])


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
    expected = reference.z_shift(phase, **options) if phase.max() > 0 else 0.0
    if abs(expected) < 1e-3:
        expected = 0.0
    assert float(shift) == pytest.approx(expected, abs=1e-9)
