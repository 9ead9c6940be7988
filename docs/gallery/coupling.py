"""Amplitude coupled to phase."""

from __future__ import annotations

import numpy as np

import arraycon
from gallery.cases import Example, case
from gallery.phantom import chip, crystal, noise

AMPLITUDE = "rms error of |O|"


def complex_ratio() -> Example:
    """Show a noisy amplitude of one material, and two materials that absorb differently."""
    phase = chip()
    truth = np.exp(-phase)
    before = truth + noise(truth.shape, 0.02)
    metal = np.where(np.arange(96) > 64, 1.0, 0.0) * phase
    two = np.exp(-0.05 * phase - 0.6 * metal)
    return Example(
        case(
            "lines of one material, ln|O| = -φ, amplitude noisy by 0.02; alpha1 1",
            truth,
            before,
            arraycon.complex_ratio(before, phase)[0],
            measure=AMPLITUDE,
        ),
        case(
            "two materials, one of which absorbs thirteen times as much: both get one ratio",
            two,
            two,
            arraycon.complex_ratio(two, phase)[0],
            measure=AMPLITUDE,
        ),
    )


def mirrored_amp() -> Example:
    """Show an amplitude that noise hides, and a specimen whose amplitude is another thing."""
    phase = crystal(height=1.5)
    truth = 1 - 0.03 * phase**4
    before = truth + noise(truth.shape, 0.05)
    light = crystal(height=1.5)
    flat = np.ones_like(light)
    return Example(
        case(
            "heavy columns of 1.5 rad, amplitude noisy by 0.05; defaults",
            truth,
            before,
            arraycon.mirrored_amp(before, phase),
            measure=AMPLITUDE,
        ),
        case(
            "as strong a phase without absorption: it gets 15 % of it",
            flat,
            flat,
            arraycon.mirrored_amp(flat, light),
            measure=AMPLITUDE,
        ),
    )
