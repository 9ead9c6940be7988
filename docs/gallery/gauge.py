"""Freedoms that the intensities leave open."""

from __future__ import annotations

import numpy as np

import arraycon
from gallery.cases import Case, Example, Image, case, rms
from gallery.phantom import SIZE, atoms, crystal, edge, plane


def phase_ramp() -> Example:
    """Show a ramp that a probe out of place leaves, and a specimen that is a wedge."""
    truth = crystal()
    truth = truth - truth.mean()
    before = truth + plane(y=0.004, x=-0.01)
    wedge = crystal() * 0.2 + np.maximum(plane(x=0.01), -0.3)
    return Example(
        case(
            "a ramp of 1 rad across the field of a crystal",
            truth,
            before,
            arraycon.phase_ramp(before)[0],
        ),
        case(
            "a specimen that becomes thicker from left to right: its slope is taken for a ramp",
            wedge,
            wedge,
            arraycon.phase_ramp(wedge)[0],
        ),
    )


def obj_probe_scale() -> Example:
    """Show a factor between object and probe, and a specimen that absorbs everywhere."""
    absorbed, mask = edge()
    truth = 1 - 0.3 * absorbed
    probe = np.ones((1, 8, 8), complex)
    before = 1.3 * truth
    thick = 0.7 - 0.2 * crystal()
    measure = "rms error of |O|"
    return Example(
        case(
            "an amplitude 1.3 times too large, by its mean square in vacuum (right)",
            truth,
            before,
            arraycon.obj_probe_scale(before, probe, mask)[0],
            measure=measure,
        ),
        case(
            "no vacuum: what 0.7 lets through is scaled to 1, as if nothing were absorbed",
            thick,
            thick,
            arraycon.obj_probe_scale(thick, probe)[0],
            measure=measure,
        ),
    )


def ortho_omode() -> Example:
    """Show two states mixed by the reconstruction, and two states that do resemble each other."""
    angle = np.deg2rad(35)
    mix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    x = (np.arange(SIZE) - SIZE // 2) / SIZE
    strong, weak = np.exp(1j * atoms()), 0.3 * np.sin(2 * np.pi * x) * np.exp(1j * atoms())
    states = np.stack([strong, weak])[:, None]
    mixed = np.einsum("ij,jzyx->izyx", mix, states)
    alike = np.stack([np.exp(1j * atoms()), 0.6 * np.exp(1j * atoms(height=0.7))])[:, None]
    return Example(
        _modes("two orthogonal states, mixed by 35°: they come apart again", states, mixed),
        _modes("two states of an atom that moves: alike, so they are no modes", alike, alike),
    )


def _modes(story: str, truth: Image, before: Image) -> Case:
    """Return a case of object modes (omode, 1, ny, nx), of which the second's modulus is drawn."""
    after = arraycon.ortho_omode(before)
    error = rms(abs(before) - abs(truth)), rms(abs(after) - abs(truth))
    return Case(
        story, *(abs(x[1, 0]) for x in (truth, before, after)), error, "rms error of |O|, all modes"
    )
