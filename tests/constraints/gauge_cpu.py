"""The compiled phase ramp: sizes, pieces, weights of every kind, threads and extreme values."""

from __future__ import annotations

import numpy as np
import pytest
from cases import LATERAL, family
from libraries import COMPLEX, FLOAT32, FLOAT64, REAL, relative_error

import arraycon

pytest.importorskip("numba", reason="numba is not installed")

from arraycon.kernels.cpu.tools import fitting, phasors

FORMULA = family("gauge")
TOLERANCE = {"float32": FLOAT32, "float64": FLOAT64}
METHODS = pytest.mark.parametrize("method", ["plane", "gradient"])
TERMS = pytest.mark.parametrize("terms", ["ramp", "offset"])
WEIGHTS = pytest.mark.parametrize("kind", [None, "bool", "float32", "float64"])


def inputs(shape, dtype="float64", seed=0):
    """Phase with a ramp of its own in each slice, and a probe."""
    rng = np.random.default_rng(seed)
    y, x = (np.arange(n) - n // 2 for n in shape[-2:])
    slopes = rng.normal(0, 0.3 / max(shape[-2:]), (2, shape[-3], 1, 1))
    ramp = slopes[0] * y[:, None] + slopes[1] * x
    phase = (rng.normal(0.1, 0.2, shape) + ramp).astype(dtype)
    probe = rng.normal(size=(2, 7, 6)) + 1j * rng.normal(size=(2, 7, 6))
    return phase, probe.astype(COMPLEX[dtype])


def weights(kind, shape, seed=1):
    if kind is None:
        return None
    values = np.random.default_rng(seed).random(shape)
    return values > 0.4 if kind == "bool" else values.astype(kind)


def reference(phase, probe, weight, **options):
    with arraycon.use_agnostic():
        return arraycon.phase_ramp(phase, weight, probe, **options)


@METHODS
@pytest.mark.quick(when=lambda dtype, **_: dtype == "float32")
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", LATERAL)
def test_lateral_sizes(shape, dtype, method):
    phase, probe = inputs((2, 3, *shape), dtype)
    for weight in (None, weights("float64", (3, *shape))):
        found = arraycon.phase_ramp(phase, weight, probe, method=method)
        expected = FORMULA.phase_ramp(phase, probe, weight, method=method)
        for one, other in zip(found, expected, strict=False):
            assert relative_error(one, other) <= TOLERANCE[dtype]


@WEIGHTS
@METHODS
@TERMS
@pytest.mark.parametrize("leading", [(), (1,), (4,)])
def test_numbers_are_those_of_the_reference(leading, terms, method, kind):
    phase, probe = inputs((3, 4, 17, 23))
    weight = weights(kind, (*leading, 17, 23))
    options = {"terms": terms, "method": method, "relax": 0.3}
    found = arraycon.phase_ramp(phase, weight, probe, **options)
    for one, other in zip(found, reference(phase, probe, weight, **options), strict=True):
        assert relative_error(one, other) <= FLOAT64
    assert found[2].dtype == np.float64


@WEIGHTS
@METHODS
@pytest.mark.parametrize(("block", "chunk"), [(1, 3), (40, 8), (100, 1)])
def test_pieces_meet_without_a_seam(block, chunk, method, kind, monkeypatch):
    """Neighbours of the last row and of the last column of each piece are in the next one."""
    phase, probe = inputs((2, 3, 15, 20))
    weight = weights(kind, (15, 20))
    monkeypatch.setattr(fitting, "BLOCK", block)
    monkeypatch.setattr(phasors, "CHUNK", chunk)
    for kernel in (phasors.add_turns, phasors.add_phasors):  # compiled, they keep their chunks
        monkeypatch.setattr(phasors, kernel.__name__, kernel.py_func)
    found = arraycon.phase_ramp(phase, weight, probe, method=method)
    for one, other in zip(found, reference(phase, probe, weight, method=method), strict=True):
        assert relative_error(one, other) <= FLOAT64


def test_rows_longer_than_a_chunk():
    phase, probe = inputs((1, 2, 3, 2500))
    found = arraycon.phase_ramp(phase, None, probe, method="gradient")
    for one, other in zip(found, reference(phase, probe, None, method="gradient"), strict=True):
        assert relative_error(one, other) <= FLOAT64


@METHODS
@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize("number", [2, 3, 7])
def test_the_number_of_threads_changes_nothing(number, method, monkeypatch):
    monkeypatch.setattr(fitting, "BLOCK", 100)
    phase, probe = inputs((2, 3, 40, 36), "float32")
    weight = weights("float32", (3, 40, 36))
    results = []
    for count in (1, number):
        with arraycon.use_threads(count):
            results.append(arraycon.phase_ramp(phase, weight, probe, method=method))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@METHODS
def test_a_region_far_from_the_middle_keeps_its_digits(method):
    """Moments about the array's middle would have lost twelve of them."""
    phase, _ = inputs((1, 1, 4, 100_000))
    weight = np.zeros((4, 100_000))
    weight[1:3, -3:] = [[1, 2, 1], [0.5, 1, 2]]
    found = arraycon.phase_ramp(phase, weight, method=method)[2]
    expected = reference(phase, None, weight, method=method)[2]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:(invalid|overflow):RuntimeWarning")
@METHODS
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 1e-30, 1e-42, 2000.0])
def test_extreme_values_are_those_of_the_reference(value, dtype, method):
    phase, probe = inputs((2, 3, 9, 8), dtype)
    phase[1, 1, 4, 3] = value
    found = arraycon.phase_ramp(phase, None, probe, method=method)
    expected = reference(phase, probe, None, method=method)
    for one, other in zip(found, expected, strict=True):
        # what one value leaves of the others' digits
        scale = np.max(np.abs(other), initial=0, where=np.isfinite(other))
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6 * scale)
    assert np.all(np.isfinite(found[0][:, [0, 2]]))  # slices do not reach each other


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_stays_visible(value):
    phase, probe = inputs((2, 3, 9, 8))
    weight = np.ones((3, 9, 8))
    weight[1, 2, 2] = value
    found = arraycon.phase_ramp(phase, weight, probe)
    assert not np.any(np.isfinite(found[0][:, 1]))
    assert np.all(np.isfinite(found[0][:, [0, 2]]))
    assert not np.any(np.isfinite(found[1]))


