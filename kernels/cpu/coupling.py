"""Constraints that couple the object's amplitude to its phase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from arraycon.kernels.agnostic.coupling import GUARD, SMALLEST_AMPLITUDE
from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools import elementary
from arraycon.kernels.cpu.tools.compiled import kernel, summing

# Elements that are summed up at a time, so that the number of threads does not change the result.
_BLOCK = 1 << 16
# Elements that stay in the first-level cache from one loop to the next.
_CHUNK = 1 << 10
# Fewer elements than this are done before a second thread has woken up: logarithms or exponentials,
# and one loop of multiplications, of which two slices of 256² took twice as long with two threads.
_GRAIN = 1 << 17
_LIGHT_GRAIN = 1 << 19
# Ways to a power: products up to so many factors, which round no worse than the exponential of a
# logarithm; that exponential, for scales with which its limits do not show; and element by element.
_PRODUCT, _EXPONENTIAL, _ANY = range(3)
_MOST_FACTORS = 16
_SCALES = 1e-30, 1e15


def complex_ratio(amplitude: Array, phase: Array, *, alpha1: float, alpha2: float) -> None:
    """Pull ln(amplitude) and phase towards one common ratio.

    The amplitude is replaced by its logarithm in the first pass: taking it a second time took half
    as long again.
    """
    amplitude, phase = amplitude.reshape(-1), phase.reshape(-1)
    cast, tables = amplitude.dtype.type, elementary.tables(amplitude.dtype)
    try:
        ratio = _ratio(amplitude, phase, tables)
    except BaseException:  # Ctrl-C, which comes out when the pass is complete
        np.exp(amplitude, out=amplitude)
        raise
    weights = cast(1 - alpha1), cast(alpha1 * ratio)
    phase_weights = cast(1 - alpha2), cast(alpha2 / (ratio + GUARD))

    def work(part: slice) -> None:
        _mix(amplitude[part], phase[part], *weights, *phase_weights, tables)

    _run_chunks(work, amplitude.size, grain=_GRAIN)


def mirrored_amp(
    amplitude: Array, phase: Array, *, relax: float, scale: float, power: float
) -> None:
    """Relax the amplitude towards what the positive phase predicts."""
    amplitude, phase = amplitude.reshape(-1), phase.reshape(-1)
    cast, tables = amplitude.dtype.type, elementary.tables(amplitude.dtype)
    largest = np.finfo(cast).max
    with np.errstate(over="ignore"):
        weights = cast(relax), cast(1 - relax), min(cast(scale), largest)
        exponent = min(cast(power), largest)
    if power in (1, 2, 4):
        _run_squares(amplitude, phase, weights, int(power), tables)
        return
    route = _route(scale, power)
    factors = int(power) if route == _PRODUCT else 0

    def work(part: slice) -> None:
        _absorb(amplitude[part], phase[part], *weights, exponent, factors, route, tables)

    _run_chunks(work, amplitude.size, grain=_LIGHT_GRAIN if route == _PRODUCT else _GRAIN)


def _run_chunks(work: Callable[[slice], None], size: int, *, grain: int) -> None:
    """Divide between chunks only, whatever the number of threads.

    What one number needs, all of its chunk get: the exact exponential rounds otherwise.
    """
    chunks = -(-size // _CHUNK)
    threads.run(
        lambda i, j: work(slice(i * _CHUNK, j * _CHUNK)), chunks, grain=max(1, grain // _CHUNK)
    )


def _run_squares(
    amplitude: Array, phase: Array, weights: Any, factors: int, tables: elementary.Tables
) -> None:
    """Absorb with powers of two, the usual 4 among them: no scratch, and 2 s less to compile."""
    relax, keep, scale = weights

    def work(start: int, stop: int) -> None:
        a, p = amplitude[start:stop], phase[start:stop]
        _mirror(a, p, p, relax, keep, scale, factors, tables)

    threads.run(work, amplitude.size, grain=_LIGHT_GRAIN)


def _route(scale: float, power: float) -> int:
    """Which way to φ^power takes the least time and is as exact as the precision."""
    if 1 <= power <= _MOST_FACTORS and power == int(power):
        return _PRODUCT
    # what the exponential cannot hold is to be as good as 0 or clipped: scale·exp(±80)
    ordinary = scale == 0 or _SCALES[0] <= scale <= _SCALES[1]
    return _EXPONENTIAL if power > 0 and ordinary else _ANY


def _ratio(amplitude: Array, phase: Array, tables: elementary.Tables) -> float:
    """Σ|ln A| / (Σ|φ| + 10⁻⁸); the amplitude becomes its logarithm."""
    sums = np.empty((-(-amplitude.size // _BLOCK), 2))
    floor = amplitude.dtype.type(SMALLEST_AMPLITUDE)

    def work(first: int, last: int) -> None:
        for i in range(first, last):
            block = slice(i * _BLOCK, (i + 1) * _BLOCK)
            sums[i] = _take_logarithms(amplitude[block], floor, tables), _sum(phase[block])

    threads.run(work, len(sums), grain=_GRAIN // _BLOCK)
    absorbed, shifted = np.sum(sums, axis=0)
    return float(absorbed / (shifted + GUARD))


@kernel
def _take_logarithms(amplitude, floor, tables):
    """Replace amplitudes by their logarithms; return the sum of the moduli."""
    total = 0.0
    for start in range(0, amplitude.size, _CHUNK):
        chunk = amplitude[start : start + _CHUNK]
        for i in range(chunk.size):
            # 0, but NaN for an infinite value, which the logarithm of its bits would hide
            infinite = chunk[i] - chunk[i]
            value = floor if chunk[i] < floor else chunk[i]
            chunk[i] = elementary.logarithm(value, tables) + infinite
        total += _sum(chunk)
    return total


@summing
def _sum(x):
    total = 0.0
    for i in range(x.size):
        total += np.float64(abs(x[i]))
    return total


@kernel
def _mix(logarithm, phase, keep, to_phase, keep_phase, to_log, tables):
    for start in range(0, logarithm.size, _CHUNK):
        a, p = logarithm[start : start + _CHUNK], phase[start : start + _CHUNK]
        for i in range(a.size):
            value, angle = a[i], p[i]
            a[i] = keep * value - to_phase * angle
            p[i] = keep_phase * angle - to_log * value
        elementary.exponentiate(a, tables)


@kernel
def _absorb(amplitude, phase, relax, keep, scale, power, factors, route, tables):
    """Replace amplitudes by relax·A + keep·max(1 - scale·max(φ, 0)^power, 0)."""
    scratch = np.empty((2, _CHUNK), phase.dtype)
    for start in range(0, amplitude.size, _CHUNK):
        a, p = amplitude[start : start + _CHUNK], phase[start : start + _CHUNK]
        strength, base = scratch[0, : a.size], scratch[1, : a.size]
        if route == _PRODUCT:
            _multiply_out(p, factors, strength, base, tables)
        elif route == _ANY or not _exponentiate(p, power, strength, tables):
            for i in range(p.size):
                strength[i] = max(p[i], tables.zero) ** power
        _mirror(a, p, strength, relax, keep, scale, 1, tables)


@kernel
def _mirror(amplitude, phase, strength, relax, keep, scale, factors, tables):
    """Absorb with the strength, or the square or the fourth power of its positive part."""
    for i in range(amplitude.size):
        power = strength[i] if strength[i] > tables.zero else tables.zero
        power = power * power if factors > 1 else power
        power = power * power if factors > 2 else power
        # an infinite one would make NaN of a scale of 0
        power = tables.largest if power > tables.largest else power
        # 0, or NaN for a phase that is not finite
        left = tables.one - scale * power + (phase[i] - phase[i])
        left = tables.zero if left < tables.zero else left
        amplitude[i] = relax * amplitude[i] + keep * left


@kernel
def _multiply_out(phase, factors, strength, base, tables):
    """max(φ, 0)^factors by repeated squaring."""
    for i in range(phase.size):
        base[i] = phase[i] if phase[i] > tables.zero else tables.zero
        strength[i] = base[i] if factors % 2 else tables.one
    while factors > 1:
        factors //= 2
        for i in range(base.size):
            base[i] *= base[i]
        if factors % 2:
            for i in range(base.size):
                strength[i] *= base[i]


@kernel
def _exponentiate(phase, power, strength, tables):
    """max(φ, 0)^power as exp(power·ln φ); False if a φ is too small for that logarithm.

    In three loops: as one it takes 2.8 ns a value instead of 1.35.
    """
    fine = True
    limit = tables.largest_exponent
    for i in range(phase.size):
        value = phase[i]
        fine &= (value >= tables.smallest) | (value <= tables.zero) | (value != value)
        value = value if value >= tables.smallest else tables.one
        value = value if value <= tables.largest else tables.one
        strength[i] = power * elementary.logarithm(value, tables)
    for i in range(phase.size):
        exponent = min(max(strength[i], -limit), limit)
        strength[i] = elementary.exponential(exponent, tables)
    for i in range(phase.size):
        strength[i] = strength[i] if phase[i] >= tables.smallest else tables.zero
    return fine
