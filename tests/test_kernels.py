"""What single constraints promise beyond their formulas, and the parts they share."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.fft
from libraries import Library, relative_error

import arraycon
from arraycon.kernels.agnostic import dct, fourier, modes
from arraycon.kernels.common import arrays, dispatch, fft

RNG_SEED = 20


def probe_of(*strengths, shape=(6, 8)):
    """Orthogonal modes of the given powers: each lives on pixels of its own."""
    probe = np.zeros((len(strengths), *shape), complex)
    for i, strength in enumerate(strengths):
        probe[i].flat[i :: len(strengths)] = np.exp(
            1j * np.arange(len(probe[i].flat[i :: len(strengths)]))
        )
        probe[i] *= np.sqrt(strength / np.sum(np.abs(probe[i]) ** 2))
    return probe


@pytest.mark.parametrize("strengths", [(3, 2, 1), (2, 2, 2), (1, 1, 0, 0), (5,)])
def test_orthogonal_sorted_modes_come_back_as_they_were(strengths):
    probe = probe_of(*strengths)
    np.testing.assert_array_equal(arraycon.ortho_pmode(probe), probe)
    np.testing.assert_array_equal(
        arraycon.ortho_pmode(probe.astype("complex64")), probe.astype("complex64")
    )


def test_orthogonal_modes_are_sorted_without_being_mixed():
    probe = probe_of(1, 3, 2)
    np.testing.assert_allclose(arraycon.ortho_pmode(probe), probe[[1, 2, 0]], atol=1e-14)


def test_equally_strong_modes_are_not_mixed_by_rounding():
    """Overlaps of the size of float32 rounding would turn two modes of one power by 45°."""
    rng = np.random.default_rng(RNG_SEED)
    for _ in range(20):
        mixed = rng.normal(size=(5, 16, 16)) + 1j * rng.normal(size=(5, 16, 16))
        pixels = np.linalg.svd(mixed.reshape(5, -1), full_matrices=False)[2]
        probe = pixels.reshape(mixed.shape).astype("complex64")  # all powers are 1
        assert relative_error(arraycon.ortho_pmode(probe), probe) < 1e-6


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_zero_and_duplicate_modes(dtype):
    zero = np.zeros((3, 4, 5), dtype)
    np.testing.assert_array_equal(arraycon.ortho_pmode(zero), zero)
    one = probe_of(4.0)[0].astype(dtype)
    result = arraycon.ortho_pmode(np.stack([one, one, one]))
    assert relative_error(result[0], one * np.sqrt(3)) < 1e-6
    assert np.abs(result[1:]).max() < 1e-6
    assert relative_error(arraycon.ortho_pmode(result), result) < 1e-6


def test_the_gram_matrix_is_the_same_in_blocks(monkeypatch):
    rng = np.random.default_rng(RNG_SEED)
    probe = (rng.normal(size=(3, 11, 7)) + 1j * rng.normal(size=(3, 11, 7))).astype("complex64")
    whole = arraycon.ortho_pmode(probe)
    monkeypatch.setattr(modes, "_BLOCK", 30)
    assert relative_error(arraycon.ortho_pmode(probe), whole) < 1e-6


def test_single_precision_modes_are_summed_in_double():
    """4 million equal pixels: a float32 sum would be off by more than the tolerance."""
    probe = np.full((1, 2048, 2048), 0.1 + 0.1j, "complex64")
    result = arraycon.fix_probe_int(probe, intensity=1.0)
    assert np.abs(result[0, 0, 0]) ** 2 * 2048**2 == pytest.approx(1, rel=1e-6)


def test_fix_probe_int_leaves_a_probe_without_power():
    zero = np.zeros((2, 4, 4), "complex64")
    np.testing.assert_array_equal(arraycon.fix_probe_int(zero, intensity=5.0), zero)


def test_fix_probe_int_does_not_turn_an_overflow_into_zeros():
    with np.errstate(over="ignore"):
        result = arraycon.fix_probe_int(np.full((1, 4, 4), 1e200 + 0j), intensity=1.0)
    assert np.all(np.isnan(result))


def test_check_value_of_the_wedge_filter():
    grid = np.zeros((8, 8, 8))
    xp = arrays.namespace(grid=grid)
    weights = fourier._wedge(grid, beta=0.5, alpha=1.0, dtype=xp.float64, xp=xp)
    assert weights[1, 0, 0] == pytest.approx(0.159548, abs=5e-7)


def test_only_the_mirror_boundary_keeps_top_and_bottom_apart():
    phase = np.zeros((8, 16, 16))
    phase[0] = np.random.default_rng(RNG_SEED).random((16, 16))
    leak = {
        boundary: np.abs(arraycon.kz_filter(phase, beta=0.5, boundary=boundary)[-1]).max()
        for boundary in ("periodic", "mirror")
    }
    assert leak["mirror"] < 0.2 * leak["periodic"]


def test_extreme_filter_strengths_stay_finite():
    phase = np.random.default_rng(RNG_SEED).random((5, 6, 7)).astype("float32")
    for beta in (0.0, 1e-300, 1e300):
        for alpha in (0.0, 1e300):
            assert np.all(np.isfinite(arraycon.kz_filter(phase, beta=beta, alpha=alpha)))
    for width in (0.0, 5e-324, 1e300):
        for radius in (0.0, 1e300):
            assert np.all(np.isfinite(arraycon.kr_filter(phase, radius=radius, width=width)))
    for std in (5e-324, 1e300):
        assert np.all(np.isfinite(arraycon.obj_rblur(phase, std=std)))


def test_extreme_windows_stay_finite():
    probe = probe_of(3, 1)
    for radius in (0.0, 1e-300, 1e300):
        for order in (1, 10**6):
            result = arraycon.probe_mask_r(
                probe, dx=0.2, wavelength=0.025, radius=radius, order=order, z_steps=3
            )
            assert np.all(np.isfinite(result))


def test_the_window_is_centred_on_the_probe():
    """A point probe on pixel (n//2, n//2) in focus passes through a tight window unchanged."""
    probe = np.zeros((1, 16, 17), complex)
    probe[0, 8, 8] = 1
    options = {"dx": 0.2, "wavelength": 0.025, "z_range": (0, 10), "z_steps": 2}
    kept = arraycon.probe_mask_r(probe, radius=0.02, **options)
    np.testing.assert_allclose(kept, probe, atol=1e-12)


def test_the_focus_search_finds_the_defocus():
    sharp = np.zeros((1, 32, 32), complex)
    sharp[0, 14:18, 14:18] = 1
    import reference

    blurred = reference.propagate(sharp, -120.0, 0.2, 0.0251)
    options = {"dx": 0.2, "wavelength": 0.0251, "radius": 0.4, "order": 20}
    kept = arraycon.probe_mask_r(blurred, z_range=(-200, 200), z_steps=21, **options)
    assert relative_error(kept, blurred) < 1e-6  # all of it is inside the window when in focus
    cut = arraycon.probe_mask_r(blurred, z_range=(-200, -100), z_steps=3, **options)
    assert relative_error(cut, blurred) > 1e-3


def test_phases_beyond_pi_survive_recentring():
    phase = np.zeros((9, 8, 8))
    phase[2] = 3.5
    amplitude = np.ones_like(phase)
    _, moved, _, shift = arraycon.obj_z_recenter(
        amplitude, phase, np.ones((1, 8, 8), complex), dx=0.2, wavelength=0.025, slice_thickness=8
    )
    assert float(shift) == pytest.approx(2.0)
    np.testing.assert_allclose(moved[4], 3.5, atol=1e-9)


def test_recentring_refocuses_the_probe_the_other_way():
    import reference

    rng = np.random.default_rng(RNG_SEED)
    probe = rng.normal(size=(2, 8, 8)) + 1j * rng.normal(size=(2, 8, 8))
    phase = np.zeros((5, 8, 8))
    phase[1] = 0.2
    calibration = {"dx": 0.2, "wavelength": 0.025, "slice_thickness": 8.0}
    *_, refocused, shift = arraycon.obj_z_recenter(np.ones_like(phase), phase, probe, **calibration)
    assert float(shift) == pytest.approx(1.0)
    expected = reference.propagate(probe, -8.0, 0.2, 0.025)
    assert relative_error(refocused, expected) < 1e-6  # the guard 1e-8 moves the centre of mass


@pytest.mark.parametrize("phase", [np.zeros((6, 4, 4)), -np.ones((6, 4, 4))])
def test_an_object_without_positive_phase_stays(phase):
    probe = probe_of(1.0)
    *results, shift = arraycon.obj_z_recenter(
        np.ones_like(phase), phase, probe, dx=0.2, wavelength=0.025, slice_thickness=8.0
    )
    assert float(shift) == 0
    for result, before in zip(results, (np.ones_like(phase), phase, probe), strict=True):
        np.testing.assert_array_equal(result, before)


def test_non_positive_amplitudes_are_floored():
    amplitude = np.array([[0.0, -1.0], [0.9, 1.1]])
    phase = np.full((2, 2), 0.1)
    for result in arraycon.complex_ratio(amplitude, phase, alpha1=0.5, alpha2=0.5):
        assert np.all(np.isfinite(result))


def test_mirrored_amp_never_goes_negative():
    amplitude = np.ones((2, 2))
    assert np.all(arraycon.mirrored_amp(amplitude, 9 * amplitude, relax=0, scale=1) == 0)


def test_ties_are_kept():
    coefficients = np.array([[1.0, -1.0, 0.5], [0.0, 1.0, -2.0]])
    xp = arrays.namespace(coefficients=coefficients)
    kept = dct._keep_largest(coefficients, 0.4, xp)  # two of six, and the second is one of three
    np.testing.assert_array_equal(kept, [[1, -1, 0], [0, 1, -2]])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 12, 25])
