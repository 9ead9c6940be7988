"""FFT and DCT for every backend.

NumPy arrays go to ducc0 if it is installed, else to `scipy.fft`, both with all the cores that this
process may use and both keeping float32; every other library, and the forced reference path, uses
the FFT extension of its own namespace. The standard has no DCT: the one fallback is here.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import os
from collections.abc import Sequence
from typing import Any, Protocol

import array_api_compat
from arraycon.kernels import backend
from arraycon.kernels.backend import Array, Namespace

LATERAL = (-2, -1)


def rfftn(x: Array, *, axes: Sequence[int], xp: Namespace) -> Array:
    """FFT of a real array over `axes`; the last of them keeps n//2 + 1 frequencies."""
    return _engine(xp).rfftn(x, axes=tuple(axes))


def irfftn(x: Array, *, shape: Sequence[int], axes: Sequence[int], xp: Namespace) -> Array:
    """Inverse of `rfftn`; `shape` gives the sizes along `axes`."""
    return _engine(xp).irfftn(x, s=tuple(shape), axes=tuple(axes))


def fftn(x: Array, *, axes: Sequence[int], xp: Namespace) -> Array:
    """FFT of a complex array over `axes`."""
    return _engine(xp).fftn(x, axes=tuple(axes))


def ifftn(x: Array, *, axes: Sequence[int], xp: Namespace) -> Array:
    """Inverse FFT of a complex array over `axes`."""
    return _engine(xp).ifftn(x, axes=tuple(axes))


def dct2(x: Array, *, xp: Namespace) -> Array:
    """DCT-II over the last two axes, y_k = 2 Σ x_n cos(π k (2n + 1) / 2N) along each."""
    engine = _dct_engine(xp)
    if engine is not None:
        return engine.dctn(x, axes=LATERAL)
    return _dct(_dct(x, -2, xp), -1, xp)


def idct2(x: Array, *, xp: Namespace) -> Array:
    """Exact inverse of `dct2`."""
    engine = _dct_engine(xp)
    if engine is not None:
        return engine.idctn(x, axes=LATERAL)
    return _idct(_idct(x, -1, xp), -2, xp)


class _Transforms(Protocol):
    def rfftn(self, x: Array, *, axes: Sequence[int]) -> Array: ...
    def irfftn(self, x: Array, *, s: Sequence[int], axes: Sequence[int]) -> Array: ...
    def fftn(self, x: Array, *, axes: Sequence[int]) -> Array: ...
    def ifftn(self, x: Array, *, axes: Sequence[int]) -> Array: ...


def _engine(xp: Namespace) -> _Transforms:
    if array_api_compat.is_numpy_namespace(xp) and backend.accelerated():
        engine: _Transforms = _numpy_engine()
    else:
        engine = xp.fft
    return engine


def _dct_engine(xp: Namespace) -> Any:
    if not backend.accelerated():
        return None
    if array_api_compat.is_numpy_namespace(xp):
        return _numpy_engine()
    if array_api_compat.is_cupy_namespace(xp):
        import cupyx.scipy.fft

        return cupyx.scipy.fft
    return None


@functools.cache
def _numpy_engine() -> Any:
    return _Ducc() if importlib.util.find_spec("ducc0") else _Scipy()


def _cores() -> int:
    # os.cpu_count() counts processors that a container or a batch system may have withheld
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Scipy:
    """`scipy.fft` with all cores."""

    def __getattr__(self, name: str) -> Any:
        import scipy.fft

        return functools.partial(getattr(scipy.fft, name), workers=_cores())


class _Ducc:
    """`ducc0.fft` under SciPy's names."""

    def __init__(self) -> None:
        import ducc0

        self._fft = ducc0.fft

    def rfftn(self, x: Array, *, axes: Sequence[int]) -> Array:
        return self._fft.r2c(x, axes=axes, nthreads=_cores())

    def irfftn(self, x: Array, *, s: Sequence[int], axes: Sequence[int]) -> Array:
        return self._fft.c2r(
            x, axes=axes, lastsize=s[-1], forward=False, inorm=2, nthreads=_cores()
        )

    def fftn(self, x: Array, *, axes: Sequence[int]) -> Array:
        return self._fft.c2c(x, axes=axes, nthreads=_cores())

    def ifftn(self, x: Array, *, axes: Sequence[int]) -> Array:
        return self._fft.c2c(x, axes=axes, forward=False, inorm=2, nthreads=_cores())

    def dctn(self, x: Array, *, axes: Sequence[int]) -> Array:
        return self._fft.dct(x, type=2, axes=axes, nthreads=_cores())

    def idctn(self, x: Array, *, axes: Sequence[int]) -> Array:
        return self._fft.dct(x, type=3, axes=axes, inorm=2, nthreads=_cores())


def _dct(x: Array, axis: int, xp: Namespace) -> Array:
    # Makhoul (1980): even samples, then odd ones backwards: a DCT-II is one FFT of its length
    x = xp.moveaxis(x, axis, -1)
    v = xp.concat([x[..., ::2], xp.flip(x[..., 1::2], axis=-1)], axis=-1)
    spectrum = xp.fft.fft(xp.astype(v, backend.complex_dtype(x, xp=xp)), axis=-1)
    return xp.moveaxis(2 * xp.real(spectrum * _quarter_wave(x, -1, xp)), -1, axis)


def _idct(y: Array, axis: int, xp: Namespace) -> Array:
    y = xp.moveaxis(y, axis, -1)
    n = y.shape[-1]
    # the FFT's imaginary part is the cosine spectrum read backwards, with a 0 in front
    mirrored = xp.concat([xp.zeros_like(y[..., :1]), xp.flip(y[..., 1:], axis=-1)], axis=-1)
    spectrum = (y - 1j * xp.astype(mirrored, backend.complex_dtype(y, xp=xp))) / 2
    v = xp.real(xp.fft.ifft(spectrum * _quarter_wave(y, 1, xp), axis=-1))
    even = (n + 1) // 2
    odd = xp.flip(v[..., even:], axis=-1)
    if n % 2:
        odd = xp.concat([odd, v[..., :1]], axis=-1)  # filler that makes pairs, cut off below
    pairs = xp.stack([v[..., :even], odd], axis=-1)
    x = xp.reshape(pairs, (*y.shape[:-1], 2 * even))[..., :n]
    return xp.moveaxis(x, -1, axis)


def _quarter_wave(x: Array, sign: int, xp: Namespace) -> Array:
    n = x.shape[-1]
    index = xp.arange(n, dtype=backend.wide(x, xp=xp), device=array_api_compat.device(x))
    angle = index * (sign * math.pi / (2 * n))
    complex_dtype = backend.complex_dtype(x, xp=xp)
    return xp.astype(xp.cos(angle), complex_dtype) + 1j * xp.astype(xp.sin(angle), complex_dtype)
