"""The own transforms behind a guard: whatever fails in them, the library computes instead.

They are built on vector types that Numba does not promise to keep, and are worth a factor, not a
failure. Each function is tried on a small slice before its first use on data, so that a failure
comes before anything is changed.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.fft.contract import InPlace, SliceTransforms
from arraycon.kernels.cpu.fft.library import LIBRARY

logger = logging.getLogger("arraycon")

_TRIAL = 32  # px, the smallest slice that the own transforms take


class Guarded:
    """`own` under the contract, as long as it works."""

    def __init__(self, own: SliceTransforms) -> None:
        self._own = own
        self._failed = False
        self._sound = functools.cache(self._try)

    def spectrum_buffer(self, ny: int, nx: int, dtype: Any) -> Array:
        """Return memory that both can use."""
        return self._own.spectrum_buffer(ny, nx, dtype)

    def rfft2_into(self, x: Array, spectrum: Array) -> None:
        """FFT of a real slice."""
        self._choose("rfft2_into", x).rfft2_into(x, spectrum)

    def irfft2_into(self, spectrum: Array, x: Array) -> None:
        """Inverse of `rfft2_into`."""
        self._choose("irfft2_into", x).irfft2_into(spectrum, x)

    def filter_real(self, x: Array, mask: Array, spectrum: Array) -> None:
        """irfft2(rfft2(x)·mask)."""
        self._choose("filter_real", x).filter_real(x, mask, spectrum)

    def filter_real_measured(self, x: Array, mask: Array, spectrum: Array) -> tuple[float, float]:
        """`filter_real`, with the sums of the change."""
        return self._choose("filter_real_measured", x).filter_real_measured(x, mask, spectrum)

    def in_place(self, like: Array, mask: Array) -> InPlace | None:
        """`filter_real` without memory for a spectrum."""
        return self._choose("in_place", like).in_place(like, mask)

    def fft2_inplace(self, x: Array, *, inverse: bool = False) -> None:
        """FFT of a complex slice, or its inverse."""
        self._choose("fft2_inplace", x).fft2_inplace(x, inverse=inverse)

    def filter_complex(self, x: Array, mask: Array) -> None:
        """ifft2(fft2(x)·mask)."""
        name = "filter_complex" if mask.dtype.kind == "c" else "filter_complex_by_real"
        self._choose(name, x).filter_complex(x, mask)

    def dct2_inplace(self, x: Array, *, inverse: bool = False) -> None:
        """DCT-II of a real slice, or its inverse."""
        self._choose("dct2_inplace", x).dct2_inplace(x, inverse=inverse)

    def _choose(self, name: str, x: Array) -> SliceTransforms:
        return self._own if not self._failed and self._sound(name, x.dtype) else LIBRARY

    def _try(self, name: str, dtype: Any) -> bool:
        try:
            _TRIALS[name](self._own, np.zeros((_TRIAL, _TRIAL), dtype))
        except Exception as error:  # whatever a Numba of another age finds wrong with them
            if not self._failed:
                self._failed = True
                line = (str(error).strip().splitlines() or [""])[0]
                logger.warning(
                    "the vector transforms cannot be used, a library transforms instead: %s: %s",
                    type(error).__name__,
                    line,
                )
            return False
        return True


def _buffer(own: SliceTransforms, x: Array) -> Array:
    buffer = own.spectrum_buffer(x.shape[0], x.shape[1], x.dtype)
    buffer[...] = 0
    return buffer


def _mask(width: int, dtype: Any) -> Array:
    return np.zeros((_TRIAL // 2 + 1, width), dtype)


def _try_in_place(own: SliceTransforms, x: Array) -> None:
    wide = np.zeros((_TRIAL, 2 * _TRIAL), x.dtype)
    work = own.in_place(wide, _mask(_TRIAL + 1, x.dtype))
    if work is None:
        raise ValueError(f"{wide.shape[1]} columns are too few")
    memory, changes = work.memory(), np.empty(work.columns)
    work.forward_rows(wide, 0, work.rows, memory)
    for asked in (None, changes):
        work.filter_columns(wide, asked, 0, work.columns, memory)
    work.backward_rows(wide, 0, work.rows, memory)


_TRIALS: dict[str, Callable[[SliceTransforms, Array], object]] = {
    "rfft2_into": lambda own, x: own.rfft2_into(x, _buffer(own, x)),
    "irfft2_into": lambda own, x: own.irfft2_into(_buffer(own, x), x),
    "filter_real": lambda own, x: own.filter_real(
        x, _mask(_TRIAL // 2 + 1, x.dtype), _buffer(own, x)
    ),
    "filter_real_measured": lambda own, x: own.filter_real_measured(
        x, _mask(_TRIAL // 2 + 1, x.dtype), _buffer(own, x)
    ),
    "in_place": _try_in_place,
    "fft2_inplace": lambda own, x: own.fft2_inplace(x),
    "filter_complex": lambda own, x: own.filter_complex(x, _mask(_TRIAL, x.dtype)),
    "filter_complex_by_real": lambda own, x: own.filter_complex(x, _mask(_TRIAL, x.real.dtype)),
    "dct2_inplace": lambda own, x: own.dct2_inplace(x),
}