@pytest.mark.parametrize("name", ["array_api_strict", "torch", "jax"])
def test_the_fallback_dct_is_scipys(n, name):
    library = Library(name)
    if reason := library.available():
        pytest.skip(reason)
    x = np.random.default_rng(RNG_SEED).normal(size=(2, n, 5))
    with library.precision("float64"):
        given = library.array(x)
        xp = arrays.namespace(x=given)
        spectrum = fft.dct2(given, xp=xp)
        np.testing.assert_allclose(
            library.numpy(spectrum), scipy.fft.dctn(x, axes=(-2, -1)), atol=1e-12
        )
        np.testing.assert_allclose(library.numpy(fft.idct2(spectrum, xp=xp)), x, atol=1e-13)


def test_even_extension_of_a_single_pixel():
    obj = np.full((3, 1, 1), 2.0)
    np.testing.assert_allclose(arraycon.obj_rblur(obj, std=2.0), obj)


@pytest.mark.parametrize("name", sorted(arraycon.ConstraintParams.model_fields))
def test_functions_and_parameter_files_have_the_same_defaults(name):
    block = arraycon.ConstraintParams.model_fields[name].annotation
    from arraycon.params import MODELS

    block = MODELS[name]
    signature = inspect.signature(getattr(arraycon, name))
    for field, info in block.model_fields.items():
        if field in ("start_iter", "step", "end_iter", "obj_type"):
            continue
        default = signature.parameters[field].default
        assert default == (tuple(info.default) if isinstance(info.default, list) else info.default)
        assert signature.parameters[field].kind is inspect.Parameter.KEYWORD_ONLY


