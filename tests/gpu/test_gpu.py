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
    levels,
    selection,
    short_blur,
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


BLURRED = [
    ((3, 70, 11), 5),
    ((2, 130, 12), 17),
    ((1, 1, 300), 5),
    ((2, 40, 3), 5),  # as wide as the taps on one side and the center
    ((2, 40, 2), 5),
    ((2, 3, 40), 17),  # rows are mirrored several times
    ((1, 20, 600), 9),
    ((3, 20, 30), 19),
    ((1, 3, 7000), 5),
]


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64"])
@pytest.mark.parametrize(("shape", "taps"), BLURRED)
@pytest.mark.parametrize("wanted", [1, 1 << 20], ids=["long bands", "short bands"])
def test_lateral_blurs_of_all_shapes(shape, taps, dtype, wanted, monkeypatch):
    monkeypatch.setattr(short_blur, "_BLOCKS", wanted)
    rng = np.random.default_rng(5)
    values = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype("complex128")
    values = values if dtype[0] == "c" else values.real
    options = {"kernel_size": taps, "std": 2.0}
    with arraycon.use_agnostic():
        expected = arraycon.obj_rblur(values, **options)
    answer = CUPY.numpy(arraycon.obj_rblur(CUPY.array(values.astype(dtype)), **options))
    assert relative_error(answer, expected) < (FLOAT64 if dtype == "float64" else FLOAT32)


@pytest.mark.parametrize("taps", [3, 9, 17, 19])
@pytest.mark.parametrize("shape", [(2, 1, 3, 4), (1, 2, 3, 4), (2, 7, 1, 300), (1, 30, 5, 1)])
def test_depth_blurs_of_all_shapes(shape, taps):
    values = np.random.default_rng(6).normal(size=shape)
    options = {"kernel_size": taps, "std": 2.0}
    with arraycon.use_agnostic():
        expected = arraycon.obj_zblur(values, **options)
    answer = CUPY.numpy(arraycon.obj_zblur(CUPY.array(values.astype("float32")), **options))
    assert relative_error(answer, expected) < FLOAT32


@pytest.mark.quick(when=lambda nz, **_: nz in (1, 4, 20, 65))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("nz", [1, 2, 3, 4, 5, 8, 20, 47, 48, 49, 64, 65, 130])
@pytest.mark.parametrize("options", [{"beta": 0.5, "alpha": 1.0}, {"obj_type": "amplitude"}])
def test_depth_filters_of_all_depths(nz, dtype, options):
    values = np.random.default_rng(7).normal(size=(2, nz, 4, 5))
    with arraycon.use_agnostic():
        expected = arraycon.kz_filter(values, **options)
    answer = CUPY.numpy(arraycon.kz_filter(CUPY.array(values.astype(dtype)), **options))
    assert relative_error(answer, expected) < (FLOAT64 if dtype == "float64" else FLOAT32)


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


# what each item is: a volume, or a slice
ITEMS = [
    ("obj_rblur", 2, {"kernel_size": 5, "std": 1.0}),
    ("obj_zblur", 3, {"kernel_size": 3, "std": 1.0}),
    ("kr_filter", 2, {"radius": 0.3, "width": 0.1}),
    ("kz_filter", 3, {"beta": 0.5, "alpha": 1.0}),
    ("kr_thresh", 2, {"thresh": 0.3, "scope": "slice"}),
    ("obj_gaussian", 2, {"dx": 0.2, "sigma": 0.3, "boundary": "periodic"}),
    (
        "obj_bandpass",
        3,
        {"dx": 0.2, "q_lowpass": 1.0, "dims": "volume", "slice_thickness": 2.0, "relax": 0.1},
    ),
    ("obj_wedge", 3, {"dx": 0.2, "slice_thickness": 2.0, "boundary": "periodic"}),
    ("grid_notch", 2, {"dx": 0.1, "period": 0.45}),
    ("obj_gaussian", 2, {"dx": 0.2, "sigma": 0.3}),
    ("obj_gaussian", 3, {"dx": 0.2, "sigma": 0.3, "sigma_z": 3.0, "slice_thickness": 2.0}),
    ("obj_wedge", 3, {"dx": 0.2, "slice_thickness": 2.0}),
    ("obj_gaussian", 3, {"dx": 0.2, "sigma": 0.0, "sigma_z": 3.0, "slice_thickness": 2.0}),
    ("identical_slices", 3, {"relax": 0.2}),
    ("obj_smooth", 2, {"alpha": 0.1}),
    ("obj_tv", 3, {"weight": 0.1, "axes_weight": (1.0, 1.0, 1.0), "n_iter": 4}),
]


