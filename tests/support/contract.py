"""What holds for every constraint, whatever it computes.

The file of a family in `tests/constraints` takes all of these tests over, and `conftest` hands
them that file's ``CASES`` (argument `case`; `one` is the first of each constraint), ``BAD``
(`bad`) and ``LIMITS`` (`name`, `limit`).
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from cases import OBJECTS, PROBES, Case, results
from libraries import NUMPY, REAL, Library, aligned, assert_matches, parameters

import arraycon
from arraycon.kernels.common import fft, threads

__all__ = [
    "test_an_empty_axis_gives_an_empty_array",
    "test_axes_of_size_one",
    "test_bad_arguments",
    "test_bad_output_arrays",
    "test_byte_order_and_integers_are_refused",
    "test_extra_memory",
    "test_huge_values_do_not_crash",
    "test_jax_functions_can_be_compiled",
    "test_libraries",
    "test_non_finite_input_stays_visible",
    "test_numpy",
    "test_options_in_libraries",
    "test_out",
    "test_out_may_be_strided",
    "test_out_may_be_the_input",
    "test_out_may_be_the_input_in_fortran_order",
    "test_scipy_fft",
    "test_the_result_is_a_new_array",
]

PRECISIONS = pytest.mark.parametrize("dtype", REAL)
STRICT = "array_api_strict"
REPEATED = (*OBJECTS[1:], *PROBES[1:])  # shapes in which the same options come again
BIG = {"object": (1, 20, 512, 512), "probe": (8, 256, 256), "object_modes": (8, 1, 256, 256)}


def compare(case: Case, library: Library, layout: str, dtype: str) -> None:
    arrays = case.make(dtype)
    with library.precision(dtype):
        given = [library.array(array, layout) for array in arrays]
        with library.without_waiting():
            answers = results(case.function(*given, **case.options))
        expected = case.expected(arrays)
        assert len(answers) == len(expected)
        for answer, target, like in zip(answers, expected, given, strict=False):
            if case.phases_free:
                target = aligned(target, library.numpy(answer))
            assert_matches(answer, target, like, library)
        # numbers beside the arrays
        for answer, target in zip(answers[len(given) :], expected[len(given) :], strict=True):
            assert float(answer) == pytest.approx(target, abs=1e-6)
        for array, before in zip(given, arrays, strict=True):
            np.testing.assert_array_equal(library.numpy(array), before)


@pytest.mark.quick(when=lambda dtype, **_: dtype == "float32")
@PRECISIONS
@pytest.mark.parametrize("path", ["accelerated", "agnostic"])
def test_numpy(case, dtype, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", "auto" if path == "accelerated" else "agnostic")
    compare(case, NUMPY, "contiguous", dtype)


@pytest.mark.quick(when=lambda case, **_: case.inputs[0][1] not in REPEATED)
def test_scipy_fft(case, monkeypatch):
    """The transforms of an installation without ducc0."""
    monkeypatch.setattr(fft, "_numpy_engine", fft._Scipy)
    compare(case, NUMPY, "contiguous", "float32")


@pytest.mark.quick(when=lambda library, layout, **_: library == NUMPY or layout == "contiguous")
@PRECISIONS
@pytest.mark.parametrize(("library", "layout"), list(parameters()))
def test_libraries(one, library, layout, dtype):
    compare(one, library, layout, dtype)


@pytest.mark.quick(
    when=lambda case, name, **_: name == STRICT and case.inputs[0][1] not in REPEATED
)
@pytest.mark.parametrize("name", [STRICT, "torch", "jax", "cupy"])
def test_options_in_libraries(case, name):
    library = Library(name)
    if reason := library.available():
        pytest.skip(reason)
    compare(case, library, "contiguous", "float32")


def test_out(one):
    arrays = one.make("float32")
    expected = results(one.function(*arrays, **one.options))
    outs = [np.full_like(array, np.nan) for array in arrays[: one.written]]
    answers = results(one.function(*arrays, **one.options, out=one.out(outs)))
    for out, answer, target in zip(outs, answers, expected, strict=False):
        assert answer is out
        np.testing.assert_array_equal(out, target)


def test_out_may_be_the_input(one):
    arrays = one.make("float32")
    expected = results(one.function(*arrays, **one.options))
    one.function(*arrays, **one.options, out=one.out(arrays))
    for array, target in zip(arrays[: one.written], expected, strict=False):
        np.testing.assert_array_equal(array, target)


def test_out_may_be_strided(one):
    arrays = one.make("float64")
    expected = results(one.function(*arrays, **one.options))
    outs = [NUMPY.array(np.zeros_like(array), "strided") for array in arrays[: one.written]]
    one.function(*arrays, **one.options, out=one.out(outs))
    for out, target in zip(outs, expected, strict=False):
        np.testing.assert_array_equal(out, target)


def test_the_result_is_a_new_array(one):
    arrays = one.make("float32")
    for answer in results(one.function(*arrays, **one.options)):
        assert not any(np.shares_memory(answer, array) for array in arrays)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_an_empty_axis_gives_an_empty_array(one, axis):
    arrays = one.make("float32")
    if axis >= arrays[0].ndim or axis in one.fixed:
        pytest.skip("the array has no such axis, or its size is fixed")
    empty = [np.delete(array, slice(None), axis) for array in arrays[:2]] + arrays[2:]
    for answer, array in zip(results(one.function(*empty, **one.options)), empty, strict=False):
        assert answer.shape == array.shape
        assert answer.dtype == array.dtype


def test_axes_of_size_one(one):
    def shrunk(array):
        sizes = (n if axis in one.fixed else 1 for axis, n in enumerate(array.shape))
        return array[tuple(map(slice, sizes))]

    arrays = list(map(shrunk, one.make("float64")))
    for answer, array in zip(results(one.function(*arrays, **one.options)), arrays, strict=False):
        assert answer.shape == array.shape
        assert np.all(np.isfinite(answer))


@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, -1])
def test_non_finite_input_stays_visible(one, value, position):
    for i in range(len(one.inputs)):
        arrays = one.make("float32")
        arrays[i].flat[position] = value
        answers = results(one.function(*arrays, **one.options))
        assert not all(np.all(np.isfinite(answer)) for answer in answers)


@pytest.mark.filterwarnings("ignore:(overflow|invalid):RuntimeWarning")
def test_huge_values_do_not_crash(one):
    arrays = [array * np.float32(1e30) for array in one.make("float32")]
    for answer, array in zip(results(one.function(*arrays, **one.options)), arrays, strict=False):
        assert answer.shape == array.shape


def test_byte_order_and_integers_are_refused(one):
    arrays = one.make("float32")
    for wrong in (arrays[0].astype(arrays[0].dtype.newbyteorder()), arrays[0].real.astype(int)):
        with pytest.raises(TypeError, match=r"expected .*(float32|complex64).*, got"):
            one.function(wrong, *arrays[1:], **one.options)


def test_jax_functions_can_be_compiled(one):
    jax = pytest.importorskip("jax", reason="jax is not installed")
    arrays = one.make("float32")
    answers = results(jax.jit(lambda *x: one.function(*x, **one.options))(*arrays))
    if one.phases_free:
        return
    for answer, expected in zip(answers, one.expected(arrays), strict=False):
        if np.ndim(answer):
            like = jax.numpy.asarray(np.asarray(answer))
            assert_matches(answer, np.asarray(expected), like, Library("jax"))


def test_bad_arguments(bad):
    """The error names the argument, what was expected and what came."""
    name, arrays, options, error, message = bad
    with pytest.raises(error, match=message):
        getattr(arraycon, name)(*arrays, **options)


def test_bad_output_arrays(one):
    arrays = one.make("float32")

    def call(first):
        one.function(*arrays, **one.options, out=one.out([first, *arrays[1:]]))

    with pytest.raises(ValueError, match=r"out.*: expected the shape of"):
        call(arrays[0][:, :-1])
    with pytest.raises(TypeError, match=r"out.*: expected the dtype of"):
        call(arrays[0].astype("complex128" if arrays[0].dtype.kind == "c" else "float64"))
    fixed = arrays[0].copy()
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match=r"out.*: expected a writable array, got a read-only one"):
        call(fixed)
    with pytest.raises(TypeError, match=r"out.*: expected an array"):
        call(arrays[0].tolist())


def test_extra_memory(one, limit):
    """Of working in place, as NumPy's allocations count it.

    Buffers inside a transform library do not show here; the benches measure the whole process.
    """
    pytest.importorskip("numba", reason="numba is not installed")
    rng = np.random.default_rng(0)
    arrays = []
    for maker, _ in one.inputs:
        array = maker(rng, BIG.get(maker.__name__, BIG["object"]))
        arrays.append(array.astype("complex64" if np.iscomplexobj(array) else "float32"))
    with threads.use_threads(2):
        # compiling and caches are not counted
        one.function(*arrays, **limit.options, out=one.out(arrays))
        tracemalloc.start()
        try:
            one.function(*arrays, **limit.options, out=one.out(arrays))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak <= limit.fraction * arrays[0].nbytes


def test_out_may_be_the_input_in_fortran_order(one):
    arrays = [np.asfortranarray(array) for array in one.make("float32")]
    expected = results(one.function(*arrays, **one.options))
    answers = results(one.function(*arrays, **one.options, out=one.out(arrays)))
    for answer, array, target in zip(answers, arrays[: one.written], expected, strict=False):
        assert answer is array
        # sums over other orders may round otherwise
        np.testing.assert_allclose(array, target, rtol=1e-6, atol=1e-7)
