"""The forward model: the direct sum, its adjoint, energy, shifts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from demo_data import DX, WAVELENGTH, random_waves

from arraycon.demo import forward
from arraycon.demo.probe import focused_probe


def dft(n: int) -> Any:
    """Unitary Fourier matrix, written out."""
    return np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) / np.sqrt(n)


def direct_pattern(modes: Any, slices: Any, shift: tuple[float, float], distance: float) -> Any:
    """Intensity by matrices in float64, mode by mode: another way to the same numbers."""
    ny, nx = modes.shape[1:]
    fy, fx = dft(ny), dft(nx)
    ky, kx = (np.array([i if i < (n + 1) // 2 else i - n for i in range(n)]) / n for n in (ny, nx))
    k = 1 / WAVELENGTH
    longitudinal = np.sqrt(k**2 - (ky[:, None] / DX) ** 2 - (kx / DX) ** 2)
    between = np.exp(2j * np.pi * distance * (longitudinal - k))
    ramp = np.exp(-2j * np.pi * (ky[:, None] * shift[0] + kx * shift[1]))
    total = np.zeros((ny, nx))
    for mode in modes.astype(np.complex128):
        wave = fy.conj() @ ((fy @ mode @ fx) * ramp) @ fx.conj()
        for index, transmission in enumerate(slices):
            wave = wave * transmission
            if index < len(slices) - 1:
                wave = fy.conj() @ ((fy @ wave @ fx) * between) @ fx.conj()
        total += np.abs(fy @ wave @ fx) ** 2
    return total


def build(shape: tuple[int, int], distance: float = 12.0) -> forward.Multislice:
    between = forward.propagator(shape, dx=DX, wavelength=WAVELENGTH, distance=distance)
    return forward.Multislice(shape, between, np.zeros(1, np.complex64))


@pytest.mark.parametrize(("shape", "nz"), [((8, 11), 3), ((9, 6), 1), ((7, 7), 2)])
def test_forward_model_is_the_direct_sum(shape: tuple[int, int], nz: int) -> None:
    rng = np.random.default_rng(0)
    modes, slices = random_waves(rng, 2, *shape), random_waves(rng, 2, nz, *shape)
    shifts = np.array([[0.3, -0.45], [0.0, 0.2]], np.float32)
    model = build(shape)
    spectra = forward.fft2(modes.copy()) * model.ramps(shifts)
    far, waves = model(spectra, slices)
    assert far.dtype == np.complex64
    assert len(waves) == nz
    for index in range(2):
        expected = direct_pattern(modes, slices[index], tuple(shifts[index]), 12.0)
        np.testing.assert_allclose(forward.intensity(far)[index], expected, rtol=1e-4, atol=1e-3)


def test_energy_is_conserved() -> None:
    rng = np.random.default_rng(1)
    modes = random_waves(rng, 3, 16, 12)
    slices = np.exp(1j * rng.normal(size=(1, 4, 16, 12))).astype(np.complex64)
    model = build((16, 12), distance=5.0)
    spectra = forward.fft2(modes.copy()) * model.ramps(np.array([[0.2, 0.4]], np.float32))
    power = forward.intensity(model(spectra, slices)[0]).sum()
    assert power == pytest.approx(np.sum(np.abs(modes) ** 2), rel=1e-5)


def test_way_back_is_the_adjoint() -> None:
    rng = np.random.default_rng(2)
    slices, model = random_waves(rng, 1, 3, 10, 8), build((10, 8))
    spectra, change = random_waves(rng, 1, 2, 10, 8), random_waves(rng, 1, 2, 10, 8)
    far, waves = model(spectra.copy(), slices)
    onto_slices, onto_spectra = model.back(change.copy(), slices, waves)
    product = np.vdot(far, change)
    assert np.vdot(spectra, onto_spectra) == pytest.approx(product, rel=1e-4)
    # the far field is linear in each single slice as well
    for z in range(3):
        assert np.vdot(slices[:, z], onto_slices[:, z]) == pytest.approx(product, rel=1e-4)


def test_subpixel_shift_of_a_gaussian() -> None:
    y, x = np.mgrid[:32, :32]
    model = build((32, 32))

    def gaussian(cy: float, cx: float) -> Any:
        return np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 18).astype(np.complex64)

    ramp = model.ramps(np.array([[0.37, -1.21]], np.float32))[0, 0]
    moved = forward.ifft2(forward.fft2(gaussian(16, 16)) * ramp)
    np.testing.assert_allclose(moved, gaussian(16.37, 14.79), atol=2e-5)


def test_focus_of_the_probe() -> None:
    args: dict[str, Any] = {"dx": DX, "wavelength": WAVELENGTH}
    defocused = focused_probe(64, **args, semi_angle=22e-3, c10=-80.0)
    focused = focused_probe(64, **args, semi_angle=22e-3, c10=0.0)
    assert np.unravel_index(np.abs(focused).argmax(), (64, 64)) == (32, 32)
    through = forward.propagator((64, 64), **args, distance=80.0)
    np.testing.assert_allclose(
        np.abs(forward.ifft2(forward.fft2(defocused) * through)), np.abs(focused), atol=2e-3
    )


def test_scatter_is_the_adjoint_of_gather() -> None:
    rng = np.random.default_rng(3)
    grid, windows = random_waves(rng, 2, 9, 8), random_waves(rng, 3, 2, 4, 5)
    corners = [(0, 0), (5, 3), (2, 1)]
    total = np.zeros_like(grid)
    forward.scatter(total, corners, windows)
    gathered = forward.gather(grid, corners, (4, 5))
    assert np.vdot(grid, total) == pytest.approx(np.vdot(gathered, windows), rel=1e-5)
