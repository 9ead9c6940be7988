"""Complex objects: split and join, and what a schedule makes of them."""

from __future__ import annotations

import functools
import itertools
import tracemalloc

import numpy as np
import pytest
from cases import FAMILIES, family
from contract import BIG
from libraries import (
    COMPLEX,
    FLOAT32,
    FLOAT64,
    NUMPY,
    REAL,
    Library,
    assert_matches,
    parameters,
    relative_error,
)
from schedules import make_state, only

import arraycon
from arraycon.bench import names_for
from arraycon.constraints import declared
from arraycon.kernels import polar
from arraycon.kernels.common import threads
from arraycon.pipeline.fields import PARTS

TURN = 2 * np.pi
SHAPES = (
    (1, 6, 20, 20), (2, 5, 9, 14), (7, 1, 13), (2, 3, 2, 40, 36), (1, 1, 1),
    # some slices at a time, and some rows of a slice
    (2, 5, 120, 130), (1, 2, 310, 290),
)  # fmt: skip
PRECISIONS = pytest.mark.parametrize("dtype", REAL)
PATHS = pytest.mark.parametrize("path", ["auto", "agnostic"])


def reference(obj):
    """SPEC.md in float64, pixel by pixel turned back by the slice's phase."""
    wide = obj.astype(np.complex128)
    phase = np.empty(obj.shape)
    for volume in np.ndindex(obj.shape[:-3]):
        before = None
        for z, plane in enumerate(wide[volume]):
            total = np.sum(plane)
            mean = np.angle(total) if np.isfinite(total) and total != 0 else 0.0
            if before is not None:
                mean += TURN * np.round((before - mean) / TURN)
            phase[(*volume, z)] = mean + np.angle(plane * np.exp(-1j * mean))
            before = mean
    return np.abs(wide), phase


def parts(shape, seed=0, *, spread=0.4, offset=0.7):
    rng = np.random.default_rng(seed)
    drift = offset * np.arange(shape[-3])[:, None, None]
    return 1 + rng.normal(0, 0.05, shape), drift + rng.normal(0, spread, shape)


def make(shape, dtype="float64", **options):
    amplitude, phase = parts(shape, **options)
    return (amplitude * np.exp(1j * phase)).astype(COMPLEX[dtype])


@functools.cache
def large():
    """An object of 42 MB, which takes longer to make than to constrain; nobody may change it."""
    return make(BIG["object"], "float32", offset=0.1, spread=0.2)


# --- numbers ------------------------------------------------------------------------------------