@pytest.mark.parametrize(("name", "axes", "options"), ITEMS)
@pytest.mark.parametrize("value", [np.nan, 1e30])
@pytest.mark.parametrize("shape", [(4, 6, 7), (3, 1, 5), (5, 3, 1), (130, 1, 2)])
@pytest.mark.parametrize("nbytes", [200, 1 << 20])
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
def test_items_do_not_touch_each_other(name, axes, options, value, shape, nbytes, monkeypatch):
    """Scratch memory is made once for all items, and must not carry one into the next."""
    monkeypatch.setattr(batches, "_ENOUGH", nbytes)
    monkeypatch.setattr(batches, "_MOST", nbytes)
    if axes == 2:  # how deep the object is matters to what works in depth only
        shape = (min(shape[0], 6), *shape[1:])
    values = np.random.default_rng(4).normal(size=(3, *shape)).astype("float32")
    items = values.reshape(-1, *shape[-axes:])
    spoilt = np.arange(len(items)) % 3 == 1
    items[spoilt] = value
    function = getattr(arraycon, name)
    together = CUPY.numpy(function(CUPY.array(values), **options)).reshape(items.shape)
    alone = [
        CUPY.numpy(function(CUPY.array(items[index]), **options))
        for index in np.flatnonzero(~spoilt)[:4]
    ]
    for answer, expected in zip(together[~spoilt], alone, strict=False):
        assert np.all(np.isfinite(expected))
        assert relative_error(answer, expected) < FLOAT32


FILTERS = [
    ("obj_gaussian", {"dx": 1e-300}), ("obj_gaussian", {"dx": 1.0, "sigma": 5e-324}),
    ("obj_gaussian", {"dx": 5e-324, "sigma": 1e300, "sigma_z": 1e300, "slice_thickness": 1e300}),
    ("obj_gaussian", {"dx": 1.0, "sigma": 0.0, "sigma_z": 1e300, "slice_thickness": 5e-324}),
    ("obj_bandpass", {"dx": 1e-300, "q_lowpass": 1e300, "q_highpass": 5e-324}),
    ("obj_bandpass", {"dx": 1.0, "q_lowpass": 5e-324, "order": 1e6}),
    ("obj_bandpass", {"dx": 1.0, "q_lowpass": 0.3, "order": 5e-324}),
    ("obj_bandpass", {"dx": 1e300, "q_highpass": 1e300, "shape": "gaussian"}),
    ("obj_wedge", {"dx": 1e300, "slice_thickness": 5e-324, "semiangle": 1569.99}),
    ("obj_wedge", {"dx": 1.0, "slice_thickness": 1e300, "semiangle": 5e-324}),
    ("obj_wedge", {"dx": 1.0, "slice_thickness": 1.0, "q_floor": 1e300}),
    ("grid_notch", {"dx": 1e300, "period": 1e300}),
    ("grid_notch", {"dx": 1.0, "period": 5e-324}),
    ("grid_notch", {"dx": 1.0, "period": 4.0, "window": 1e300, "rotation": 1e300}),
    ("grid_notch", {"dx": 0.1, "period": 1.7, "window": 0.3, "rotation": -130.0, "relax": 0.2}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), FILTERS)
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (3, 1, 6), (4, 5, 1)])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("boundary", ["periodic", "mirror"])
def test_extreme_filters_are_the_reference(name, options, shape, dtype, boundary):
    rng = np.random.default_rng(8)
    obj = (rng.normal(1, 0.5, shape) + 1j * rng.normal(size=shape)).astype("complex128")
    obj = (obj if dtype == "complex128" else obj.real).astype(dtype)
    if name != "grid_notch":
        options = {"boundary": boundary, **options}
    function = getattr(arraycon, name)
    with arraycon.use_agnostic():
        expected = function(obj, **options)
    answer = CUPY.numpy(function(CUPY.array(obj), **options))
    assert relative_error(answer, expected) < (FLOAT32 if dtype == "float32" else FLOAT64)


DEEP = {"slice_thickness": 2.0}
# filter, whether it is of volumes, its kernel
MULTIPLIED = [
    ("kr_filter", {"radius": 0.3, "width": 0.1}, False, "soft_edge"),
    ("obj_gaussian", {"dx": 0.2}, False, "gaussian"),
    ("obj_gaussian", {"dx": 0.2, "sigma_z": 3.0, **DEEP}, True, "gaussian"),
    ("obj_gaussian", {"dx": 0.2, "boundary": "periodic"}, False, "gaussian"),
    ("obj_bandpass", {"dx": 0.2, "q_lowpass": 1.0, "boundary": "mirror"}, False, "band"),
    ("obj_bandpass", {"dx": 0.2, "q_lowpass": 1.0, "dims": "volume", **DEEP}, True, "band"),
    ("obj_wedge", {"dx": 0.2, **DEEP}, True, "damp_depth"),
    ("obj_wedge", {"dx": 0.2, "boundary": "periodic", **DEEP}, True, "damp_depth"),
]


BOUNDARIES = {
    "kr_filter": "periodic",
    "obj_gaussian": "mirror",
    "obj_bandpass": "periodic",
    "obj_wedge": "mirror",
}


