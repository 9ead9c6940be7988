"""Lateral spectra of slices by the transforms that the filters take, in arrays of their own."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.fft import slices
from arraycon.kernels.cpu.tools.volume import spectra


def rfft2(x: Array) -> Array:
    """Return the spectra of real slices, nx//2 + 1 columns of them."""
    ny, nx = x.shape[-2:]
    planes = x.reshape(-1, ny, nx)
    columns = nx // 2 + 1
    found = np.empty((len(planes), ny, columns), np.result_type(x.dtype, np.complex64))

    def work(engine: Any, start: int, stop: int, spectrum: Array) -> None:
        for i in range(start, stop):
            engine.rfft2_into(planes[i], spectrum)
            found[i] = spectrum[:, :columns]

    slices.run(work, planes, spectra(planes))
    return found.reshape(*x.shape[:-1], columns)


def irfft2(spectrum: Array, nx: int) -> Array:
    """Return the real slices, nx wide, of such spectra."""
    ny, columns = spectrum.shape[-2:]
    given = spectrum.reshape(-1, ny, columns)
    planes = np.empty((len(given), ny, nx), given.real.dtype)

    def work(engine: Any, start: int, stop: int, memory: Array) -> None:
        for i in range(start, stop):
            memory[:, :columns] = given[i]
            engine.irfft2_into(memory, planes[i])

    slices.run(work, planes, spectra(planes))
    return planes.reshape(*spectrum.shape[:-1], nx)


def fft2(x: Array, *, inverse: bool = False) -> None:
    """Transform complex slices in place, or back."""
    planes = _planes(x)
    slices.run(functools.partial(_fft2, planes, inverse), planes)


def dct2(x: Array, *, inverse: bool = False) -> None:
    """Transform real slices in place to cosine coefficients, or back."""
    planes = _planes(x)
    slices.run(functools.partial(_dct2, planes, inverse), planes)


def _planes(x: Array) -> Array:
    return x.reshape(-1, *x.shape[-2:])


def _fft2(planes: Array, inverse: bool, engine: Any, start: int, stop: int) -> None:
    for plane in planes[start:stop]:
        engine.fft2_inplace(plane, inverse=inverse)


def _dct2(planes: Array, inverse: bool, engine: Any, start: int, stop: int) -> None:
    for plane in planes[start:stop]:
        engine.dct2_inplace(plane, inverse=inverse)
