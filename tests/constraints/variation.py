"""Total variation: the solver, what it keeps, and how near it comes to the minimum."""

from __future__ import annotations

import numpy as np
import pytest
from cases import OBJ, Limit, on_objects, on_probes, phase

# every check of the contract runs over what this file declares
from contract import *
from hypothesis import given
from hypothesis import strategies as st
from libraries import relative_error
from properties import PRECISIONS, ROUNDING, SEEDS, SHAPES, modes, real
from reference import wide

import arraycon

NORMS = ("isotropic", "layered", "anisotropic")
SOLVERS = ("fgp", "chambolle")


def gradient(u, weights):
    """Differences along the last three axes, 0 at their ends: (3, ...)."""
    steps = np.zeros((3, *u.shape), u.dtype)
    for axis, w in zip((-3, -2, -1), weights, strict=True):
        ends = [slice(None)] * u.ndim
        ends[axis] = slice(-1)
        steps[(axis, *ends)] = w * np.diff(u, axis=axis)
    return steps


def adjoint(p, weights):
    total = np.zeros_like(p[0])
    for axis, w in zip((-3, -2, -1), weights, strict=True):
        first = np.zeros_like(np.take(p[axis], [0], axis=axis))
        total -= w * np.diff(p[axis], axis=axis, prepend=first)
    return total


def moduli(p, norm):
    """Of each group of SPEC2's R, as often as it has axes."""
    groups = {"isotropic": [[0, 1, 2]], "layered": [[0], [1, 2]], "anisotropic": [[0], [1], [2]]}
    found = np.empty(p.shape)
    for group in groups[norm]:
        found[group] = np.sqrt(np.sum(np.abs(p[group]) ** 2, axis=0))
    return found


def obj_tv(obj, *, weight=0.005, axes_weight=(0, 1, 1), norm="isotropic", solver="fgp", n_iter=50,
           relax=0):  # fmt: skip
    """The updates of SPEC2, line by line, in the units that it has."""
    x = wide(obj)
    x = x.reshape((1,) * (3 - x.ndim) + x.shape)
    w = [each if n > 1 else 0 for each, n in zip(axes_weight, x.shape[-3:], strict=True)]
    total = sum(each**2 for each in w)
    p = before = r = np.zeros((3, *x.shape), x.dtype)
    t = 1.0
    for _ in range(n_iter if total and weight else 0):
        if solver == "chambolle":
            g = gradient(x - weight * adjoint(p, w), w)
            step = 1 / (2 * total) / weight
            p = (p + step * g) / (1 + step * moduli(g, norm))
            continue
        moved = r + gradient(x - weight * adjoint(r, w), w) / (4 * total * weight)
        before, p = p, moved / np.maximum(1, moduli(moved, norm))
        following = (1 + np.sqrt(1 + 4 * t**2)) / 2
        r = p + (t - 1) / following * (p - before)
        t = following
    u = x - weight * adjoint(p, w)
    return (relax * x + (1 - relax) * u).reshape(obj.shape)


OPTIONS = (
    {"weight": 0.08, "n_iter": 12},
    {"weight": 0.1, "n_iter": 9, "solver": "chambolle", "relax": 0.3},
    {"weight": 0.1, "n_iter": 10, "axes_weight": (0.7, 1.0, 1.5)},
    {"weight": 0.05, "n_iter": 7, "axes_weight": (2.0, 1.0, 1.0), "norm": "layered"},
    {"weight": 0.1, "n_iter": 11, "axes_weight": (0.5, 0.0, 1.0), "norm": "anisotropic"},
    {"weight": 0.2, "n_iter": 8, "axes_weight": (1.0, 0.0, 0.0), "solver": "chambolle"},
    {
        "weight": 0.1, "n_iter": 6, "axes_weight": (0.3, 1.0, 0.9), "norm": "layered",
        "solver": "chambolle",
    },
)  # fmt: skip
CASES = [*on_objects(obj_tv, phase, *OPTIONS), *on_probes(obj_tv, *OPTIONS)]

