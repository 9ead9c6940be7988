"""Sparsity."""

from __future__ import annotations

import numpy as np

import arraycon
from gallery.cases import Example, case
from gallery.phantom import crystal, noise


def kr_thresh() -> Example:
    """Show noise that no few cosines can make, and a specimen that few cosines cannot either."""
    truth = crystal()
    before = truth + noise(truth.shape, 0.1)
    spots = np.random.default_rng(0).random(truth.shape) < 0.02
    single = np.where(spots, 0.5, 0.0)
    return Example(
        case(
            "white noise of 0.1 rad on a crystal, of whose cosines 2 % are kept",
            truth,
            before,
            arraycon.kr_thresh(before, thresh=0.02),
        ),
        case(
            "atoms of one pixel at random places: 5 % of the cosines do not hold them",
            single,
            single,
            arraycon.kr_thresh(single, thresh=0.05),
        ),
    )
