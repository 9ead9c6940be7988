"""Linear filters by an even transfer function, each axis periodic or mirrored."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

from arraycon.kernels.agnostic.tools import parts
from arraycon.kernels.common import arrays, fft
from arraycon.kernels.common.arrays import Array, Namespace

Transfer = Callable[..., Array]
"""From the frequencies q ≥ 0 along each axis, in 1/Å and ready to be combined, to T in float64."""

# Frequencies that would be higher are this: four of their squares are finite.
HIGHEST = 1e140
# Beyond these quotients and exponents all functions here have their limits.
_FAR, _STEEP = 1e100, 700.0


def filtered(
    obj: Array,
    transfer: Transfer,
    *,
    spacing: Mapping[int, float],
    mirrored: Collection[int] = (),
    relax: float,
    xp: Namespace,
) -> Array:
    """Multiply the spectrum over the axes of `spacing` (Å) by relax + (1 - relax) T.

    Of the axes in `mirrored` it is the spectrum of the half-sample even extension.
    """
    axes = sorted(spacing)
    cosine, periodic = ([a for a in axes if (a in mirrored) is one] for one in (True, False))
    halved = periodic[-1] if periodic else None
    q = [
        _frequencies(obj, axis, spacing[axis], mirror=axis in mirrored, half=axis == halved, xp=xp)
        for axis in axes
    ]
    factors = relax + (1 - relax) * transfer(*q)
    factors = xp.astype(factors, arrays.real_dtype(obj, xp=xp))
    shape = [obj.shape[axis] for axis in periodic]

    def work(x: Array) -> Array:
        x = fft.dctn(x, axes=cosine, xp=xp) if cosine else x
        if periodic:
            spectrum = fft.rfftn(x, axes=periodic, xp=xp) * factors
            x = fft.irfftn(spectrum, shape=shape, axes=periodic, xp=xp)
        else:
            x = x * factors
        return fft.idctn(x, axes=cosine, xp=xp) if cosine else x

    return parts.each(work, obj, xp=xp)


def low_pass(q2: Array, *, cutoff: float, shape: str, order: float, xp: Namespace) -> Array:
    """L(q; cutoff) of squared frequencies; at q = 0 it may be anything."""
    q = xp.sqrt(q2)
    if shape == "hard":
        return xp.astype(q <= cutoff * (1 + 1e-9), q.dtype)
    ratio = xp.clip(xp.clip(q, max=cutoff * _FAR) / cutoff, min=1 / _FAR)
    if shape == "gaussian":
        return xp.exp(-0.5 * ratio**2)
    steep = _STEEP / (2 * order)
    return 1 / (1 + xp.exp(2 * order * xp.clip(xp.log(ratio), min=-steep, max=steep)))


def gaussian(q: Array, *, sigma: float, xp: Namespace) -> Array:
    """Transfer function exp(-2π²σ²q²) of a Gaussian of width σ along one axis."""
    if sigma == 0:
        return xp.ones_like(q)
    scale = math.pi * sigma
    return xp.exp(-2 * (xp.clip(q, max=40 / scale) * scale) ** 2)


def _frequencies(
    obj: Array, axis: int, spacing: float, *, mirror: bool, half: bool, xp: Namespace
) -> Array:
    n = obj.shape[axis]
    number = n // 2 + 1 if half else n
    index = xp.arange(number, dtype=arrays.wide(obj, xp=xp), device=arrays.device(obj))
    if not mirror:
        index = xp.where(index < n / 2, index, n - index)
    length = (2 * n if mirror else n) * spacing
    step = 1 / max(length, n / HIGHEST)
    return xp.reshape(index * step, (-1,) + (1,) * (-axis - 1))
