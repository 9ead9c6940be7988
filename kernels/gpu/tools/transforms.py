"""Transforms by cuFFT into memory that is there already; none of them is normalised.

Plans are kept for each thread, because a plan serves one stream at a time, and no more of them than
a pipeline needs, because each holds work memory.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from typing import Any

import cupy
from cupy.cuda import cufft

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.caches import released

_MOST_PLANS = 16
_FORWARD, _INVERSE = -1, 1  # CUFFT_FORWARD, CUFFT_INVERSE
# cuFFT's name of a kind in single precision or not
_TYPES = {
    ("C2C", True): "CUFFT_C2C",
    ("C2C", False): "CUFFT_Z2Z",
    ("R2C", True): "CUFFT_R2C",
    ("R2C", False): "CUFFT_D2Z",
    ("C2R", True): "CUFFT_C2R",
    ("C2R", False): "CUFFT_Z2D",
}

_kept = threading.local()


def rfft(x: Array, spectrum: Array, *, axes: int = 2) -> None:
    """FFT of a real array over its last one to three axes; `spectrum` has n//2 + 1 frequencies."""
    _plan(x, x.shape, axes, "R2C").fft(x, spectrum, _FORWARD)


def irfft(spectrum: Array, x: Array, *, axes: int = 2) -> None:
    """Inverse of `rfft`, times the number of pixels; `spectrum` is overwritten."""
    _plan(spectrum, x.shape, axes, "C2R").fft(spectrum, x, _INVERSE)


def rfft_inplace(spectrum: Array, shape: tuple[int, ...], *, axes: int) -> None:
    """`rfft` of items whose rows begin where those of their spectra do; `shape` is the items'."""
    rows = spectrum.view(spectrum.real.dtype)
    _plan(rows, shape, axes, "R2C", padded=True).fft(rows, spectrum, _FORWARD)


def irfft_inplace(spectrum: Array, shape: tuple[int, ...], *, axes: int) -> None:
    """Inverse of `rfft_inplace`, times the number of pixels."""
    rows = spectrum.view(spectrum.real.dtype)
    _plan(spectrum, shape, axes, "C2R", padded=True).fft(spectrum, rows, _INVERSE)


def fft(x: Array, *, axes: int = 2, inverse: bool = False) -> None:
    """FFT in place over the last one to three axes, or its inverse times the number of pixels."""
    _plan(x, x.shape, axes, "C2C").fft(x, x, _INVERSE if inverse else _FORWARD)


def prepare(x: Array, spectrum: Array, *, axes: int = 2) -> None:
    """Make what `rfft` and `irfft` need: a plan has work memory of its own."""
    _plan(x, x.shape, axes, "R2C")
    _plan(spectrum, x.shape, axes, "C2R")


def prepare_inplace(spectrum: Array, shape: tuple[int, ...], *, axes: int) -> None:
    """Make what `rfft_inplace` and `irfft_inplace` need."""
    _plan(spectrum.view(spectrum.real.dtype), shape, axes, "R2C", padded=True)
    _plan(spectrum, shape, axes, "C2R", padded=True)


def prepare_complex(x: Array, *, axes: int = 2) -> None:
    """Make what `fft` needs."""
    _plan(x, x.shape, axes, "C2C")


def kept() -> list[Any]:
    """Plans of this thread: whoever records their use has to keep them."""
    return list(_plans().values())


@released
def clear() -> None:
    """Release the plans of this thread, and with them their work memory."""
    _plans().clear()


def _plan(x: Array, shape: tuple[int, ...], axes: int, kind: str, *, padded: bool = False) -> Any:
    plans = _plans()
    key = (cupy.cuda.runtime.getDevice(), shape, x.dtype.char, axes, kind, padded)
    if key in plans:
        plans.move_to_end(key)
        return plans[key]
    single, batch = x.dtype.char in "fF", math.prod(shape[:-axes])
    plans[key] = made = _made(shape[-axes:], batch, kind, single=single, padded=padded)
    if len(plans) > _MOST_PLANS:
        plans.popitem(last=False)
    return made


def _made(shape: tuple[int, ...], batch: int, kind: str, *, single: bool, padded: bool) -> Any:
    """Plan for contiguous items of a shape; padded ones have rows as long as their spectra's.

    CuPy's own way to a plan, `get_fft_plan`, decides by an array's flags, and refuses real
    transforms of an array that is of both orders because all axes but one have size 1.
    """
    half = (*shape[:-1], shape[-1] // 2 + 1)
    whole = (*shape[:-1], 2 * half[-1]) if padded else shape
    source, target = (half if kind == "C2R" else whole), (half if kind == "R2C" else whole)
    return cufft.PlanNd(
        shape,
        *(source, 1, math.prod(source)),
        *(target, 1, math.prod(target)),
        getattr(cufft, _TYPES[kind, single]),
        batch,
        *("C", len(shape), None if kind == "C2C" else target[-1]),
    )


def _plans() -> OrderedDict[Any, Any]:
    if not hasattr(_kept, "plans"):
        _kept.plans = OrderedDict()
    plans: OrderedDict[Any, Any] = _kept.plans
    return plans
