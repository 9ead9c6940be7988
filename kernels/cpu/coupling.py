"""Constraints that couple the object's amplitude to its phase.

Logarithms, exponentials and powers are NumPy's, block by block: they are vectorised, which Numba's
are not (5.2 M float32 logarithms: 2.5 ms on two threads).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from arraycon.kernels import threads
from arraycon.kernels.agnostic.coupling import GUARD, SMALLEST_AMPLITUDE
from arraycon.kernels.backend import Array
from arraycon.kernels.cpu.compiled import kernel, summing

# Elements that one call works on. Smaller ones make the threads wait for each other, as every call
# takes the GIL for a moment: complex_ratio on 5.2 M float32 took 42 ms with 2^12, 8 ms with 2^16.
_BLOCK = 1 << 16
# The same where a block is also scratch memory, of which 1 % of the object is allowed.
_SCRATCH = 1 << 14
_GRAIN = 1 << 16


def complex_ratio(amplitude: Array, phase: Array, *, alpha1: float, alpha2: float) -> None:
    """Pull ln(amplitude) and phase towards one common ratio.

    The amplitude is replaced by its logarithm in the first pass: taking it a second time, or into
    scratch memory, took half as long again.
    """
    amplitude, phase = amplitude.reshape(-1), phase.reshape(-1)
    try:
        ratio = _ratio(amplitude, phase)
    except BaseException:  # Ctrl-C, which comes out when the pass is complete
        np.exp(amplitude, out=amplitude)
        raise
    cast = amplitude.dtype.type
    weights = cast(1 - alpha1), cast(alpha1 * ratio)
    phase_weights = cast(1 - alpha2), cast(alpha2 / (ratio + GUARD))

    def work(start: int, stop: int) -> None:
        for block in _blocks(start, stop, _BLOCK):
            logarithm = amplitude[block]
            _mix(logarithm, phase[block], *weights, *phase_weights)
            np.exp(logarithm, out=logarithm)

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


def _ratio(amplitude: Array, phase: Array) -> float:
    """Σ|ln A| / (Σ|φ| + 10⁻⁸); the amplitude becomes its logarithm."""
    sums: list[tuple[float, float]] = []
    floor = amplitude.dtype.type(SMALLEST_AMPLITUDE)

    def work(start: int, stop: int) -> None:
        absorbed = shifted = 0.0
        for block in _blocks(start, stop, _BLOCK):
            a = amplitude[block]
            _raise_to(a, floor)
            np.log(a, out=a)
            absorbed += _sum_of_moduli(a)
            shifted += _sum_of_moduli(phase[block])
        sums.append((absorbed, shifted))

    threads.run(work, amplitude.size, grain=_GRAIN)
    absorbed, shifted = np.sum(sums, axis=0)
    return float(absorbed / (shifted + GUARD))


@kernel
def _raise_to(x, floor):
    for i in range(x.size):
        # 0, but NaN for an infinite value, which the floor would hide
        infinite = x[i] - x[i]
        x[i] = (floor if x[i] < floor else x[i]) + infinite


@summing
def _sum_of_moduli(x):
    total = 0.0
    for i in range(x.size):
        total += np.float64(abs(x[i]))
    return total


@kernel
def _mix(logarithm, phase, keep, to_phase, keep_phase, to_log):
    for i in range(logarithm.size):
        value, angle = logarithm[i], phase[i]
        logarithm[i] = keep * value - to_phase * angle
        phase[i] = keep_phase * angle - to_log * value


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
