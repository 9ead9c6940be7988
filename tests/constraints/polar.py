"""Complex objects: split and join, and what a schedule makes of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from complex_waves import PRECISIONS, make, parts
from libraries import (
    COMPLEX,
    FLOAT32,
    FLOAT64,
    NUMPY,
    assert_matches,
    parameters,
    relative_error,
)

import arraycon
from arraycon.kernels import polar
from arraycon.kernels.common import threads

TURN = 2 * np.pi
SHAPES = (
    (1, 6, 20, 20), (2, 5, 9, 14), (7, 1, 13), (2, 3, 2, 40, 36), (1, 1, 1),
    # some slices at a time, and some rows of a slice
    (2, 5, 120, 130), (1, 2, 310, 290),
)  # fmt: skip
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
