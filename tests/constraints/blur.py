"""Gaussian blurs: obj_rblur, obj_zblur, tilt_smooth."""

from __future__ import annotations

import numpy as np
import pytest
from cases import OBJ, TABLE, Case, Limit, amplitude, on_objects, on_probes, phase, table

# every check of the contract runs over what this file declares
from contract import *
from filters import *
from filters import Filter
from reference import correlate, taps, wide

import arraycon


def obj_rblur(obj, *, kernel_size, std):
    weights = taps(kernel_size, std)
    return correlate(correlate(wide(obj), weights, -2, "reflect"), weights, -1, "reflect")


def obj_zblur(obj, *, kernel_size, std):
    return correlate(wide(obj), taps(kernel_size, std), -3, "edge")


def tilt_smooth(tilts, *, scan_shape, std, kernel_size=5):
    if len(tilts) == 1:
        return wide(tilts)
    weights = taps(kernel_size, std)
    grid = wide(tilts).reshape(*scan_shape, 2)
    return correlate(correlate(grid, weights, 0, "reflect"), weights, 1, "reflect").reshape(-1, 2)


CASES = [
    *on_objects(
        obj_rblur,
        phase,
        {"kernel_size": 5, "std": 0.4},
        {"kernel_size": 9, "std": 2.5},
        {"kernel_size": 1, "std": 3.0},
        {"kernel_size": 5, "std": 0.0},
    ),
    *on_objects(
        obj_zblur,
        amplitude,
        {"kernel_size": 5, "std": 1.0},
        {"kernel_size": 21, "std": 4.0},
        {"kernel_size": 3, "std": 0.0},
    ),
    *on_probes(obj_rblur, {"kernel_size": 5, "std": 1.0}, shapes=((5, 9, 11),)),
    *on_probes(obj_zblur, {"kernel_size": 5, "std": 1.0}, shapes=((5, 9, 11),)),
    *[
        Case(tilt_smooth, ((table, (n, 2)),), {"scan_shape": scan, "std": std}, fixed=(1,))
        for n, scan, std in (
            (72, (8, 9), 2.0),
            (60, (5, 12), 0.7),
            (7, (1, 7), 1.0),
            (6, (2, 3), 0.0),
            (1, (5, 12), 1.0),  # one tilt for all positions
        )
    ],
]

BAD = [
    ("obj_rblur", (OBJ,), {"kernel_size": 4}, ValueError, "kernel_size: expected an odd integer"),
    ("obj_rblur", (OBJ[0, 0],), {}, ValueError, r"obj: expected at least 2 axes \(..., ny, nx\)"),
    ("obj_zblur", (OBJ[0],), {}, ValueError, r"obj: .* \(..., nz, ny, nx\), got shape \(6, 6\)"),
    ("obj_zblur", (OBJ,), {"std": np.inf}, ValueError, "std: .* got inf"),
    ("obj_zblur", (OBJ.astype(int),), {}, TypeError, "obj: expected float32, float64, .* got int"),
    ("tilt_smooth", (TABLE,), {"scan_shape": (2, 2)}, ValueError, "tilts: expected 2·2 = 4 rows"),
    ("tilt_smooth", (TABLE,), {"scan_shape": 6}, TypeError, "scan_shape: expected a pair of int"),
    ("tilt_smooth", (TABLE,), {"scan_shape": (0, 6)}, ValueError, r"scan_shape\[0\]: .* ≥ 1, got"),
]

LIMITS = {"obj_rblur": Limit(0.15), "obj_zblur": Limit(0.15)}

FILTERS = [
    Filter("obj_rblur", {"kernel_size": 5, "std": 1.1}),
    Filter("obj_zblur", {"kernel_size": 5, "std": 1.1}),
]


def test_even_extension_of_a_single_pixel():
    obj = np.full((3, 1, 1), 2.0)
    np.testing.assert_allclose(arraycon.obj_rblur(obj, std=2.0), obj)


def test_extreme_filter_strengths_stay_finite():
    phase = np.random.default_rng(20).random((5, 6, 7)).astype("float32")
    for std in (5e-324, 1e300):
        assert np.all(np.isfinite(arraycon.obj_rblur(phase, std=std)))


@pytest.mark.parametrize("path", ["auto", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_taps_that_are_nothing_are_not_computed(path, dtype, monkeypatch):
    """NaN times a tap of 0 would be NaN: how far one spreads tells which taps are computed."""
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = np.random.default_rng(21).random((1, 41, 41)).astype(dtype)
    obj[0, 20, 20] = np.nan
    for kernel_size in (33, 4095):
        blurred = arraycon.obj_rblur(obj, kernel_size=kernel_size, std=0.4)
        reach = np.count_nonzero(np.isnan(blurred[0, 20])) // 2
        # exp(-½ (j/std)²) falls below 2^-150 or 5e-324, the smallest numbers of each precision
        assert reach == (5 if dtype != "float64" else 15)
        np.testing.assert_array_equal(np.isnan(blurred[0]).sum(), (2 * reach + 1) ** 2)
    np.testing.assert_array_equal(
        blurred, arraycon.obj_rblur(obj, kernel_size=2 * reach + 1, std=0.4)
    )


@pytest.mark.parametrize("function", ["obj_rblur", "obj_zblur"])
def test_the_longest_kernel(function):
    obj = np.random.default_rng(22).random((3, 5, 6))
    options = {"kernel_size": 4095, "std": 1e6}
    with arraycon.use_agnostic():
        expected = getattr(arraycon, function)(obj, **options)
    np.testing.assert_allclose(getattr(arraycon, function)(obj, **options), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"kernel_size: expected an integer in \[1, 4095\]"):
        getattr(arraycon, function)(obj, kernel_size=4097)
