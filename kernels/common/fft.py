"""FFT and DCT for every backend.

NumPy arrays go to ducc0 if it is installed, else to `scipy.fft`, both with the number of threads
that `threads` says and both keeping float32; every other library, and the forced reference path,
uses the FFT extension of its own namespace. The standard has no DCT: the one fallback is here.

The functions whose names end in ``into`` and ``inplace`` are for NumPy arrays only, and allocate
next to nothing.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Sequence
from typing import Any, Protocol

import array_api_compat
import numpy as np

from arraycon.kernels.common import arrays, dispatch, threads
from arraycon.kernels.common.arrays import Array, Namespace

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


def dctn(x: Array, *, axes: Sequence[int] = LATERAL, xp: Namespace) -> Array:
    """DCT-II of a real array, y_k = 2 Σ x_n cos(π k (2n + 1) / 2N) along each of `axes`."""
    engine = _dct_engine(xp)
    if engine is not None:
        return engine.dctn(x, axes=tuple(axes))
    return functools.reduce(lambda y, axis: _dct(y, axis, xp), axes, x)


def idctn(x: Array, *, axes: Sequence[int] = LATERAL, xp: Namespace) -> Array:
    """Exact inverse of `dctn`."""
    engine = _dct_engine(xp)
    if engine is not None:
        return engine.idctn(x, axes=tuple(axes))
    return functools.reduce(lambda y, axis: _idct(y, axis, xp), axes, x)


def rfft2_into(x: Array, spectrum: Array) -> None:
    """FFT of one real slice; the last axis of `spectrum` has n//2 + 1 frequencies."""
    _numpy_engine().rfft2_into(x, spectrum)


def irfft2_into(spectrum: Array, x: Array) -> None:
    """Inverse of `rfft2_into`; `spectrum` is overwritten."""
    _numpy_engine().irfft2_into(spectrum, x)


def rfft_into(x: Array, spectrum: Array) -> None:
    """FFT of the rows of a real array; the last axis of `spectrum` has n//2 + 1 frequencies."""
    _numpy_engine().rfft_into(x, spectrum)


def irfft_into(spectrum: Array, x: Array) -> None:
    """Inverse of `rfft_into`; `spectrum` is overwritten."""
    _numpy_engine().irfft_into(spectrum, x)


def fft_inplace(x: Array, *, axis: int, inverse: bool = False) -> None:
    """FFT of a complex array over one axis, or its inverse."""
    _numpy_engine().fft_inplace(x, axis, inverse)


def dct_inplace(x: Array, *, axes: Sequence[int] = LATERAL, inverse: bool = False) -> None:
    """DCT-II of a real array over `axes` on the scale of `dctn`, or its inverse."""
    _numpy_engine().dct_inplace(x, tuple(axes), inverse)


class _Transforms(Protocol):
    def rfftn(self, x: Array, *, axes: Sequence[int]) -> Array: ...
    def irfftn(self, x: Array, *, s: Sequence[int], axes: Sequence[int]) -> Array: ...
    def fftn(self, x: Array, *, axes: Sequence[int]) -> Array: ...
    def ifftn(self, x: Array, *, axes: Sequence[int]) -> Array: ...


def _engine(xp: Namespace) -> _Transforms:
    if array_api_compat.is_numpy_namespace(xp) and dispatch.accelerated():
        engine: _Transforms = _numpy_engine()
    else:
        engine = xp.fft
    return engine


def _dct_engine(xp: Namespace) -> Any:
    if not dispatch.accelerated():
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


class _Scipy:
    """`scipy.fft` with the threads of the setting."""

    def __getattr__(self, name: str) -> Any:
        import scipy.fft

        return functools.partial(getattr(scipy.fft, name), workers=threads.count())

    # Two-dimensional real transforms in SciPy hold two more copies of the slice: axis by axis, and
    # the real one in blocks of rows, they hold a little.

    def rfft2_into(self, x: Array, spectrum: Array) -> None:
        for rows in _blocks(x):
            spectrum[rows] = self.rfft(x[rows])
        self.fft_inplace(spectrum, -2, inverse=False)

    def irfft2_into(self, spectrum: Array, x: Array) -> None:
        self.fft_inplace(spectrum, -2, inverse=True)
        for rows in _blocks(x):
            x[rows] = self.irfft(spectrum[rows], n=x.shape[-1])

    def rfft_into(self, x: Array, spectrum: Array) -> None:
        spectrum[...] = self.rfft(x)

    def irfft_into(self, spectrum: Array, x: Array) -> None:
        x[...] = self.irfft(spectrum, n=x.shape[-1], overwrite_x=True)

    def fft_inplace(self, x: Array, axis: int, inverse: bool) -> None:
        transform = self.ifft if inverse else self.fft
        _settle(transform(x, axis=axis, overwrite_x=True), x)

    def dct_inplace(self, x: Array, axes: tuple[int, ...], inverse: bool) -> None:
        transform = self.idctn if inverse else self.dctn
        _settle(transform(x, axes=axes, overwrite_x=True), x)


