"""Ranges of the object's amplitude and phase."""

from __future__ import annotations

from arraycon.kernels.common.arrays import Array, Namespace


def obja_thresh(
    amplitude: Array, *, relax: float, thresh: tuple[float, float], xp: Namespace
) -> Array:
    """Relax the amplitude into a range."""
    return relax * amplitude + (1 - relax) * xp.clip(amplitude, min=thresh[0], max=thresh[1])


def objp_postiv(phase: Array, *, relax: float, mode: str, xp: Namespace) -> Array:
    """Relax the phase towards non-negative values."""
    if mode == "subtract_min":
        return above_minimum(phase, xp.min(phase), relax=relax)
    return relax * phase + (1 - relax) * xp.clip(phase, min=0.0)


def above_minimum(phase: Array, minimum: Array, *, relax: float) -> Array:
    """Relax the phase towards what is above its minimum."""
    return relax * phase + (1 - relax) * (phase - minimum)


def objp_thresh(phase: Array, *, relax: float, thresh: tuple[float, float], xp: Namespace) -> Array:
    """Relax the phase into a range."""
    return obja_thresh(phase, relax=relax, thresh=thresh, xp=xp)
