"""Masks of the probe in both spaces: probe_mask_k, probe_mask_r."""

from __future__ import annotations

import numpy as np
from cases import OPTICS, PROBE, PROBES, Limit, on_probes

# every check of the contract runs over what this file declares
from contract import *
from hypothesis import given
from hypothesis import strategies as st
from libraries import relative_error
from properties import SEEDS, modes
from reference import propagate, sigmoid

import arraycon


def sort_by_power(probe):
    power = np.sum(np.abs(probe) ** 2, axis=(1, 2))
    return probe[np.argsort(-power, kind="stable")]


def masked_modes(probe, power_thresh):
    """Number of modes, sorted by power, that a probe mask applies to."""
    power = np.sum(np.abs(probe) ** 2, axis=(1, 2))
    fraction = np.cumsum(power) / power.sum()
    for i, value in enumerate(fraction):
        if value > power_thresh:
            return i + 1
    return len(probe)


def probe_mask_k(probe, *, radius, width, power_thresh):
    probe = sort_by_power(probe.astype(np.complex128))
    n = masked_modes(probe, power_thresh)
    mask = sigmoid(*probe.shape[1:], radius, width)
    result = probe.copy()
    result[:n] = np.fft.ifft2(np.fft.fft2(probe[:n]) * mask)
    return sort_by_power(result)


def probe_mask_r(probe, *, dx, wavelength, radius, order, power_thresh, z_range, z_steps):
    probe = sort_by_power(probe.astype(np.complex128))
    n = masked_modes(probe, power_thresh)
    planes = np.linspace(*z_range, z_steps)
    sharpness = [np.sum(np.abs(propagate(probe[0], z, dx, wavelength)) ** 4) for z in planes]
    z = planes[int(np.argmax(sharpness))]
    ny, nx = probe.shape[-2:]
    y = (np.arange(ny) - ny // 2)[:, None] / (ny / 2)
    x = (np.arange(nx) - nx // 2)[None, :] / (nx / 2)
    window = np.exp(-0.5 * (np.sqrt(y**2 + x**2) / radius) ** (2 * order))
    focused = propagate(probe, z, dx, wavelength)
    focused[:n] *= window
    return sort_by_power(propagate(focused, -z, dx, wavelength))


MASK_R = {
    **OPTICS,
    "radius": 0.8,
    "order": 6,
    "power_thresh": 0.95,
    "z_range": (-60.0, 90.0),
    "z_steps": 7,
}

CASES = [
    *on_probes(
        probe_mask_k,
        {"radius": 0.22, "width": 0.05, "power_thresh": 0.95},
        {"radius": 0.5, "width": 0.0, "power_thresh": 0.3},
        {"radius": 0.4, "width": 1e-3, "power_thresh": 1.0},
        {"radius": 0.0, "width": 0.2, "power_thresh": 0.0},
    ),
    *on_probes(probe_mask_r, MASK_R, {**MASK_R, "order": 1, "power_thresh": 0.4}),
    *on_probes(probe_mask_r, {**MASK_R, "z_steps": 1, "radius": 0.3}, shapes=PROBES[:1]),
]

BAD = [
    ("probe_mask_k", (PROBE,), {"radius": -1}, ValueError, "radius: expected a number ≥ 0, got -1"),
    ("probe_mask_k", (PROBE,), {"width": np.nan}, ValueError, "width: .* got nan"),
    ("probe_mask_k", (PROBE,), {"power_thresh": 95}, ValueError, r"power_thresh: .*1\], got 95.0"),
    ("probe_mask_r", (PROBE,), {**OPTICS, "order": 1.5}, TypeError, "order: expected an integer"),
    ("probe_mask_r", (PROBE,), {**OPTICS, "z_range": (5, -5)}, ValueError, "z_range: .*ascending"),
    ("probe_mask_r", (PROBE,), {**OPTICS, "z_range": 5}, TypeError, "z_range: .* got 5"),
    (
        "probe_mask_r",
        (PROBE,),
        {**OPTICS, "z_steps": 0},
        ValueError,
        "z_steps: .*1, 100000., got 0",
    ),
    ("probe_mask_r", (PROBE,), {**OPTICS, "dx": 0}, ValueError, "dx: expected a number > 0"),
]

LIMITS = {"probe_mask_k": Limit(0.3), "probe_mask_r": Limit(0.9, OPTICS)}


def probe_of(*strengths, shape=(6, 8)):
    """Orthogonal modes of the given powers: each lives on pixels of its own."""
    probe = np.zeros((len(strengths), *shape), complex)
    for i, strength in enumerate(strengths):
        probe[i].flat[i :: len(strengths)] = np.exp(
            1j * np.arange(len(probe[i].flat[i :: len(strengths)]))
        )
        probe[i] *= np.sqrt(strength / np.sum(np.abs(probe[i]) ** 2))
    return probe


def test_extreme_windows_stay_finite():
    probe = probe_of(3, 1)
    for radius in (0.0, 1e-300, 1e300):
        for order in (1, 10**6):
            result = arraycon.probe_mask_r(
                probe, dx=0.2, wavelength=0.025, radius=radius, order=order, z_steps=3
            )
            assert np.all(np.isfinite(result))


def test_the_window_is_centred_on_the_probe():
    """A point probe on pixel (n//2, n//2) in focus passes through a tight window unchanged."""
    probe = np.zeros((1, 16, 17), complex)
    probe[0, 8, 8] = 1
    options = {"dx": 0.2, "wavelength": 0.025, "z_range": (0, 10), "z_steps": 2}
    kept = arraycon.probe_mask_r(probe, radius=0.02, **options)
    np.testing.assert_allclose(kept, probe, atol=1e-12)


def test_the_focus_search_finds_the_defocus():
    sharp = np.zeros((1, 32, 32), complex)
    sharp[0, 14:18, 14:18] = 1
    blurred = propagate(sharp, -120.0, 0.2, 0.0251)
    options = {"dx": 0.2, "wavelength": 0.0251, "radius": 0.4, "order": 20}
    kept = arraycon.probe_mask_r(blurred, z_range=(-200, 200), z_steps=21, **options)
    assert relative_error(kept, blurred) < 1e-6  # all of it is inside the window when in focus
    cut = arraycon.probe_mask_r(blurred, z_range=(-200, -100), z_steps=3, **options)
    assert relative_error(cut, blurred) > 1e-3


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
