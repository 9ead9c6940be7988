"""Constraints that couple the object's amplitude to its phase."""

from __future__ import annotations

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace

SMALLEST_AMPLITUDE = 1e-6
GUARD = 1e-8


def complex_ratio(
    amplitude: Array, phase: Array, *, alpha1: float, alpha2: float, xp: Namespace
) -> tuple[Array, Array]:
    """Pull ln(amplitude) and phase towards one common ratio."""
    dtype = arrays.wide(amplitude, xp=xp)
    log_amplitude = xp.log(xp.clip(amplitude, min=SMALLEST_AMPLITUDE))
    log_amplitude = _keep_not_finite(log_amplitude, amplitude, xp)
    absorbed = xp.sum(xp.abs(log_amplitude), dtype=dtype)
    shifted = xp.sum(xp.abs(phase), dtype=dtype)
    ratio = absorbed / (shifted + GUARD)
    to_phase = xp.astype(alpha1 * ratio, amplitude.dtype)
    to_log = xp.astype(alpha2 / (ratio + GUARD), amplitude.dtype)
    return (
        xp.exp((1 - alpha1) * log_amplitude - to_phase * phase),
        (1 - alpha2) * phase - to_log * log_amplitude,
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
    return xp.where(xp.isfinite(source), values, xp.full_like(values, xp.nan))
