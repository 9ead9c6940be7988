"""Values of the object: obj_shrink, obj_fill, obj_baseline."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import OBJ, OBJECTS, Case, Limit, amplitude, on_objects, on_probes, phase

# every check of the contract runs over what this file declares
from contract import *
from hypothesis import given
from hypothesis import strategies as st
from properties import PRECISIONS, SEEDS, SHAPES, assert_same, modes, real
from reference import wide

import arraycon


def obj_shrink(obj, *, amount=0.01, rule="soft", target=0.0, relax=0.0):
    obj = wide(obj)
    d = obj - target
    size = np.abs(d)
    if rule == "ridge":
        new = d / (1 + amount)
    elif rule == "positive":
        new = np.maximum(d - amount, 0)
    elif rule == "hard":
        new = np.where(size > amount, d, 0)
    else:
        new = d * np.maximum(size - amount, 0) / np.where(size > 0, size, 1)
    return relax * obj + (1 - relax) * (target + new)


def obj_fill(obj, mask=None, *, obj_type="phase", value=None, slices=None, relax=0.0):
    obj = wide(obj)
    value = {"phase": 0, "amplitude": 1}[obj_type] if value is None else value
    weight = np.broadcast_to(1.0 if mask is None else np.asarray(mask, float), obj.shape).copy()
    if slices is not None:
        others = np.ones(obj.shape[-3], bool)
        others[list(slices)] = False
        weight[..., others, :, :] = 0
    return obj + (1 - relax) * weight * (value - obj)


def obj_baseline(
    obj, mask=None, *, obj_type="phase", statistic="mean", percentile=10, scope="slice",
    factor=1, relax=0.0,
):  # fmt: skip
    obj = wide(obj)
    weights = np.broadcast_to(1.0 if mask is None else np.asarray(mask, float), obj.shape)
    new = obj.copy()
    every = [()] if scope == "global" else list(np.ndindex(obj.shape[:-2]))
    for index in every:
        x, m = obj[index], weights[index]
        if (m.sum() if statistic == "mean" else np.sum(m > 0.5)) == 0:
            continue
        if statistic == "mean":
            level = np.average(x, weights=m)
        else:
            level = np.percentile(x[m > 0.5], percentile)
        if obj_type == "phase":
            new[index] = x - factor * level
        elif level > 0:
            new[index] = x / level**factor
    return relax * obj + (1 - relax) * new


def mask(rng, shape):
    return np.asarray(rng.random(shape) > 0.4, float)


def soft_mask(rng, shape):
    return rng.random(shape)


def masked(reference, maker, *options, weights=mask):
    """Cases with a mask for one slice, and one for several."""
    return [
        Case(reference, ((maker, shape), (weights, shape[-n:])), option)
        for shape, n in zip(OBJECTS, (2, 3, 2), strict=True)
        for option in options
    ]


AMPLITUDE = {"obj_type": "amplitude"}
CASES = [
    *on_objects(
        obj_shrink,
        phase,
        {"amount": 0.1},
        {"amount": 0.05, "rule": "positive", "relax": 0.3},
        {"amount": 0.13, "rule": "hard", "target": 0.2},
        {"amount": 0.4, "rule": "ridge", "target": -1.0, "relax": 0.1},
    ),
    *on_probes(
        obj_shrink,
        {"amount": 0.3, "target": 1.0},
        {"amount": 0.3, "rule": "hard", "relax": 0.2},
        {"amount": 0.3, "rule": "ridge"},
    ),
    *on_objects(obj_fill, phase, {}, {"value": 0.3, "slices": (0, -1), "relax": 0.25}),
    *masked(obj_fill, amplitude, AMPLITUDE, weights=soft_mask),
    *on_objects(
        obj_baseline,
        phase,
        {},
        {"scope": "global", "factor": 0.5, "relax": 0.2},
        {"statistic": "percentile", "percentile": 33.0},
        {"statistic": "percentile", "percentile": 80.0, "scope": "global"},
    ),
    *masked(
        obj_baseline,
        amplitude,
        AMPLITUDE,
        {**AMPLITUDE, "statistic": "percentile", "factor": 0.7, "relax": 0.1},
        {"scope": "global", "statistic": "percentile"},
        {"scope": "global"},
    ),
]

BAD = [
    ("obj_shrink", (OBJ,), {"amount": -1}, ValueError, "amount: expected a number ≥ 0, got -1"),
    ("obj_shrink", (OBJ,), {"rule": "l1"}, ValueError, "rule: expected soft, positive, hard or"),
    ("obj_shrink", (OBJ + 0j,), {"rule": "positive"}, ValueError, "rule: expected soft, hard or"),
    ("obj_shrink", (OBJ,), {"target": math.nan}, ValueError, "target: expected a finite number"),
    ("obj_fill", (OBJ, OBJ[0, :5]), {}, ValueError, r"mask: expected a shape that fits .* \(5, 6"),
    ("obj_fill", (OBJ, OBJ[None]), {}, ValueError, "mask: expected a shape that fits the last"),
    ("obj_fill", (OBJ, OBJ + 0j), {}, TypeError, "mask: expected bool, float32 or float64, got"),
    ("obj_fill", (OBJ,), {"slices": [3]}, ValueError, r"slices\[0\]: expected an integer in \[-3"),
    ("obj_fill", (OBJ,), {"slices": 1}, TypeError, "slices: expected a list of integers, got 1"),
    ("obj_fill", (OBJ,), {"obj_type": "both"}, ValueError, "obj_type: expected phase or amplitude"),
    ("obj_baseline", (OBJ,), {"scope": "all"}, ValueError, "scope: expected slice or global, got"),
    ("obj_baseline", (OBJ,), {"statistic": "min"}, ValueError, "statistic: expected mean or perce"),
    ("obj_baseline", (OBJ,), {"percentile": 101}, ValueError, r"percentile: expected .* \[0, 100"),
    ("obj_baseline", (OBJ,), {"factor": 3}, ValueError, r"factor: expected a number in \[0, 2\]"),
]

LIMITS = {"obj_shrink": Limit(0.01), "obj_fill": Limit(0.01), "obj_baseline": Limit(0.02)}


@given(SEEDS, SHAPES, PRECISIONS, st.floats(0, 0.5), st.floats(-1, 1))
def test_shrinking_is_even_about_its_target_and_never_overshoots(seed, shape, dtype, a, target):
    x = real(seed, shape, dtype)
    for rule in ("soft", "hard", "ridge"):
        one, other = (
            arraycon.obj_shrink(target + sign * x, amount=a, rule=rule, target=target) - target
            for sign in (1, -1)
        )
        np.testing.assert_allclose(one, -other, atol=1e-6)
        assert np.all(np.abs(one) <= np.abs(x) + 1e-6)
        assert np.all(one * x >= -1e-6)


@given(SEEDS, SHAPES, PRECISIONS, st.floats(0, 1), st.floats(-3, 3))
def test_shrinking_a_complex_object_commutes_with_its_global_phase(seed, shape, dtype, a, angle):
    obj = modes(seed, shape, dtype)
    turn = np.exp(1j * angle).astype(obj.dtype)
    for rule in ("soft", "ridge"):
        turned = arraycon.obj_shrink(turn * obj, amount=a, rule=rule)
        assert_same(turned, turn * arraycon.obj_shrink(obj, amount=a, rule=rule), factor=3)


@given(SEEDS, SHAPES, PRECISIONS, st.floats(-3, 3))
def test_fills_are_exact_and_idempotent(seed, shape, dtype, value):
    x = real(seed, shape, dtype)
    where = np.random.default_rng(seed).random(shape[1:]) > 0.5
    once = arraycon.obj_fill(x, where, value=value)
    assert np.all(once[..., where] == np.asarray(value, dtype))
    np.testing.assert_array_equal(once[..., ~where], x[..., ~where])
    np.testing.assert_array_equal(arraycon.obj_fill(once, where, value=value), once)


@pytest.mark.parametrize("statistic", ["mean", "percentile"])
@given(seed=SEEDS, shape=SHAPES, dtype=PRECISIONS)
def test_the_baseline_is_idempotent_and_a_gauge_of_each_slice(statistic, seed, shape, dtype):
    x = real(seed, shape, dtype)
    where = np.random.default_rng(seed).random(shape[1:]) > 0.3
    once = arraycon.obj_baseline(x, where, statistic=statistic)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(
        arraycon.obj_baseline(once, where, statistic=statistic), once, atol=tolerance
    )
    if not where.any():
        np.testing.assert_array_equal(once, x)
        return
    # neither a constant of each slice, nor what is outside the mask, changes the result
    offsets = np.arange(shape[0], dtype=dtype)[:, None, None]
    moved = arraycon.obj_baseline(x + offsets, where, statistic=statistic)
    np.testing.assert_allclose(moved, once, atol=10 * tolerance)


def test_bool_and_real_masks_mean_the_same():
    x, where = phase(np.random.default_rng(0), (2, 3, 9, 8)), np.eye(9, 8) > 0
    for kernel in (arraycon.obj_fill, arraycon.obj_baseline):
        for dtype in ("float32", "float64"):
            np.testing.assert_array_equal(kernel(x, where), kernel(x, where.astype(dtype)))


def test_an_amplitude_of_no_positive_level_stays():
    x = np.array([[[-1.0, -2.0], [-3.0, 0.0]]])
    np.testing.assert_array_equal(arraycon.obj_baseline(x, obj_type="amplitude"), x)
