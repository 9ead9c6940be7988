"""What holds for CuPy arrays beyond the numbers, on a GPU and on the stand-in for CuPy.

Without a GPU `test_gpu_on_cpu` runs this file on the stand-in.
"""

from __future__ import annotations

import contextlib
import sys

import numpy as np
import pytest
from cases import all_cases, first, results
from fuzzing import functions
from libraries import FLOAT32, FLOAT64, Library, relative_error
from schedules import EVERY, make_state, snapshot

import arraycon
from arraycon import bench
from arraycon.bench import agreement, floors, peers, places
from arraycon.kernels import polar
from arraycon.kernels.gpu.tools import source

CUPY = Library("cupy")
if reason := CUPY.available():
    pytest.skip(reason, allow_module_level=True)

import cupy  # noqa: E402

from arraycon.kernels.gpu import polar as gpu_polar  # noqa: E402
from arraycon.kernels.gpu.tools import (  # noqa: E402
    batches,
    transforms,
)

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


@pytest.mark.skipif(not ON_GPU, reason="the stand-in records kernels alone: this needs a GPU")
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


class Foreign:
    """Arrays of somebody else, allocated and freed while a schedule runs."""

    # bytes; several of each, lest only memory that nobody had before is found
    SIZES = tuple(512 * n for n in range(1, 9)) * 4

    def __init__(self):
        self._kept, self._next = [], 0

    def allocate(self):
        for size in self.SIZES:
            array = cupy.empty(size, "uint8")
            self._next = (self._next + 1) % 251
            array[...] = self._next
            self._kept.append((array, self._next))

    def free_half(self):
        self._kept = self._kept[::2]

    def spoilt(self):
        values = ((CUPY.numpy(array), value) for array, value in self._kept)
        return sum(bool(np.any(array != value)) for array, value in values)


# of kernels alone, which the stand-in records; the sums of a complex object's slices, the minimum
# and the modes' powers are in memory that is free again when a call returns
KERNELS_ALONE = {
    "objp_postiv": {"mode": "subtract_min"},
    "obja_thresh": {},
    "obj_zblur": {"kernel_size": 7},
    "complex_ratio": {"alpha2": 0.1},
}


def replays_beside(foreign, *, as_object):
    """Replay a schedule while others allocate and free; count what differs and what is spoilt."""
    constraints = arraycon.Constraints(
        {name: {"start_iter": 1, **options} for name, options in KERNELS_ALONE.items()}
    )
    state, expected = (state_on_device(as_object=as_object) for _ in range(2))
    bound, eager = constraints.bind(state), constraints.bind(expected, graph=False)
    different = spoilt = 0
    for iteration in range(1, 7):
        foreign.allocate()
        bound.apply(iteration)
        spoilt += foreign.spoilt()
        foreign.free_half()
        foreign.allocate()
        eager.apply(iteration)
        pairs = zip(values_of(state), values_of(expected), strict=True)
        different += sum(not np.array_equal(one, other) for one, other in pairs)
    assert len(bound._graphs._recorded) == 1
    return different, spoilt + foreign.spoilt()


def values_of(state):
    fields = ("object_amplitude", "object_phase", "object")
    arrays = (getattr(state, field) for field in fields)
    return [CUPY.numpy(array) for array in arrays if array is not None]


@pytest.mark.parametrize("as_object", [False, True])
def test_replays_leave_the_arrays_of_others_alone(as_object):
    assert replays_beside(Foreign(), as_object=as_object) == (0, 0)


@pytest.mark.skipif(ON_GPU, reason="it would write into whatever is there")
def test_in_the_common_pool_replays_would_spoil_them(monkeypatch):
    monkeypatch.setattr(cupy.cuda, "using_allocator", lambda _: contextlib.nullcontext())
    _, spoilt = replays_beside(Foreign(), as_object=True)
    assert spoilt > 0


def test_random_calls():
    outcomes = [functions.case(17, number, cupy) for number in range(96)]
    assert [outcome for outcome in outcomes if outcome.startswith("WRONG")] == []


@pytest.mark.parametrize("scale", [0.0, 0.03, 1e39])
@pytest.mark.parametrize("power", [2.5, 4.0, 1e4])
def test_a_power_that_overflows_is_clipped(scale, power):
    # the reference's own limits are tested against longer numbers
    phase = np.array([-1, 0, 1e-20, 0.5, 1, 3, 1e10, 1e30, np.finfo("float32").max], "float32")
    given = {"relax": 0.1, "scale": scale, "power": power}
    with arraycon.use_agnostic(), np.errstate(over="ignore"):
        expected = arraycon.mirrored_amp(np.ones_like(phase), phase, **given)
    arrays = CUPY.array(np.ones_like(phase)), CUPY.array(phase)
    result = CUPY.numpy(arraycon.mirrored_amp(*arrays, **given))
    np.testing.assert_allclose(result, expected, rtol=2e-6)


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
    # not to the last bit: the compiler contracts products and sums in other places
    for answer, target in zip(called(case, arrays), expected, strict=True):
        assert relative_error(answer, target) < FLOAT32


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


