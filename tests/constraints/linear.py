"""Linear filters: Gaussians, bands, the wedge, notches, equal slices, smoothing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from cases import OBJ, OBJECTS, PROBES, Limit, amplitude, on_objects, on_probes, phase

# every check of the contract runs over what this file declares
from contract import *
from filters import *
from filters import Filter
from hypothesis import given
from hypothesis import strategies as st
from libraries import relative_error
from properties import PRECISIONS, ROUNDING, SEEDS, SHAPES, modes, real
from reference import wide

import arraycon

DEPTH = {"slice_thickness": 3.0}


def multiplied(obj, transfer, spacing, mirrored=()):
    """Spectra of the even extension, whole and complex, as SPEC2 has them."""
    x, axes = wide(obj), tuple(spacing)
    for axis in mirrored:
        x = np.concatenate([x, np.flip(x, axis)], axis=axis)
    grids = np.meshgrid(
        *(np.fft.fftfreq(x.shape[axis], spacing[axis]) for axis in axes), indexing="ij"
    )
    result = np.fft.ifftn(np.fft.fftn(x, axes=axes) * transfer(*grids), axes=axes)
    for axis in mirrored:
        result = np.take(result, np.arange(obj.shape[axis]), axis=axis)
    return result if np.iscomplexobj(obj) else result.real


def relaxed(old, new, relax):
    return relax * wide(old) + (1 - relax) * new


def obj_gaussian(
    obj, *, dx, sigma=0.2, sigma_z=0, slice_thickness=None, boundary="mirror", relax=0
):
    def blur(*q):
        *qz, qy, qx = q
        z = sigma_z**2 * qz[0] ** 2 if qz else 0
        return np.exp(-2 * np.pi**2 * (sigma**2 * (qy**2 + qx**2) + z))

    spacing = {-3: slice_thickness} if sigma_z > 0 else {}
    spacing |= {-2: dx, -1: dx}
    mirrored = spacing if boundary == "mirror" else ()
    return relaxed(obj, multiplied(obj, blur, spacing, mirrored), relax)


def obj_bandpass(
    obj, *, dx, q_lowpass=None, q_highpass=None, shape="butterworth", order=2, dims="lateral",
    slice_thickness=None, boundary="periodic", relax=0,
):  # fmt: skip
    def low(q, cutoff):
        if shape == "hard":
            return q <= cutoff * (1 + 1e-9)
        if shape == "gaussian":
            return np.exp(-((q / cutoff) ** 2) / 2)
        return 1 / (1 + (q / cutoff) ** (2 * order))

    def band(*q):
        modulus = np.sqrt(sum(each**2 for each in q))
        factors = np.ones_like(modulus)
        if q_lowpass is not None:
            factors = factors * low(modulus, q_lowpass)
        if q_highpass is not None:
            factors = factors * (1 - low(modulus, q_highpass))
        factors[modulus == 0] = 1
        return factors

    spacing = {-3: slice_thickness} if dims == "volume" else {}
    spacing |= {-2: dx, -1: dx}
    mirrored = spacing if boundary == "mirror" else ()
    return relaxed(obj, multiplied(obj, band, spacing, mirrored), relax)


def obj_wedge(obj, *, dx, slice_thickness, semiangle=25, q_floor=0, boundary="mirror", relax=0):
    def wedge(qz, qy, qx):
        reached = np.tan(semiangle / 1e3) ** 2 * (qy**2 + qx**2 + q_floor**2)
        factors = 2 / np.pi * np.arctan2(reached, qz**2)
        factors[(qz == 0) & (qy == 0) & (qx == 0)] = 1
        return factors

    spacing = {-3: slice_thickness, -2: dx, -1: dx}
    return relaxed(
        obj, multiplied(obj, wedge, spacing, [-3] if boundary == "mirror" else []), relax
    )


def windows(ny, nx, dx, period, window=2, direction="xy", rotation=0):
    """Every bin against every harmonic."""
    py, px = period if isinstance(period, tuple) else (period, period)
    i, j = np.indices((ny, nx))
    angle, inside = math.radians(rotation), np.zeros((ny, nx), bool)
    slack = 1 + 1e-9
    orders = (range(-math.floor(p / (2 * dx) * slack), math.floor(p / (2 * dx) * slack) + 1)
              for p in (py, px))  # fmt: skip
    for m, n in itertools.product(*orders):
        wanted = {"xy": True, "y": n == 0, "x": m == 0, "axes": m * n == 0}[direction]
        hy = ny * dx * (m * math.cos(angle) / py - n * math.sin(angle) / px)
        hx = nx * dx * (m * math.sin(angle) / py + n * math.cos(angle) / px)
        if not wanted or (m, n) == (0, 0) or abs(hy) > ny / 2 + 1e-9 or abs(hx) > nx / 2 + 1e-9:
            continue
        far_y, far_x = (np.abs(d - size * np.round(d / size))
                        for d, size in ((i - hy, ny), (j - hx, nx)))  # fmt: skip
        inside |= (far_y <= window + 1e-9) & (far_x <= window + 1e-9)
    inside[0, 0] = False
    return inside


def grid_notch(obj, *, dx, period, window=2, direction="xy", rotation=0, relax=0):
    stop = windows(*obj.shape[-2:], dx, period, window, direction, rotation)
    return relaxed(obj, multiplied(obj, lambda *_: 1 - stop, {-2: dx, -1: dx}), relax)


def identical_slices(obj, *, relax=0):
    return relaxed(obj, np.broadcast_to(wide(obj).mean(axis=-3, keepdims=True), obj.shape), relax)


def obj_smooth(obj, *, alpha=0.02, relax=0):
    x = wide(obj)
    edges = [(0, 0)] * (x.ndim - 2) + [(1, 1), (1, 1)]
    nine = np.lib.stride_tricks.sliding_window_view(np.pad(x, edges, mode="edge"), (3, 3), (-2, -1))
    kernel = np.full((3, 3), alpha)
    kernel[1, 1] = 1 - 8 * alpha
    return relaxed(obj, np.einsum("...ij,ij->...", nine, kernel), relax)


OPTIONS = {
    obj_gaussian: (
        {"dx": 0.2, "sigma": 0.3},
        {"dx": 0.2, "sigma": 0.3, "boundary": "periodic", "relax": 0.25},
        {"dx": 0.1, "sigma": 0.0, "sigma_z": 4.0, **DEPTH},
        {"dx": 0.1, "sigma": 0.1, "sigma_z": 4.0, "boundary": "periodic", **DEPTH},
        {"dx": 0.1, "sigma": 0.2, "sigma_z": 2.0, **DEPTH},
    ),
    obj_bandpass: (
        {"dx": 0.2, "q_lowpass": 1.1, "q_highpass": 0.15},
        {"dx": 0.2, "q_lowpass": 0.8, "order": 4.0, "boundary": "mirror"},
        {"dx": 0.2, "q_highpass": 0.4, "shape": "gaussian", "relax": 0.5},
        {"dx": 0.2, "q_lowpass": 1.013, "q_highpass": 0.31, "shape": "hard"},
        {"dx": 0.2, "q_lowpass": 0.7, "dims": "volume", **DEPTH},
        {
            "dx": 0.2, "q_highpass": 0.13, "shape": "gaussian", "dims": "volume",
            "boundary": "mirror", **DEPTH,
        },
    ),
    obj_wedge: (
        {"dx": 0.2, **DEPTH},
        {"dx": 0.2, "semiangle": 300.0, "q_floor": 0.2, "boundary": "periodic", **DEPTH},
        {"dx": 0.2, "semiangle": 100.0, "relax": 0.3, **DEPTH},
    ),
    grid_notch: (
        {"dx": 0.1, "period": 0.45},
        {"dx": 0.1, "period": (0.5, 0.31), "window": 1.0, "direction": "axes", "relax": 0.2},
        {"dx": 0.1, "period": 0.4, "window": 0.6, "rotation": 27.0},
        {"dx": 0.1, "period": 0.4, "window": 0.0, "direction": "x"},
        {"dx": 0.1, "period": 0.7, "window": 1.5, "direction": "y", "rotation": -10.0},
    ),
    identical_slices: ({"relax": 0.0}, {"relax": 0.3}),
    obj_smooth: ({"alpha": 0.02}, {"alpha": 0.125, "relax": 0.4}),
}  # fmt: skip
CASES = [
    case
    for reference, options in OPTIONS.items()
    for case in (
        *on_objects(reference, phase if reference is not obj_smooth else amplitude, *options),
        *on_probes(reference, *options, shapes=PROBES[1:]),
    )
]

BAD = [
    ("obj_gaussian", (OBJ,), {"dx": 0}, ValueError, "dx: expected a number > 0, got 0"),
    ("obj_gaussian", (OBJ,), {"dx": 1, "sigma": -1}, ValueError, "sigma: expected a number ≥ 0"),
    (
        "obj_gaussian", (OBJ,), {"dx": 1, "sigma_z": 1}, ValueError,
        "slice_thickness: expected a number > 0, because sigma_z > 0, got None",
    ),
    (
        "obj_gaussian", (OBJ[0],), {"dx": 1, "sigma_z": 1, **DEPTH}, ValueError,
        r"obj: expected at least 3 axes \(..., nz, ny, nx\)",
    ),
    ("obj_gaussian", (OBJ,), {"dx": 1, "boundary": "zero"}, ValueError, "boundary: expected mirr"),
    ("obj_bandpass", (OBJ,), {"dx": 1, "q_lowpass": 0}, ValueError, "q_lowpass: expected a numbe"),
    ("obj_bandpass", (OBJ,), {"dx": 1, "order": 2e6}, ValueError, r"order: .* in \(0, 1e\+06\]"),
    ("obj_bandpass", (OBJ,), {"dx": 1, "shape": "soft"}, ValueError, "shape: expected butterwor"),
    (
        "obj_bandpass", (OBJ,), {"dx": 1, "dims": "volume"}, ValueError,
        "slice_thickness: expected a number > 0, because dims is volume, got None",
    ),
    (
        "obj_wedge", (OBJ,), {"dx": 1, "semiangle": 1570, **DEPTH}, ValueError,
        r"semiangle: expected a number in \(0, 1570\), got 1570.0",
    ),
    ("obj_wedge", (OBJ[0],), {"dx": 1, **DEPTH}, ValueError, r"obj: .* \(..., nz, ny, nx\)"),
    ("grid_notch", (OBJ,), {"dx": 1, "period": (1, 0)}, ValueError, r"period\[1\]: expected a num"),
    ("grid_notch", (OBJ,), {"dx": 1, "period": (1,)}, TypeError, "period: expected a number"),
    (
        "grid_notch", (OBJ,), {"dx": 1e-3, "period": 1.0}, ValueError,
        r"period: expected at most 100000 harmonics, got 1.002e\+06 for",
    ),
    ("grid_notch", (OBJ,), {"dx": 1e-300, "period": 1e300}, ValueError, r"period: .* got 4e\+30"),
    ("identical_slices", (OBJ[0],), {}, ValueError, r"obj: .* \(..., nz, ny, nx\)"),
    ("identical_slices", (OBJ,), {"relax": 1.1}, ValueError, r"relax: expected .* in \[0, 1\]"),
    ("obj_smooth", (OBJ,), {"alpha": 0.2}, ValueError, r"alpha: expected a number in \[0, 0.125\]"),
]  # fmt: skip

# of the reference, which nothing replaces yet
LIMITS = {
    "obj_gaussian": Limit(6.1, {"dx": 0.1}),
    "obj_bandpass": Limit(5.1, {"dx": 0.1, "q_lowpass": 1.0}),
    "obj_wedge": Limit(9.1, {"dx": 0.1, **DEPTH}),
    "grid_notch": Limit(5.1, {"dx": 0.1, "period": 0.4}),
    "identical_slices": Limit(3.1),
    "obj_smooth": Limit(5.1),
}

FILTERS = [
    Filter("obj_gaussian", {"dx": 0.1, "sigma": 0.08, "sigma_z": 2.0, **DEPTH}),
    Filter("obj_gaussian", {"dx": 0.1, "sigma": 0.08, "boundary": "periodic"}, variant="periodic"),
    Filter("obj_bandpass", {"dx": 0.1, "q_lowpass": 2.0}),
    Filter("obj_bandpass", {"dx": 0.1, "q_highpass": 0.2, "dims": "volume", **DEPTH}, "volume"),
    Filter("obj_wedge", {"dx": 0.1, "semiangle": 900.0, "slice_thickness": 0.1}),
    Filter("obj_wedge", {"dx": 0.1, "boundary": "periodic", "slice_thickness": 0.1}, "periodic"),
    Filter("grid_notch", {"dx": 0.1, "period": 0.4, "window": 0.0}),
    Filter("identical_slices", {"relax": 0.5}),
    Filter("obj_smooth", {"alpha": 0.05}),
]

EACH = pytest.mark.parametrize("one_of", FILTERS, ids=lambda one: one.id)


def run(one, obj):
    return getattr(arraycon, one.name)(obj, **one.options)


@EACH
@given(SEEDS, SHAPES, PRECISIONS)
def test_the_mean_is_kept(one_of, seed, shape, dtype):
    obj = real(seed, shape, dtype, mean=0.5)
    after = run(one_of, obj).mean(dtype="float64")
    assert after == pytest.approx(obj.mean(dtype="float64"), abs=5 * ROUNDING[dtype])


@EACH
@given(SEEDS, SHAPES)
def test_self_adjoint(one_of, seed, shape):
    x, y = real(seed, shape, "float64"), real(seed + 1, shape, "float64")
    assert np.vdot(y, run(one_of, x)) == pytest.approx(np.vdot(run(one_of, y), x), abs=1e-11)


@EACH
@given(SEEDS, SHAPES, st.floats(0, 6.28))
def test_a_global_phase_commutes(one_of, seed, shape, angle):
    obj, turn = modes(seed, shape, "float64"), np.exp(1j * angle)
    np.testing.assert_allclose(run(one_of, turn * obj), turn * run(one_of, obj), atol=1e-11)


@EACH
@given(SEEDS, SHAPES)
def test_a_complex_array_is_two_real_ones(one_of, seed, shape):
    obj = modes(seed, shape, "float64")
    apart = run(one_of, obj.real.copy()) + 1j * run(one_of, obj.imag.copy())
    np.testing.assert_allclose(run(one_of, obj), apart, atol=1e-12)


@EACH
@pytest.mark.parametrize("path", ["auto", "agnostic"])
def test_full_relaxation_changes_nothing(one_of, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = real(3, (2, 4, 5, 6), "float32")
    options = {**one_of.options, "relax": 1.0}
    same = getattr(arraycon, one_of.name)(obj, **options)
    np.testing.assert_array_equal(same, obj)
    assert not np.shares_memory(same, obj)


@pytest.mark.parametrize("shape", OBJECTS)
def test_the_wedge_is_the_depth_filter(shape):
    """kz_filter is obj_wedge with a floor and a periodic obj_gaussian: SPEC2, 4·10⁻¹⁶."""
    obj = np.random.default_rng(2).normal(size=shape)
    dx, dz, beta, alpha = 0.17, 2.3, 0.6, 0.8
    for boundary in ("periodic", "mirror"):
        expected = arraycon.kz_filter(obj, beta=beta, alpha=alpha, boundary=boundary)
        found = arraycon.obj_wedge(
            obj, dx=dx, slice_thickness=dz, semiangle=1e3 * np.arctan(dx / (beta * dz)),
            q_floor=np.sqrt(1e-3) / dx, boundary=boundary,
        )  # fmt: skip
        sigma = dx * np.sqrt(alpha / 2) / np.pi
        found = arraycon.obj_gaussian(found, dx=dx, sigma=sigma, boundary="periodic")
        assert relative_error(found, expected) <= 3e-15


@given(SEEDS, SHAPES)
def test_without_a_floor_the_wedge_makes_means_of_slices_equal(seed, shape):
    obj = real(seed, (shape[0] + 1, *shape[1:]), "float64")
    means = arraycon.obj_wedge(obj, dx=0.2, slice_thickness=8).mean(axis=(-2, -1))
    np.testing.assert_allclose(means, obj.mean(), atol=1e-14)


def test_one_slice_has_no_wedge():
    obj = real(1, (3, 1, 8, 9), "float32")
    np.testing.assert_array_equal(arraycon.obj_wedge(obj, dx=0.1, slice_thickness=1), obj)


@given(SEEDS, SHAPES, st.floats(0.2, 6), st.sampled_from(["lateral", "volume"]))
def test_hard_bands_are_idempotent(seed, shape, cutoff, dims):
    options = {
        "dx": 0.1,
        "q_lowpass": cutoff,
        "shape": "hard",
        "dims": dims,
        "slice_thickness": 1.0,
    }
    once = arraycon.obj_bandpass(real(seed, shape, "float64"), **options)
    np.testing.assert_allclose(arraycon.obj_bandpass(once, **options), once, atol=1e-13)


@given(SEEDS, SHAPES, st.floats(0.2, 0.9), st.floats(0, 2), st.floats(-90, 90))
def test_notches_are_idempotent(seed, shape, period, window, rotation):
    options = {"dx": 0.1, "period": period, "window": window, "rotation": rotation}
    once = arraycon.grid_notch(real(seed, shape, "float64"), **options)
    np.testing.assert_allclose(arraycon.grid_notch(once, **options), once, atol=1e-13)


@given(SEEDS, SHAPES, PRECISIONS)
def test_equal_slices_stay_and_keep_their_sum(seed, shape, dtype):
    obj = real(seed, shape, dtype)
    once = arraycon.identical_slices(obj)
    assert np.all(once == once[:1])
    np.testing.assert_allclose(once.sum(axis=0), obj.sum(axis=0), atol=20 * ROUNDING[dtype])
    np.testing.assert_allclose(arraycon.identical_slices(once), once, rtol=2 * ROUNDING[dtype])


def test_the_cutoff_itself_is_kept():
    """A bin on the edge, whatever it rounds to."""
    wave = np.cos(2 * np.pi * 3 / 21 * np.arange(21)) * np.ones((21, 1))
    for dx in (0.1, 0.3, 1 / 3):
        edge = 3 / (21 * dx)
        np.testing.assert_allclose(
            arraycon.obj_bandpass(wave, dx=dx, q_lowpass=edge, shape="hard"), wave, atol=1e-12
        )


def test_a_rotated_grid_is_removed_and_little_else():
    y, x = np.indices((120, 120)) * 0.1
    angle = math.radians(30)
    along = x * math.cos(angle) - y * math.sin(angle)
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 1, (120, 120))
    grid = np.cos(2 * np.pi * along / 1.1)
    # it fits no bin, so that some of it, 0.43, is left in the sidelobes
    turned = arraycon.grid_notch(grid, dx=0.1, period=1.1, rotation=30, direction="x")
    straight = arraycon.grid_notch(grid, dx=0.1, period=1.1, direction="x")
    assert np.std(turned) < 0.5 * np.std(grid)
    assert np.std(straight) > 0.9 * np.std(grid)
    rest = arraycon.grid_notch(noise, dx=0.1, period=1.1, rotation=30, direction="x")
    assert np.std(rest) > 0.97 * np.std(noise)


EXTREMES = [
    ("obj_gaussian", {"dx": 1e-300}), ("obj_gaussian", {"dx": 5e-324}),
    ("obj_gaussian", {"dx": 1e300}), ("obj_gaussian", {"dx": 1e-300, "sigma": 1e300}),
    ("obj_gaussian", {"dx": 1.0, "sigma": 1e300, "sigma_z": 1e300, "slice_thickness": 1e-300}),
    ("obj_gaussian", {"dx": 1.0, "sigma": 5e-324}),
    ("obj_bandpass", {"dx": 1e-300, "q_lowpass": 1e300, "q_highpass": 5e-324}),
    ("obj_bandpass", {"dx": 1.0, "q_lowpass": 5e-324, "order": 1e6}),
    ("obj_bandpass", {"dx": 1.0, "q_lowpass": 0.3, "order": 5e-324}),
    ("obj_bandpass", {"dx": 1e300, "q_highpass": 1e300, "shape": "gaussian"}),
    ("obj_bandpass", {"dx": 1e-300, "q_lowpass": 5e-324, "shape": "gaussian"}),
    ("obj_wedge", {"dx": 1e-300, "slice_thickness": 1e-300}),
    ("obj_wedge", {"dx": 1e300, "slice_thickness": 5e-324, "semiangle": 1569.99}),
    ("obj_wedge", {"dx": 1.0, "slice_thickness": 1e300, "semiangle": 5e-324}),
    ("obj_wedge", {"dx": 1.0, "slice_thickness": 1.0, "q_floor": 1e300}),
    ("grid_notch", {"dx": 1.0, "period": 5e-324}), ("grid_notch", {"dx": 1e300, "period": 1e300}),
    ("grid_notch", {"dx": 1.0, "period": 4.0, "window": 1e300, "rotation": 1e300}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), EXTREMES)
@pytest.mark.parametrize("path", ["auto", "agnostic"])
def test_extreme_strengths_stay_finite_and_keep_the_mean(name, options, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = real(7, (3, 6, 7), "float64")
    filtered = getattr(arraycon, name)(obj, **options)
    assert np.all(np.isfinite(filtered))
    assert filtered.mean() == pytest.approx(obj.mean(), abs=1e-13)
