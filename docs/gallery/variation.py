"""Total variation."""

from __future__ import annotations

import arraycon
from gallery.cases import Example, case
from gallery.phantom import atoms, chip, noise


def obj_tv() -> Example:
    """Show surfaces of one height each, and atoms, which have none."""
    truth, peaks = chip(), atoms(width=0.15)[None]
    before, faint = truth + noise(truth.shape, 0.1), peaks + noise(truth.shape, 0.03)
    return Example(
        case(
            "lines and pads with noise of 0.1 rad, weight 0.15",
            truth,
            before,
            arraycon.obj_tv(before, weight=0.15),
        ),
        case(
            "columns of atoms with noise of 0.03 rad, the same weight: plateaus, and lower ones",
            peaks,
            faint,
            arraycon.obj_tv(faint, weight=0.15),
        ),
    )
