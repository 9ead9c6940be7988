"""Probe masks in reciprocal and in real space."""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_compat.numpy as xp
import numpy as np

from arraycon.kernels.agnostic import probe_masks as agnostic
from arraycon.kernels.agnostic.tools import optics as agnostic_optics
from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu import modes
from arraycon.kernels.cpu.fft import slices
from arraycon.kernels.cpu.tools import optics
from arraycon.kernels.cpu.tools.compiled import summing

# Relative error of a sharpness that is computed in complex64, with a wide margin: 2e-7 was seen.
_UNCERTAINTY = 1e-5
# Planes after which the phasor is computed afresh instead of being multiplied by one step more.
_RESTART = 32
# Largest number that is multiplied before it is divided by.
_TINY = 2.0**-512
# Pixels of all planes that are looked at before a second thread has woken up.
_GRAIN = 1 << 16


@np.errstate(all="ignore")  # a warning made an error would stop halfway
def probe_mask_k(probe: Array, *, radius: float, width: float, power_thresh: float) -> None:
    """Soft aperture on the strongest modes, in reciprocal space."""
    order, number = _select(probe, power_thresh)
    ny, nx = probe.shape[-2:]
    ky, kx = (np.arange(n // 2 + 1) / n for n in (ny, nx))
    mask = agnostic_optics.low_pass(ky, kx, radius=radius, width=width, xp=xp)
    mask = optics.unfold(optics.without_tail(mask, probe.real.dtype), nx)
    scratch = _Scratch(np.empty_like(probe[0]), modes.power_memory(probe))
    # from here on the probe is written to: all that takes memory comes before
    chosen = _permute(probe, order, scratch.mode)[:number]
    optics.for_each(lambda engine, mode: engine.filter_complex(mode, mask), chosen)
    _sort(probe, scratch)


@np.errstate(all="ignore")
def probe_mask_r(
    probe: Array,
    *,
    dx: float,
    wavelength: float,
    radius: float,
    order: int,
    power_thresh: float,
    z_range: tuple[float, float],
    z_steps: int,
) -> None:
    """Super-Gaussian window on the strongest modes, at their focus."""
    rate = optics.propagation_rate(probe, dx=dx, wavelength=wavelength)
    chosen, number = _select(probe, power_thresh)
    defocus = _focus(probe[chosen[0]], rate, z_range=z_range, z_steps=z_steps)
    window = agnostic.super_gaussian(probe, radius=radius, order=order, xp=xp)
    window = optics.without_tail(window, probe.real.dtype)
    there = optics.phasors(rate, defocus, probe.shape[-1], probe.dtype)
    back = there.conj()
    scratch = _Scratch(np.empty_like(probe[0]), modes.power_memory(probe))

    def mask(engine: Any, mode: Array) -> None:
        engine.filter_complex(mode, there)
        mode *= window
        engine.filter_complex(mode, back)

    optics.for_each(mask, _permute(probe, chosen, scratch.mode)[:number])
    _sort(probe, scratch)


class _Scratch(NamedTuple):
    """What sorting needs: room for one mode, and for powers."""

    mode: Array
    powers: Array


def _select(probe: Array, power_thresh: float) -> tuple[list[int], int]:
    """Return the modes' order by power, and how many of them are masked."""
    order, power = _by_power(probe)
    total = np.sum(power)
    fraction = np.cumsum(power) / (total if total > 0 else 1.0)
    # as in `agnostic`: all modes before which the threshold is not passed, and no sum beyond 1
    before = np.minimum(fraction[:-1], 1.0)
    return order, 1 + int(np.count_nonzero(before <= power_thresh))


def _sort(probe: Array, scratch: _Scratch) -> None:
    """Sort the modes by power, strongest first."""
    order, _ = _by_power(probe, scratch.powers)
    _permute(probe, order, scratch.mode)


def _by_power(probe: Array, memory: Array | None = None) -> tuple[list[int], Array]:
    """Return the modes' order by power, strongest first, and the powers in it."""
    power = modes.mode_powers(probe, memory)
    # equal powers in their order; NaN first, as in `agnostic`
    order = len(power) - 1 - np.argsort(power[::-1], kind="stable")[::-1]
    return order.tolist(), power[order]


def _permute(probe: Array, order: list[int], displaced: Array) -> Array:
    """probe[i] becomes probe[order[i]], by way of room for one mode; returns the probe."""
    done = [source == i for i, source in enumerate(order)]
    for first in range(len(order)):
        if done[first]:
            continue
        displaced[...], i = probe[first], first
        while order[i] != first:
            probe[i] = probe[order[i]]
            done[i] = True
            i = order[i]
        probe[i] = displaced
        done[i] = True
    return probe


def _focus(mode: Array, rate: Array, *, z_range: tuple[float, float], z_steps: int) -> float:
    """Defocus at which Σ|P|⁴ is largest.

    The search is in complex64; between the planes that it cannot tell apart, complex128 decides.
    """
    step = (z_range[1] - z_range[0]) / max(z_steps - 1, 1)
    planes = [z_range[0] + i * step for i in range(z_steps)]
    spectrum = _spectrum(mode)
    if z_steps == 1 or spectrum is None:
        return planes[0]
    spectrum = spectrum.astype(np.complex64)
    rough = _search(spectrum, rate, planes, step)
    planes = [planes[i] for i in np.flatnonzero(rough >= (1 - _UNCERTAINTY) * np.max(rough))]
    if len(planes) == 1:
        return planes[0]
    # transformed once more rather than kept, which would cost a quarter of the search's memory
    exact = _evaluate(_spectrum(mode), rate, planes)
    sharpest = exact >= (1 - agnostic.TIE) * np.max(exact)
    return planes[int(np.argmax(sharpest))]


def _spectrum(mode: Array) -> Array | None:
    """Spectrum in complex128 with parts up to 1; None if it is zero or not finite."""
    spectrum = mode.astype(np.complex128)
    if not _bring_to_one(spectrum):  # before the sums of the transform could overflow
        return None
    slices.engine(*spectrum.shape).fft2_inplace(spectrum)
    _bring_to_one(spectrum)  # so that no fourth power leaves the range of float32
    return spectrum


def _bring_to_one(wave: Array) -> bool:
    """Divide by the largest real or imaginary part; False if it is 0 or not finite."""
    values = wave.view(wave.real.dtype)
    largest = max(values.max(), -values.min())
    if not 0 < largest < np.inf:
        return False
    if largest < _TINY:  # its reciprocal could overflow
        values *= 1 / _TINY
        largest /= _TINY
    values *= 1 / largest
    return True


def _search(spectrum: Array, rate: Array, planes: list[float], step: float) -> Array:
    """Σ|P|⁴ at equidistant planes."""
    sharpness = np.empty(len(planes))
    nx = spectrum.shape[1]
    onwards = optics.phasors(rate, step, nx, spectrum.dtype)

    def work(start: int, stop: int) -> None:
        plane = np.empty_like(spectrum)
        for i in range(start, stop):
            if (i - start) % _RESTART == 0:
                phasors = optics.phasors(rate, planes[i], nx, spectrum.dtype)
            else:
                phasors *= onwards
            optics.multiply(spectrum, phasors, out=plane)
            sharpness[i] = _sharpness(plane)

    threads.run(work, len(planes), grain=max(1, _GRAIN // spectrum.size))
    return sharpness


def _evaluate(spectrum: Array, rate: Array, planes: list[float]) -> Array:
    """Σ|P|⁴ at a few planes."""
    sharpness = np.empty(len(planes))
    plane = np.empty_like(spectrum)
    for i, z in enumerate(planes):
        phasors = optics.phasors(rate, z, spectrum.shape[1], spectrum.dtype)
        optics.multiply(spectrum, phasors, out=plane)
        sharpness[i] = _sharpness(plane)
    return sharpness


def _sharpness(spectrum: Array) -> float:
    """Σ|P|⁴ of the plane with this spectrum, which is overwritten."""
    slices.engine(*spectrum.shape).fft2_inplace(spectrum, inverse=True)
    plane = spectrum.reshape(-1)
    return float(_sum_of_fourth_powers(plane.view(plane.real.dtype)))


@summing
def _sum_of_fourth_powers(x: Array) -> float:
    """Σ|P|⁴ of complex numbers, given as pairs of real ones."""
    total = 0.0
    for i in range(x.size // 2):
        real, imag = np.float64(x[2 * i]), np.float64(x[2 * i + 1])
        power = real * real + imag * imag
        total += power * power
    return total