BAD = [
    ("obj_tv", (OBJ,), {"weight": -1}, ValueError, "weight: expected a number ≥ 0, got -1.0"),
    ("obj_tv", (OBJ,), {"n_iter": 10_001}, ValueError, r"n_iter: .* in \[0, 10000\], got 10001"),
    ("obj_tv", (OBJ,), {"n_iter": 1.5}, TypeError, r"n_iter: expected an integer in"),
    ("obj_tv", (OBJ,), {"norm": "l2"}, ValueError, "norm: expected isotropic, layered or anisotro"),
    ("obj_tv", (OBJ,), {"solver": "admm"}, ValueError, "solver: expected fgp or chambolle, got "),
    ("obj_tv", (OBJ,), {"relax": 2}, ValueError, r"relax: expected a number in \[0, 1\]"),
    ("obj_tv", (OBJ,), {"axes_weight": (1, 1)}, TypeError, "axes_weight: expected three numbers ≥"),
    ("obj_tv", (OBJ,), {"axes_weight": 1.0}, TypeError, "axes_weight: expected three numbers ≥ 0"),
    ("obj_tv", (OBJ,), {"axes_weight": {1, 2, 3}}, TypeError, r"axes_weight: expected three .*\{1"),
    (
        "obj_tv", (OBJ,), {"axes_weight": (0, -1, 1)}, ValueError,
        r"axes_weight\[1\]: expected a number ≥ 0, got -1.0",
    ),
    (
        "obj_tv", (OBJ[0],), {"axes_weight": (1, 1, 1)}, ValueError,
        r"obj: expected at least 3 axes \(..., nz, ny, nx\)",
    ),
    ("obj_tv", (OBJ[0, 0],), {}, ValueError, r"obj: expected at least 2 axes \(..., ny, nx\)"),
]  # fmt: skip

# four of twenty planes for each of two threads, and some rows
LIMITS = {"obj_tv": Limit(0.43)}

EACH_NORM = pytest.mark.parametrize("norm", NORMS)
EACH_SOLVER = pytest.mark.parametrize("solver", SOLVERS)
WEIGHTS = st.sampled_from([(0.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.4, 1.0, 0.0), (1.0, 0.0, 0.0)])


def objective(u, x, weight, axes_weight, norm):
    groups = {"isotropic": [[0, 1, 2]], "layered": [[0], [1, 2]], "anisotropic": [[0], [1], [2]]}
    steps = gradient(u, axes_weight)
    variation = sum(
        np.sum(np.sqrt(np.sum(np.abs(steps[group]) ** 2, axis=0))) for group in groups[norm]
    )
    return 0.5 * np.sum(np.abs(u - x) ** 2) + weight * variation


@EACH_NORM
@EACH_SOLVER
@pytest.mark.parametrize("axes_weight", [(0.0, 1.0, 1.0), (0.6, 1.0, 1.0)])
def test_it_comes_near_the_minimum(norm, solver, axes_weight):
    """The duality gap, which takes any minimiser's word for it: P(u) - D(p), with |u|² = |x|² - 2D.

    It bounds the distance: ½|u - u*|² ≤ P(u) - D(p).
    """
    x = real(5, (2, 4, 13, 12), "float64")
    options = {"weight": 0.1, "axes_weight": axes_weight, "norm": norm}
    gaps = {}
    for n_iter in (25, 50, 400):
        u = arraycon.obj_tv(x, solver=solver, n_iter=n_iter, **options)
        dual = 0.5 * (np.sum(x**2) - np.sum(u**2))
        gaps[n_iter] = objective(u, x, **options) - dual
    near = {"fgp": 3e-2, "chambolle": 1e-1}[solver]
    assert 0 <= gaps[400] < gaps[50] < gaps[25]
    assert np.sqrt(2 * gaps[50]) < near * np.linalg.norm(x)
    assert np.sqrt(2 * gaps[400]) < 0.5 * near * np.linalg.norm(x)


@EACH_SOLVER
def test_plateaus_give_way_by_the_strength_over_their_width(solver):
    """Closed form of one step: each side of n pixels moves by λ/n, until both are at the mean."""
    step = np.repeat([0.0, 1.0], [4, 6])[None]
    for weight in (0.3, 1.1, 5.0):
        left, right = weight / 4, 1 - weight / 6
        expected = np.repeat([left, right] if left < right else [0.6, 0.6], [4, 6])[None]
        for shape, axes in (
            ((1, 1, 10), (0, 0, 1)),
            ((1, 10, 1), (0, 1, 0)),
            ((10, 1, 1), (1, 0, 0)),
        ):
            found = arraycon.obj_tv(
                step.reshape(shape), weight=weight, axes_weight=axes, solver=solver, n_iter=3000
            )
            np.testing.assert_allclose(found.ravel(), expected.ravel(), atol=2e-3)


@EACH_NORM
@EACH_SOLVER
@given(SEEDS, SHAPES, PRECISIONS, WEIGHTS)
def test_the_sum_is_kept(norm, solver, seed, shape, dtype, axes_weight):
    obj = real(seed, shape, dtype, mean=0.5)
    found = arraycon.obj_tv(
        obj, weight=0.1, axes_weight=axes_weight, norm=norm, solver=solver, n_iter=5
    )
    mean = found.mean(dtype="float64")
    assert mean == pytest.approx(obj.mean(dtype="float64"), abs=2 * ROUNDING[dtype])


