"""Transforms outside of the vector kernels: by a library, and by the array API alone."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from libraries import Library

from arraycon.kernels.common import arrays, fft

RNG_SEED = 20


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
        spectrum = fft.dctn(given, xp=xp)
        np.testing.assert_allclose(
            library.numpy(spectrum), scipy.fft.dctn(x, axes=(-2, -1)), atol=1e-12
        )
        np.testing.assert_allclose(library.numpy(fft.idctn(spectrum, xp=xp)), x, atol=1e-13)


def test_scipy_may_return_a_new_array():
    """Overwriting is an offer that SciPy need not take up."""
    target = np.zeros(3)
    fft._settle(np.arange(3.0), target)
    np.testing.assert_array_equal(target, [0, 1, 2])
    fft._settle(target[:], target)
    np.testing.assert_array_equal(target, [0, 1, 2])
