"""Limits on values."""

from __future__ import annotations

import numpy as np

import arraycon
from gallery.cases import Example, case
from gallery.phantom import SIZE, crystal, edge, noise


def obj_shrink() -> Example:
    """Show noise between atoms, and atoms that are hardly stronger than it."""
    truth = crystal(height=0.5)
    truth = np.where(truth > 0.03, truth, 0.0)
    weak = 0.1 * truth
    before, faint = truth + noise(truth.shape, 0.03), weak + noise(truth.shape, 0.01)
    return Example(
        case(
            "noise of 0.03 rad between columns of 0.5; hard, amount 0.06",
            truth,
            before,
            arraycon.obj_shrink(before, amount=0.06, rule="hard"),
        ),
        case(
            "columns of 0.05 rad: the same amount takes them for noise",
            weak,
            faint,
            arraycon.obj_shrink(faint, amount=0.06, rule="hard"),
        ),
    )


def objp_thresh() -> Example:
    """Show single pixels that left for another branch, and a limit below the atoms."""
    truth = crystal(height=0.5)
    spots = np.random.default_rng(1).random(truth.shape) < 0.01
    before = truth + np.where(spots, np.pi, 0.0)
    return Example(
        case(
            "one pixel in a hundred is π too high; thresh [0, 0.6]",
            truth,
            before,
            arraycon.objp_thresh(before, thresh=(0, 0.6)),
        ),
        case(
            "thresh [0, 0.2] on atoms of 0.5 rad: flat tops, heavy and light columns look alike",
            truth,
            truth,
            arraycon.objp_thresh(truth, thresh=(0, 0.2)),
        ),
    )


def obj_baseline() -> Example:
    """Show a constant that the data do not determine, and a specimen without vacuum."""
    truth, mask = edge()
    before = truth + 0.15
    full = crystal()
    return Example(
        case(
            "0.15 rad too much everywhere; the mean of the vacuum (right) becomes 0",
            truth,
            before,
            arraycon.obj_baseline(before, mask),
        ),
        case(
            "no vacuum, so the mean of all becomes 0, and what lies between atoms negative",
            full,
            full,
            arraycon.obj_baseline(full),
        ),
    )


def obj_fill() -> Example:
    """Show vacuum where it is known to be, and a mask that reaches into the specimen."""
    truth, mask = edge()
    before = truth + noise(truth.shape, 0.03)
    wide = np.zeros((SIZE, SIZE))
    wide[:, 32:] = 1.0
    return Example(
        case(
            "noise of 0.03 rad everywhere; the vacuum (right) is filled with 0",
            truth,
            before,
            arraycon.obj_fill(before, mask),
        ),
        case(
            "a mask that takes half of the specimen for vacuum",
            truth,
            before,
            arraycon.obj_fill(before, wide),
        ),
    )
