"""Modes of the probe and their power: ortho_pmode, fix_probe_int."""

from __future__ import annotations

import numpy as np
import pytest
from cases import OBJ, PROBE, Limit, on_probes

# every check of the contract runs over what this file declares
from contract import *
from hypothesis import given
from hypothesis import strategies as st
from libraries import relative_error
from properties import PRECISIONS, ROUNDING, SEEDS, SHAPES, assert_same, modes

import arraycon
from arraycon.kernels.agnostic import modes as agnostic


def ortho_pmode(probe):
    """Modes up to a unit phasor each, by singular value decomposition."""
    pixels = probe.reshape(len(probe), -1).astype(np.complex128)
    _, sizes, rows = np.linalg.svd(pixels, full_matrices=False)
    return (sizes[:, None] * rows).reshape(probe.shape)


def fix_probe_int(probe, *, intensity):
    wide = probe.astype(np.complex128)
    return wide * np.sqrt(intensity / np.sum(np.abs(wide) ** 2))


CASES = [
    *on_probes(ortho_pmode, {}, phases_free=True),
    *on_probes(fix_probe_int, {"intensity": 1234.5}, {"intensity": 1e-3}),
]

BAD = [
    ("ortho_pmode", (OBJ,), {}, TypeError, "probe: expected complex64 or complex128, got float32"),
    ("ortho_pmode", (PROBE[0],), {}, ValueError, r"probe: .*\(6, 6\); a single mode is probe\[N"),
    ("ortho_pmode", ([[1j]],), {}, TypeError, "probe: expected an array .* got list"),
    ("ortho_pmode", (None,), {}, TypeError, "probe: expected an array .* got NoneType"),
    ("fix_probe_int", (PROBE,), {"intensity": 0}, ValueError, "intensity: expected a number > 0"),
    ("fix_probe_int", (PROBE,), {"intensity": "5"}, TypeError, "intensity: .* got '5'"),
    ("fix_probe_int", (PROBE,), {"intensity": True}, TypeError, "intensity: .* got True"),
]

LIMITS = {"ortho_pmode": Limit(0.1), "fix_probe_int": Limit(0.01, {"intensity": 5.0})}


def probe_of(*strengths, shape=(6, 8)):
    """Orthogonal modes of the given powers: each lives on pixels of its own."""
    probe = np.zeros((len(strengths), *shape), complex)
    for i, strength in enumerate(strengths):
        probe[i].flat[i :: len(strengths)] = np.exp(
            1j * np.arange(len(probe[i].flat[i :: len(strengths)]))
        )
        probe[i] *= np.sqrt(strength / np.sum(np.abs(probe[i]) ** 2))
    return probe


@pytest.mark.parametrize("strengths", [(3, 2, 1), (2, 2, 2), (1, 1, 0, 0), (5,)])
def test_orthogonal_sorted_modes_come_back_as_they_were(strengths):
    probe = probe_of(*strengths)
    np.testing.assert_array_equal(arraycon.ortho_pmode(probe), probe)
    np.testing.assert_array_equal(
        arraycon.ortho_pmode(probe.astype("complex64")), probe.astype("complex64")
    )


def test_orthogonal_modes_are_sorted_without_being_mixed():
    probe = probe_of(1, 3, 2)
    np.testing.assert_allclose(arraycon.ortho_pmode(probe), probe[[1, 2, 0]], atol=1e-14)


def test_equally_strong_modes_are_not_mixed_by_rounding():
    """Overlaps of the size of float32 rounding would turn two modes of one power by 45°."""
    rng = np.random.default_rng(20)
    for _ in range(20):
        mixed = rng.normal(size=(5, 16, 16)) + 1j * rng.normal(size=(5, 16, 16))
        pixels = np.linalg.svd(mixed.reshape(5, -1), full_matrices=False)[2]
        probe = pixels.reshape(mixed.shape).astype("complex64")  # all powers are 1
        assert relative_error(arraycon.ortho_pmode(probe), probe) < 1e-6


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_zero_and_duplicate_modes(dtype):
    zero = np.zeros((3, 4, 5), dtype)
    np.testing.assert_array_equal(arraycon.ortho_pmode(zero), zero)
    one = probe_of(4.0)[0].astype(dtype)
    result = arraycon.ortho_pmode(np.stack([one, one, one]))
    assert relative_error(result[0], one * np.sqrt(3)) < 1e-6
    assert np.abs(result[1:]).max() < 1e-6
    assert relative_error(arraycon.ortho_pmode(result), result) < 1e-6


def test_the_gram_matrix_is_the_same_in_blocks(monkeypatch):
    rng = np.random.default_rng(20)
    probe = (rng.normal(size=(3, 11, 7)) + 1j * rng.normal(size=(3, 11, 7))).astype("complex64")
    whole = arraycon.ortho_pmode(probe)
    monkeypatch.setattr(agnostic, "_BLOCK", 30)
    assert relative_error(arraycon.ortho_pmode(probe), whole) < 1e-6


