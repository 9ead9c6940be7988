"""Filters of the object in reciprocal space, laterally and in depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from arraycon.kernels.agnostic.tools import optics, parts
from arraycon.kernels.common import arrays, fft
from arraycon.kernels.common.arrays import Array, Namespace

_VOLUME = (-3, -2, -1)
# Keeps the depth filter finite on the axis kx = ky = 0, in (cycles per pixel)².
_AXIS = 1e-3
# The arctangent is saturated long before; larger values would overflow when squared.
_LARGEST_RATIO = 1e15


def kr_filter(obj: Array, *, radius: float, width: float, xp: Namespace) -> Array:
    """Soft circular low-pass filter of each slice."""
    ny, nx = obj.shape[-2:]
    ky, kx = lateral(obj.shape, obj, xp=xp)
    mask = optics.low_pass(ky, kx, radius=radius, width=width, xp=xp)
    mask = xp.astype(mask, arrays.real_dtype(obj, xp=xp))

    def filtered(x: Array) -> Array:
        spectrum = fft.rfftn(x, axes=fft.LATERAL, xp=xp) * mask
        return fft.irfftn(spectrum, shape=(ny, nx), axes=fft.LATERAL, xp=xp)

    return parts.each(filtered, obj, xp=xp)


def kz_filter(
    obj: Array, *, beta: float, alpha: float, obj_type: str, boundary: str, xp: Namespace
) -> Array:
    """Missing-wedge filter over the last three axes."""
    nz = obj.shape[-3]
    volume = obj
    if boundary == "mirror":
        volume = xp.concat([obj, xp.flip(obj, axis=-3)], axis=-3)
    spectrum = fft.rfftn(volume, axes=_VOLUME, xp=xp)
    kz = arrays.frequencies(volume.shape[-3], volume, xp=xp)
    spectrum = spectrum * wedge(
        kz, *lateral(volume.shape, volume, xp=xp), beta, alpha, dtype=obj.dtype, xp=xp
    )
    filtered = fft.irfftn(spectrum, shape=volume.shape[-3:], axes=_VOLUME, xp=xp)
    return settled(filtered[..., :nz, :, :], obj_type)


def settled(filtered: Array, obj_type: str) -> Array:
    """Return what has been filtered as it is to be: of an amplitude a tenth of 1 is added."""
    return 1 + 0.9 * (filtered - 1) if obj_type == "amplitude" else filtered


def lateral(shape: Sequence[int], like: Array, *, xp: Namespace) -> tuple[Array, Array]:
    """Frequencies of the last two axes of a real transform, all of them non-negative along x."""
    ny, nx = shape[-2:]
    ky = arrays.frequencies(ny, like, xp=xp)
    kx = xp.abs(arrays.frequencies(nx, like, xp=xp)[: nx // 2 + 1])
    return ky, kx


def wedge(
    kz: Array, ky: Array, kx: Array, beta: float, alpha: float, *, dtype: Any, xp: Namespace
) -> Array:
    """Wa on frequencies along each axis; its lateral factors in float64, the volume in `dtype`."""
    k2 = ky[:, None] ** 2 + kx[None, :] ** 2
    falloff = xp.astype(xp.exp(-alpha * k2), dtype)
    ratio = xp.clip(beta / xp.sqrt(k2 + _AXIS), max=_LARGEST_RATIO)
    steepness = xp.astype(kz[:, None, None] ** 2, dtype) * xp.astype(ratio**2, dtype)
    # 1 - (2/π)·arctan(t) is (2/π)·arctan(1/t), which keeps its digits where the filter is small
    return (2 / math.pi) * xp.atan2(xp.ones_like(steepness), steepness) * falloff
