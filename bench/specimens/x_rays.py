"""A test pattern in hard X-rays: one plane that absorbs a little; ``python x_rays.py FOLDER``.

Writes x_rays.npz and x_rays_truth.npz in the layout that ``arraycon demo`` reads. NumPy alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

_N, _SIZE, _SIDE, _STEP = 64, 192, 16, 6.0
_COUNTS = 2e4


def make(folder: Path) -> None:
    """Simulate 256 positions on a jittered grid with a defocused probe."""
    rng = np.random.default_rng(5)
    material = np.zeros((_SIZE, _SIZE))
    for _ in range(260):  # grains of 3 to 8 px
        y, x = rng.uniform(0, _SIZE, 2)
        yy, xx = np.ogrid[:_SIZE, :_SIZE]
        material[np.hypot(yy - y, xx - x) < rng.uniform(3, 8)] = rng.uniform(0.5, 1)
    material = gaussian_filter(material, 0.6, mode="wrap")
    wave = np.exp((0.8j - 0.05) * material)
    k = np.fft.fftfreq(_N)
    square = k[:, None] ** 2 + k**2
    lens = (square < 0.2**2) & (square > 0.06**2)  # a zone plate with its central stop
    probe = np.fft.fftshift(np.fft.ifft2(lens * np.exp(-1j * np.pi * 220 * square), norm="ortho"))
    probe *= np.sqrt(_COUNTS / np.sum(np.abs(probe) ** 2))
    axis = 40 + _STEP * np.arange(_SIDE)
    places = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    places += rng.uniform(-1.5, 1.5, places.shape)
    patterns = []
    for y, x in places:
        iy, ix = round(y), round(x)
        ramp = np.exp(-2j * np.pi * ((y - iy) * k[:, None] + (x - ix) * k))
        lit = np.fft.ifft2(np.fft.fft2(probe) * ramp)
        part = wave[iy - _N // 2 : iy + _N // 2, ix - _N // 2 : ix + _N // 2]
        patterns.append(np.abs(np.fft.fft2(lit * part, norm="ortho")) ** 2)
    counts = rng.poisson(np.array(patterns)).astype(np.uint16)
    np.savez_compressed(
        folder / "x_rays.npz", diffraction=counts, positions=places,
        probe=probe[None].astype(np.complex64),
    )  # fmt: skip
    np.savez_compressed(
        folder / "x_rays_truth.npz",
        potential_VA=0.8 * material[None].astype(np.float32),
        sigma_rad_per_VA=1.0,
    )
    print(f"x_rays: {counts.sum() / len(counts):.0f} counts per pattern")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    make(target)
