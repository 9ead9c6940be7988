"""Constraints that couple the object's amplitude to its phase."""

from __future__ import annotations

import math

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace

SMALLEST_AMPLITUDE = 1e-6
GUARD = 1e-8


def complex_ratio(
    amplitude: Array, phase: Array, *, alpha1: float, alpha2: float, xp: Namespace
) -> tuple[Array, Array]:
    """Pull ln(amplitude) and phase towards one common ratio."""
    logs = log_amplitude(amplitude, xp=xp)
    ratio = moduli(logs, xp=xp) / (moduli(phase, xp=xp) + GUARD)
    return mixed(logs, phase, ratio, alpha1=alpha1, alpha2=alpha2, xp=xp)


def log_amplitude(amplitude: Array, *, xp: Namespace) -> Array:
    """Logarithm of an amplitude that is not too small."""
    logs = xp.log(xp.clip(amplitude, min=SMALLEST_AMPLITUDE))
    return _keep_not_finite(logs, amplitude, xp)


def moduli(x: Array, *, xp: Namespace) -> Array:
    """Sum of the moduli of log amplitudes, or of phases, in float64."""
    return xp.sum(xp.abs(x), dtype=arrays.wide(x, xp=xp))


def mixed(
    logs: Array, phase: Array, ratio: Array, *, alpha1: float, alpha2: float, xp: Namespace
) -> tuple[Array, Array]:
    """Return amplitude and phase of which one is the other times a ratio, as far as asked for."""
    to_phase = xp.astype(alpha1 * ratio, phase.dtype)
    to_log = xp.astype(alpha2 / (ratio + GUARD), phase.dtype)
    return (
        xp.exp((1 - alpha1) * logs - to_phase * phase),
        (1 - alpha2) * phase - to_log * logs,
    )


def mirrored_amp(
    amplitude: Array, phase: Array, *, relax: float, scale: float, power: float, xp: Namespace
) -> Array:
    """Relax the amplitude towards what the positive phase predicts."""
    # a finite phase whose power overflows is clipped like any other: no inf·0
    largest = float(xp.finfo(phase.dtype).max)
    strength = xp.clip(xp.clip(phase, min=0.0) ** power, max=largest)
    absorption = _keep_not_finite(min(scale, largest) * strength, phase, xp)
    return relax * amplitude + (1 - relax) * xp.clip(1 - absorption, min=0.0)


def _keep_not_finite(values: Array, source: Array, xp: Namespace) -> Array:
    """Put NaN where a limit or a zeroth power has made an ordinary number of what was none."""
    return xp.where(xp.isfinite(source), values, xp.full_like(values, math.nan))
