"""Gaussian blurs."""

from __future__ import annotations

import numpy as np

import arraycon
from gallery.cases import Case, Example, case
from gallery.phantom import SIZE, atoms, crystal, noise

SCAN = SIZE, SIZE


def obj_rblur() -> Example:
    """Show noise from pixel to pixel, and a blur as wide as the atoms."""
    truth = crystal()
    before, faint = (truth + noise(truth.shape, sigma) for sigma in (0.1, 0.02))
    return Example(
        case(
            "white noise of 0.1 rad on columns of 2.2 px; std 1, kernel_size 7",
            truth,
            before,
            arraycon.obj_rblur(before, std=1, kernel_size=7),
        ),
        case(
            "noise of 0.02 rad; std 2.5, kernel_size 17, wider than the columns",
            truth,
            faint,
            arraycon.obj_rblur(faint, std=2.5, kernel_size=17),
        ),
    )


def obj_zblur() -> Example:
    """Show columns that jump between neighbouring slices, and one layer in vacuum."""
    truth = crystal(8)
    before = truth + noise((8, 1, 1), 0.2) * truth
    layer = np.zeros_like(truth)
    layer[3] = atoms()
    section = slice(None), 8
    return Example(
        case(
            "columns whose height jumps from slice to slice; defaults (depth along y)",
            truth,
            before,
            arraycon.obj_zblur(before),
            show=section,
            aspect=4,
        ),
        case(
            "a single layer in vacuum, as it is on by default in PtyRAD: smeared over five slices",
            layer,
            layer,
            arraycon.obj_zblur(layer),
            show=section,
            aspect=4,
        ),
    )


def tilt_smooth() -> Example:
    """Show noisy tilts of a bent film, and a boundary between two grains."""
    y, x = np.indices(SCAN) / SIZE
    bent = np.stack([4 * np.sin(2 * np.pi * y), 3 * x**2], axis=-1)
    grains = np.stack([np.where(x < 0.5, -3.0, 3.0), np.zeros(SCAN)], axis=-1)
    return Example(
        _tilts("a bent film, tilts noisy by 1 mrad; defaults", bent, noise(bent.shape, 1.0), 2.0),
        _tilts("two grains 6 mrad apart; std 2: their boundary is bent", grains, 0.0, 2.0),
    )


def _tilts(story: str, truth: np.ndarray, error: np.ndarray | float, std: float) -> Case:
    """Return a case of tilts (slow, fast, 2), of which those along y are drawn."""
    before = truth + error
    flat = arraycon.tilt_smooth(before.reshape(-1, 2), scan_shape=SCAN, std=std)
    after = flat.reshape(truth.shape)
    return case(story, truth, before, after, show=(..., 0), measure="rms error / mrad")
