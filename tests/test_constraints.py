"""Every constraint × array library × layout × precision × option against SPEC in float64."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES, FIRST, Case, results
from libraries import NUMPY, REAL, Library, aligned, assert_matches, parameters

import arraycon

EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
ONE_CASE = pytest.mark.parametrize("case", list(FIRST.values()), ids=lambda case: case.name)
EVERY_LIBRARY = pytest.mark.parametrize(("library", "layout"), list(parameters()))
PRECISIONS = pytest.mark.parametrize("dtype", REAL)


def compare(case: Case, library: Library, layout: str, dtype: str) -> None:
    arrays = case.make(dtype)
    with library.precision(dtype):
        given = [library.array(array, layout) for array in arrays]
        with library.without_waiting():
            answers = results(case.function(*given, **case.options))
        expected = case.expected(arrays)
        assert len(answers) == len(expected)
        for answer, target, like in zip(answers, expected, given, strict=False):
            if case.name == "ortho_pmode":  # the reference leaves the phases open
                target = aligned(target, library.numpy(answer))
            assert_matches(answer, target, like, library)
        if case.name == "obj_z_recenter":
            assert float(answers[3]) == pytest.approx(expected[3], abs=1e-6)
        for array, before in zip(given, arrays, strict=True):
            np.testing.assert_array_equal(library.numpy(array), before)


@PRECISIONS
@EVERY_CASE
@pytest.mark.parametrize("path", ["accelerated", "agnostic"])
def test_numpy(case, dtype, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", "auto" if path == "accelerated" else "agnostic")
    compare(case, NUMPY, "contiguous", dtype)


@EVERY_CASE
def test_scipy_fft(case, monkeypatch):
    """The transforms of an installation without ducc0."""
    from arraycon.kernels.common import fft

    monkeypatch.setattr(fft, "_numpy_engine", fft._Scipy)
    compare(case, NUMPY, "contiguous", "float32")


@PRECISIONS
@ONE_CASE
@EVERY_LIBRARY
def test_libraries(case, library, layout, dtype):
    compare(case, library, layout, dtype)


@EVERY_CASE
@pytest.mark.parametrize("name", ["array_api_strict", "torch", "jax", "cupy"])
def test_options_in_libraries(case, name):
    library = Library(name)
    if reason := library.available():
        pytest.skip(reason)
    compare(case, library, "contiguous", "float32")


@ONE_CASE
def test_out(case):
    arrays = case.make("float32")
    expected = results(case.function(*arrays, **case.options))
    written = 3 if case.name == "obj_z_recenter" else min(len(arrays), len(expected))
    outs = [np.full_like(array, np.nan) for array in arrays[:written]]
    answers = results(case.function(*arrays, **case.options, out=_as_argument(outs)))
    for out, answer, target in zip(outs, answers, expected, strict=False):
        assert answer is out
        np.testing.assert_array_equal(out, target)


@ONE_CASE
def test_out_may_be_the_input(case):
    arrays = case.make("float32")
    expected = results(case.function(*arrays, **case.options))
    written = 3 if case.name == "obj_z_recenter" else min(len(arrays), len(expected))
    case.function(*arrays, **case.options, out=_as_argument(arrays[:written]))
    for array, target in zip(arrays[:written], expected, strict=False):
        np.testing.assert_array_equal(array, target)


@pytest.mark.parametrize("name", ["complex_ratio", "obj_z_recenter"])
def test_outputs_may_be_crossed(name):
    case = FIRST[name]
    arrays = case.make("float64")
    expected = results(case.function(*arrays, **case.options))
    case.function(*arrays, **case.options, out=(arrays[1], arrays[0], *arrays[2:]))
    np.testing.assert_array_equal(arrays[1], expected[0])
    np.testing.assert_array_equal(arrays[0], expected[1])


def test_the_other_input_may_be_the_output():
    case = FIRST["mirrored_amp"]
    amplitude, phase = case.make("float64")
    expected = case.function(amplitude, phase, **case.options)
    case.function(amplitude, phase, **case.options, out=phase)
    np.testing.assert_array_equal(phase, expected)


@ONE_CASE
def test_out_may_be_strided(case):
    arrays = case.make("float64")
    expected = results(case.function(*arrays, **case.options))
    written = 3 if case.name == "obj_z_recenter" else min(len(arrays), len(expected))
    outs = [NUMPY.array(np.zeros_like(array), "strided") for array in arrays[:written]]
    case.function(*arrays, **case.options, out=_as_argument(outs))
    for out, target in zip(outs, expected, strict=False):
        np.testing.assert_array_equal(out, target)


@ONE_CASE
def test_the_result_is_a_new_array(case):
    arrays = case.make("float32")
    for answer in results(case.function(*arrays, **case.options)):
        assert not any(np.shares_memory(answer, array) for array in arrays)


@ONE_CASE
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_an_empty_axis_gives_an_empty_array(case, axis):
    arrays = case.make("float32")
    if axis >= arrays[0].ndim or (arrays[0].ndim == 2 and axis == 1):
        pytest.skip("the array has no such axis, or its size is fixed")
    empty = [np.delete(array, slice(None), axis) for array in arrays[:2]] + arrays[2:]
    for answer, array in zip(results(case.function(*empty, **case.options)), empty, strict=False):
        assert answer.shape == array.shape
        assert answer.dtype == array.dtype


@ONE_CASE
def test_axes_of_size_one(case):
    arrays = [array[tuple(slice(0, 1) for _ in array.shape)] for array in case.make("float64")]
    if case.name == "tilt_smooth":
        arrays = case.make("float64")
        arrays[0] = arrays[0][:1]
    elif arrays[0].shape[-1] == 1 and arrays[0].ndim == 2:
        arrays = [np.ones((1, 2))]
    for answer, array in zip(results(case.function(*arrays, **case.options)), arrays, strict=False):
        assert answer.shape == array.shape
        assert np.all(np.isfinite(answer))


@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
@ONE_CASE
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, -1])
def test_non_finite_input_stays_visible(case, value, position):
    for i in range(len(case.inputs)):
        arrays = case.make("float32")
        arrays[i].flat[position] = value
        answers = results(case.function(*arrays, **case.options))
        assert not all(np.all(np.isfinite(answer)) for answer in answers)


@pytest.mark.filterwarnings("ignore:(overflow|invalid):RuntimeWarning")
@ONE_CASE
def test_huge_values_do_not_crash(case):
    arrays = [array * np.float32(1e30) for array in case.make("float32")]
    for answer, array in zip(results(case.function(*arrays, **case.options)), arrays, strict=False):
        assert answer.shape == array.shape


@ONE_CASE
def test_byte_order_and_integers_are_refused(case):
    arrays = case.make("float32")
    for wrong in (arrays[0].astype(arrays[0].dtype.newbyteorder()), arrays[0].real.astype(int)):
        with pytest.raises(TypeError, match=r"expected .*(float32|complex64).*, got"):
            case.function(wrong, *arrays[1:], **case.options)


def test_jax_functions_can_be_compiled():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    for case in FIRST.values():
        arrays = case.make("float32")
        answers = results(jax.jit(lambda *x, case=case: case.function(*x, **case.options))(*arrays))
        for answer, expected in zip(answers, case.expected(arrays), strict=False):
            if case.name != "ortho_pmode":
                like = jax.numpy.asarray(np.asarray(answer))
                if np.ndim(answer):
                    assert_matches(answer, np.asarray(expected), like, Library("jax"))


def test_torch_results_have_no_lazy_conjugation():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(0)
    probe = torch.from_numpy(rng.normal(size=(3, 8, 8)) + 1j * rng.normal(size=(3, 8, 8)))
    assert not arraycon.ortho_pmode(probe.conj()).is_conj()


def _as_argument(outs):
    return outs[0] if len(outs) == 1 else tuple(outs)
