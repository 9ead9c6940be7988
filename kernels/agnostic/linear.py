"""Linear filters of the object."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

from arraycon.kernels.agnostic.tools import notch, parts, transfer
from arraycon.kernels.agnostic.tools.transfer import Filter
from arraycon.kernels.common import arrays, fft
from arraycon.kernels.common.arrays import Array, Namespace


def obj_gaussian(obj: Array, *, xp: Namespace, **options: Any) -> Array:
    """Gaussian blur of widths in Å, in depth only where there is one."""
    return transfer.filtered(obj, gaussian(**options, xp=xp), xp=xp)


def gaussian(
    *,
    dx: float,
    sigma: float,
    sigma_z: float,
    slice_thickness: float,
    boundary: str,
    relax: float,
    xp: Namespace,
) -> Filter:
    """Return the filter of `obj_gaussian`."""
    widths = {-3: sigma_z} if sigma_z > 0 else {}
    widths |= {-2: sigma, -1: sigma} if sigma > 0 else {}
    spacing = {axis: slice_thickness if axis == -3 else dx for axis in widths}

    def blur(*q: Array) -> Array:
        pairs = zip(q, widths.values(), strict=True)
        factors = (transfer.gaussian(each, sigma=width, xp=xp) for each, width in pairs)
        return functools.reduce(operator.mul, factors)

    return Filter(blur, spacing, spacing if boundary == "mirror" else (), relax)


def obj_bandpass(obj: Array, *, xp: Namespace, **options: Any) -> Array:
    """Low-pass, high-pass or both, laterally or over the volume."""
    return transfer.filtered(obj, band(**options, xp=xp), xp=xp)


def band(
    *,
    dx: float,
    q_lowpass: float | None,
    q_highpass: float | None,
    shape: str,
    order: float,
    dims: str,
    slice_thickness: float,
    boundary: str,
    relax: float,
    xp: Namespace,
) -> Filter:
    """Return the filter of `obj_bandpass`."""
    spacing = {-3: slice_thickness} if dims == "volume" else {}
    spacing |= {-2: dx, -1: dx}

    def within(*q: Array) -> Array:
        q2 = sum(each**2 for each in q)
        factors = xp.ones_like(q2)
        if q_lowpass is not None:
            factors = transfer.low_pass(q2, cutoff=q_lowpass, shape=shape, order=order, xp=xp)
        if q_highpass is not None:
            low = transfer.low_pass(q2, cutoff=q_highpass, shape=shape, order=order, xp=xp)
            factors = factors * (1 - low)
        return xp.where(q2 == 0, xp.ones_like(factors), factors)

    return Filter(within, spacing, spacing if boundary == "mirror" else (), relax)


def obj_wedge(obj: Array, *, xp: Namespace, **options: Any) -> Array:
    """Damp depth frequencies outside the cone that the data reach."""
    return transfer.filtered(obj, wedge(**options, xp=xp), xp=xp)


def wedge(
    *,
    dx: float,
    slice_thickness: float,
    semiangle: float,
    q_floor: float,
    boundary: str,
    relax: float,
    xp: Namespace,
) -> Filter:
    """Return the filter of `obj_wedge`."""
    tangent2, floor2 = math.tan(semiangle / 1000) ** 2, min(q_floor, transfer.HIGHEST) ** 2

    def inside(qz: Array, qy: Array, qx: Array) -> Array:
        reached = tangent2 * (qy**2 + qx**2 + floor2)
        factors = (2 / math.pi) * xp.atan2(reached, qz**2 + xp.zeros_like(reached))
        return xp.where(qz == 0, xp.ones_like(factors), factors)

    spacing = {-3: slice_thickness, -2: dx, -1: dx}
    return Filter(inside, spacing, {-3} if boundary == "mirror" else (), relax)


def grid_notch(
    obj: Array,
    *,
    dx: float,
    period: tuple[float, float],
    window: float,
    direction: str,
    rotation: float,
    relax: float,
    xp: Namespace,
) -> Array:
    """Remove what repeats with the period of a grid from each slice."""
    ny, nx = obj.shape[-2:]
    stop = notch.stopped(
        ny, nx, dx=dx, period=period, window=window, direction=direction, rotation=rotation
    )
    mask = xp.asarray(1 - (1 - relax) * stop, device=arrays.device(obj))
    mask = xp.astype(mask, arrays.real_dtype(obj, xp=xp))

    def work(x: Array) -> Array:
        spectrum = fft.rfftn(x, axes=fft.LATERAL, xp=xp) * mask
        return fft.irfftn(spectrum, shape=(ny, nx), axes=fft.LATERAL, xp=xp)

    return parts.each(work, obj, xp=xp)


def identical_slices(obj: Array, *, relax: float, xp: Namespace) -> Array:
    """Mean over depth in every slice."""
    wide = arrays.wide_complex if xp.isdtype(obj.dtype, "complex floating") else arrays.wide
    total = xp.sum(obj, axis=-3, keepdims=True, dtype=wide(obj, xp=xp))
    mean = xp.astype((1 - relax) / obj.shape[-3] * total, obj.dtype)
    return relax * obj + mean


def obj_smooth(obj: Array, *, alpha: float, relax: float, xp: Namespace) -> Array:
    """Mix each pixel with its eight neighbours, edges replicated."""
    share = (1 - relax) * alpha
    nine = _with_neighbours(_with_neighbours(obj, -2, xp), -1, xp)
    return (1 - 9 * share) * obj + share * nine


def _with_neighbours(x: Array, axis: int, xp: Namespace) -> Array:
    """Sum of each element and its two neighbours along an axis; edges replicated."""
    index = xp.arange(x.shape[axis], device=arrays.device(x))
    before, behind = (xp.clip(index + step, 0, x.shape[axis] - 1) for step in (-1, 1))
    return x + xp.take(x, before, axis=axis) + xp.take(x, behind, axis=axis)