def test_single_precision_modes_are_summed_in_double():
    """4 million equal pixels: a float32 sum would be off by more than the tolerance."""
    probe = np.full((1, 2048, 2048), 0.1 + 0.1j, "complex64")
    result = arraycon.fix_probe_int(probe, intensity=1.0)
    assert np.abs(result[0, 0, 0]) ** 2 * 2048**2 == pytest.approx(1, rel=1e-6)


def test_fix_probe_int_leaves_a_probe_without_power():
    zero = np.zeros((2, 4, 4), "complex64")
    np.testing.assert_array_equal(arraycon.fix_probe_int(zero, intensity=5.0), zero)


def test_fix_probe_int_does_not_turn_an_overflow_into_zeros():
    with np.errstate(over="ignore"):
        result = arraycon.fix_probe_int(np.full((1, 4, 4), 1e200 + 0j), intensity=1.0)
    assert np.all(np.isnan(result))


def test_torch_results_have_no_lazy_conjugation():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(0)
    probe = torch.from_numpy(rng.normal(size=(3, 8, 8)) + 1j * rng.normal(size=(3, 8, 8)))
    assert not arraycon.ortho_pmode(probe.conj()).is_conj()


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


@given(SEEDS, st.floats(1e-6, 1e9), PRECISIONS)
def test_fix_probe_int_reaches_the_intensity(seed, intensity, dtype):
    probe = arraycon.fix_probe_int(modes(seed, (3, 7, 8), dtype), intensity=intensity)
    total = np.sum(np.abs(probe.astype(complex)) ** 2)
    assert total == pytest.approx(intensity, rel=ROUNDING[dtype])


SCALES = [1e-308, 1e-200, 1e-160, 1e-100, 1e-42, 1e-38, 1e-30, 1e30, 1e80, 1e150]
EXTREME = {
    "fix_probe_int": {"intensity": 4.0},
    "ortho_pmode": {},
    "probe_mask_k": {"power_thresh": 0.5},
    "probe_mask_r": {
        "dx": 0.2, "wavelength": 0.025, "z_range": (-90, 90), "z_steps": 19, "power_thresh": 0.5,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", EXTREME)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("path", ["auto", "agnostic"])
def test_probes_of_any_size(name, scale, path, monkeypatch):
    """What `scale` does to a probe it does to the result, as long as it fits into the dtype."""
    rng = np.random.default_rng(41)
    probe = rng.normal(size=(3, 8, 9)) + 1j * rng.normal(size=(3, 8, 9))
    probe *= np.array([1, 3, 0.5])[:, None, None]
    function = getattr(arraycon, name)
    with arraycon.use_agnostic():
        expected = function(probe, **EXTREME[name])
        small = function(probe * scale, **EXTREME[name])
    if scale < 1e-154:  # a power that has vanished, or almost, says nothing of the modes' order
        expected = small / scale
    elif name == "fix_probe_int":
        expected = expected / scale
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    for dtype in ("complex64", "complex128"):
        single = dtype == "complex64"
        # a power below 1e-308 has lost digits, and with them the factor
        if (single and not 1e-43 < scale < 1e37) or (name == "fix_probe_int" and scale < 1e-150):
            continue
        made = (probe * scale).astype(dtype)
        answer = function(made, **EXTREME[name])
        assert answer.dtype == made.dtype
        subnormal = scale < (1e-37 if single else 1e-307)
        tolerance = 0.05 if subnormal else 2e-6 if single else 1e-9
        error = np.linalg.norm(answer.astype(complex) / scale - expected)
        assert error <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("name", EXTREME)
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_twins_agree_on_probes_that_are_not_finite(name, strange):
    rng = np.random.default_rng(42)
    probe = rng.normal(size=(3, 8, 9)) + 1j * rng.normal(size=(3, 8, 9))
    probe[1, 3, 4] = strange
    function = getattr(arraycon, name)
    with np.errstate(all="ignore"):
        answer = function(probe.copy(), **EXTREME[name])
        with arraycon.use_agnostic():
            expected = function(probe.copy(), **EXTREME[name])
    np.testing.assert_array_equal(np.isfinite(answer), np.isfinite(expected))
    assert not np.all(np.isfinite(answer))
    good = np.isfinite(expected)
    np.testing.assert_allclose(answer[good], expected[good], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", EXTREME)
@pytest.mark.parametrize("path", ["auto", "agnostic"])
def test_the_smallest_probes_come_back_finite(name, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    probe = np.random.default_rng(43).standard_normal((2, 8, 8)) * (1e-312 + 0j)
    answer = getattr(arraycon, name)(probe, **EXTREME[name])
    assert np.all(np.isfinite(answer))
    assert 0 < np.abs(answer).max() < 1e-310
