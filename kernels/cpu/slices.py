"""Transforms of single slices in place: by `transform` where that is faster, else by a library.

Both offer the same functions; masks are as `transform` describes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from arraycon.kernels import fft, threads
from arraycon.kernels.backend import Array
from arraycon.kernels.cpu import transform
from arraycon.kernels.cpu.compiled import kernel


def engine(ny: int, nx: int) -> Any:
    """Return the module or the object whose functions transform slices of this size."""
    return transform if transform.suits(ny, nx) else _LIBRARY


def run(work: Callable[[Any, int, int], None], slices: Array) -> None:
    """Call ``work(engine, start, stop)`` on ranges that together cover all slices.

    An rfft2 pair of 20×512×512 float32 by ducc0 on two threads took 13 ms slice by slice, one
    thread each, and 22 ms in one call with two threads: a slice stays in the cache. With fewer
    slices than threads, a library divides each of them.
    """
    chosen = engine(*slices.shape[-2:])
    if chosen is _LIBRARY and len(slices) < threads.count():
        work(chosen, 0, len(slices))
    else:
        threads.run(lambda start, stop: work(chosen, start, stop), len(slices))


class _Library:
    """What SciPy or ducc0 offer, under the names that `transform` has."""

    def spectrum_buffer(self, ny: int, nx: int, dtype: Any) -> Array:
        return np.empty((ny, nx // 2 + 1), np.result_type(dtype, np.complex64))

    def rfft2_into(self, x: Array, spectrum: Array) -> None:
        fft.rfft2_into(x, spectrum)

    def irfft2_into(self, spectrum: Array, x: Array) -> None:
        fft.irfft2_into(spectrum, x)

    def filter_real(self, x: Array, mask: Array, spectrum: Array) -> None:
        fft.rfft2_into(x, spectrum)
        _multiply(spectrum, mask)
        fft.irfft2_into(spectrum, x)

    def fft2_inplace(self, x: Array, *, inverse: bool = False) -> None:
        # with a new array for the result a mode of 256² took half as long again, by page faults
        for axis in fft.LATERAL:
            fft.fft_inplace(x, axis=axis, inverse=inverse)

    def filter_complex(self, x: Array, mask: Array) -> None:
        self.fft2_inplace(x)
        _multiply(x, mask)
        self.fft2_inplace(x, inverse=True)

    def dct2_inplace(self, x: Array, *, inverse: bool = False) -> None:
        fft.dct_inplace(x, inverse=inverse)


_LIBRARY = _Library()


@kernel
def _multiply(spectrum: Array, mask: Array) -> None:
    """Multiply by a mask for the non-negative frequencies ky."""
    ny = len(spectrum)
    for row in range(ny):
        factors = mask[min(row, ny - row)]
        for j in range(factors.size):
            spectrum[row, j] *= factors[j]
