"""Transforms of single modes in place, and factors that are even in both frequencies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from arraycon.kernels.agnostic.tools import optics
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.fft import slices
from arraycon.kernels.cpu.tools import elementary
from arraycon.kernels.cpu.tools.sums import as_real, squares

# Values of a mask that count as 0.
_NOTHING = 1e-20


def without_tail(mask: Array, dtype: Any) -> Array:
    """Return a mask in a precision, with 0 for what is far below its rounding.

    The tail would turn values into denormal numbers, which are slow: probe_mask_k on eight modes of
    256² took 9.6 ms with it, 6 without.
    """
    return np.where(mask < _NOTHING, 0, mask).astype(dtype)


def for_each(work: Callable[[Any, Array], None], modes: Array) -> None:
    """Call ``work(engine, mode)`` on each mode, the engine being one of `slices`."""

    def several(engine: Any, start: int, stop: int) -> None:
        with np.errstate(all="ignore"):  # a warning made an error would stop halfway
            for mode in modes[start:stop]:
                work(engine, mode)

    slices.run(several, modes)


def propagate(probe: Array, factors: Array, memory: list[Any], sums: Array | None) -> None:
    """Multiply the spectra of all modes by unfolded factors.

    `memory` is what `old_modes` returns; there are sums of the change if the old modes were kept.
    """
    changes = np.empty((len(probe), 2))

    def several(engine: Any, start: int, stop: int, old: Array) -> None:
        with np.errstate(all="ignore"):  # a warning made an error would stop halfway
            for i in range(start, stop):
                if sums is not None:
                    old[...] = probe[i]
                engine.filter_complex(probe[i], factors)
                if sums is not None:
                    changes[i] = squares(as_real(probe[i]), as_real(old))

    slices.run(several, probe, memory)
    if sums is not None:
        np.sum(changes, axis=0, out=sums)


def old_modes(probe: Array, *, kept: bool) -> list[Any]:
    """Return what `propagate` needs to keep one old mode for each thread: a block of the probe."""
    return slices.memory(lambda _: np.empty_like(probe[0]) if kept else None, probe)


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