@pytest.mark.skipif(ON_GPU, reason="cuFFT's work memory and CuPy's own pool would be counted too")
@pytest.mark.parametrize(("name", "options", "volume", "kernel"), MULTIPLIED)
@pytest.mark.parametrize("shape", [(6, 40, 42), (5, 31, 24), (1, 16, 16)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_filters_need_the_spectra_of_a_batch(
    name, options, volume, kernel, shape, dtype, monkeypatch
):
    """One kernel a batch, between two that reorder mirrored samples; no item is copied."""
    monkeypatch.setattr(batches, "_ENOUGH", 1)
    monkeypatch.setattr(batches, "_MOST", 1)
    values = np.random.default_rng(1).normal(size=(2, *shape)).astype(dtype)
    obj, pool = CUPY.array(values), cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.total_bytes()
    cupy.launches.clear()
    getattr(arraycon, name)(obj, **options, out=obj)
    mirrored = options.get("boundary", BOUNDARIES[name]) == "mirror"
    items = 2 if volume else 2 * shape[0]
    steps = ["to_samples", kernel, "from_samples"] if mirrored else [kernel]
    if name == "obj_wedge" and shape[0] == 1:  # which is the identity
        assert not cupy.launches
        return
    assert cupy.launches == steps * items
    ny, nx = shape[1:]
    numbers = (shape[0] if volume else 1) * ny * (2 * (nx // 2 + 1))
    held = pool.total_bytes() - before
    if dtype == "complex64" and not mirrored:
        assert held == 0  # transformed where they are
    else:
        assert held <= numbers * values.itemsize + 512


@pytest.mark.parametrize("boundary", ["periodic", "mirror"])
@pytest.mark.parametrize("shape", [(2, 1, 3, 4), (2, 2, 3, 5), (7, 4, 9), (2, 8, 5, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("nbytes", [100, 1 << 20])
def test_in_depth_alone_columns_stay_apart(boundary, shape, dtype, nbytes, monkeypatch):
    monkeypatch.setattr(batches, "_ENOUGH", nbytes)
    monkeypatch.setattr(batches, "_MOST", nbytes)
    rng = np.random.default_rng(5)
    values = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    values = (values if dtype[0] == "c" else values.real).astype(dtype)
    options = {"dx": 0.2, "sigma": 0.0, "sigma_z": 1.5, "relax": 0.1, "boundary": boundary, **DEEP}
    with arraycon.use_agnostic():
        expected = arraycon.obj_gaussian(values, **options)
    values[0, ..., 0, 0] = np.nan  # of one column, or of one slice's pixel
    answer = CUPY.numpy(arraycon.obj_gaussian(CUPY.array(values), **options))
    spoilt = np.isnan(values).any(axis=-3, keepdims=True) & np.ones_like(values, dtype=bool)
    assert np.all(np.isnan(answer[spoilt]))
    tolerance = FLOAT64 if dtype in ("float64", "complex128") else FLOAT32
    assert relative_error(answer[~spoilt], expected[~spoilt]) < tolerance


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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 13), (1, 13, 1), (7, 1, 13), (1, 1, 1), (3, 5, 6)])
@pytest.mark.parametrize("axes", [1, 2])
def test_transforms_do_not_depend_on_flags(shape, axes, dtype):
    """An array whose axes but one have size 1 is C- and F-contiguous at once."""
    values = np.random.default_rng(3).normal(size=shape).astype(dtype)
    over = tuple(range(-axes, 0))
    wanted = np.fft.rfftn(values.astype("float64"), axes=over)
    x, whole = CUPY.array(values), CUPY.array(values.astype(np.result_type(dtype, "complex64")))
    spectrum, back = cupy.empty(wanted.shape, whole.dtype), cupy.empty(shape, dtype)
    transforms.rfft(x, spectrum, axes=axes)
    assert relative_error(CUPY.numpy(spectrum), wanted) < FLOAT32
    transforms.irfft(spectrum, back, axes=axes)
    pixels = np.prod(shape[-axes:])
    assert relative_error(CUPY.numpy(back), pixels * values) < FLOAT32
    transforms.fft(whole, axes=axes)
    assert relative_error(CUPY.numpy(whole), np.fft.fftn(values, axes=over)) < FLOAT32
    transforms.fft(whole, axes=axes, inverse=True)
    assert relative_error(CUPY.numpy(whole), pixels * values) < FLOAT32


def test_cupys_own_plans_do():
    """The reason why plans are made from shapes; the stand-in is as strict."""
    from cupyx.scipy.fft import get_fft_plan

    x = CUPY.array(np.ones((7, 3, 13), "float32"))
    get_fft_plan(x, shape=(3, 13), axes=(-2, -1), value_type="R2C")
    with pytest.raises(ValueError, match="F-order"):
        get_fft_plan(x[:1, :1], shape=(1, 13), axes=(-2, -1), value_type="R2C")


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
