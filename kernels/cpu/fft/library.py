"""SciPy's or ducc0's transforms under the contract; they take slices of any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from arraycon.kernels.common import fft
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.cpu.fft.contract import InPlace
from arraycon.kernels.cpu.fft.in_blocks import InBlocks
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.sums import squares

# Below so many pixels the spectrum's memory is worth the time. `kr_filter` of one slice in place,
# over the other way: by ducc0 1.36 at 448², 1.3 at 700² and 1.2 at 1400×1300, also on two threads;
# by SciPy 1.36, 1.2 and 1.05, on two threads 0.9 at 1400×1300.
_LARGE = 1 << 20


class Library:
    """What `arraycon.kernels.common.fft` offers, as `SliceTransforms`."""

    def spectrum_buffer(self, ny: int, nx: int, dtype: Any) -> Array:
        """Return memory of nx//2 + 1 columns."""
        return scratch_memory(np.empty, (ny, nx // 2 + 1), np.result_type(dtype, np.complex64))

    def rfft2_into(self, x: Array, spectrum: Array) -> None:
        """FFT of a real slice."""
        fft.rfft2_into(x, _narrow(spectrum, x))

    def irfft2_into(self, spectrum: Array, x: Array) -> None:
        """Inverse of `rfft2_into`."""
        fft.irfft2_into(_narrow(spectrum, x), x)

    def filter_real(self, x: Array, mask: Array, spectrum: Array) -> None:
        """irfft2(rfft2(x)·mask)."""
        self.rfft2_into(x, spectrum)
        _multiply(_narrow(spectrum, x), mask)
        self.irfft2_into(spectrum, x)

    def filter_real_measured(self, x: Array, mask: Array, spectrum: Array) -> tuple[float, float]:
        """`filter_real`, with the sums of the change.

        By Parseval's theorem, for which the old slice need not be kept: what is missing is the
        rounding of both transforms, some 10⁻⁷ of the slice and unrelated to the change.
        """
        _, before = squares(x.reshape(-1), x.reshape(-1))
        self.rfft2_into(x, spectrum)
        narrow = _narrow(spectrum, x)
        changed = _sum_of_dropped(narrow, mask, x.shape[1]) / x.size
        _multiply(narrow, mask)
        self.irfft2_into(spectrum, x)
        return changed, before

    def in_place(self, like: Array, mask: Array) -> InPlace | None:
        """`filter_real` without memory for a spectrum, of large slices of even width."""
        return InBlocks(like, mask) if like.shape[1] % 2 == 0 and like.size >= _LARGE else None

    def fft2_inplace(self, x: Array, *, inverse: bool = False) -> None:
        """FFT of a complex slice, or its inverse."""
        # with a new array for the result a mode of 256² took half as long again, by page faults
        for axis in fft.LATERAL:
            fft.fft_inplace(x, axis=axis, inverse=inverse)

    def filter_complex(self, x: Array, mask: Array) -> None:
        """ifft2(fft2(x)·mask)."""
        self.fft2_inplace(x)
        _multiply(x, mask)
        self.fft2_inplace(x, inverse=True)

    def dct2_inplace(self, x: Array, *, inverse: bool = False) -> None:
        """DCT-II of a real slice, or its inverse."""
        fft.dct_inplace(x, inverse=inverse)


LIBRARY = Library()


def _narrow(spectrum: Array, x: Array) -> Array:
    """Leave out the unused columns of a buffer that the own transforms have made."""
    width = x.shape[-1] // 2 + 1
    return spectrum if spectrum.shape[-1] == width else spectrum[:, :width]


@kernel
def _multiply(spectrum: Array, mask: Array) -> None:
    """Multiply by a mask for the non-negative frequencies ky."""
    ny = len(spectrum)
    for row in range(ny):
        factors = mask[min(row, ny - row)]
        for j in range(factors.size):
            spectrum[row, j] *= factors[j]


@kernel
def _sum_of_dropped(spectrum: Array, mask: Array, nx: int) -> float:
    """Σ|(M - 1)X|² over all frequencies, of which those with kx > 0 stand for -kx too."""
    ny = len(spectrum)
    total = 0.0
    for row in range(ny):
        factors = mask[min(row, ny - row)]
        for j in range(factors.size):
            change = np.float64(factors[j]) - 1.0
            value = spectrum[row, j]
            real, imag = change * np.float64(value.real), change * np.float64(value.imag)
            alone = j == 0 or 2 * j == nx
            total += (1.0 if alone else 2.0) * (real * real + imag * imag)
    return total
