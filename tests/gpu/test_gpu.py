"""What holds for CuPy arrays beyond the numbers, on a GPU and on the stand-in for CuPy.

Without a GPU `test_gpu_on_cpu` runs this file on the stand-in.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from cases import all_cases, first, results
from libraries import FLOAT32, FLOAT64, Library, relative_error
from schedules import EVERY, make_state, snapshot

import arraycon
from arraycon import bench
from arraycon.bench import agreement, peers, places
from arraycon.kernels import polar
from arraycon.kernels.gpu.tools import source

CUPY = Library("cupy")
if reason := CUPY.available():
    pytest.skip(reason, allow_module_level=True)

import cupy  # noqa: E402

from arraycon.kernels.gpu import polar as gpu_polar  # noqa: E402
from arraycon.kernels.gpu.tools import transforms  # noqa: E402

ON_GPU = not hasattr(cupy, "synchronisations")
ALL = all_cases()
FIRST = first(ALL)
ONE_CASE = pytest.mark.parametrize("case", list(FIRST.values()), ids=lambda case: case.name)
SHAPES = {case.name: case.inputs[0][1] for case in FIRST.values()}
EVERY_OPTION = pytest.mark.parametrize(
    "case",
    [case for case in ALL if case.inputs[0][1] == SHAPES[case.name]],
    ids=lambda case: case.id,
)


def on_device(case, dtype="float32"):
    return [CUPY.array(array) for array in case.make(dtype)]


def called(case, arrays, **options):
    """Results of a call, as NumPy arrays."""
    return list(map(CUPY.numpy, results(case.function(*arrays, **case.options, **options))))


def state_on_device(dtype="float32", *, as_object=False):
    state = make_state(dtype)
    if as_object:
        state.object = state.object_amplitude * np.exp(1j * state.object_phase)
        state.object_amplitude = state.object_phase = None
    for field, array in snapshot(state).items():
        setattr(state, field, CUPY.array(array))
    return state


@pytest.mark.parametrize("measure", [False, True])
@pytest.mark.parametrize("as_object", [False, True])
def test_a_schedule_never_waits_for_the_device(as_object, measure):
    state = state_on_device(as_object=as_object)
    with CUPY.without_waiting():
        report = arraycon.Constraints(EVERY).apply(state, 1, measure=measure)
    assert len(report) == len([block for block in EVERY.values() if block])


@pytest.mark.skipif(not ON_GPU, reason="the stand-in has no CUDA graphs: this needs a GPU")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_schedule_can_be_captured_in_a_graph(dtype):
    constraints = arraycon.Constraints(EVERY)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        state, expected = state_on_device(dtype), state_on_device(dtype)
        # the first call compiles, makes plans and fills the stream's pool
        constraints.apply(state_on_device(dtype), 1, measure=False)
        constraints.apply(expected, 1, measure=False)
        fields = list(snapshot(make_state(dtype)))
        stream.synchronize()
        stream.begin_capture()
        try:
            constraints.apply(state, 1, measure=False)
        finally:
            graph = stream.end_capture()
        stream.synchronize()
        before = state_on_device(dtype)
        for field in fields:
            np.testing.assert_array_equal(
                CUPY.numpy(getattr(state, field)), CUPY.numpy(getattr(before, field))
            )
        graph.launch(stream)
        stream.synchronize()
        for field in fields:
            np.testing.assert_array_equal(
                CUPY.numpy(getattr(state, field)), CUPY.numpy(getattr(expected, field))
            )


@ONE_CASE
@pytest.mark.parametrize("layout", ["contiguous", "strided"])
def test_out(case, layout):
    arrays = on_device(case)
    expected = called(case, arrays)
    outs = [
        CUPY.array(np.full(array.shape, np.nan, array.dtype), layout)
        for array in arrays[: case.written]
    ]
    answers = results(case.function(*arrays, **case.options, out=case.out(outs)))
    for out, answer, target in zip(outs, answers, expected, strict=False):
        assert answer is out
        np.testing.assert_array_equal(CUPY.numpy(out), target)


@ONE_CASE
def test_out_may_be_the_input(case):
    arrays = on_device(case)
    expected = called(case, arrays)
    outs = arrays[: case.written]
    case.function(*arrays, **case.options, out=case.out(outs))
    for out, target in zip(outs, expected, strict=False):
        np.testing.assert_array_equal(CUPY.numpy(out), target)


@pytest.mark.parametrize("name", ["complex_ratio", "obj_z_recenter"])
def test_outputs_may_be_crossed(name):
    case = FIRST[name]
    arrays = on_device(case)
    expected = called(case, arrays)
    case.function(*arrays, **case.options, out=(arrays[1], arrays[0], *arrays[2:]))
    np.testing.assert_array_equal(CUPY.numpy(arrays[1]), expected[0])
    np.testing.assert_array_equal(CUPY.numpy(arrays[0]), expected[1])


@ONE_CASE
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, -1])
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
def test_non_finite_input_stays_visible(case, value, position):
    for i in range(len(case.inputs)):
        arrays = case.make("float32")
        arrays[i].flat[position] = value
        answers = called(case, list(map(CUPY.array, arrays)))
        assert not all(np.all(np.isfinite(answer)) for answer in answers)


@EVERY_OPTION
def test_64_bit_indices_give_the_same(case, monkeypatch):
    arrays = on_device(case)
    expected = called(case, arrays)
    monkeypatch.setattr(source, "_LARGEST_SPAN", 0)
    for answer, target in zip(called(case, arrays), expected, strict=True):
        np.testing.assert_array_equal(answer, target)


@EVERY_OPTION
@pytest.mark.parametrize("number", [1, 3])
def test_the_number_of_blocks_does_not_matter(case, number, monkeypatch):
    arrays = on_device(case, "float64")
    expected = called(case, arrays)
    for name, module in list(sys.modules.items()):
        if name.startswith("arraycon.kernels.gpu.") and hasattr(module, "blocks"):
            monkeypatch.setattr(module, "blocks", lambda *_, **__: number)
    for answer, target in zip(called(case, arrays), expected, strict=True):
        assert relative_error(answer, target) < FLOAT64


def to_parts_and_back(obj):
    amplitude, phase = polar.split(obj)
    return [CUPY.numpy(array) for array in (amplitude, phase, polar.join(amplitude, phase))]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_indices_and_blocks_of_complex_objects(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    waves = rng.normal(1, 0.3, (2, 5, 80, 70)) + 1j * rng.normal(0, 0.3, (2, 5, 80, 70))
    obj = CUPY.array((waves * np.exp(0.9j * np.arange(5))[:, None, None]).astype(dtype))
    expected = to_parts_and_back(obj)
    for answer, target in zip(to_parts_and_back(obj), expected, strict=True):
        np.testing.assert_array_equal(answer, target)
    if dtype == "complex64":  # which is what the stand-in has 64-bit indices for
        monkeypatch.setattr(source, "_LARGEST_SPAN", 0)
        for answer, target in zip(to_parts_and_back(obj), expected, strict=True):
            np.testing.assert_array_equal(answer, target)
    for number in (1, 3):
        monkeypatch.setattr(gpu_polar, "blocks", lambda *_, n=number, **__: n)
        for answer, target in zip(to_parts_and_back(obj), expected, strict=True):
            np.testing.assert_array_equal(answer, target)


@ONE_CASE
def test_repeated_calls_give_the_same_to_the_last_bit(case):
    arrays = on_device(case)
    for answer, again in zip(called(case, arrays), called(case, arrays), strict=True):
        np.testing.assert_array_equal(answer, again)


@pytest.mark.parametrize("name", bench.NAMES)
def test_the_bench_runs(name):
    """The plain port and the agnostic path must compute the same, or the wrong thing is timed."""
    case = bench.Case(name, bench.Size("tiny", (1, 4, 32, 32), (2, 32, 32), (8, 8)))
    names = ("fast", "agnostic", "plain", "floor")
    place = places.gpu()
    field = peers.gather(case, threads=1, names=names, place=place)
    agreed = agreement.compare(case, field.contenders)
    assert {one.name for one in agreed.contenders} == set(names)
    assert max(agreed.differences.values()) < 1e-5
    for one in agreed.contenders:
        one.restore()
        assert place.seconds(one.run) > 0


def test_caches_can_be_cleared():
    case = FIRST["kz_filter"]
    arrays = on_device(case)
    (expected,) = called(case, arrays)
    assert transforms._plans()
    assert source._compiled.cache_info().currsize
    arraycon.clear_caches()
    assert not transforms._plans()
    assert not source._compiled.cache_info().currsize
    (again,) = called(case, arrays)
    assert relative_error(again, expected) < FLOAT32