def test_the_reference_path_can_be_forced(monkeypatch):
    called = []
    engine = fft._numpy_engine()
    monkeypatch.setattr(fft, "_numpy_engine", lambda: called.append(1) or engine)
    obj = np.random.default_rng(RNG_SEED).random((2, 6, 7)).astype("float32")
    usual = arraycon.kr_filter(obj)
    assert called
    called.clear()
    with arraycon.use_agnostic():
        forced = arraycon.kr_filter(obj)
    assert not called
    assert relative_error(forced, usual) < 1e-6
    assert dispatch.accelerated()
    monkeypatch.setenv("ARRAYCON_BACKEND", "agnostic")
    arraycon.kr_filter(obj)
    assert not called


def test_a_mistyped_backend_is_an_error(monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", "agnotsic")
    with pytest.raises(ValueError, match="ARRAYCON_BACKEND: expected auto or agnostic, got 'agnot"):
        arraycon.kr_filter(np.ones((4, 4)))


def test_import_is_light():
    code = (
        "import sys, arraycon; "
        "heavy = {'numba', 'cupy', 'matplotlib', 'torch', 'jax', 'pydantic', 'h5py', 'yaml'}; "
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or None)"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def test_clearing_caches_imports_nothing():
    code = (
        "import sys, numpy, arraycon; arraycon.clear_caches(); "
        "arraycon.pos_recenter(numpy.ones((3, 2))); arraycon.clear_caches(); "
        "sys.exit(bool({'cupy', 'arraycon.kernels.gpu'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
