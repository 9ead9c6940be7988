"""Transforms of single modes in place, and factors that are even in both frequencies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from arraycon.kernels import fft
from arraycon.kernels.agnostic import optics
from arraycon.kernels.backend import Array
from arraycon.kernels.cpu import elementary


def for_each(work: Callable[[Array], None], modes: Array) -> None:
    """Call `work` on each mode: a thread a mode, or all threads on each where modes are few."""

    def several(start: int, stop: int) -> None:
        with np.errstate(all="ignore"):  # a warning made an error would stop halfway
            for mode in modes[start:stop]:
                work(mode)

    fft.over_slices(several, len(modes))


def fft2(x: Array, *, inverse: bool = False) -> None:
    """FFT of one mode in place, or its inverse.

    With a new array for the result a mode of 256² took half as long again, by its page faults.
    """
    for axis in fft.LATERAL:
        fft.fft_inplace(x, axis=axis, inverse=inverse)


def apply_filter(mode: Array, factors: Array) -> None:
    """ifft2(fft2(mode)·factors), with `factors` as `unfold` makes them."""
    fft2(mode)
    multiply(mode, factors, out=mode)
    fft2(mode, inverse=True)


def propagate(probe: Array, rate: Array, distance: float) -> None:
    """Propagate all modes; `rate` as `propagation_rate` gives it."""
    factors = phasors(rate, distance, probe.shape[-1], probe.dtype)
    for_each(lambda mode: apply_filter(mode, factors), probe)


def propagation_rate(probe: Array, *, dx: float, wavelength: float) -> Array:
    """√(k² - K²) - k in rad/Å for the non-negative frequencies, of which there are n//2 + 1."""
    ny, nx = probe.shape[-2:]
    rate = optics.propagation_rate(probe, dx=dx, wavelength=wavelength, xp=xp)
    return rate[: ny // 2 + 1, : nx // 2 + 1].copy()


def phasors(rate: Array, distance: float, nx: int, dtype: Any) -> Array:
    """exp(i·rate·distance), unfolded; the angle and its sine and cosine in float64."""
    angle = rate * distance
    cosines, sines = np.empty((2, *angle.shape))
    tables = elementary.tables(angle.dtype)
    elementary.sines_and_cosines(angle.reshape(-1), sines.reshape(-1), cosines.reshape(-1), tables)
    quarter = np.empty(angle.shape, dtype)
    quarter.real, quarter.imag = cosines, sines
    return unfold(quarter, nx)


def unfold(quarter: Array, nx: int) -> Array:
    """Factors for all nx frequencies along x, from those for the n//2 + 1 non-negative ones.

    Along y they stay folded: rows can be read backwards at no cost.
    """
    index = np.arange(nx)
    return np.take(quarter, np.minimum(index, nx - index), axis=1)


def multiply(spectrum: Array, factors: Array, out: Array) -> None:
    """Multiply a spectrum by unfolded factors."""
    half = len(factors)
    np.multiply(spectrum[:half], factors, out=out[:half])
    backwards = factors[len(spectrum) - half : 0 : -1]
    np.multiply(spectrum[half:], backwards, out=out[half:])
