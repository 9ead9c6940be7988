"""Constraints that couple the object's amplitude to its phase."""

from __future__ import annotations

from collections.abc import Iterator

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
# Elements of scratch memory, of which 1 % of the object is allowed.
_SCRATCH = 1 << 14
_GRAIN = 1 << 16


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

    def work(start: int, stop: int) -> None:
        _mix(amplitude[start:stop], phase[start:stop], *weights, *phase_weights, tables)

    threads.run(work, amplitude.size, grain=_GRAIN)


def mirrored_amp(
    amplitude: Array, phase: Array, *, relax: float, scale: float, power: float
) -> None:
    """Relax the amplitude towards what the positive phase predicts."""
    amplitude, phase = amplitude.reshape(-1), phase.reshape(-1)
    cast = amplitude.dtype.type
    arguments = cast(relax), cast(1 - relax), cast(scale)
    squarings = {1.0: 0, 2.0: 1, 4.0: 2}.get(power)
    if squarings is not None:  # the usual powers need neither scratch nor logarithms
        threads.run(
            lambda i, j: _absorb(amplitude[i:j], phase[i:j], *arguments, squarings),
            amplitude.size,
            grain=_GRAIN,
        )
        return

    def work(start: int, stop: int) -> None:
        scratch = np.empty(_SCRATCH, amplitude.dtype)
        for block in _blocks(start, stop, _SCRATCH):
            strength = scratch[: block.stop - block.start]
            np.maximum(phase[block], cast(0), out=strength)
            np.power(strength, cast(power), out=strength)
            # an infinite phase is made NaN by the phase itself, a zeroth power would hide it
            np.add(strength, phase[block] - phase[block], out=strength)
            _absorb(amplitude[block], strength, *arguments, 0)

    threads.run(work, amplitude.size, grain=_GRAIN)


def _blocks(start: int, stop: int, size: int) -> Iterator[slice]:
    return (slice(i, min(i + size, stop)) for i in range(start, stop, size))


def _ratio(amplitude: Array, phase: Array, tables: elementary.Tables) -> float:
    """Σ|ln A| / (Σ|φ| + 10⁻⁸); the amplitude becomes its logarithm."""
    sums = np.empty((-(-amplitude.size // _BLOCK), 2))
    floor = amplitude.dtype.type(SMALLEST_AMPLITUDE)

    def work(first: int, last: int) -> None:
        for i in range(first, last):
            block = slice(i * _BLOCK, (i + 1) * _BLOCK)
            sums[i] = _take_logarithms(amplitude[block], floor, tables), _sum(phase[block])

    threads.run(work, len(sums))
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
def _absorb(amplitude, phase, relax, keep, scale, squarings):
    for i in range(amplitude.size):
        strength = phase[i] if phase[i] > 0 else 0 * phase[i]
        strength = strength * strength if squarings > 0 else strength
        strength = strength * strength if squarings > 1 else strength
        # 0, or NaN for an infinite phase
        left = 1 - scale * strength + (phase[i] - phase[i])
        left = 0 if left < 0 else left
        amplitude[i] = relax * amplitude[i] + keep * left
