"""A complex object as amplitude and phase, and back."""

from __future__ import annotations

import math

from arraycon.kernels.agnostic.tools import optics
from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace

TURN = 2 * math.pi


def split(obj: Array, *, xp: Namespace) -> tuple[Array, Array]:
    """Return modulus and phase, the latter within π of its slice's reference phase."""
    return amplitude(obj, xp=xp), phase(obj, xp=xp)


def amplitude(obj: Array, *, xp: Namespace) -> Array:
    """Return the modulus."""
    return xp.abs(obj)


def phase(obj: Array, *, xp: Namespace) -> Array:
    """Return the phase, within π of its slice's reference phase."""
    reference = reference_phases(*plane_sums(obj, xp=xp), xp=xp)[..., None, None]
    return phase_about(obj, xp.astype(reference, arrays.real_dtype(obj, xp=xp)), xp=xp)


def plane_sums(obj: Array, *, xp: Namespace) -> tuple[Array, Array]:
    """Real and imaginary part of each plane's sum, in float64."""
    dtype = arrays.wide(obj, xp=xp)
    real, imag = (xp.sum(part(obj), axis=(-2, -1), dtype=dtype) for part in (xp.real, xp.imag))
    return real, imag


def phase_about(obj: Array, reference: Array, *, xp: Namespace) -> Array:
    """Return the phase, within π of a reference."""
    angle = _angle(xp.real(obj), xp.imag(obj), xp)
    # turning O itself back by the reference phase would cost accuracy where O is small
    return angle + TURN * xp.round((reference - angle) / TURN)


def join(amplitude: Array, phase: Array, *, xp: Namespace) -> Array:
    """Return A·exp(iφ)."""
    dtype = arrays.complex_dtype(amplitude, xp=xp)
    return xp.astype(amplitude, dtype) * optics.phasor(phase, dtype, xp=xp)


def with_amplitude(obj: Array, amplitude: Array, *, xp: Namespace) -> Array:
    """Return A·exp(i arg O)."""
    return join(amplitude, _angle(xp.real(obj), xp.imag(obj), xp), xp=xp)


def with_phase(obj: Array, phase: Array, *, xp: Namespace) -> Array:
    """Return |O|·exp(iφ)."""
    return join(xp.abs(obj), phase, xp=xp)


def reference_phases(real: Array, imag: Array, *, xp: Namespace) -> Array:
    """Phases of the slices' sums, each on the branch nearest to the slice before.

    Both arrays are (..., nz), and so is the result.
    """
    known = xp.isfinite(real) & xp.isfinite(imag)
    nothing = xp.zeros_like(real)
    angle = _angle(xp.where(known, real, nothing), xp.where(known, imag, nothing), xp)
    # counted in turns, so that rounding does not add up with depth
    turns = xp.round((angle[..., :-1] - angle[..., 1:]) / TURN)
    turns = xp.concat([nothing[..., :1], xp.cumulative_sum(turns, axis=-1)], axis=-1)
    return angle + TURN * turns


def _angle(real: Array, imag: Array, xp: Namespace) -> Array:
    """Angles in (-π, π], 0 for 0, whatever the signs of zeros."""
    nothing = xp.zeros_like(real)
    real, imag = (xp.where(part == 0, nothing, part) for part in (real, imag))
    return xp.atan2(imag, real)


def follow(amplitude: Array, phase: Array, obj: Array, *, xp: Namespace) -> tuple[Array, Array]:
    """Return modulus and phase, each pixel's phase on the branch nearest to the one given."""
    modulus, angle = xp.abs(obj), _angle(xp.real(obj), xp.imag(obj), xp)
    near = angle + TURN * xp.round((phase - angle) / TURN)
    return xp.astype(modulus, amplitude.dtype), xp.where(modulus == 0, phase, near)
