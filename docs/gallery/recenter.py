"""Drifts that the data do not fix."""

from __future__ import annotations

import numpy as np

import arraycon
from gallery.cases import Case, Example, case
from gallery.phantom import SIZE, atoms, noise
from gallery.probes import DX, WAVELENGTH, probe

NZ, LAYERS = 16, 4


def obj_z_recenter() -> Example:
    """Show a specimen that has drifted in depth, and one that does not fill its depth evenly."""
    truth, drifted, uneven = (np.zeros((NZ, SIZE, SIZE)) for _ in range(3))
    first = (NZ - LAYERS) // 2
    truth[first : first + LAYERS] = drifted[1 : 1 + LAYERS] = atoms()
    uneven[first] = atoms(height=1.5)
    uneven[first + 1 : first + LAYERS] = atoms(height=0.1)
    return Example(
        _depth("four layers, five slices above the middle (depth along y)", truth, drifted),
        _depth("a heavy layer on light ones, in place: the heavy one goes to the middle",
               uneven, uneven),
    )  # fmt: skip


def _depth(story: str, truth: np.ndarray, before: np.ndarray) -> Case:
    lengths = {"dx": DX, "wavelength": WAVELENGTH, "slice_thickness": 4.0}
    amplitude = np.ones_like(before)
    after = arraycon.obj_z_recenter(amplitude, before, probe()[None], thresh=None, **lengths)[1]
    return case(story, truth, before, after, show=(slice(None), 8), aspect=4)


def pos_recenter() -> Example:
    """Show positions that have moved together, and a specimen that really is elsewhere."""
    jitter = noise((SIZE, SIZE, 2), 0.3)
    jitter -= jitter.mean(axis=(0, 1))
    return Example(
        _shifts("positions that have drifted by 1 px with the object", jitter, jitter + 1.0),
        _shifts("an object held in place by a reference: the mean of 1 px is real",
                jitter + 1.0, jitter + 1.0),
    )  # fmt: skip


def _shifts(story: str, truth: np.ndarray, before: np.ndarray) -> Case:
    """Return a case of shifts (slow, fast, 2), of which those along y are drawn."""
    after = arraycon.pos_recenter(before.reshape(-1, 2)).reshape(truth.shape)
    return case(story, truth, before, after, show=(slice(0, 24), slice(0, 24), 0),
                measure="rms error / px")  # fmt: skip
