"""Levels, scales and total variation of CuPy arrays against the reference, extremes included.

Without a GPU `test_on_cpu` runs this file on the stand-in.
"""

from __future__ import annotations

import numpy as np
import pytest
from libraries import FLOAT32, FLOAT64, Library, relative_error

import arraycon

CUPY = Library("cupy")
if reason := CUPY.available():
    pytest.skip(reason, allow_module_level=True)

import cupy  # noqa: E402

from arraycon.kernels.gpu.tools import (  # noqa: E402
    levels,
    selection,
)

ON_GPU = not hasattr(cupy, "synchronisations")


@pytest.mark.parametrize("solver", ["fgp", "chambolle"])
@pytest.mark.parametrize("norm", ["isotropic", "layered", "anisotropic"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, 3e38, 1e-42])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
def test_total_variation_beside_what_is_extreme(solver, norm, value, scale):
    values = (np.random.default_rng(3).normal(size=(3, 9, 10)) * scale).astype("float32")
    values[1, 4, 5] = value
    options = {"weight": 0.1 * scale, "axes_weight": (1.0, 0.7, 0.4), "n_iter": 3}
    options |= {"solver": solver, "norm": norm}
    with arraycon.use_agnostic():
        expected = arraycon.obj_tv(values, **options)
    answer = CUPY.numpy(arraycon.obj_tv(CUPY.array(values), **options))
    np.testing.assert_array_equal(np.isnan(answer), np.isnan(expected))
    near = np.isfinite(expected) & (np.abs(expected) < 1e3 * scale)
    assert near.mean() > 0.2
    np.testing.assert_allclose(answer[near], expected[near], atol=2e-6 * scale)


LEVELS = [
    ("obj_baseline", {"statistic": "mean"}),
    ("obj_baseline", {"statistic": "mean", "scope": "global", "factor": 0.6, "relax": 0.2}),
    ("obj_baseline", {"statistic": "percentile", "percentile": 37.0}),
    ("obj_baseline", {"statistic": "percentile", "percentile": 100.0, "scope": "global"}),
]
MASKS = ["none", "bool", "one slice", "each slice", "each", "nothing", "nearly half"]


def mask_of(kind, shape):
    rng = np.random.default_rng(2)
    if kind == "none":
        return ()
    if kind == "each":
        return (rng.random(shape),)
    weights = rng.random(shape[-3 if kind == "each slice" else -2 :])
    chosen = {
        "bool": weights > 0.4,
        "one slice": weights[None],
        "nothing": 0 * weights,
        "nearly half": np.where(weights > 0.4, 0.5 + 1e-12, 0.5),
    }
    return (chosen.get(kind, weights),)


@pytest.mark.parametrize(("name", "options"), LEVELS)
@pytest.mark.parametrize("obj_type", ["phase", "amplitude"])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("small", [0, 1 << 14], ids=["by many blocks", "by one block"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_levels_are_the_reference(name, options, obj_type, kind, small, dtype, monkeypatch):
    monkeypatch.setattr(selection, "_SMALL", small)
    monkeypatch.setattr(selection, "_VALUES", 1)
    monkeypatch.setattr(levels, "_VALUES", 1)
    values = np.random.default_rng(3).normal(0.8, 0.5, (2, 3, 23, 29)).astype(dtype)
    values[0, 1] = np.round(values[0, 1])  # ties
    values[1, 2] -= 2  # a negative level
    mask = mask_of(kind, values.shape)
    function, options = getattr(arraycon, name), {**options, "obj_type": obj_type}
    with arraycon.use_agnostic():
        expected = function(values, *mask, **options)
    answer = function(CUPY.array(values), *map(CUPY.array, mask), **options)
    assert relative_error(CUPY.numpy(answer), expected) < (
        FLOAT64 if dtype == "float64" else FLOAT32
    )


@pytest.mark.parametrize(("name", "options"), LEVELS)
@pytest.mark.parametrize("obj_type", ["phase", "amplitude"])
@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
def test_levels_of_extreme_values(name, options, obj_type, power, masked):
    function, options = getattr(arraycon, name), {**options, "obj_type": obj_type, "factor": power}
    mask = (np.arange(30).reshape(5, 6) % 3 > 0,) if masked else ()
    for value in (np.nan, np.inf, -np.inf, 1e30, -3e38, 1e-42, 0.0):
        values = np.random.default_rng(3).normal(0.8, 0.5, (4, 5, 6)).astype("float32")
        values[0, 2, 3], values[1], values[2, :3] = value, value, value
        with arraycon.use_agnostic():
            expected = function(values, *mask, **options)
        answer = CUPY.numpy(function(CUPY.array(values), *map(CUPY.array, mask), **options))
        np.testing.assert_allclose(answer, expected, rtol=1e-6, atol=1e-37, err_msg=str(value))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [0.0, 1e-42, 1e-30, 0.3, 1e30, np.nan, np.inf])
@pytest.mark.parametrize("kind", ["none", "bool", "one slice", "each slice", "nothing"])
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
def test_scales_are_the_reference(kind, scale, dtype):
    rng = np.random.default_rng(4)
    amplitude = rng.normal(1, 0.2, (2, 11, 9, 8)).astype(dtype)
    amplitude[:, 3] *= np.asarray(scale, dtype)
    probe = (rng.normal(size=(2, 7, 5)) + 1j).astype("complex64")
    weight = mask_of(kind, amplitude.shape)
    options = {"target": 0.4, "relax": 0.25}
    with arraycon.use_agnostic():
        expected = arraycon.obj_probe_scale(amplitude, probe, *weight, **options)
    given = map(CUPY.array, (amplitude, probe, *weight))
    answers = arraycon.obj_probe_scale(*given, **options)
    for answer, target in zip(answers, expected, strict=True):
        np.testing.assert_allclose(CUPY.numpy(answer), target, rtol=1e-6, atol=1e-37)


@pytest.mark.skipif(ON_GPU, reason="CuPy's own pool would be counted too")
@pytest.mark.parametrize(("name", "options"), LEVELS)
def test_levels_need_no_copy(name, options):
    values = np.random.default_rng(1).normal(size=(4, 200, 210)).astype("float32")
    obj, mask = CUPY.array(values), CUPY.array(values[0] > 0)
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.total_bytes()
    getattr(arraycon, name)(obj, mask, **options, out=obj)
    bins = 3 * 2048 * 8 * 2 * (1 if options.get("scope") == "global" else 4)
    most = (16 << 10) + (bins if options["statistic"] == "percentile" else 0)
    assert pool.total_bytes() - before <= most
