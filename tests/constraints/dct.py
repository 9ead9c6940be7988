"""Sparsity under the cosine transform: kr_thresh."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from cases import OBJ, Limit, on_objects, phase

# every check of the contract runs over what this file declares
from contract import *
from hypothesis import given
from hypothesis import strategies as st
from properties import PRECISIONS, SEEDS, SHAPES, assert_same, real
from reference import wide

import arraycon
from arraycon.kernels.agnostic import dct
from arraycon.kernels.common import arrays


def kr_thresh(obj, *, thresh, scope="global"):
    def keep(coefficients):
        n_keep = max(1, int(np.floor(thresh * coefficients.size)))
        modulus = np.sort(np.abs(coefficients).ravel())[::-1]
        return np.where(np.abs(coefficients) >= modulus[n_keep - 1], coefficients, 0)

    coefficients = scipy.fft.dctn(wide(obj), axes=(-2, -1))
    if scope == "global":
        kept = keep(coefficients)
    else:
        flat = coefficients.reshape(-1, *obj.shape[-2:])
        kept = np.stack([keep(one) for one in flat]).reshape(obj.shape)
    return scipy.fft.idctn(kept, axes=(-2, -1))


CASES = on_objects(
    kr_thresh,
    phase,
    {"thresh": 0.05},
    {"thresh": 0.3, "scope": "slice"},
    {"thresh": 1.0},
    {"thresh": 1e-9},
)

BAD = [
    ("kr_thresh", (OBJ,), {"thresh": 0}, ValueError, r"thresh: expected a number in \(0, 1\], got"),
    ("kr_thresh", (OBJ,), {"scope": "all"}, ValueError, "scope: expected global or slice, got"),
]

LIMITS = {"kr_thresh": Limit(2.1)}


def test_ties_are_kept():
    coefficients = np.array([[1.0, -1.0, 0.5], [0.0, 1.0, -2.0]])
    xp = arrays.namespace(coefficients=coefficients)
    kept = dct._keep_largest(coefficients, 2, xp)  # and the second is one of three
    np.testing.assert_array_equal(kept, [[1, -1, 0], [0, 1, -2]])


@given(SEEDS, SHAPES, PRECISIONS, st.floats(0.01, 1), st.sampled_from(["global", "slice"]))
def test_kr_thresh_is_idempotent_on_its_own_output(seed, shape, dtype, thresh, scope):
    once = arraycon.kr_thresh(real(seed, shape, dtype), thresh=thresh, scope=scope)
    assert_same(arraycon.kr_thresh(once, thresh=thresh, scope=scope), once, 4)


@given(SEEDS, SHAPES, PRECISIONS)
def test_kr_thresh_of_one_is_the_identity(seed, shape, dtype):
    obj = real(seed, shape, dtype)
    assert_same(arraycon.kr_thresh(obj, thresh=1.0), obj)


@pytest.mark.parametrize("axis", [-2, -1])
@given(SEEDS, SHAPES, st.floats(0.05, 0.9))
def test_kr_thresh_commutes_with_flips(axis, seed, shape, thresh):
    x = real(seed, shape, "float64")
    flipped = arraycon.kr_thresh(np.flip(x, axis), thresh=thresh)
    np.testing.assert_allclose(
        np.flip(flipped, axis), arraycon.kr_thresh(x, thresh=thresh), atol=1e-12
    )
