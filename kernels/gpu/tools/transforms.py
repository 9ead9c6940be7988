"""Transforms by cuFFT into memory that is there already; none of them is normalised.

Plans are kept for each thread, because a plan serves one stream at a time, and no more of them than
a pipeline needs, because each holds work memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import cupy
import cupyx.scipy.fft

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.caches import released

_MOST_PLANS = 16
_FORWARD, _INVERSE = -1, 1  # CUFFT_FORWARD, CUFFT_INVERSE

_kept = threading.local()


def rfft(x: Array, spectrum: Array, *, axes: int = 2) -> None:
    """FFT of a real array over its last one or two axes; `spectrum` has n//2 + 1 frequencies."""
    _plan(x, x.shape, axes, "R2C").fft(x, spectrum, _FORWARD)


def irfft(spectrum: Array, x: Array, *, axes: int = 2) -> None:
    """Inverse of `rfft`, times the number of pixels; `spectrum` is overwritten."""
    _plan(spectrum, x.shape, axes, "C2R").fft(spectrum, x, _INVERSE)


def fft(x: Array, *, axes: int = 2, inverse: bool = False) -> None:
    """FFT in place over the last one or two axes, or its inverse times the number of pixels."""
    _plan(x, x.shape, axes, "C2C").fft(x, x, _INVERSE if inverse else _FORWARD)


def kept() -> list[Any]:
    """Plans of this thread: whoever records their use has to keep them."""
    return list(_plans().values())


@released
def clear() -> None:
    """Release the plans of this thread, and with them their work memory."""
    _plans().clear()


def _plan(x: Array, shape: tuple[int, ...], axes: int, kind: str) -> Any:
    plans = _plans()
    key = (cupy.cuda.Device().id, shape, x.dtype.char, axes, kind)
    if key in plans:
        plans.move_to_end(key)
        return plans[key]
    made = cupyx.scipy.fft.get_fft_plan(
        x, shape=shape[-axes:], axes=tuple(range(-axes, 0)), value_type=kind
    )
    plans[key] = made
    if len(plans) > _MOST_PLANS:
        plans.popitem(last=False)
    return made


def _plans() -> OrderedDict[Any, Any]:
    if not hasattr(_kept, "plans"):
        _kept.plans = OrderedDict()
    plans: OrderedDict[Any, Any] = _kept.plans
    return plans
