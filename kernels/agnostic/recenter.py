"""Removal of drifts that the diffraction patterns cannot fix: depth and scan origin."""

from __future__ import annotations

import math

from arraycon.kernels.agnostic.tools import optics
from arraycon.kernels.common import arrays, fft
from arraycon.kernels.common.arrays import Array, Namespace

GUARD = 1e-8
# Shifts below this, in slices, change nothing.
SMALLEST_SHIFT = 1e-3


def obj_z_recenter(
    amplitude: Array,
    phase: Array,
    probe: Array,
    *,
    dx: float,
    wavelength: float,
    slice_thickness: float,
    thresh: float | None,
    scale: float,
    max_shift: float | None,
    xp: Namespace,
) -> tuple[Array, Array, Array, Array]:
    """Move the object's centre of mass to the middle slice and refocus the probe."""
    shift = _depth_shift(phase, thresh=thresh, scale=scale, max_shift=max_shift, xp=xp)
    moves = ~(xp.abs(shift) < SMALLEST_SHIFT)
    shift = xp.where(moves, shift, xp.zeros_like(shift))
    moved_amplitude, moved_phase = shift_object(amplitude, phase, shift, xp)
    refocused = refocus(
        probe, shift, dx=dx, wavelength=wavelength, slice_thickness=slice_thickness, xp=xp
    )
    return (
        xp.where(moves, moved_amplitude, amplitude),
        xp.where(moves, moved_phase, phase),
        xp.where(moves, refocused, probe),
        shift,
    )


def refocus(
    probe: Array,
    shift: Array,
    *,
    dx: float,
    wavelength: float,
    slice_thickness: float,
    xp: Namespace,
) -> Array:
    """Propagate the probe against a shift of the object."""
    ramp = optics.propagation_rate(probe, dx=dx, wavelength=wavelength, xp=xp)
    return optics.propagate(probe, ramp * (-slice_thickness * shift), xp=xp)


def pos_recenter(shifts: Array, *, relax: float, xp: Namespace) -> Array:
    """Subtract the mean shift."""
    mean = xp.mean(xp.astype(shifts, arrays.wide(shifts, xp=xp)), axis=0)
    return shifts - xp.astype((1 - relax) * mean, shifts.dtype)


def _depth_shift(
    phase: Array,
    *,
    thresh: float | None,
    scale: float,
    max_shift: float | None,
    xp: Namespace,
) -> Array:
    """Shift in slices (0-d float64 array)."""
    positive = xp.clip(phase, min=0.0)
    smallest_kept = None
    if thresh is not None:
        size = math.prod(phase.shape)
        smallest_kept = arrays.kth_smallest(xp.reshape(positive, (-1,)), rank(thresh, size), xp=xp)
    others = tuple(axis for axis in range(phase.ndim) if axis != phase.ndim - 3)
    mass = positive_sum(positive, smallest_kept, axis=others, xp=xp)
    mass = mass / (math.prod(phase.shape) / phase.shape[-3])
    return depth_shift(mass, scale=scale, max_shift=max_shift, xp=xp)


def positive_sum(
    phase: Array, smallest_kept: Array | None, *, axis: tuple[int, ...] | None, xp: Namespace
) -> Array:
    """Sum of the positive values that are not below one of them, in float64."""
    positive = xp.clip(phase, min=0.0)
    if smallest_kept is not None:
        positive = xp.where(positive < smallest_kept, xp.zeros_like(positive), positive)
    return xp.sum(positive, axis=axis, dtype=arrays.wide(phase, xp=xp))


def depth_shift(mass: Array, *, scale: float, max_shift: float | None, xp: Namespace) -> Array:
    """Shift in slices, from the mass of each slice."""
    nz = mass.shape[0]
    depth = xp.arange(nz, dtype=mass.dtype, device=arrays.device(mass))
    total = xp.sum(mass)
    centre = xp.sum(depth * mass) / (total + GUARD)
    limit = (nz - 1) / 2 if max_shift is None else min(max_shift, (nz - 1) / 2)
    shift = xp.clip(scale * ((nz - 1) / 2 - centre), min=-limit, max=limit)
    # Without any positive phase there is no centre of mass to move.
    return xp.where(total == 0, xp.zeros_like(shift), shift)


def rank(thresh: float, size: int) -> int:
    """Place in order of the smallest value that is not below the percentile, of `size` values.

    Linear interpolation puts the percentile between two neighbouring order statistics, where there
    are no values: comparing with the upper one is the same, exactly and without interpolating.
    """
    position = thresh * (size - 1) / 100
    # a rounding error above an integer position must not exclude the value at that position
    return max(math.ceil(position - 4 * math.ulp(position)), 0)


def shift_object(
    amplitude: Array, phase: Array, shift: Array, xp: Namespace
) -> tuple[Array, Array]:
    """Move A·exp(iφ) along z, its phase on the branch nearest to the equally moved φ."""
    dtype = arrays.complex_dtype(phase, xp=xp)
    kz = arrays.frequencies(phase.shape[-3], phase, xp=xp)[:, None, None]
    ramp = optics.phasor(-2 * math.pi * kz * shift, dtype, xp=xp)
    transmission = xp.astype(amplitude, dtype) * optics.phasor(phase, dtype, xp=xp)
    moved = _apply_ramp(transmission, ramp, xp)
    expected = xp.real(_apply_ramp(xp.astype(phase, dtype), ramp, xp))
    wrapped = xp.atan2(xp.imag(moved), xp.real(moved))
    turns = xp.round((expected - wrapped) / (2 * math.pi))
    return xp.abs(moved), wrapped + 2 * math.pi * turns


def _apply_ramp(x: Array, ramp: Array, xp: Namespace) -> Array:
    return fft.ifftn(fft.fftn(x, axes=(-3,), xp=xp) * ramp, axes=(-3,), xp=xp)
