"""Filters in reciprocal space."""

from __future__ import annotations

import numpy as np

import arraycon
from gallery.cases import Example, case
from gallery.phantom import SPACING, atoms, crystal, noise

SECTION = slice(None), 8


def kr_filter() -> Example:
    """Show noise at frequencies that atoms do not have, and the default cut on fine pixels."""
    truth = crystal(width=0.3)
    fine = crystal(width=0.15)
    before = truth + noise(truth.shape, 0.1)
    return Example(
        case(
            "white noise of 0.1 rad; radius 0.35 of Nyquist, beyond which the atoms have nothing",
            truth,
            before,
            arraycon.kr_filter(before, radius=0.35),
        ),
        case(
            "finer atoms, default radius of 0.15: most of their contrast is lost",
            fine,
            fine,
            arraycon.kr_filter(fine),
        ),
    )


def kz_filter() -> Example:
    """Show what the missing wedge leaves open in depth, and layers that it takes for noise."""
    truth = crystal(8)
    before = truth + noise((8, 1, 1), 0.2) * crystal() / 0.5
    layers = np.where(np.arange(8)[:, None, None] < 4, atoms(), atoms(shift=SPACING / 2))
    return Example(
        case(
            "columns whose height jumps from slice to slice; beta 1, alpha 0 (depth along y)",
            truth,
            before,
            arraycon.kz_filter(before, beta=1.0, alpha=0.0),
            show=SECTION,
            aspect=4,
        ),
        case(
            "two layers, one above the other, periodic in depth: they leak into each other",
            layers,
            layers,
            arraycon.kz_filter(layers, beta=1.0, alpha=0.0),
            show=SECTION,
            aspect=4,
        ),
    )
