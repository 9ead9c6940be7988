"""What the compiled masks do beyond the formulas: blocks, threads, permutations, the focus."""

from __future__ import annotations

import itertools

import array_api_compat.numpy as xp
import numpy as np
import pytest
from cases import OPTICS

pytest.importorskip("numba", reason="numba is not installed")

# what holds for both, by the names in CALLS
from probes_cpu import *
from probes_cpu import Call, probe

import arraycon
from arraycon.kernels.agnostic import probe_masks as agnostic
from arraycon.kernels.agnostic.tools import optics as agnostic_optics
from arraycon.kernels.cpu import probe_masks
from arraycon.kernels.cpu.tools import optics

SEARCH = {**OPTICS, "z_range": (-60.0, 60.0), "z_steps": 13, "radius": 0.7}
CALLS = [
    Call("probe_mask_k", {"power_thresh": 0.9}, transforms=True),
    Call("probe_mask_r", SEARCH, transforms=True),
]


def focused(n, defocus, aperture, noise=0.0):
    """A probe behind a round aperture, given as a fraction of Nyquist."""
    k = np.fft.fftfreq(n)
    k2 = k[:, None] ** 2 + k[None, :] ** 2
    spectrum = (k2 <= (aperture / 2) ** 2) * np.exp(-1j * np.pi * 0.0251 * defocus * k2 / 0.2**2)
    mode = np.fft.fftshift(np.fft.ifft2(spectrum))[None]
    rng = np.random.default_rng(0)
    return mode + noise * np.abs(mode).max() * rng.normal(size=mode.shape)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_permutations_in_place(order):
    given = probe(4, 2, 3)
    result = given.copy()
    probe_masks._permute(result, list(order), np.empty_like(result[0]))
    np.testing.assert_array_equal(result, given[list(order)])


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_folded_factors(n):
    """Factors on the half plane stand for those on all of it."""
    k = np.minimum(np.arange(n), n - np.arange(n))
    full = np.add.outer(3.0 * k**2, k) + 1j
    folded = optics.unfold(full[: n // 2 + 1, : n // 2 + 1], n)
    result = np.ones((n, n), complex)
    optics.multiply(result, folded, out=result)
    np.testing.assert_array_equal(result, full)


@pytest.mark.parametrize(
    ("mode", "z_range", "z_steps"),
    [
        (focused(64, 43.0, 0.5), (-100.0, 100.0), 101),
        (focused(64, 43.0, 0.5, noise=0.05), (-500.0, 500.0), 77),
        # planes that complex64 cannot tell apart
        (focused(48, 0.3, 0.2), (-1.0, 1.0), 41),
        # two planes that focus equally well: the first one counts
        (focused(32, 0.0, 0.5), (-30.0, 30.0), 4),
    ],
)
def test_the_plane_is_that_of_the_search_in_double_precision(mode, z_range, z_steps):
    for dtype in ("complex64", "complex128"):
        given = mode.astype(dtype)
        ramp = agnostic_optics.propagation_rate(given, **OPTICS, xp=xp)
        expected = agnostic._focus(given[0], ramp, z_range=z_range, z_steps=z_steps, xp=xp)
        rate = optics.propagation_rate(given, **OPTICS)
        result = probe_masks._focus(given[0], rate, z_range=z_range, z_steps=z_steps)
        assert result == pytest.approx(float(expected), abs=1e-9)


def test_the_rough_search_is_as_good_as_its_margin():
    given = focused(96, 200.0, 0.4, noise=0.02)
    planes = list(np.linspace(-500, 500, 101))
    rate = optics.propagation_rate(given, **OPTICS)
    spectrum = np.fft.fft2(given[0])
    spectrum /= np.abs(spectrum).max()
    rough = probe_masks._search(spectrum.astype("complex64"), rate, planes, 10.0)
    exact = probe_masks._evaluate(spectrum, rate, planes)
    assert np.abs(rough / exact - 1).max() < 0.1 * probe_masks._UNCERTAINTY


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
def test_the_focus_does_not_depend_on_the_scale(scale):
    given = focused(32, 100.0, 0.5).astype("complex64")
    rate = optics.propagation_rate(given, **OPTICS)
    mode = (given[0] / np.abs(given).max()) * np.float32(scale)
    found = probe_masks._focus(mode, rate, z_range=(-200.0, 200.0), z_steps=41)
    expected = probe_masks._focus(given[0], rate, z_range=(-200.0, 200.0), z_steps=41)
    assert found == (expected if scale else -200.0)


@pytest.mark.parametrize(
    ("name", "where"), [("probe_mask_k", "unfold"), ("probe_mask_r", "phasors")]
)
def test_a_lack_of_memory_comes_before_anything_is_written(name, where, monkeypatch):
    def fail(*_):
        raise MemoryError

    rng = np.random.default_rng(0)
    strength = np.array([1, 3, 2])[:, None, None]  # so that the modes will have to be sorted
    probe = (strength * rng.standard_normal((3, 32, 32)) + 0j).astype("complex64")
    state = arraycon.State(probe=probe.copy(), dx=0.2, wavelength=0.025)
    monkeypatch.setattr(optics, where, fail)
    with pytest.raises(MemoryError):
        arraycon.Constraints({name: {"start_iter": 1}}).apply(state, 1)
    np.testing.assert_array_equal(state.probe, probe)
