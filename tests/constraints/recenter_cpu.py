"""What the compiled recentring does beyond the formulas: selection, blocks, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import amplitude, family, phase, probe
from libraries import FLOAT32, FLOAT64, relative_error
from reference import wide

import arraycon

pytest.importorskip("numba", reason="numba is not installed")

from arraycon.kernels.agnostic import recenter as agnostic
from arraycon.kernels.common import threads
from arraycon.kernels.cpu import recenter
from arraycon.kernels.cpu.tools import selection

SIZE = 3 * selection._LARGE // 2 + 17
RNG = np.random.default_rng(0)
FORMULA = family("recenter")
OPTIONS = FORMULA.RECENTER
VALUES = {
    "normal": RNG.normal(0.1, 0.2, SIZE),
    "sorted": np.sort(RNG.normal(0.1, 0.2, SIZE)),
    "half zero": np.maximum(RNG.normal(0.0, 0.2, SIZE), 0),
    "few different": RNG.integers(-2, 4, SIZE).astype(float),
    "all equal": np.full(SIZE, 0.7),
    "all negative": -RNG.random(SIZE),
    "one outlier": np.where(np.arange(SIZE) == 5, 1e30, 0.0),
    # what the sample meets is nothing like the rest
    "misleading": np.where(
        np.arange(SIZE) % (SIZE // selection._SAMPLE | 1), RNG.random(SIZE), 9.0
    ),
    "infinite": np.where(np.arange(SIZE) % 3, RNG.random(SIZE), np.inf),
    "not a number": np.where(np.arange(SIZE) % 3, RNG.random(SIZE), np.nan),
}


def inputs(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    arrays = [
        amplitude(rng, shape),
        phase(rng, shape),
        probe(rng, (3, 8, 10)).astype("complex64" if dtype == "float32" else "complex128"),
    ]
    return [array if np.iscomplexobj(array) else array.astype(dtype) for array in arrays]


def assert_close(results, expected, dtype):
    for result, target in zip(results[:3], expected[:3], strict=True):
        assert relative_error(result, target) < (FLOAT32 if dtype == "float32" else FLOAT64)
    assert float(results[3]) == pytest.approx(float(expected[3]), abs=1e-6)


@pytest.mark.quick(when=lambda dtype, **_: dtype == "float32")
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("thresh", [0.0, 37.5, 50.0, 95.0, 99.999, 100.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_percentile_is_exact(kind, thresh, dtype):
    values = VALUES[kind].astype(dtype)
    expected = np.sort(np.maximum(values, 0))[agnostic.rank(thresh, values.size)]
    np.testing.assert_equal(recenter._percentile(values, thresh), float(expected))


@pytest.mark.parametrize("shape", [(2, 5, 33, 41), (3, 2, 1, 7), (20, 31, 16), (70, 9, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dense", [0, 1000])
@pytest.mark.parametrize("block", [1, 1 << 15])
def test_by_matrix_and_by_fft_in_blocks(shape, dtype, dense, block, monkeypatch):
    monkeypatch.setattr(recenter, "_DENSE", dense)
    monkeypatch.setattr(recenter, "_BLOCK", block)
    monkeypatch.setattr(recenter, "_COLUMNS", 16)
    arrays = inputs(shape, dtype)
    with arraycon.use_agnostic():
        expected = arraycon.obj_z_recenter(*map(wide, arrays), **OPTIONS)
    assert_close(arraycon.obj_z_recenter(*arrays, **OPTIONS), expected, dtype)


@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize("number", [1, 2, 5])
def test_any_number_of_threads(number):
    arrays = inputs((6, 120, 101), "float32")
    with threads.use_threads(number):
        results = arraycon.obj_z_recenter(*arrays, **OPTIONS)
    assert_close(results, FORMULA.obj_z_recenter(*arrays, **OPTIONS), "float32")


def test_concurrent_calls():
    arrays = inputs((6, 90, 101), "float32")
    expected = arraycon.obj_z_recenter(*arrays, **OPTIONS)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(arraycon.obj_z_recenter, *arrays, **OPTIONS) for _ in range(12)]
        for call in calls:
            for result, target in zip(call.result(), expected, strict=True):
                assert relative_error(result, target) < 1e-6


def test_no_square_overflows():
    amplitude, phase, probe = inputs((5, 9, 8), "float32")
    amplitude *= np.float32(1e30)
    expected = FORMULA.obj_z_recenter(amplitude, phase, probe, **OPTIONS)
    assert_close(arraycon.obj_z_recenter(amplitude, phase, probe, **OPTIONS), expected, "float32")


def test_a_column_with_nan_is_only_that_column():
    amplitude, phase, probe = inputs((5, 9, 8), "float64")
    expected = arraycon.obj_z_recenter(amplitude, phase, probe, **OPTIONS)[0]
    amplitude[2, 3, 4] = np.nan
    with np.errstate(all="raise"):
        result = arraycon.obj_z_recenter(amplitude, phase, probe, **OPTIONS)[0]
    assert np.all(np.isnan(result[:, 3, 4]))
    result[:, 3, 4] = expected[:, 3, 4]
    assert relative_error(result, expected) < FLOAT64


def test_outputs_may_be_each_others_inputs():
    amplitude, phase, probe = inputs((5, 9, 8), "float64")
    expected = arraycon.obj_z_recenter(amplitude, phase, probe, **OPTIONS)
    arraycon.obj_z_recenter(amplitude, phase, probe, **OPTIONS, out=(phase, amplitude, probe))
    for result, target in zip((phase, amplitude, probe), expected, strict=False):
        np.testing.assert_array_equal(result, target)


def test_a_centred_object_is_not_touched():
    arrays = inputs((5, 9, 8), "float32")
    arrays[1] += arrays[1][::-1].copy()
    before = [array.copy() for array in arrays]
    *_, shift = arraycon.obj_z_recenter(*arrays, **OPTIONS, out=tuple(arrays))
    assert isinstance(shift, np.ndarray)
    assert (shift.shape, shift.dtype, float(shift)) == ((), np.float64, 0.0)
    for array, values in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, values)
