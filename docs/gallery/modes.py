"""Probe modes and their power."""

from __future__ import annotations

import numpy as np

import arraycon
from gallery.cases import Case, Example, Image, rms
from gallery.probes import MEASURE, MIDDLE, hermite, probe


def ortho_pmode() -> Example:
    """Show modes that were mixed, and states of a probe that jumps, which overlap."""
    modes = hermite()
    angle = np.deg2rad(40)
    mix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    mixed = np.einsum("ij,jyx->iyx", mix, modes)
    states = np.stack([0.8 * probe(shift=-3), 0.6 * probe(shift=3)])
    return Example(
        _second("two modes of partial coherence, mixed by 40°: they come apart", modes, mixed),
        _second("a probe in two places, 6 px apart: the states overlap, no modes", states, states),
    )


def _second(story: str, truth: Image, before: Image) -> Case:
    after = arraycon.ortho_pmode(before)
    error = rms(abs(before) - abs(truth)), rms(abs(after) - abs(truth))
    return Case(
        story, *(abs(x[1][MIDDLE]) for x in (truth, before, after)), error, f"{MEASURE}, both"
    )


def fix_probe_int() -> Example:
    """Show a probe whose power has gone into the object, and a target with background."""
    truth = probe()[None]
    before = 1.3 * truth
    true = float((abs(truth) ** 2).sum())
    cases = (
        ("a probe 1.3 times too strong, the object too weak for it", before, true),
        ("a target that counts 20 % of background of the detector as beam", truth, 1.2 * true),
    )
    made = []
    for story, given, intensity in cases:
        after = arraycon.fix_probe_int(given, intensity=intensity)
        error = rms(abs(given) - abs(truth)), rms(abs(after) - abs(truth))
        made.append(
            Case(story, *(abs(x[0][MIDDLE]) for x in (truth, given, after)), error, MEASURE)
        )
    return Example(*made)
