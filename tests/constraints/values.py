"""Values of the object: obj_shrink, obj_fill, obj_baseline."""

from __future__ import annotations

import itertools
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


@given(SEEDS, SHAPES, PRECISIONS)
def test_an_amplitude_s_baseline_is_idempotent(seed, shape, dtype):
    x = 1 + 0.1 * real(seed, shape, dtype)
    once = arraycon.obj_baseline(x, obj_type="amplitude")
    assert_same(arraycon.obj_baseline(once, obj_type="amplitude"), once)
    np.testing.assert_allclose(once.mean(axis=(1, 2)), 1, rtol=1e-5)


MASKED = [
    ("obj_fill", {"value": 0.3, "relax": 0.2}),
    ("obj_baseline", {}),
    ("obj_baseline", {"statistic": "percentile", "percentile": 35.0}),
    ("obj_baseline", {"scope": "global", "obj_type": "amplitude"}),
]


@pytest.mark.parametrize(("name", "options"), MASKED)
@given(seed=SEEDS, shape=SHAPES, dtype=PRECISIONS)
def test_flips_of_object_and_mask_flip_the_result(name, options, seed, shape, dtype):
    x, kernel = 1 + 0.1 * real(seed, shape, dtype), getattr(arraycon, name)
    weights = np.random.default_rng(seed).random(shape[1:])
    expected = kernel(x, weights, **options)
    for axis in (-1, -2):
        turned = kernel(np.flip(x, axis), np.flip(weights, axis), **options)
        assert_same(np.flip(turned, axis), expected)


@pytest.mark.parametrize("path", ["auto", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_of_nothing_there_comes_no_nan(dtype, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    x = np.zeros((2, 3, 4), dtype)
    for rule in ("soft", "hard", "ridge"):
        assert not arraycon.obj_shrink(x, amount=0.0, rule=rule).any()
    if np.iscomplexobj(x):
        return
    assert not arraycon.obj_fill(x).any()
    for options in ({}, {"obj_type": "amplitude"}, {"statistic": "percentile"}):
        for mask in (None, x[0]):
            assert not arraycon.obj_baseline(x, mask, **options).any()


def extremes(dtype):
    info = np.finfo(dtype)
    few = [0, info.smallest_subnormal, info.smallest_normal, 1e-30, 0.1, 1, 1e30, info.max, np.inf]
    return np.array([np.nan, *few, *(-x for x in few)], dtype)


def assert_alike(one, other, dtype):
    """NaN and infinities in the same places, and what is finite alike."""
    np.testing.assert_allclose(one, other, rtol=4 * np.finfo(dtype).eps, atol=1e-37)


@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("amount", [0.0, 1e-42, 0.2, 1e30, 1e300])
@pytest.mark.parametrize("rule", ["soft", "positive", "hard", "ridge"])
def test_shrinking_extreme_values(rule, amount, dtype):
    x = extremes(dtype)
    for target, relax in itertools.product((0.0, 1.0, -1e30), (0.0, 0.4, 1.0)):
        options = {"amount": amount, "rule": rule, "target": target, "relax": relax}
        fast = arraycon.obj_shrink(x, **options)
        with arraycon.use_agnostic():
            assert_alike(fast, arraycon.obj_shrink(x, **options), dtype)
        expected = obj_shrink(x, **options)
        # the middle of two numbers that are far apart is as exact as the larger one
        near = 4 * np.finfo(dtype).eps * np.maximum(np.abs(wide(x)), abs(target))
        sure = np.isfinite(x) & (np.abs(expected) < 0.9 * np.finfo(dtype).max)
        sure &= (rule != "hard") | (np.abs(np.abs(wide(x) - target) - amount) > near)
        assert np.all(np.abs(fast[sure] - expected[sure]) <= near[sure] + 1e-37)
        assert not np.isfinite(fast[~np.isfinite(x)]).any() or rule == "positive"


@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("amount", [0.0, 1e-42, 0.2, 1e30])
@pytest.mark.parametrize("rule", ["soft", "hard", "ridge"])
def test_shrinking_extreme_complex_values(rule, amount, dtype):
    some = extremes(dtype)[:-1]
    some = some[np.isfinite(some) & (np.abs(some) < 1e150)]
    x = (some[:, None] + 1j * some).astype(f"complex{16 * np.dtype(dtype).itemsize}")
    for target in (0.0, 1.0):
        options = {"amount": amount, "rule": rule, "target": target}
        fast = arraycon.obj_shrink(x, **options)
        with arraycon.use_agnostic():
            other = arraycon.obj_shrink(x, **options)
        for result in (fast, other):
            near = 8 * np.finfo(dtype).eps * np.maximum(np.abs(x.astype(complex)), target)
            expected = obj_shrink(x, **options)
            sure = np.abs(np.abs(x - target) - amount) > near  # whether a value is kept
            sure &= np.abs(expected) < 0.9 * np.finfo(dtype).max
            assert np.all(np.abs(result - expected)[sure] <= near[sure] + 1e-37)


@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spread", range(1, 6))
def test_levels_of_extreme_values(spread, dtype):
    """Each slice has some of the extremes, and shows them where they are."""
    some = extremes(dtype)
    x = np.concatenate([some, some])[: 6 * (len(some) // 6) * 2].reshape(-1, 3, 2)[:, ::spread]
    mask = np.random.default_rng(spread).random(x.shape[1:]) > 0.3
    every = itertools.product(
        ("phase", "amplitude"), ("mean", "percentile"), ("slice", "global"), (None, mask)
    )
    for obj_type, statistic, scope, where in every:
        for factor in (0.0, 1.0, 2.0):
            options = {"obj_type": obj_type, "statistic": statistic, "scope": scope}
            options["factor"] = factor
            fast = arraycon.obj_baseline(x, where, **options)
            with arraycon.use_agnostic():
                assert_alike(fast, arraycon.obj_baseline(x, where, **options), dtype)
    for value in (0.0, 1e30):
        fast = arraycon.obj_fill(x, mask, value=value, relax=0.2)
        with arraycon.use_agnostic():
            assert_alike(fast, arraycon.obj_fill(x, mask, value=value, relax=0.2), dtype)


@pytest.mark.filterwarnings("ignore:invalid:RuntimeWarning")
@pytest.mark.parametrize("path", ["auto", "agnostic"])
def test_what_a_mask_leaves_out_is_no_value_of_a_percentile(path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    options = {"statistic": "percentile", "percentile": 0.0}
    x = np.array([[[np.nan, np.nan, 1.0, 2.0]]])
    mask = np.array([1.0, 1.0, 0.0, 0.5])
    assert np.all(np.isnan(arraycon.obj_baseline(x, mask, **options)))
    x[0, 0, :2] = np.inf, np.nan  # a level that no other value is beside
    assert np.all(np.isneginf(arraycon.obj_baseline(x, mask, **options)[..., 2:]))


def test_bool_and_real_masks_mean_the_same():
    x, where = phase(np.random.default_rng(0), (2, 3, 9, 8)), np.eye(9, 8) > 0
    for kernel in (arraycon.obj_fill, arraycon.obj_baseline):
        for dtype in ("float32", "float64"):
            np.testing.assert_array_equal(kernel(x, where), kernel(x, where.astype(dtype)))


def test_an_amplitude_of_no_positive_level_stays():
    x = np.array([[[-1.0, -2.0], [-3.0, 0.0]]])
    np.testing.assert_array_equal(arraycon.obj_baseline(x, obj_type="amplitude"), x)
