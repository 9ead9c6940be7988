"""Ranges of amplitude and phase."""

from __future__ import annotations

import arraycon
from gallery.cases import Example, case
from gallery.phantom import crystal, edge, noise

AMPLITUDE = "rms error of |O|"


def obja_thresh() -> Example:
    """Show an amplitude that noise drives away from 1, and atoms that do absorb."""
    truth = 1 - 0.02 * crystal() / 0.5
    before = truth + noise(truth.shape, 0.08)
    heavy = 1 - 0.3 * crystal() / 0.5
    return Example(
        case(
            "thin specimen, noise of 0.08; thresh [0.97, 1.02]",
            truth,
            before,
            arraycon.obja_thresh(before, thresh=(0.97, 1.02)),
            measure=AMPLITUDE,
        ),
        case(
            "heavy columns that take 0.3 away: with [0.96, 1.04] they are as good as gone",
            heavy,
            heavy,
            arraycon.obja_thresh(heavy),
            measure=AMPLITUDE,
        ),
    )


def objp_postiv() -> Example:
    """Show noise around vacuum, and a phase whose zero is not vacuum."""
    truth, _ = edge()
    before = truth + noise(truth.shape, 0.1)
    centred = crystal() - crystal().mean()
    return Example(
        case(
            "noise of 0.1 rad about atoms and vacuum: what is negative is noise",
            truth,
            before,
            arraycon.objp_postiv(before),
        ),
        case(
            "a phase of mean 0, which the data fit as well: all between the atoms is cut to 0",
            centred,
            centred,
            arraycon.objp_postiv(centred),
        ),
    )