@EACH_NORM
@EACH_SOLVER
@given(SEEDS, SHAPES, st.floats(0, 6.28), WEIGHTS)
def test_a_global_phase_commutes(norm, solver, seed, shape, angle, axes_weight):
    obj, turn = modes(seed, shape, "float64"), np.exp(1j * angle)
    options = {"weight": 0.3, "axes_weight": axes_weight, "norm": norm, "solver": solver}
    found = arraycon.obj_tv(turn * obj, n_iter=5, **options)
    np.testing.assert_allclose(found, turn * arraycon.obj_tv(obj, n_iter=5, **options), atol=1e-12)


@EACH_NORM
@EACH_SOLVER
@given(SEEDS, SHAPES, WEIGHTS)
def test_a_complex_array_without_imaginary_part_is_a_real_one(
    norm, solver, seed, shape, axes_weight
):
    obj = real(seed, shape, "float64")
    options = {"weight": 0.3, "axes_weight": axes_weight, "norm": norm, "solver": solver}
    found = arraycon.obj_tv(1j * obj, n_iter=5, **options)
    np.testing.assert_allclose(found.imag, arraycon.obj_tv(obj, n_iter=5, **options), atol=1e-13)
    np.testing.assert_allclose(found.real, 0, atol=1e-15)


@EACH_SOLVER
@pytest.mark.parametrize("axis", [-3, -2, -1])
@given(SEEDS, SHAPES)
def test_anisotropic_commutes_with_flips(solver, axis, seed, shape):
    obj = real(seed, shape, "float64")
    options = {"weight": 0.2, "axes_weight": (0.5, 1.0, 1.0), "norm": "anisotropic"}
    options |= {"solver": solver, "n_iter": 8}
    flipped = arraycon.obj_tv(np.flip(obj, axis), **options)
    np.testing.assert_allclose(np.flip(flipped, axis), arraycon.obj_tv(obj, **options), atol=1e-13)


@EACH_SOLVER
@EACH_NORM
@given(SEEDS, SHAPES)
def test_axes_may_be_exchanged(norm, solver, seed, shape):
    obj = real(seed, shape, "float64")
    options = {"weight": 0.2, "norm": norm, "solver": solver, "n_iter": 8}
    turned = arraycon.obj_tv(obj.swapaxes(-1, -2), axes_weight=(0.5, 2.0, 1.0), **options)
    expected = arraycon.obj_tv(obj, axes_weight=(0.5, 1.0, 2.0), **options)
    np.testing.assert_allclose(turned.swapaxes(-1, -2), expected, atol=1e-13)


@EACH_NORM
@given(SEEDS, SHAPES, st.floats(0.01, 100))
def test_weights_and_values_have_one_scale(norm, seed, shape, scale):
    """What is c times as large needs c times the strength, as do differences of 1/c the weight."""
    obj = real(seed, shape, "float64")
    options = {"norm": norm, "n_iter": 8}
    expected = arraycon.obj_tv(obj, weight=0.2, axes_weight=(0.5, 1.0, 1.0), **options)
    larger = arraycon.obj_tv(scale * obj, weight=0.2 * scale, axes_weight=(0.5, 1, 1), **options)
    np.testing.assert_allclose(larger / scale, expected, rtol=1e-11, atol=1e-12)
    weights = (0.5 / scale, 1 / scale, 1 / scale)
    other = arraycon.obj_tv(obj, weight=0.2 * scale, axes_weight=weights, **options)
    np.testing.assert_allclose(other, expected, rtol=1e-11, atol=1e-12)