@METHODS
@pytest.mark.parametrize("dtype", REAL)
def test_changes_are_summed_up(method, dtype):
    phase, probe = inputs((2, 3, 30, 41), dtype)
    state = arraycon.State(object_phase=phase.copy(), probe=probe.copy())
    constraints = arraycon.Constraints(
        {"phase_ramp": {"start_iter": 1, "method": method, "region": "all"}}
    )
    (record,) = constraints.apply(state, 1, measure=True)
    for name, old in (("object_phase", phase), ("probe", probe)):
        expected = np.linalg.norm(getattr(state, name) - old) / np.linalg.norm(old)
        assert record.metrics[f"{name}: relative change"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize("counter_probe", [False, True])
def test_bound_as_applied_with_and_without_a_probe(probe, counter_probe):
    rng = np.random.default_rng(0)
    phase, modes = rng.normal(0, 1, (1, 2, 16, 16)), rng.normal(0, 1, (2, 8, 8)) + 0j
    constraints = arraycon.Constraints(
        {"phase_ramp": {"start_iter": 1, "counter_probe": counter_probe}}
    )
    results = []
    for bind in (False, True):
        state = arraycon.State(object_phase=phase.copy(), probe=modes.copy() if probe else None)
        report = (constraints.bind(state) if bind else constraints).apply(
            *(() if bind else (state,)), 1
        )
        results.append((state.object_phase, state.probe, report[0].returned["slope"]))
    for applied, bound in zip(*results, strict=True):
        if applied is not None:
            np.testing.assert_array_equal(applied, bound)
    assert (results[0][1] is None) is not probe
