"""Linear filters."""

from __future__ import annotations

import numpy as np

import arraycon
from gallery.cases import Example, case
from gallery.phantom import DX, SIZE, SPACING, atoms, crystal, noise

THICKNESS = 4.0  # Å, a slice


def obj_gaussian() -> Example:
    """Show noise beyond what the aperture passes, and atoms that are as fine as the blur."""
    truth = crystal()
    before, faint = (truth + noise(truth.shape, sigma) for sigma in (0.1, 0.02))
    return Example(
        case(
            "white noise of 0.1 rad on columns of 0.22 Å, blurred by 0.1 Å",
            truth,
            before,
            arraycon.obj_gaussian(before, dx=DX, sigma=0.1),
        ),
        case(
            "noise of 0.02 rad, blurred by 0.3 Å, wider than the columns: no peaks are left",
            truth,
            faint,
            arraycon.obj_gaussian(faint, dx=DX, sigma=0.3),
        ),
    )


def obj_smooth() -> Example:
    """Show a checkerboard that the data do not determine, and repetition."""
    truth = crystal()
    y, x = np.indices((SIZE, SIZE))
    before = truth + 0.15 * (-1.0) ** (y + x)
    repeated = truth
    for _ in range(60):
        repeated = arraycon.obj_smooth(repeated, alpha=0.1)
    return Example(
        case(
            "a checkerboard of 0.15 rad, mixed with its neighbours once, alpha 0.1",
            truth,
            before,
            arraycon.obj_smooth(before, alpha=0.1),
        ),
        case(
            "a clean crystal after 60 iterations: what is little at a time adds up",
            truth,
            truth,
            repeated,
        ),
    )


def obj_bandpass() -> Example:
    """Show a slow background, and a crystal whose period is slow itself."""
    truth = crystal() - crystal().mean()
    y, x = np.indices((SIZE, SIZE)) / SIZE
    background = 0.4 * np.sin(2 * np.pi * y) * np.cos(2 * np.pi * x)
    before, flat = truth + background, truth + background / 8
    return Example(
        case(
            "a background of one period in 9.6 Å; q_highpass = 0.3 1/Å",
            truth,
            before,
            arraycon.obj_bandpass(before, dx=DX, q_highpass=0.3, order=4),
        ),
        case(
            "less of it; q_highpass = 0.8 1/Å, above the lattice's 0.63, which goes too",
            truth,
            flat,
            arraycon.obj_bandpass(flat, dx=DX, q_highpass=0.8, order=4),
        ),
    )


def grid_notch() -> Example:
    """Show the raster of the scan, and a lattice of the same period."""
    cluster, lattice, step = _cluster(), crystal(), 0.8
    fine, coarse = _raster(step), _raster(SPACING)
    return Example(
        case(
            "a raster of 0.8 Å, the step of the scan, over a cluster; period 0.8 Å",
            cluster,
            cluster + fine,
            arraycon.grid_notch(cluster + fine, dx=DX, period=step, window=1),
        ),
        case(
            "a scan whose step is the crystal's period: the crystal goes, too",
            lattice,
            lattice + coarse,
            arraycon.grid_notch(lattice + coarse, dx=DX, period=SPACING, window=1),
        ),
    )


def _raster(period: float) -> np.ndarray:
    """Return waves along y and x."""
    y, x = np.indices((SIZE, SIZE)) * DX
    return 0.1 * (np.cos(2 * np.pi * y / period) + np.cos(2 * np.pi * x / period))


def obj_wedge() -> Example:
    """Show changes from slice to slice that the data cannot show, and layers that they can."""
    truth = crystal(8)
    rough = noise((8, 1, 1), 0.2) * crystal() / 0.5
    before = truth + rough
    options = {"dx": DX, "slice_thickness": THICKNESS}
    layers = np.where(np.arange(8)[:, None, None] < 4, atoms(), atoms(shift=SPACING / 2))
    section = slice(None), 8
    return Example(
        case(
            "columns whose height jumps from slice to slice; half angle 25 mrad (depth along y)",
            truth,
            before,
            arraycon.obj_wedge(before, semiangle=25, **options),
            show=section,
            aspect=4,
        ),
        case(
            "two layers, one above the other, that these data do not resolve: they are mixed",
            layers,
            layers,
            arraycon.obj_wedge(layers, semiangle=25, **options),
            show=section,
            aspect=4,
        ),
    )


def identical_slices() -> Example:
    """Show a crystal that is the same at each depth, and one that is not."""
    truth = crystal(8)
    before = truth + noise(truth.shape, 0.1)
    layers = np.where(np.arange(8)[:, None, None] < 4, atoms(), atoms(shift=SPACING / 2))
    section = slice(None), 8
    return Example(
        case(
            "a crystal of eight equal slices with noise of 0.1 rad (depth along y)",
            truth,
            before,
            arraycon.identical_slices(before),
            show=section,
            aspect=4,
        ),
        case(
            "two layers: both are in all slices afterwards",
            layers,
            layers,
            arraycon.identical_slices(layers),
            show=section,
            aspect=4,
        ),
    )


def _cluster() -> np.ndarray:
    """Return a round particle (1, ny, nx)."""
    y, x = np.indices((SIZE, SIZE)) - SIZE / 2
    return (0.5 * np.exp(-(y**2 + x**2) / (2 * 12.0**2)))[None]