@EVERY_OPTION
@pytest.mark.parametrize("nbytes", [1, 3000])
def test_the_size_of_batches_does_not_matter(case, nbytes, monkeypatch):
    arrays = on_device(case, "float64")
    expected = called(case, arrays)
    monkeypatch.setattr(batches, "_ENOUGH", nbytes)
    monkeypatch.setattr(batches, "_MOST", nbytes)
    for answer, target in zip(called(case, arrays), expected, strict=True):
        assert relative_error(answer, target) < FLOAT64


@pytest.mark.parametrize("even", [False, True])
def test_batches(even):
    for number in range(1, 40):
        for scratch in (1, 5 << 20, 1 << 30):
            share = batches.at_a_time(number, scratch, of=scratch, even=even)
            assert 1 <= share <= number
            assert share == number or not even or share % 2 == 0
            assert share * scratch <= (64 << 20) or share <= 1 + even
            if number * scratch <= 32 << 20:
                assert share == number  # everything at once where that is little


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 1021])
@pytest.mark.parametrize("start", [0, 1, 2, 3, 4])
def test_clamps_start_and_end_anywhere(size, start, dtype):
    """They go in pieces of 16 bytes, before and behind which there may be some elements."""
    whole = np.random.default_rng(8).normal(size=size + 9).astype(dtype)
    expected = whole.copy()
    expected[start : start + size] = np.clip(expected[start : start + size], -0.2, 0.4)
    array = CUPY.array(whole)
    part = array[start : start + size]
    arraycon.obja_thresh(part, relax=0.0, thresh=(-0.2, 0.4), out=part)
    np.testing.assert_array_equal(CUPY.numpy(array), expected)


def to_parts_and_back(obj):
    amplitude, phase = polar.split(obj)
    results = (
        *(amplitude, phase, polar.join(amplitude, phase), polar.amplitude(obj), polar.phase(obj)),
        polar.with_amplitude(obj, amplitude / 2),
        polar.with_phase(obj, phase / 2),
    )
    return [CUPY.numpy(array) for array in results]


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
            assert relative_error(answer, target) < FLOAT32
    for number in (1, 3):
        monkeypatch.setattr(gpu_polar, "blocks", lambda *_, n=number, **__: n)
        for answer, target in zip(to_parts_and_back(obj), expected, strict=True):
            np.testing.assert_array_equal(answer, target)


@ONE_CASE
def test_repeated_calls_give_the_same_to_the_last_bit(case):
    arrays = on_device(case)
    for answer, again in zip(called(case, arrays), called(case, arrays), strict=True):
        np.testing.assert_array_equal(answer, again)


@pytest.mark.parametrize(
    ("name", "form"), [(name, form) for form in bench.FORMS for name in bench.names_for(form)]
)
def test_the_bench_runs(name, form):
    """The plain port and the agnostic path must compute the same, or the wrong thing is timed."""
    case = bench.Case(name, bench.Size("tiny", (1, 4, 32, 32), (2, 32, 32), (8, 8)), form=form)
    names = ("fast", "agnostic", "plain", "floor")
    place = places.gpu()
    field = peers.gather(case, threads=1, names=names, place=place)
    agreed = agreement.compare(case, field.contenders)
    assert {one.name for one in agreed.contenders} == set(names)
    assert max(agreed.differences.values()) < 1e-5
    for one in agreed.contenders:
        one.restore()
        assert place.seconds(one.run) > 0


TRANSFORMED = (
    *("kr_filter", "kz_filter", "kr_thresh"),
    *("obj_gaussian", "obj_bandpass", "obj_wedge", "grid_notch"),
)
ARRAYS = dict.fromkeys(TRANSFORMED, 2) | {"grid_notch": 1}


@pytest.mark.parametrize("name", bench.NAMES)
def test_floors_transform_as_often_as_there_are_arrays(name, monkeypatch):
    """Transforms of what a constraint changes, each there and back; others copy their arrays."""
    counted = []
    for one in ("rfft", "irfft"):
        work = getattr(transforms, one)
        monkeypatch.setattr(
            transforms, one, lambda *args, own=one, work=work, **more: (
                counted.append(own), work(*args, **more)
            )
        )  # fmt: skip
    place = places.gpu()
    case = bench.Case(name, bench.Size("tiny", (1, 4, 32, 32), (2, 32, 32), (8, 8)))
    fields = {
        field: place.array(x) if field in case.arrays else x for field, x in case.fields().items()
    }
    before = {field: CUPY.numpy(fields[field]) for field in case.arrays}
    kind, floor = floors.floor(case, fields, place)
    floor()
    assert counted == ["rfft", "irfft"] * ARRAYS.get(name, 0)
    assert (kind == "rfft2 pair") == (name in TRANSFORMED)
    for field, values in before.items():  # a floor works on buffers of its own
        np.testing.assert_array_equal(CUPY.numpy(fields[field]), values)


def test_caches_can_be_cleared():
    case = FIRST["kz_filter"]
    arrays = on_device(case)
    (expected,) = called(case, arrays)
    assert transforms._plans()
    assert source._kernels
    arraycon.clear_caches()
    assert not transforms._plans()
    assert not source._kernels
    (again,) = called(case, arrays)
    assert relative_error(again, expected) < FLOAT32
