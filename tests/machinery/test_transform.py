"""Transforms of single slices in Numba, against NumPy and SciPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from numba.core.errors import TypingError

from arraycon.kernels.cpu.fft import lanes, transform

# every radix, alone as far as that is possible, first, last and in between; lanes and pairs of
# lanes that are not filled
SIZES = [
    (512, 512),
    (32, 32),
    (64, 60),
    (300, 400),
    (32, 36),
    (125, 81),
    (45, 75),
    (50, 243),
    (128, 135),
    (1024, 48),
    # convolutions along both axes, or along one
    (97, 614),
    (82, 64),
    (36, 509),
]
pytestmark = pytest.mark.quick(when=lambda dtype=np.float32, **_: dtype is np.float32)
TOLERANCE = {np.float32: 3e-7, np.float64: 1e-15}


def _tolerance(dtype, shape):
    return TOLERANCE[dtype] * (1 if dtype is np.float32 else np.log2(np.prod(shape)))


def _real(shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def _complex(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return values.astype(np.result_type(dtype, np.complex64))


def _wide(x):
    return x.astype(np.result_type(x.dtype, np.float64))


def _assert_close(result, expected, tolerance):
    assert result.shape == expected.shape
    assert np.linalg.norm(result - expected) <= tolerance * np.linalg.norm(expected)


def _unfold(mask, ny):
    index = np.arange(ny)
    return mask[np.minimum(index, ny - index)].astype(np.result_type(mask.dtype, np.float64))


@pytest.fixture(params=SIZES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def shape(request):
    return request.param


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


@pytest.mark.parametrize("n", [32, 36, 45, 60, 64, 75, 81, 125, 128, 300, 400, 512, 614400])
def test_suits_products_of_2_3_and_5(n):
    assert transform.suits(n, 64) == lanes.AVX2
    assert transform.suits(64, n) == lanes.AVX2


@pytest.mark.parametrize("n", [41, 82, 254, 301, 509, 614, 1681])
def test_suits_lengths_with_a_large_prime_factor(n):
    assert transform.suits(n, 64) == lanes.AVX2
    assert transform.suits(64, n) == lanes.AVX2


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 15, 31, 33, 37, 49, 77, 323, 448])
def test_leaves_short_lengths_and_factors_of_7_to_37_to_others(n):
    assert not transform.suits(n, 64)
    assert not transform.suits(64, n)


def test_rfft2(shape, dtype):
    ny, nx = shape
    x = _real(shape, dtype)
    before = x.copy()
    buffer = transform.spectrum_buffer(ny, nx, dtype)
    buffer[...] = np.nan
    transform.rfft2_into(x, buffer)
    spectrum, rest = buffer[:, : nx // 2 + 1], buffer[:, nx // 2 + 1 :]
    assert spectrum.dtype == np.result_type(dtype, np.complex64)
    _assert_close(spectrum, np.fft.rfft2(_wide(x)), _tolerance(dtype, shape))
    np.testing.assert_array_equal(x, before)
    assert np.isnan(rest).all()


def test_rfft2_into_an_array_without_padding(shape, dtype):
    ny, nx = shape
    x = _real(shape, dtype)
    spectrum = np.empty((ny, nx // 2 + 1), np.result_type(dtype, np.complex64))
    transform.rfft2_into(x, spectrum)
    _assert_close(spectrum, np.fft.rfft2(_wide(x)), _tolerance(dtype, shape))


def test_irfft2(shape, dtype):
    ny, nx = shape
    # not the spectrum of a real slice: what is not, is to be ignored as NumPy does
    spectrum = _complex((ny, nx // 2 + 1), dtype)
    expected = np.fft.irfft2(_wide(spectrum), s=shape)
    x = np.full(shape, np.nan, dtype)
    transform.irfft2_into(spectrum, x)
    _assert_close(x, expected, _tolerance(dtype, shape))


def test_spectrum_buffer(shape, dtype):
    ny, nx = shape
    buffer = transform.spectrum_buffer(ny, nx, dtype)
    assert buffer.flags.c_contiguous
    assert buffer.ctypes.data % 64 == 0
    assert buffer.strides[0] % 128 == 64
    assert nx // 2 + 1 <= buffer.shape[1] <= nx // 2 + 17


def test_filter_real(shape, dtype):
    ny, nx = shape
    x = _real(shape, dtype)
    mask = np.random.default_rng(1).random((ny // 2 + 1, nx // 2 + 1)).astype(dtype)
    expected = np.fft.irfft2(np.fft.rfft2(_wide(x)) * _unfold(mask, ny), s=shape)
    before = mask.copy()
    transform.filter_real(x, mask, transform.spectrum_buffer(ny, nx, dtype))
    # two transforms
    _assert_close(x, expected, 2 * _tolerance(dtype, shape))
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("inverse", [False, True])
def test_fft2(shape, dtype, inverse):
    x = _complex(shape, dtype)
    expected = (np.fft.ifft2 if inverse else np.fft.fft2)(_wide(x))
    transform.fft2_inplace(x, inverse=inverse)
    _assert_close(x, expected, _tolerance(dtype, shape))


@pytest.mark.parametrize("phasor", [False, True])
def test_filter_complex(shape, dtype, phasor):
    ny, nx = shape
    x = _complex(shape, dtype)
    random = np.random.default_rng(1).random((ny // 2 + 1, nx))
    mask = np.exp(1j * random).astype(x.dtype) if phasor else random.astype(dtype)
    expected = np.fft.ifft2(np.fft.fft2(_wide(x)) * _unfold(mask, ny))
    transform.filter_complex(x, mask)
    # two transforms
    _assert_close(x, expected, 2 * _tolerance(dtype, shape))


@pytest.mark.parametrize("inverse", [False, True])
def test_dct2(shape, dtype, inverse):
    x = _real(shape, dtype)
    expected = (scipy.fft.idctn if inverse else scipy.fft.dctn)(_wide(x))
    transform.dct2_inplace(x, inverse=inverse)
    _assert_close(x, expected, _tolerance(dtype, shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [(0, 0), (17, 39), (-1, -1)])
@pytest.mark.parametrize("size", [(45, 40), (47, 82)])
def test_what_is_not_finite_stays_visible_everywhere(size, dtype, bad, place):
    shape = ny, nx = size
    x = _real(shape, dtype)
    x[place] = bad
    spectrum = transform.spectrum_buffer(ny, nx, dtype)
    transform.rfft2_into(x, spectrum)
    assert not np.isfinite(spectrum[:, : nx // 2 + 1]).any()
    cosine = x.copy()
    transform.dct2_inplace(cosine)
    assert not np.isfinite(cosine).any()
    transform.filter_real(x, np.ones((ny // 2 + 1, nx // 2 + 1), dtype), spectrum)
    assert not np.isfinite(x).any()
    z = _complex(shape, dtype)
    z[place] = bad
    transform.fft2_inplace(z)
    assert not np.isfinite(z).any()


def test_changes_nothing_beside_the_slice(dtype):
    volume = _real((3, 40, 50), dtype)
    before = volume.copy()
    transform.dct2_inplace(volume[1])
    np.testing.assert_array_equal(volume[[0, 2]], before[[0, 2]])
    modes = _complex((3, 40, 50), dtype)
    before = modes.copy()
    transform.fft2_inplace(modes[1])
    np.testing.assert_array_equal(modes[[0, 2]], before[[0, 2]])


def test_same_result_each_time(dtype):
    # the last row is written by several lanes, and some columns are read once more
    first, second = (_real((45, 50), dtype) for _ in range(2))
    transform.dct2_inplace(first)
    transform.dct2_inplace(second)
    np.testing.assert_array_equal(first, second)


def test_refuses_what_is_not_contiguous():
    with pytest.raises(TypingError, match="C-contiguous"):
        transform.dct2_inplace(_real((64, 64), np.float32)[:, ::2])
