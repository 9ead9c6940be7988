"""Filters of spatial frequencies: kr_filter, kz_filter."""

from __future__ import annotations

import numpy as np
import pytest
from cases import OBJ, PROBE, Limit, amplitude, on_objects, on_probes, phase

# every check of the contract runs over what this file declares
from contract import *
from filters import *
from filters import Filter
from hypothesis import given
from hypothesis import strategies as st
from properties import PRECISIONS, ROUNDING, SEEDS, SHAPES, real
from reference import sigmoid, wide

import arraycon
from arraycon.kernels.agnostic import fourier
from arraycon.kernels.common import arrays


def kr_filter(obj, *, radius, width):
    mask = sigmoid(*obj.shape[-2:], radius, width)
    filtered = np.fft.ifft2(np.fft.fft2(wide(obj)) * mask)
    return filtered if np.iscomplexobj(obj) else filtered.real


def wedge(shape, beta, alpha):
    kz, ky, kx = np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")
    lateral = kx**2 + ky**2
    angle = np.arctan((beta * np.abs(kz) / np.sqrt(lateral + 1e-3)) ** 2)
    return (1 - 2 / np.pi * angle) * np.exp(-alpha * lateral)


def kz_filter(obj, *, beta, alpha, obj_type="phase", boundary="periodic"):
    nz = obj.shape[-3]
    x = wide(obj)
    if boundary == "mirror":
        x = np.concatenate([x, x[..., ::-1, :, :]], axis=-3)
    axes = (-3, -2, -1)
    weights = wedge(x.shape[-3:], beta, alpha)
    filtered = np.fft.ifftn(np.fft.fftn(x, axes=axes) * weights, axes=axes).real[..., :nz, :, :]
    return 1 + 0.9 * (filtered - 1) if obj_type == "amplitude" else filtered


CASES = [
    *on_objects(
        kr_filter,
        phase,
        {"radius": 0.15, "width": 0.05},
        {"radius": 0.6, "width": 0.0},
        {"radius": 5.0, "width": 0.3},
    ),
    *on_probes(kr_filter, {"radius": 0.3, "width": 0.1}),
    *on_objects(
        kz_filter,
        phase,
        {"beta": 1.0, "alpha": 1.0},
        {"beta": 0.5, "alpha": 0.0, "boundary": "mirror"},
        {"beta": 0.0, "alpha": 2.0},
    ),
    *on_objects(
        kz_filter,
        amplitude,
        {"beta": 0.3, "alpha": 1.0, "obj_type": "amplitude"},
        {"beta": 0.3, "alpha": 1.0, "obj_type": "amplitude", "boundary": "mirror"},
    ),
]

BAD = [
    ("kz_filter", (PROBE,), {}, TypeError, "obj: expected float32 or float64, got complex64"),
    ("kr_filter", (OBJ.astype(int),), {}, TypeError, "obj: expected float32, .*, got int"),
    ("kz_filter", (OBJ,), {"boundary": "mirrored"}, ValueError, "boundary: .* got 'mirrored'"),
    ("kz_filter", (OBJ,), {"obj_type": "both"}, ValueError, "obj_type: .* got 'both'"),
]

LIMITS = {"kr_filter": Limit(0.15), "kz_filter": Limit(1.1)}

FILTERS = [
    Filter("kr_filter", {"radius": 0.4, "width": 0.1}),
    Filter("kz_filter", {"beta": 0.7, "alpha": 0.5}),
    Filter("kz_filter", {"beta": 0.7, "alpha": 0.5, "boundary": "mirror"}, variant="mirror"),
]


def test_check_value_of_the_wedge_filter():
    grid = np.zeros((8, 8, 8))
    xp = arrays.namespace(grid=grid)
    kz = arrays.frequencies(8, grid, xp=xp)
    lateral = fourier.lateral(grid.shape, grid, xp=xp)
    weights = fourier.wedge(kz, *lateral, beta=0.5, alpha=1.0, dtype=xp.float64, xp=xp)
    assert weights[1, 0, 0] == pytest.approx(0.159548, abs=5e-7)


def test_only_the_mirror_boundary_keeps_top_and_bottom_apart():
    phase = np.zeros((8, 16, 16))
    phase[0] = np.random.default_rng(20).random((16, 16))
    leak = {
        boundary: np.abs(arraycon.kz_filter(phase, beta=0.5, boundary=boundary)[-1]).max()
        for boundary in ("periodic", "mirror")
    }
    assert leak["mirror"] < 0.2 * leak["periodic"]


def test_extreme_filter_strengths_stay_finite():
    phase = np.random.default_rng(20).random((5, 6, 7)).astype("float32")
    for beta in (0.0, 1e-300, 1e300):
        for alpha in (0.0, 1e300):
            assert np.all(np.isfinite(arraycon.kz_filter(phase, beta=beta, alpha=alpha)))
    for width in (0.0, 5e-324, 1e300):
        for radius in (0.0, 1e300):
            assert np.all(np.isfinite(arraycon.kr_filter(phase, radius=radius, width=width)))


BOUNDARIES = st.sampled_from(["periodic", "mirror"])


@given(SEEDS, SHAPES, PRECISIONS, st.floats(0, 5), st.floats(0, 5), BOUNDARIES)
def test_kz_filter_keeps_the_mean_phase(seed, shape, dtype, beta, alpha, boundary):
    phase = real(seed, shape, dtype, mean=0.5)
    filtered = arraycon.kz_filter(phase, beta=beta, alpha=alpha, boundary=boundary)
    mean = phase.mean(dtype="float64")
    assert filtered.mean(dtype="float64") == pytest.approx(mean, abs=5 * ROUNDING[dtype])
