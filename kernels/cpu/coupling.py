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
from arraycon.kernels.cpu.tools.sums import BLOCK, CHUNK, keep_values, run_blocks, squares

# Fewer elements than this are done before a second thread has woken up: logarithms or exponentials,
# and one loop of multiplications, of which two slices of 256² took twice as long with two threads.
_GRAIN = 1 << 17
_LIGHT_GRAIN = 1 << 19
# Ways to a power: products up to so many factors, which round no worse than the exponential of a
# logarithm; that exponential, for scales with which its limits do not show; and element by element.
_PRODUCT, _EXPONENTIAL, _ANY = range(3)
_MOST_FACTORS = 16
_SCALES = 1e-30, 1e15


def complex_ratio(
    amplitude: Array,
    phase: Array,
    *,
    alpha1: float,
    alpha2: float,
    sums: Array | None = None,
) -> None:
    """Pull ln(amplitude) and phase towards one common ratio.

    The amplitude is replaced by its logarithm in the first pass: taking it a second time took half
    as long again, which is the price of the sums, for which it has to stay.
    """
    amplitude, phase = amplitude.reshape(-1), phase.reshape(-1)
    cast, tables = amplitude.dtype.type, elementary.tables(amplitude.dtype)
    floor = cast(SMALLEST_AMPLITUDE)
    totals = np.empty((-(-amplitude.size // BLOCK), 2))
    ratio = _ratio(amplitude, phase, floor, tables, totals, keep=sums is not None)
    weights = cast(1 - alpha1), cast(alpha1 * ratio)
    phase_weights = cast(1 - alpha2), cast(alpha2 / (ratio + GUARD))
    numbers = *weights, *phase_weights, tables

    def work(part: slice) -> None:
        _mix(amplitude[part], phase[part], *numbers)

    def measure(part: slice) -> Any:
        return _mix_measured(amplitude[part], phase[part], floor, *numbers)

    if sums is None:
        _run_chunks(work, amplitude.size, grain=_GRAIN)
    else:
        run_blocks(measure, amplitude.size, sums.reshape(-1), grain=_GRAIN)


def moduli(amplitude: Array, phase: Array) -> Array:
    """Return Σ|ln A| and Σ|φ| of C-contiguous arrays, which stay as they are."""
    amplitude, phase = amplitude.reshape(-1), phase.reshape(-1)
    floor, tables = amplitude.dtype.type(SMALLEST_AMPLITUDE), elementary.tables(amplitude.dtype)
    totals = np.empty((-(-amplitude.size // BLOCK), 2))
    return _moduli(amplitude, phase, floor, tables, totals, keep=True)


def mix(amplitude: Array, phase: Array, ratio: float, *, alpha1: float, alpha2: float) -> None:
    """Do what `complex_ratio` does when it knows the ratio, in place on C-contiguous arrays."""
    amplitude, phase = amplitude.reshape(-1), phase.reshape(-1)
    cast, tables = amplitude.dtype.type, elementary.tables(amplitude.dtype)
    floor = cast(SMALLEST_AMPLITUDE)
    with np.errstate(over="ignore"):
        weights = cast(1 - alpha1), cast(alpha1 * ratio)
        phase_weights = cast(1 - alpha2), cast(alpha2 / (ratio + GUARD))

    def work(part: slice) -> None:
        a, p = amplitude[part], phase[part]
        _to_logarithms(a, floor, tables)
        _mix(a, p, *weights, *phase_weights, tables)

    _run_chunks(work, amplitude.size, grain=_GRAIN)


def mirrored_amp(
    amplitude: Array,
    phase: Array,
    *,
    relax: float,
    scale: float,
    power: float,
    sums: Array | None = None,
) -> None:
    """Relax the amplitude towards what the positive phase predicts."""
    amplitude, phase = amplitude.reshape(-1), phase.reshape(-1)
    cast, tables = amplitude.dtype.type, elementary.tables(amplitude.dtype)
    largest = np.finfo(cast).max
    with np.errstate(over="ignore"):
        weights = cast(relax), cast(1 - relax), min(cast(scale), largest)
        exponent = min(cast(power), largest)
    # powers of two, the usual 4 among them, need no scratch, and 2 s less to compile
    by_squares = power in (1, 2, 4)
    if by_squares:
        route, factors = _PRODUCT, int(power)
    else:
        route = _route(scale, power)
        factors = int(power) if route == _PRODUCT else 0
    grain = _LIGHT_GRAIN if route == _PRODUCT else _GRAIN

    def work(part: slice) -> None:
        a, p = amplitude[part], phase[part]
        if by_squares:
            _mirror(a, p, p, *weights, factors, tables)
        else:
            _absorb(a, p, *weights, exponent, factors, route, tables)

    def measure(part: slice) -> Any:
        a, p = amplitude[part], phase[part]
        if by_squares:
            return _mirror_measured(a, p, *weights, factors, tables)
        return _absorb_measured(a, p, *weights, exponent, factors, route, tables)

    if sums is None:
        _run_chunks(work, amplitude.size, grain=grain)
    else:
        run_blocks(measure, amplitude.size, sums[0], grain=_GRAIN)


def _run_chunks(work: Callable[[slice], None], size: int, *, grain: int) -> None:
    """Divide between chunks only, whatever the number of threads.

    What one number needs, all of its chunk get: the exact exponential rounds otherwise.
    """
    chunks = -(-size // CHUNK)
    threads.run(
        lambda i, j: work(slice(i * CHUNK, j * CHUNK)), chunks, grain=max(1, grain // CHUNK)
    )


def _route(scale: float, power: float) -> int:
    """Which way to φ^power takes the least time and is as exact as the precision."""
    if 1 <= power <= _MOST_FACTORS and power == int(power):
        return _PRODUCT
    # what the exponential cannot hold is to be as good as 0 or clipped: scale·exp(±80)
    ordinary = scale == 0 or _SCALES[0] <= scale <= _SCALES[1]
    return _EXPONENTIAL if power > 0 and ordinary else _ANY


def _ratio(
    amplitude: Array,
    phase: Array,
    floor: Any,
    tables: elementary.Tables,
    totals: Array,
    *,
    keep: bool,
) -> float:
    """Σ|ln A| / (Σ|φ| + 10⁻⁸); without `keep` the amplitude becomes its logarithm."""
    absorbed, shifted = _moduli(amplitude, phase, floor, tables, totals, keep=keep)
    return float(absorbed / (shifted + GUARD))


def _moduli(
    amplitude: Array,
    phase: Array,
    floor: Any,
    tables: elementary.Tables,
    totals: Array,
    *,
    keep: bool,
) -> Array:
    """Σ|ln A| and Σ|φ|, those of blocks in `totals`."""
    absorption = _sum_logarithms if keep else _take_logarithms

    def work(first: int, last: int) -> None:
        for i in range(first, last):
            block = slice(i * BLOCK, (i + 1) * BLOCK)
            totals[i] = absorption(amplitude[block], floor, tables), _sum(phase[block])

    threads.run(work, len(totals), grain=_GRAIN // BLOCK)
    total: Array = np.sum(totals, axis=0)
    return total


@kernel
def _take_logarithms(amplitude, floor, tables):
    """Replace amplitudes by their logarithms; return the sum of the moduli."""
    total = 0.0
    for start in range(0, amplitude.size, CHUNK):
        chunk = amplitude[start : start + CHUNK]
        _to_logarithms(chunk, floor, tables)
        total += _sum(chunk)
    return total


@kernel
def _sum_logarithms(amplitude, floor, tables):
    """As `_take_logarithms`, but the amplitudes stay."""
    scratch = np.empty(CHUNK, amplitude.dtype)
    total = 0.0
    for start in range(0, amplitude.size, CHUNK):
        chunk = amplitude[start : start + CHUNK]
        logarithms = scratch[: chunk.size]
        keep_values(chunk, logarithms)
        _to_logarithms(logarithms, floor, tables)
        total += _sum(logarithms)
    return total


@kernel
def _to_logarithms(chunk, floor, tables):
    for i in range(chunk.size):
        # 0, but NaN for an infinite value, which the logarithm of its bits would hide
        infinite = chunk[i] - chunk[i]
        value = floor if chunk[i] < floor else chunk[i]
        chunk[i] = elementary.logarithm(value, tables) + infinite


@summing
def _sum(x):
    total = 0.0
    for i in range(x.size):
        total += np.float64(abs(x[i]))
    return total


@kernel
def _mix(logarithm, phase, keep, to_phase, keep_phase, to_log, tables):
    for start in range(0, logarithm.size, CHUNK):
        a, p = logarithm[start : start + CHUNK], phase[start : start + CHUNK]
        for i in range(a.size):
            value, angle = a[i], p[i]
            a[i] = keep * value - to_phase * angle
            p[i] = keep_phase * angle - to_log * value
        elementary.exponentiate(a, tables)


@kernel
def _mix_measured(amplitude, phase, floor, keep, to_phase, keep_phase, to_log, tables):
    """Mix, and return the sums of the amplitude's change and then of the phase's."""
    scratch = np.empty((2, CHUNK), phase.dtype)
    a_changed = a_before = p_changed = p_before = 0.0
    for start in range(0, amplitude.size, CHUNK):
        a, p = amplitude[start : start + CHUNK], phase[start : start + CHUNK]
        old_a, old_p = scratch[0, : a.size], scratch[1, : a.size]
        keep_values(a, old_a)
        keep_values(p, old_p)
        _to_logarithms(a, floor, tables)
        _mix(a, p, keep, to_phase, keep_phase, to_log, tables)
        more, size = squares(a, old_a)
        a_changed += more
        a_before += size
        more, size = squares(p, old_p)
        p_changed += more
        p_before += size
    return a_changed, a_before, p_changed, p_before


@kernel
def _absorb(amplitude, phase, relax, keep, scale, power, factors, route, tables):
    """Replace amplitudes by relax·A + keep·max(1 - scale·max(φ, 0)^power, 0)."""
    scratch = np.empty((2, CHUNK), phase.dtype)
    for start in range(0, amplitude.size, CHUNK):
        a, p = amplitude[start : start + CHUNK], phase[start : start + CHUNK]
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
def _absorb_measured(amplitude, phase, relax, keep, scale, power, factors, route, tables):
    old = np.empty(CHUNK, amplitude.dtype)
    changed = before = 0.0
    for start in range(0, amplitude.size, CHUNK):
        a, p = amplitude[start : start + CHUNK], phase[start : start + CHUNK]
        was = old[: a.size]
        keep_values(a, was)
        _absorb(a, p, relax, keep, scale, power, factors, route, tables)
        more, size = squares(a, was)
        changed += more
        before += size
    return changed, before


@kernel
def _mirror_measured(amplitude, phase, relax, keep, scale, factors, tables):
    old = np.empty(CHUNK, amplitude.dtype)
    changed = before = 0.0
    for start in range(0, amplitude.size, CHUNK):
        a, p = amplitude[start : start + CHUNK], phase[start : start + CHUNK]
        was = old[: a.size]
        keep_values(a, was)
        _mirror(a, p, p, relax, keep, scale, factors, tables)
        more, size = squares(a, was)
        changed += more
        before += size
    return changed, before


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
