"""The compiled linear filters: sizes, depths, engines and threads that choose a route."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from cases import LATERAL, family
from libraries import COMPLEX, ENGINES, FLOAT32, FLOAT64, REAL, relative_error

import arraycon

pytest.importorskip("numba", reason="numba is not installed")

from arraycon.kernels.cpu.tools import volume

FORMULA = family("linear")
TOLERANCE = {"float32": FLOAT32, "float64": FLOAT64}
SINGLE_AND_ONE_LIBRARY = pytest.mark.quick(
    when=lambda dtype, engine, **_: dtype == "float32" and engine != "ducc0"
)
EVERY_ENGINE = pytest.mark.parametrize("engine", ENGINES, indirect=True)
THICKNESS = {"slice_thickness": 1.5}
VOLUMES = [
    ("obj_gaussian", {"dx": 0.2, "sigma": 0.3, "sigma_z": 2.0, "relax": 0.2}),
    ("obj_gaussian", {"dx": 0.2, "sigma": 0.3, "sigma_z": 2.0, "boundary": "periodic"}),
    ("obj_gaussian", {"dx": 0.2, "sigma": 0.0, "sigma_z": 2.0, "boundary": "periodic"}),
    ("obj_bandpass", {"dx": 0.2, "q_lowpass": 0.8, "dims": "volume"}),
    ("obj_bandpass", {"dx": 0.2, "q_highpass": 0.3, "dims": "volume", "boundary": "mirror"}),
    ("obj_wedge", {"dx": 0.2, "semiangle": 200.0}),
    ("obj_wedge", {"dx": 0.2, "semiangle": 200.0, "boundary": "periodic", "q_floor": 0.1}),
    ("identical_slices", {"relax": 0.3}),
]
SLICES = [
    ("obj_gaussian", {"dx": 0.2, "sigma": 0.3}),
    ("obj_gaussian", {"dx": 0.2, "sigma": 0.3, "boundary": "periodic"}),
    ("obj_bandpass", {"dx": 0.2, "q_lowpass": 0.8}),
    ("grid_notch", {"dx": 0.2, "period": 0.83, "window": 1.0, "rotation": 20.0}),
    ("obj_smooth", {"alpha": 0.1}),
]
BOTH = pytest.mark.parametrize("number", ["real", "complex"])


def objects(shape, dtype, number, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(0.1, 0.3, shape)
    if number == "complex":
        return (values + 1j * rng.normal(0.1, 0.3, shape)).astype(COMPLEX[dtype])
    return values.astype(dtype)


def given(name, options):
    depth = {} if name in ("identical_slices", "obj_smooth", "grid_notch") else THICKNESS
    return {**options, **depth}


@functools.lru_cache(maxsize=len(SLICES + VOLUMES))
def expected(name, options, shape, dtype, number):
    """What the formula says, kept for the engines that follow: two thirds of the time were its."""
    return getattr(FORMULA, name)(objects(shape, dtype, number), **dict(options))


def check(name, options, shape, dtype, number):
    options, function = given(name, options), getattr(arraycon, name)
    obj = objects(shape, dtype, number)
    # scratch memory that is not overwritten would bring the first run into the next
    function(np.full_like(obj, 1e6), **options)
    found = function(obj, **options)
    assert found.dtype == obj.dtype
    right = expected(name, tuple(options.items()), shape, dtype, number)
    assert relative_error(found, right) <= TOLERANCE[dtype]


@EVERY_ENGINE  # of which each has the same answers: they come one after the other
@SINGLE_AND_ONE_LIBRARY
@pytest.mark.usefixtures("engine")
@BOTH
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("nz", [1, 2, 3, 8, volume._DENSE, volume._DENSE + 1, 61])
def test_every_depth(nz, dtype, number):
    for name, options in VOLUMES:
        check(name, options, (2, nz, 9, 14), dtype, number)


@EVERY_ENGINE  # of which each has the same answers: they come one after the other
@SINGLE_AND_ONE_LIBRARY
@pytest.mark.usefixtures("engine")
@BOTH
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", LATERAL)
def test_lateral_sizes(shape, dtype, number):
    for name, options in SLICES + VOLUMES:
        check(name, options, (2, 3, *shape), dtype, number)


@pytest.mark.usefixtures("divided", "engine")
@BOTH
def test_the_number_of_threads_changes_nothing(number):
    obj = objects((1, 5, 70, 66), "float32", number)
    for name, options in SLICES + VOLUMES:
        with arraycon.use_threads(1):
            expected = getattr(arraycon, name)(obj, **given(name, options))
        for threads in (2, 7):
            with arraycon.use_threads(threads):
                found = getattr(arraycon, name)(obj, **given(name, options))
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_nothing_crosses_between_volumes():
    obj = objects((3, 4, 33, 35), "float32", "real")
    for name, options in SLICES + VOLUMES:
        together = getattr(arraycon, name)(obj, **given(name, options))
        spotted = obj.copy()
        spotted[[0, 2]] = np.nan
        alone = getattr(arraycon, name)(spotted, **given(name, options))[1]
        np.testing.assert_array_equal(alone, together[1], err_msg=name)
