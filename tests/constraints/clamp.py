"""Ranges of values: obja_thresh, objp_postiv, objp_thresh."""

from __future__ import annotations

import numpy as np
from cases import OBJ, Limit, amplitude, on_objects, phase

# every check of the contract runs over what this file declares
from contract import *
from hypothesis import given
from hypothesis import strategies as st
from properties import PRECISIONS, SEEDS, SHAPES, real
from reference import wide

import arraycon


def obja_thresh(amplitude, *, relax, thresh):
    return relax * wide(amplitude) + (1 - relax) * np.clip(wide(amplitude), *thresh)


def objp_postiv(phase, *, relax, mode):
    phase = wide(phase)
    target = np.maximum(phase, 0) if mode == "clip_neg" else phase - phase.min()
    return relax * phase + (1 - relax) * target


def objp_thresh(phase, *, relax, thresh):
    return obja_thresh(phase, relax=relax, thresh=thresh)


CASES = [
    *on_objects(
        objp_thresh,
        phase,
        {"relax": 0.0, "thresh": (-0.1, 0.2)},
        {"relax": 0.4, "thresh": (0.0, 0.3)},
    ),
    *on_objects(
        obja_thresh,
        amplitude,
        {"relax": 0.0, "thresh": (0.96, 1.04)},
        {"relax": 0.3, "thresh": (0.9, 1.0)},
    ),
    *on_objects(
        objp_postiv,
        phase,
        {"relax": 0.0, "mode": "clip_neg"},
        {"relax": 0.25, "mode": "subtract_min"},
    ),
]

BAD = [
    ("obja_thresh", (OBJ,), {"thresh": (1, 1)}, ValueError, "thresh: expected an ascending pair"),
    ("obja_thresh", (OBJ,), {"thresh": (1,)}, TypeError, "thresh: expected an ascending pair"),
    ("objp_thresh", (OBJ,), {"thresh": (1, 1)}, ValueError, "thresh: expected an ascending pair"),
    ("objp_postiv", (OBJ,), {"mode": "clip"}, ValueError, "mode: expected clip_neg or subtract_m"),
]

LIMITS = {"obja_thresh": Limit(0.01), "objp_postiv": Limit(0.01), "objp_thresh": Limit(0.01)}


@given(SEEDS, SHAPES, PRECISIONS, st.floats(0, 1))
def test_idempotent_clamps(seed, shape, dtype, low):
    amplitude = real(seed, shape, dtype, mean=1)
    once = arraycon.obja_thresh(amplitude, thresh=(low, low + 0.3))
    np.testing.assert_array_equal(arraycon.obja_thresh(once, thresh=(low, low + 0.3)), once)
    assert once.min() >= np.asarray(low, dtype)
    assert once.max() <= np.asarray(low + 0.3, dtype)
    for mode in ("clip_neg", "subtract_min"):
        once = arraycon.objp_postiv(amplitude - 1, mode=mode)
        np.testing.assert_array_equal(arraycon.objp_postiv(once, mode=mode), once)
        assert once.min() >= 0


@given(SEEDS, SHAPES, PRECISIONS, st.floats(-1, 1))
def test_phases_beyond_pi_are_clipped_and_not_wrapped(seed, shape, dtype, low):
    phase = 20 * real(seed, shape, dtype)
    once = arraycon.objp_thresh(phase, thresh=(low, low + 4))
    np.testing.assert_array_equal(arraycon.objp_thresh(once, thresh=(low, low + 4)), once)
    assert np.all(once[phase > low + 4] == np.asarray(low + 4, dtype))
    assert np.all(once[phase < low] == np.asarray(low, dtype))
