"""Freedoms of the model that the intensities do not fix: phase ramps, object modes, scale."""

from __future__ import annotations

import math

from arraycon.kernels.agnostic import modes
from arraycon.kernels.agnostic.tools import optics, planes
from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace


def ortho_omode(obj: Array, *, xp: Namespace) -> tuple[Array, Array]:
    """Orthogonal object modes, strongest first, and the unitary that makes them."""
    mixed, rotation = modes.ortho_pmode(obj[:, 0, ...], xp=xp)
    return mixed[:, None, ...], rotation


def obj_probe_scale(
    amplitude: Array,
    probe: Array,
    weight: Array | None = None,
    *,
    target: float,
    relax: float,
    xp: Namespace,
) -> tuple[Array, Array, Array]:
    """Scale every slice to an rms amplitude, and the probe by what they lose."""
    dtype, nz = arrays.wide(amplitude, xp=xp), amplitude.shape[-3]
    powers = []
    for z in range(nz):
        slices = xp.astype(amplitude[..., z, :, :], dtype)
        w = _plane(weight, slices, z, dtype, xp)
        total = xp.sum(w) * (math.prod(slices.shape) / math.prod(w.shape))
        power = xp.sum(w * slices**2) / xp.where(total == 0, xp.ones_like(total), total)
        powers.append(xp.where(total == 0, xp.zeros_like(power), power))
    rms = xp.sqrt(xp.stack(powers))
    there = rms != 0  # NaN is, so that it stays visible
    factor = xp.where(there, (rms / target) ** (1 - relax), xp.ones_like(rms))
    # in wide numbers, for float32 may not hold the factor, and slice by slice
    scaled = [
        xp.astype(xp.astype(amplitude[..., z, :, :], dtype) / factor[z, ...], amplitude.dtype)
        for z in range(nz)
    ]
    return (
        xp.stack(scaled, axis=-3),
        scaled_up(probe, factor, xp=xp),
        factor,
    )


def scaled_up(probe: Array, factor: Array, *, xp: Namespace) -> Array:
    """Multiply the probe by what all slices have been divided by."""
    wide = xp.astype(probe, arrays.wide_complex(probe, xp=xp))
    return xp.astype(wide * xp.astype(xp.prod(factor), wide.dtype), probe.dtype)


def phase_ramp(
    phase: Array,
    *others: Array,
    counter_probe: bool,
    terms: str,
    method: str,
    relax: float,
    xp: Namespace,
) -> tuple[Array, ...]:
    """Subtract a plane from every slice; the planes, (nz, 3), come last: c, g_y, g_x.

    The others are the probe, which is turned the other way, if there is one, then weights if there
    are any.
    """
    weight = others[-1] if len(others) > counter_probe else None
    fit = _fit_plane if method == "plane" else _fit_gradient
    dtype, nz = arrays.wide(phase, xp=xp), phase.shape[-3]
    y, x = (arrays.coordinates(n, phase, xp=xp) for n in phase.shape[-2:])
    fitted = []
    for z in range(nz):
        slices = xp.astype(phase[..., z, :, :], dtype)
        w = xp.broadcast_to(_plane(weight, slices, z, dtype, xp), slices.shape[-2:])
        found = fit(slices, w, y, x, ramp=terms == "ramp", xp=xp)
        nothing = xp.sum(w) == 0
        fitted.append(xp.where(nothing, xp.zeros_like(found), found))
    slopes = xp.stack(fitted)
    c, gy, gx = (((1 - relax) * slopes[:, i])[:, None, None] for i in range(3))
    levelled = [
        phase[..., z, :, :]
        - xp.astype(c[z, ...] + gy[z, ...] * y[:, None] + gx[z, ...] * x, phase.dtype)
        for z in range(nz)
    ]
    straight = xp.stack(levelled, axis=-3)
    if not counter_probe:
        return straight, slopes
    return straight, turned(others[0], slopes, relax, xp=xp), slopes


def turned(probe: Array, slopes: Array, relax: float, *, xp: Namespace) -> Array:
    """Turn the probe by the ramps that all slices have lost."""
    y, x = (arrays.coordinates(n, probe, xp=xp) for n in probe.shape[-2:])
    gy, gx = ((1 - relax) * xp.sum(slopes[:, i]) for i in (1, 2))
    wide = arrays.wide_complex(probe, xp=xp)
    along_y, along_x = (optics.phasor(angle, wide, xp=xp) for angle in (gy * y, gx * x))
    return probe * xp.astype(along_y[:, None] * along_x[None, :], probe.dtype)


def _plane(weight: Array | None, like: Array, z: int, dtype: object, xp: Namespace) -> Array:
    """Weights of one slice."""
    if weight is None:
        return xp.ones_like(like[(0,) * (like.ndim - 2) + (...,)])
    one = weight if weight.ndim < 3 else weight[z if weight.shape[0] > 1 else 0, ...]
    return xp.astype(one, dtype)


def _fit_plane(slices: Array, w: Array, y: Array, x: Array, *, ramp: bool, xp: Namespace) -> Array:
    """Weighted least squares on the mean of all object modes."""
    mean = xp.mean(slices, axis=tuple(range(slices.ndim - 2))) if slices.ndim > 2 else slices
    total = xp.sum(w)
    total = xp.where(total == 0, xp.ones_like(total), total)
    weighted = w * mean
    centre, rows, columns = xp.sum(weighted) / total, xp.sum(w, axis=1), xp.sum(w, axis=0)
    if not ramp:
        return xp.stack([centre, xp.zeros_like(centre), xp.zeros_like(centre)])
    y0, x0 = xp.sum(rows * y) / total, xp.sum(columns * x) / total
    dy, dx = y - y0, x - x0
    mixed = xp.sum(xp.sum(w * dx, axis=1) * dy)
    right = [xp.sum(xp.sum(weighted, axis=1) * dy), xp.sum(xp.sum(weighted, axis=0) * dx)]
    square_y, square_x = xp.sum(rows * dy**2), xp.sum(columns * dx**2)
    left = xp.stack([xp.stack([square_y, mixed]), xp.stack([mixed, square_x])])
    slope = planes.slopes(left, xp.stack(right), total, w.shape, xp=xp)
    return xp.stack([centre - slope[0] * y0 - slope[1] * x0, slope[0], slope[1]])


def _fit_gradient(
    slices: Array, w: Array, y: Array, x: Array, *, ramp: bool, xp: Namespace
) -> Array:
    """Angles of mean phasors between neighbours, which wraps of the phase do not change."""
    zero = xp.zeros_like(xp.sum(w))
    gy = gx = zero
    if ramp:
        gy = _angle(slices[..., 1:, :] - slices[..., :-1, :], w[1:, :] * w[:-1, :], xp)
        gx = _angle(slices[..., 1:] - slices[..., :-1], w[:, 1:] * w[:, :-1], xp)
    return xp.stack([_angle(slices - (gy * y[:, None] + gx * x), w, xp), gy, gx])


def _angle(angles: Array, w: Array, xp: Namespace) -> Array:
    return xp.atan2(xp.sum(w * xp.sin(angles)), xp.sum(w * xp.cos(angles)))