def _blocks(x: Array) -> list[slice]:
    """Ranges of the rows of one slice, some 32 000 pixels each."""
    ny, nx = x.shape
    rows = max(1, 2**15 // nx)
    return [slice(start, start + rows) for start in range(0, ny, rows)]


def _settle(result: Array, target: Array) -> None:
    # SciPy may overwrite its input with the result, and does so far as it can; it does not promise
    if not np.may_share_memory(result, target):
        target[...] = result


class _Ducc:
    """`ducc0.fft` under SciPy's names."""

    def __init__(self) -> None:
        import ducc0

        self._fft = ducc0.fft

    def rfftn(self, x: Array, *, axes: Sequence[int]) -> Array:
        return self._fft.r2c(x, axes=axes, nthreads=threads.count())

    def irfftn(self, x: Array, *, s: Sequence[int], axes: Sequence[int]) -> Array:
        return self._fft.c2r(
            x, axes=axes, lastsize=s[-1], forward=False, inorm=2, nthreads=threads.count()
        )

    def fftn(self, x: Array, *, axes: Sequence[int]) -> Array:
        return self._fft.c2c(x, axes=axes, nthreads=threads.count())

    def ifftn(self, x: Array, *, axes: Sequence[int]) -> Array:
        return self._fft.c2c(x, axes=axes, forward=False, inorm=2, nthreads=threads.count())

    def dctn(self, x: Array, *, axes: Sequence[int]) -> Array:
        return self._fft.dct(x, type=2, axes=axes, nthreads=threads.count())

    def idctn(self, x: Array, *, axes: Sequence[int]) -> Array:
        return self._fft.dct(x, type=3, axes=axes, inorm=2, nthreads=threads.count())

    def rfft2_into(self, x: Array, spectrum: Array) -> None:
        self._fft.r2c(x, axes=(0, 1), out=spectrum, nthreads=threads.count())

    def irfft2_into(self, spectrum: Array, x: Array) -> None:
        self._fft.c2r(
            spectrum,
            axes=(0, 1),
            lastsize=x.shape[-1],
            forward=False,
            inorm=2,
            out=x,
            nthreads=threads.count(),
            allow_overwriting_input=True,
        )

    def rfft_into(self, x: Array, spectrum: Array) -> None:
        self._fft.r2c(x, axes=(1,), out=spectrum, nthreads=threads.count())

    def irfft_into(self, spectrum: Array, x: Array) -> None:
        self._fft.c2r(
            spectrum,
            axes=(1,),
            lastsize=x.shape[-1],
            forward=False,
            inorm=2,
            out=x,
            nthreads=threads.count(),
            allow_overwriting_input=True,
        )

    def fft_inplace(self, x: Array, axis: int, inverse: bool) -> None:
        self._fft.c2c(
            x,
            axes=(axis,),
            forward=not inverse,
            inorm=2 if inverse else 0,
            out=x,
            nthreads=threads.count(),
        )

    def dct_inplace(self, x: Array, axes: tuple[int, ...], inverse: bool) -> None:
        kind, inorm = (3, 2) if inverse else (2, 0)
        self._fft.dct(x, type=kind, axes=axes, inorm=inorm, out=x, nthreads=threads.count())


def _dct(x: Array, axis: int, xp: Namespace) -> Array:
    # Makhoul (1980): even samples, then odd ones backwards: a DCT-II is one FFT of its length
    x = xp.moveaxis(x, axis, -1)
    v = xp.concat([x[..., ::2], xp.flip(x[..., 1::2], axis=-1)], axis=-1)
    spectrum = xp.fft.fft(xp.astype(v, arrays.complex_dtype(x, xp=xp)), axis=-1)
    return xp.moveaxis(2 * xp.real(spectrum * _quarter_wave(x, -1, xp)), -1, axis)


def _idct(y: Array, axis: int, xp: Namespace) -> Array:
    y = xp.moveaxis(y, axis, -1)
    n = y.shape[-1]
    # the FFT's imaginary part is the cosine spectrum read backwards, with a 0 in front
    mirrored = xp.concat([xp.zeros_like(y[..., :1]), xp.flip(y[..., 1:], axis=-1)], axis=-1)
    spectrum = (y - 1j * xp.astype(mirrored, arrays.complex_dtype(y, xp=xp))) / 2
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
    index = xp.arange(n, dtype=arrays.wide(x, xp=xp), device=array_api_compat.device(x))
    angle = index * (sign * math.pi / (2 * n))
    complex_dtype = arrays.complex_dtype(x, xp=xp)
    return xp.astype(xp.cos(angle), complex_dtype) + 1j * xp.astype(xp.sin(angle), complex_dtype)