@PATHS
@PRECISIONS
@pytest.mark.parametrize("shape", SHAPES)
def test_closed_forms(shape, dtype, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = make(shape, dtype)
    for answer, expected in zip(polar.split(obj), reference(obj), strict=True):
        assert_matches(answer, expected, obj.real)
    amplitude, phase = (x.astype(dtype) for x in parts(shape))
    expected = amplitude.astype(float) * np.exp(1j * phase.astype(float))
    assert_matches(polar.join(amplitude, phase), expected, obj)


@PRECISIONS
@pytest.mark.parametrize(("library", "layout"), list(parameters()))
def test_libraries_and_layouts(library, layout, dtype):
    obj = make((2, 5, 9, 14), dtype)
    amplitude, phase = (x.astype(dtype) for x in parts(obj.shape))
    joined = amplitude.astype(float) * np.exp(1j * phase.astype(float))
    with library.precision(dtype):
        given = [library.array(x, layout) for x in (obj, amplitude, phase)]
        with library.without_waiting():
            split, together = polar.split(given[0]), polar.join(*given[1:])
        for answer, expected in zip(split, reference(obj), strict=True):
            assert_matches(answer, expected, given[1], library)
        assert_matches(together, joined, given[0], library)
        for array, before in zip(given, (obj, amplitude, phase), strict=True):
            np.testing.assert_array_equal(library.numpy(array), before)


@PATHS
@pytest.mark.parametrize("step", [0.9, -2.5, 3.1])
def test_phases_are_followed_over_turns(step, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    amplitude, phase = parts((2, 40, 8, 9), offset=step, spread=0.02)
    phase += np.array([0.1, -0.2])[:, None, None, None]
    for answer, expected in zip(
        polar.split(amplitude * np.exp(1j * phase)), (amplitude, phase), strict=True
    ):
        np.testing.assert_allclose(answer, expected, atol=1e-12)


@PATHS
def test_a_drift_over_half_a_turn_does_not_wrap(path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    phase = np.random.default_rng(3).uniform(-0.16, 0.16, (1, 9, 12, 10))
    phase += np.linspace(2.9, 3.5, 9)[:, None, None]
    found = polar.split(np.exp(1j * phase))[1]
    np.testing.assert_allclose(found, phase, atol=1e-12)


@PATHS
@PRECISIONS
def test_there_and_back(dtype, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = make((2, 5, 40, 70), dtype, spread=3.0)
    again = polar.join(*polar.split(obj))
    # the phase reaches 2π, whose last place is 4 eps
    assert np.max(np.abs(again - obj)) < 8 * np.finfo(dtype).eps


@PATHS
def test_real_and_empty_sums(path, monkeypatch):
    """Slices of sum 0 have phase 0, on the branch of those above them."""
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = np.exp(1j * np.arange(9.0) * 0.9)[:, None, None] * np.ones((9, 2, 2))
    obj[7] = np.array([[1, -1], [1j, -1j]])
    obj[8] = 0
    amplitude, phase = polar.split(obj)
    np.testing.assert_allclose(phase[6], 5.4, atol=1e-12)
    # 5.4 is nearest to one full turn
    np.testing.assert_allclose(np.exp(1j * phase[7]), obj[7], atol=1e-12)
    assert np.all(np.abs(phase[7] - TURN) <= np.pi + 1e-12)
    np.testing.assert_array_equal(amplitude[8], 0)
    np.testing.assert_allclose(phase[8], TURN, atol=1e-12)


@PATHS
@PRECISIONS
@pytest.mark.parametrize("unusual", [False, True])
def test_the_signs_of_zeros_do_not_matter(unusual, dtype, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = np.empty((2, 2, 4), COMPLEX[dtype])
    for z, (real, imag) in enumerate([(1, 0.0), (1, -0.0)]):
        obj[z].real = [[real, real, -real, 0.0], [real, real, -0.0, real]]
        obj[z].imag = imag
    if unusual:  # one that is not finite sends its neighbours down another road
        obj[:, 1, 3] = np.nan
    expected = np.zeros(obj.shape, dtype)
    expected[:, 0, 2] = np.pi
    expected[:, 1, 3] = np.nan if unusual else 0
    np.testing.assert_array_equal(polar.split(obj)[1], expected)
    negative = (-np.abs(obj[:, :1]) - 0j).astype(obj.dtype)
    np.testing.assert_array_equal(polar.split(negative)[1][..., :3], np.dtype(dtype).type(np.pi))


@PATHS
@PRECISIONS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, complex(1, np.inf)])
@pytest.mark.filterwarnings("ignore:(invalid|overflow):RuntimeWarning")
def test_non_finite_pixels_stay_alone(value, dtype, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = make((2, 5, 6, 7), dtype, offset=0.1)
    obj[0, 2, 3, 4] = value
    amplitude, phase = polar.split(obj)
    expected = np.zeros(obj.shape, bool)
    expected[0, 2, 3, 4] = True
    np.testing.assert_array_equal(~np.isfinite(amplitude), expected)
    assert not np.any(~np.isfinite(phase) & ~expected)
    joined = polar.join(amplitude, phase)
    np.testing.assert_array_equal(~np.isfinite(joined), expected)
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(joined[~expected], obj[~expected], atol=tolerance)
    others = polar.split(make(obj.shape, dtype, offset=0.1))
    for z in (0, 1, 3, 4):
        np.testing.assert_array_equal(phase[0, z], others[1][0, z])
    np.testing.assert_array_equal(phase[1], others[1][1])


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("float64", scale) for scale in (1e30, 1e-30, 1e300, 1.5e308, 1e-300, 1e-310, 5e-322)]
    + [("float32", scale) for scale in (1e30, 1e-30, 3e38, 1e-40)],
)
@pytest.mark.filterwarnings("ignore:(overflow|invalid):RuntimeWarning")
def test_extreme_numbers_are_the_same_in_both_paths(dtype, scale):
    rng = np.random.default_rng(5)
    obj = make((1, 3, 40, 50), dtype)
    obj.real *= np.dtype(dtype).type(scale)
    obj.imag *= np.dtype(dtype).type(scale)
    obj[0, 1] *= rng.choice([0, 1, 0.5], (40, 50)).astype(dtype)
    fast = polar.split(obj)
    with arraycon.use_agnostic():
        slow = polar.split(obj)
    eps, step = np.finfo(dtype).eps, float(np.finfo(dtype).smallest_subnormal)
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other, rtol=8 * eps, atol=2 * step)
    one = polar.join(*fast)
    with arraycon.use_agnostic():
        other = polar.join(*fast)
    np.testing.assert_allclose(one, other, rtol=8 * eps, atol=2 * step)


@PRECISIONS
def test_large_and_infinite_phases(dtype):
    amplitude = np.ones((1, 40, 40), dtype)
    phase = np.linspace(-2000, 2000, 1600).reshape(1, 40, 40).astype(dtype)
    expected = np.exp(1j * phase.astype(float))
    assert relative_error(polar.join(amplitude, phase), expected) < 4 * np.finfo(dtype).eps
    phase[0, 0, :2] = np.nan, np.inf
    joined = polar.join(amplitude, phase)
    assert np.isnan(joined[0, 0, :2]).all()
    assert np.isfinite(joined).sum() == 1598


@pytest.mark.parametrize("shape", [(2, 3, 300, 230), (2, 9, 100, 110)])
def test_the_number_of_threads_does_not_matter(shape):
    obj = make(shape, "float32")
    with threads.use_threads(1):
        expected = polar.split(obj)
    with threads.use_threads(3):
        answers = polar.split(obj)
    for answer, target in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(answer, target)


@PATHS
@PRECISIONS
@pytest.mark.parametrize("shape", SHAPES)
def test_one_part_is_as_both(shape, dtype, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = make(shape, dtype)
    amplitude, phase = polar.split(obj)
    np.testing.assert_array_equal(polar.amplitude(obj), amplitude)
    np.testing.assert_array_equal(polar.phase(obj), phase)
    wide = obj.astype(complex)
    new, angle = (x.astype(dtype) for x in parts(shape, seed=9))
    assert_matches(polar.with_amplitude(obj, new), new * (wide / np.abs(wide)), obj)
    expected = np.abs(wide) * np.exp(1j * angle.astype(float))
    assert_matches(polar.with_phase(obj, angle), expected, obj)


@PRECISIONS
@pytest.mark.parametrize(("library", "layout"), list(parameters()))
def test_one_part_of_libraries_and_layouts(library, layout, dtype):
    obj = make((2, 5, 9, 14), dtype)
    amplitude, phase = (x.astype(dtype) for x in parts(obj.shape, seed=9))
    expected = reference(obj)
    joined = [
        amplitude * np.exp(1j * expected[1]), expected[0] * np.exp(1j * phase.astype(float))
    ]  # fmt: skip
    with library.precision(dtype):
        given = [library.array(x, layout) for x in (obj, amplitude, phase)]
        with library.without_waiting():
            found = polar.amplitude(given[0]), polar.phase(given[0])
            together = polar.with_amplitude(*given[:2]), polar.with_phase(given[0], given[2])
        for answer, right in zip(found, expected, strict=True):
            assert_matches(answer, right, given[1], library)
        for answer, right in zip(together, joined, strict=True):
            assert_matches(answer, right, given[0], library)
        for array, before in zip(given, (obj, amplitude, phase), strict=True):
            np.testing.assert_array_equal(library.numpy(array), before)


ZEROS = (0, complex(0, -0.0), complex(-0.0, 0), complex(-0.0, -0.0), complex(-2, -0.0))
UNUSUAL = (
    np.nan, complex(1, np.nan), np.inf, complex(-np.inf, np.inf), 1e-42, 1e-20j, 1e25,
    1e-44 - 1e30j, complex(3e38, -3e38),
)  # fmt: skip
AMPLITUDES = (1.0, 0.0, -1.5, 1e30, 1e-30, 1e-42, np.nan, np.inf)


@PATHS
@PRECISIONS
@pytest.mark.parametrize("values", [ZEROS, ZEROS + UNUSUAL])
@pytest.mark.filterwarnings("ignore:(overflow|invalid|divide).*:RuntimeWarning")
def test_one_part_of_unusual_numbers_is_as_both(values, dtype, path, monkeypatch):
    """What `split` and `join` make of every number with every amplitude, beside ordinary ones."""
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = make((2, len(values), 2 * len(AMPLITUDES)), dtype, spread=0.1)
    obj[1, :, : len(AMPLITUDES)] = np.array(values, obj.dtype)[:, None]
    amplitude, phase = polar.split(obj)
    info = np.finfo(dtype)
    # the phase reaches 2π, whose last place is 4 eps
    near = {"rtol": 16 * info.eps, "atol": 2 * float(info.smallest_subnormal)}
    np.testing.assert_allclose(polar.amplitude(obj), amplitude, **near)
    np.testing.assert_array_equal(polar.phase(obj), phase)
    new = amplitude.copy()
    new[1, :, : len(AMPLITUDES)] = AMPLITUDES
    pairs = [
        (polar.with_amplitude(obj, new), polar.join(new, phase), new),
        (polar.with_phase(obj, phase / 2), polar.join(amplitude, phase / 2), amplitude),
    ]
    for one, other, modulus in pairs:
        finite = np.isfinite(other)
        np.testing.assert_array_equal(np.isfinite(one), finite)
        size = np.where(np.isfinite(modulus), np.abs(modulus), 0)
        tolerance = near["rtol"] * size + near["atol"]
        assert np.all(np.abs(np.where(finite, one - other, 0)) <= tolerance)


@PATHS
@pytest.mark.parametrize("layout", ["contiguous", "strided", "transposed"])
@pytest.mark.parametrize("shape", [(2, 5, 9, 14), (1, 2, 310, 290)])
@pytest.mark.parametrize("name", ["amplitude", "phase"])
def test_one_part_into_what_is_read(name, shape, layout, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = make(shape, "float32", offset=1.5)
    take, put = getattr(polar, name), getattr(polar, f"with_{name}")
    new = take(make(shape, "float32", seed=3))
    expected = put(obj, new)
    for target in (obj.copy(), np.full_like(obj, np.nan)):
        memory = NUMPY.array(target, layout)
        source = memory if not np.isnan(target).any() else obj
        assert put(source, new, out=memory) is memory
        np.testing.assert_array_equal(memory, expected)
    out = NUMPY.array(np.full(shape, np.nan, "float32"), layout)
    assert take(obj, out=out) is out
    np.testing.assert_array_equal(out, take(obj))
    shifted = np.concatenate([obj, obj], axis=-1)
    answer = put(shifted[..., : shape[-1]], new, out=shifted[..., 1 : 1 + shape[-1]])
    np.testing.assert_array_equal(answer, expected)


# --- outputs and arguments -----------------------------------------------------------------------


@PATHS
@pytest.mark.parametrize("layout", ["contiguous", "strided", "transposed"])
@pytest.mark.parametrize("shape", [(2, 5, 9, 14), (1, 2, 310, 290)])
def test_out(shape, layout, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = make(shape, "float32", offset=1.5)
    expected = polar.split(obj)
    outs = tuple(NUMPY.array(np.full(obj.shape, np.nan, "float32"), layout) for _ in range(2))
    for answer, out, target in zip(polar.split(obj, out=outs), outs, expected, strict=True):
        assert answer is out
        np.testing.assert_array_equal(out, target)
    out = NUMPY.array(np.full(obj.shape, np.nan, "complex64"), layout)
    assert polar.join(*expected, out=out) is out
    np.testing.assert_array_equal(out, polar.join(*expected))


@PATHS
def test_out_may_be_what_is_read(path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    obj = make((2, 5, 9, 14))
    expected = polar.split(obj)
    memory = obj.copy()
    polar.split(memory, out=(memory.imag, memory.real))
    np.testing.assert_array_equal(memory.imag, expected[0])
    np.testing.assert_array_equal(memory.real, expected[1])
    polar.join(memory.imag, memory.real, out=memory)
    np.testing.assert_array_equal(memory, polar.join(*expected))


def test_one_output_may_be_left_open():
    obj = make((1, 3, 4))
    kept = np.empty(obj.shape)
    amplitude, phase = polar.split(obj, out=(None, kept))
    assert phase is kept
    np.testing.assert_array_equal(amplitude, polar.split(obj)[0])


@PATHS
@pytest.mark.parametrize("axis", range(4))
def test_empty_axes(axis, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    shape = tuple(0 if i == axis else n for i, n in enumerate((2, 3, 4, 5)))
    results = polar.split(np.ones(shape, "complex64"))
    assert [(x.shape, x.dtype.name) for x in results] == [(shape, "float32")] * 2
    assert polar.amplitude(np.ones(shape, "complex64")).shape == shape
    assert polar.with_phase(np.ones(shape, "complex64"), results[1]).shape == shape
    joined = polar.join(*results)
    assert (joined.shape, joined.dtype.name) == (shape, "complex64")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda o, _: polar.split(o.real), TypeError, "obj: expected complex64 or complex128"),
        (lambda o, _: polar.split(o[0]), ValueError, r"obj: expected at least 3 axes"),
        (lambda *_: polar.split([1j]), TypeError, "obj: expected an array"),
        (lambda o, r: polar.split(o, out=r), TypeError, r"out: expected a tuple of 2 arrays"),
        (lambda o, r: polar.split(o, out=(r, o)), TypeError, r"out\[1\]: expected float64, got c"),
        (
            lambda o, r: polar.split(o, out=(r.astype("float32"), r)),
            TypeError,
            r"out\[0\]: expected float64, got float32",
        ),
        (lambda o, r: polar.split(o, out=(r[:, :2], r)), ValueError, r"out\[0\]: expected the sh"),
        (lambda _, r: polar.amplitude(r), TypeError, "obj: expected complex64 or complex128"),
        (lambda o, _: polar.phase(o, out=o), TypeError, "out: expected float64, got complex128"),
        (lambda o, _: polar.with_amplitude(o, o), TypeError, "amplitude: expected float64, got c"),
        (lambda o, r: polar.with_phase(o, r[1:]), ValueError, "phase: expected the shape of obj"),
        (lambda o, r: polar.with_phase(o, r, out=r), TypeError, "out: expected the dtype of obj"),
        (lambda o, r: polar.join(o, r), TypeError, "amplitude: expected float32 or float64, got c"),
        (lambda _, r: polar.join(r, r[:, 1:]), ValueError, "phase: expected the shape of ampl"),
        (lambda _, r: polar.join(r, r, out=r), TypeError, "out: expected complex128, got float64"),
        (
            lambda o, r: polar.join(r, r, out=np.broadcast_to(o[:, :1], o.shape)),
            ValueError,
            "out: expected a writable array",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    obj = make((3, 4, 5))
    with pytest.raises(error, match=message):
        call(obj, obj.real.copy())


def test_jax_can_compile_it():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    obj = make((2, 5, 9, 14), "float32")
    split = jax.jit(polar.split)(jax.numpy.asarray(obj))
    for answer, expected in zip(split, reference(obj), strict=True):
        assert relative_error(np.asarray(answer), expected) < FLOAT32
    assert relative_error(np.asarray(jax.jit(polar.join)(*split)), obj) < FLOAT32


# --- schedules -----------------------------------------------------------------------------------

FREE = {
    "obj_rblur": {},
    "obj_zblur": {"kernel_size": 7},
    # other filters' gain at frequency 0 is 1 to single precision only
    "kr_filter": {"radius": 0.5, "width": 0.05},
    "kz_filter": {},
    "kz_filter mirrored": {"boundary": "mirror"},
    "obja_thresh": {"relax": 0.3},
    "kr_filter of the amplitude": {"obj_type": "amplitude"},
    "kr_thresh of the amplitude": {"obj_type": "amplitude", "thresh": 0.3},
}
"""What a global phase passes through."""


def applied(obj, name, options, *, measure=False):
    state = arraycon.State(object=obj.copy())
    own = state.object
    only(**{name.partition(" ")[0]: options}).apply(state, 1, measure=measure)
    assert state.object is own
    return own


@pytest.mark.parametrize("measure", [False, True])
@pytest.mark.parametrize("theta", [0.4, np.pi, -2.5, 100.0])
@pytest.mark.parametrize("name", FREE)
def test_a_global_phase_is_free(name, theta, measure):
    obj = make((2, 6, 16, 18), offset=0.3, spread=0.3)
    expected = applied(obj, name, FREE[name], measure=measure) * np.exp(1j * theta)
    assert relative_error(expected, obj * np.exp(1j * theta)) > 1e-4  # something happened
    turned = applied(obj * np.exp(1j * theta), name, FREE[name], measure=measure)
    assert relative_error(turned, expected) < FLOAT64


@pytest.mark.parametrize("name", FREE)
def test_noise_about_a_global_phase_of_half_a_turn(name):
    """The cut of the angle would lie right in the noise."""
    phase = np.random.default_rng(0).uniform(-0.16, 0.16, (1, 4, 16, 18))
    amplitude = parts(phase.shape)[0]
    expected = applied(amplitude * np.exp(1j * phase), name, FREE[name])
    turned = applied(amplitude * np.exp(1j * (phase + np.pi)), name, FREE[name])
    assert relative_error(-turned, expected) < FLOAT64


@PRECISIONS
@pytest.mark.parametrize("name", ["obj_rblur", "obj_zblur", "kz_filter"])
def test_a_smooth_bump_of_three_rad(name, dtype):
    axis = np.linspace(-2, 2, 32)
    lateral = np.exp(-(axis[:, None] ** 2) - axis**2)
    phase = np.stack([lateral * strength for strength in (1.0, 3.0, 2.0)])[None].astype(dtype)
    amplitude = parts(phase.shape)[0].astype(dtype)
    options = {"kernel_size": 7} if name == "obj_zblur" else {}
    obj = (amplitude * np.exp(1j * phase.astype(float))).astype(COMPLEX[dtype])
    found = applied(obj, name, options)
    state = arraycon.State(object_amplitude=amplitude, object_phase=phase)
    only(**{name: options}).apply(state, 1)
    expected = amplitude.astype(float) * np.exp(1j * phase.astype(float))
    assert relative_error(found, expected) < (FLOAT32 if dtype == "float32" else FLOAT64)


def test_a_phase_that_drifts_with_depth_is_filtered_as_it_is():
    amplitude, phase = parts((1, 12, 14, 16), offset=0.8, spread=0.2)
    found = applied(amplitude * np.exp(1j * phase), "obj_zblur", {"kernel_size": 7})
    state = arraycon.State(object_amplitude=amplitude, object_phase=phase)
    only(obj_zblur={"kernel_size": 7}).apply(state, 1)
    assert relative_error(found, amplitude * np.exp(1j * phase)) < FLOAT64


@pytest.mark.filterwarnings("ignore:invalid:RuntimeWarning")
def test_what_nothing_changed_is_not_touched():
    obj = make((1, 3, 6, 7), "float32")
    obj[0, 0, 0, :4] = complex(-0.0, -0.0), complex(np.nan, 1), complex(np.inf, 1), 1e-42
    state = make_state(object_amplitude=None, object_phase=None, object=obj)
    before = obj.tobytes()
    only(fix_probe_int={}, pos_recenter={}, ortho_pmode={}).apply(state, 1)

    class Failing(arraycon.Block):
        pass

    @arraycon.register("fails_after_a_look", model=Failing, needs=["object_phase"])
    def fails_after_a_look(inputs, _):
        raise RuntimeError(str(inputs["object_phase"].shape))

    try:
        with pytest.raises(RuntimeError, match=r"\(1, 3, 6, 7\)"):
            only(fails_after_a_look={}).apply(state, 1)
    finally:
        arraycon.unregister("fails_after_a_look")
    assert obj.tobytes() == before


@pytest.mark.parametrize("library", ["jax", "torch", "cupy"])
def test_whose_memory_it_is(library):
    library = Library(library)
    if reason := library.available():
        pytest.skip(reason)
    obj = make((1, 4, 9, 10), "float32")
    state = arraycon.State(object=library.array(obj))
    own = state.object
    with library.without_waiting():
        only(obja_thresh={}).apply(state, 1, measure=False)
    assert (state.object is own) == (library.name != "jax")
    assert relative_error(library.numpy(state.object), applied(obj, "obja_thresh", {})) < FLOAT32


LIMITS = {
    name: limit
    for one in FAMILIES
    for name, limit in family(one).LIMITS.items()
    if name in names_for("complex")
}


@pytest.mark.quick(when=lambda name, layout: (name, layout) == ("obja_thresh", "contiguous"))
@pytest.mark.parametrize("layout", ["contiguous", "strided"])
@pytest.mark.parametrize("name", LIMITS)
def test_extra_memory(name, layout):
    """The parts that it needs, and what the constraint itself takes; blocks are next to nothing."""
    pytest.importorskip("numba", reason="numba is not installed")
    if layout == "strided" and name != "obja_thresh":
        pytest.skip("one is enough")
    obj = NUMPY.array(large(), layout)
    state = make_state(object_amplitude=None, object_phase=None, object=obj)
    limit = LIMITS[name]
    fields = declared()[name].model.model_fields
    # the others are optics, which the state has
    options = {key: value for key, value in limit.options.items() if key in fields}
    constraints = only(**{name: {"kernel_size": 7} if name == "obj_zblur" else options})
    with threads.use_threads(2):
        # compiling and caches are not counted
        constraints.apply(state, 1, measure=False)
        tracemalloc.start()
        try:
            constraints.apply(state, 1, measure=False)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    step, block = next(each for each in constraints.steps if each[0].name == name)
    parts_needed = len(PARTS.intersection(step.needs(block)))
    blocks = 0.12 if layout == "strided" else 0.01
    # both parts have their scratch memory in common
    assert peak <= (parts_needed + blocks + limit.fraction) * obj.size * 4
    assert peak >= parts_needed * obj.size * 4  # the parts were made


def test_every_object_constraint_has_a_limit():
    assert set(LIMITS) == set(names_for("complex"))


def test_constraints_that_follow_each_other_share_the_parts(monkeypatch):
    calls = []
    for name in ("split", "join"):
        kernel = getattr(polar, name)
        monkeypatch.setattr(
            polar, name, lambda *a, _k=kernel, _n=name, **b: calls.append(_n) or _k(*a, **b)
        )
    obj = make((1, 4, 9, 10))
    only(obj_rblur={}, obja_thresh={}, objp_postiv={}).apply(arraycon.State(object=obj), 1)
    assert calls == ["split", "join"]


SINGLE = {
    "obja_thresh": ({}, ["amplitude", "with_amplitude"]),
    "objp_postiv": ({}, ["phase", "with_phase"]),
    "mirrored_amp": ({}, ["split", "with_amplitude"]),
    "complex_ratio": ({}, ["split", "join"]),
    "obj_rblur": ({"obj_type": "phase"}, ["phase", "with_phase"]),
}


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("name", SINGLE)
def test_only_what_is_needed_is_made(name, bound, monkeypatch):
    calls = []
    for function in polar.__all__:
        kernel = getattr(polar, function)
        monkeypatch.setattr(
            polar, function, lambda *a, _k=kernel, _n=function, **b: calls.append(_n) or _k(*a, **b)
        )
    options, expected = SINGLE[name]
    state = arraycon.State(object=make((1, 4, 9, 10)))
    constraints = only(**{name: options})
    if bound:
        constraints.bind(state).apply(1)
    else:
        constraints.apply(state, 1)
    assert calls == expected


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize(
    "blocks",
    [
        {"obja_thresh": {"thresh": [0.9, 1.0]}, "objp_postiv": {}},
        {"obj_rblur": {"obj_type": "phase"}, "obja_thresh": {"relax": 0.5}},
        {"obj_rblur": {"obj_type": "amplitude"}, "mirrored_amp": {"relax": 0.5}},
        {"kr_filter": {"obj_type": "amplitude"}, "obja_thresh": {}, "complex_ratio": {}},
    ],
)
def test_parts_one_after_the_other_are_as_both_at_once(blocks, bound):
    obj = make((1, 5, 12, 14), offset=0.3)
    amplitude, phase = polar.split(obj)
    apart = arraycon.State(object_amplitude=amplitude, object_phase=phase)
    state, constraints = arraycon.State(object=obj), only(**blocks)
    if bound:
        constraints.bind(state).apply(1)
    else:
        constraints.apply(state, 1)
    constraints.apply(apart, 1)
    assert relative_error(state.object, polar.join(amplitude, phase)) < FLOAT64


@pytest.mark.parametrize("bound", [False, True])
def test_the_object_itself_between_its_parts(bound):
    """What a constraint of one's own sees and changes, and what comes after it."""

    class Turn(arraycon.Block):
        pass

    @arraycon.register("turn", model=Turn, needs=["object"], after="obja_thresh")
    def turn(inputs, _):
        seen.append(abs(inputs["object"]).max())
        return {"object": inputs["object"] * 1j}

    try:
        seen = []
        obj = make((1, 3, 6, 7), offset=0.1, spread=0.2)
        amplitude, phase = polar.split(obj)
        state = arraycon.State(object=obj)
        constraints = only(obja_thresh={}, turn={}, objp_postiv={})
        if bound:
            constraints.bind(state).apply(1)
        else:
            constraints.apply(state, 1)
    finally:
        arraycon.unregister("turn")
    np.testing.assert_allclose(seen, 1.04)
    expected = np.clip(amplitude, 0.96, 1.04) * np.exp(1j * np.maximum(phase + np.pi / 2, 0))
    assert relative_error(state.object, expected) < FLOAT64


def test_parts_of_every_pair_of_layouts():
    obj = make((2, 3, 5, 6), "float32")
    expected = polar.join(*polar.split(obj))
    layouts = ("contiguous", "strided", "transposed", "read-only")
    for one, other in itertools.product(layouts, layouts):
        amplitude, phase = polar.split(obj)
        joined = polar.join(NUMPY.array(amplitude, one), NUMPY.array(phase, other))
        np.testing.assert_array_equal(joined, expected)


@PATHS
@PRECISIONS
@pytest.mark.parametrize("layout", ["contiguous", "strided", "transposed"])
def test_follow(layout, dtype, path, monkeypatch):
    """φ + arg(O' exp(-iφ)), on any branch, and nothing is turned where O' is 0."""
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    rng = np.random.default_rng(5)
    phase = rng.normal(0, 9, (2, 3, 40, 41)).astype(dtype)
    obj = (rng.normal(size=phase.shape) + 1j * rng.normal(size=phase.shape)).astype(COMPLEX[dtype])
    obj[0, 1] = 0
    arrays = [NUMPY.array(x, layout) for x in (np.ones_like(phase), phase, obj)]
    amplitude, followed = polar.follow(*arrays, out=arrays[:2])
    assert amplitude is arrays[0]
    assert followed is arrays[1]
    wide = phase.astype(float)
    expected = wide + np.angle(obj.astype(complex) * np.exp(-1j * wide))
    expected[0, 1] = wide[0, 1]  # the sign of a zero decides nothing
    tolerance = FLOAT32 if dtype == "float32" else FLOAT64
    assert relative_error(followed, expected) <= tolerance
    assert relative_error(amplitude, np.abs(obj.astype(complex))) <= tolerance
    np.testing.assert_array_equal(followed[0, 1], phase[0, 1])
    np.testing.assert_array_equal(arrays[2], obj)


@PATHS
def test_follow_takes_extremes_alike(path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    phase = np.array([[[3.5, np.nan, 0.1, -9.0, 2.0]]])
    obj = np.array([[[1e-310 + 0j, 1, np.nan, 1e300j, np.inf]]])
    amplitude, followed = polar.follow(np.ones_like(phase), phase, obj)
    np.testing.assert_allclose(amplitude[0, 0], [1e-310, 1, np.nan, 1e300, np.inf])
    np.testing.assert_allclose(
        followed[0, 0], [TURN, np.nan, np.nan, np.pi / 2 - 2 * TURN, 0], rtol=1e-15
    )