@EACH_SOLVER
@pytest.mark.parametrize("path", ["auto", "agnostic"])
def test_what_is_flat_stays(solver, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    for value in (0.0, 0.3, -2e20):
        flat = np.full((2, 3, 7, 8), value, "float32")
        found = arraycon.obj_tv(flat, axes_weight=(1, 1, 1), solver=solver)
        np.testing.assert_array_equal(found, flat)


@pytest.mark.parametrize("path", ["auto", "agnostic"])
@pytest.mark.parametrize(
    "options",
    [{"weight": 0}, {"n_iter": 0}, {"relax": 1}, {"axes_weight": (0, 0, 0)}],
    ids=lambda options: next(iter(options)),
)
def test_what_changes_nothing(options, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = real(3, (2, 4, 5, 6), "float32")
    same = arraycon.obj_tv(obj, **options)
    np.testing.assert_array_equal(same, obj)
    assert not np.shares_memory(same, obj)


@pytest.mark.parametrize("path", ["auto", "agnostic"])
@pytest.mark.parametrize(
    "shape", [(4, 1, 1), (4, 1, 9), (1, 6, 1), (5, 7, 1), (1, 1, 8), (2, 2, 2)]
)
def test_axes_of_one_element_have_no_say(shape, path, monkeypatch):
    """Neither in the differences nor in S: a single row is denoised as in one dimension."""
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = real(8, shape, "float64")
    for solver in SOLVERS:
        options = {"weight": 0.2, "solver": solver, "n_iter": 7, "axes_weight": (1, 1, 1)}
        expected = obj_tv(obj, **options)
        np.testing.assert_allclose(arraycon.obj_tv(obj, **options), expected, atol=1e-13)


@EACH_SOLVER
@pytest.mark.parametrize("path", ["auto", "agnostic"])
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_volumes_and_slices_do_not_touch_each_other(solver, path, value, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = real(2, (3, 4, 9, 8), "float32")
    options = {"weight": 0.1, "solver": solver, "n_iter": 6}
    for axes_weight, items in (((0, 1, 1), (12, 9, 8)), ((1, 1, 1), (3, 4, 9, 8))):
        spotted = obj.copy().reshape(items)
        spotted[::2] = value
        found = arraycon.obj_tv(spotted.reshape(obj.shape), axes_weight=axes_weight, **options)
        clean = arraycon.obj_tv(obj, axes_weight=axes_weight, **options)
        np.testing.assert_array_equal(found.reshape(items)[1::2], clean.reshape(items)[1::2])


EXTREMES = [
    {"weight": 5e-324}, {"weight": 1e300}, {"weight": 1e-30}, {"weight": 1e30},
    {"axes_weight": (0, 1e300, 1e-300)}, {"axes_weight": (1e300, 1e300, 1e300)},
    {"axes_weight": (5e-324, 5e-324, 0)}, {"axes_weight": (1e-200,) * 3, "weight": 1e199},
]  # fmt: skip


@EACH_SOLVER
@EACH_NORM
@pytest.mark.parametrize("options", EXTREMES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_extreme_strengths_stay_finite_and_keep_the_mean(solver, norm, options, dtype):
    obj = real(7, (3, 6, 7), "float64").astype(dtype)
    options = {**options, "solver": solver, "norm": norm, "n_iter": 6}
    found = arraycon.obj_tv(obj, **options)
    with arraycon.use_agnostic():
        expected = arraycon.obj_tv(obj, **options)
    assert np.all(np.isfinite(found))
    assert relative_error(found, expected) <= ROUNDING[dtype]
    assert abs(found.mean() - obj.mean()) < (1e-12 if dtype == "float64" else 1e-6)


@EACH_SOLVER
@EACH_NORM
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
@pytest.mark.parametrize("scale", [1e-30, 1e18, 1e30])
@pytest.mark.parametrize("strength", [1.0, 1e-6])
def test_values_of_any_size(solver, norm, scale, strength):
    """Squares of them would overflow or vanish: against longer numbers."""
    obj = (real(9, (3, 6, 7), "float64") * scale).astype("float32")
    options = {"axes_weight": (1, 1, 1), "solver": solver, "norm": norm, "n_iter": 6}
    options["weight"] = 0.1 * scale * strength
    expected = obj_tv(obj, **options)
    for found in both(obj, options):
        assert relative_error(found, expected) <= 2e-6


def both(obj, options):
    yield arraycon.obj_tv(obj, **options)
    with arraycon.use_agnostic():
        yield arraycon.obj_tv(obj, **options)


@EACH_SOLVER
@EACH_NORM
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 3e38])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_both_paths_agree_beside_what_is_extreme(solver, norm, value, dtype):
    obj = real(1, (3, 11, 12), "float32").astype(dtype)
    obj[1, 4, 5] = value
    options = {"weight": 0.1, "axes_weight": (1, 1, 1), "solver": solver, "norm": norm}
    found, expected = both(obj, {**options, "n_iter": 4})
    # 4 updates reach 9 neighbours on: most is as it would be without
    assert np.isfinite(expected).mean() > 0.2
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(finite, np.isfinite(found))
    near = finite & (np.abs(expected) < 1e3)
    np.testing.assert_allclose(found[near], expected[near], atol=2e-6)


def test_gradients_flow_where_nothing_varies():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    flat = torch.zeros(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    for solver in SOLVERS:
        for norm in NORMS:
            weights = (1.0, 1.0, 1.0)
            result = arraycon.obj_tv(flat, axes_weight=weights, norm=norm, solver=solver, n_iter=4)
            (gradient,) = torch.autograd.grad((result * torch.arange(5.0)).sum(), flat)
            assert torch.all(torch.isfinite(gradient))
