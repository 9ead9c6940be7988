"""Linear filters by an even transfer function, each axis periodic or mirrored."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from arraycon.kernels.agnostic.tools import parts
from arraycon.kernels.common import arrays, fft
from arraycon.kernels.common.arrays import Array, Namespace

Transfer = Callable[..., Array]
"""From the frequencies q ≥ 0 along each axis, in 1/Å and ready to be combined, to T in float64."""

# Frequencies that would be higher are this: four of their squares are finite.
HIGHEST = 1e140
# Beyond these quotients and exponents all functions here have their limits; also in the float32
# that JAX computes in where it has nothing else.
_FAR, _STEEP = 1e100, 700.0
_FAR_SINGLE, _STEEP_SINGLE = 1e15, 80.0


class Filter(NamedTuple):
    """What the spectrum over some axes is multiplied by: relax + (1 - relax) T.

    Parameters
    ----------
    transfer : callable
        T.
    spacing : mapping of int to float
        The axes, -3 to -1, and distances along them in Å.
    mirrored : collection of int
        Axes along which it is the spectrum of the half-sample even extension.
    relax : float
    """

    transfer: Transfer
    spacing: Mapping[int, float]
    mirrored: Collection[int]
    relax: float

    @property
    def axes(self) -> tuple[list[int], list[int]]:
        """Axes whose spectrum is one of cosines, and the others."""
        axes = sorted(self.spacing)
        return [a for a in axes if a in self.mirrored], [a for a in axes if a not in self.mirrored]

    def factors(
        self, shape: Sequence[int], like: Array, *, half: bool, rows: slice, xp: Namespace
    ) -> Array:
        """Return the factors of some rows of a spectrum, in the precision of `like`.

        Parameters
        ----------
        shape : sequence of int
            Of what has the spectrum.
        like : array
        half : bool
            Whether the spectrum has the non-negative frequencies alone along the last of those
            axes that are not mirrored.
        rows : slice
            Which of its frequencies along axis -2.
        xp : namespace
        """
        _, periodic = self.axes
        q = []
        for axis in sorted(self.spacing):
            mirror, halved = axis in self.mirrored, half and axis == periodic[-1]
            each = _frequencies(
                shape[axis], like, self.spacing[axis], mirror=mirror, half=halved, xp=xp
            )
            each = each[rows] if axis == -2 else each
            q.append(xp.reshape(each, (-1,) + (1,) * (-axis - 1)))
        factors = self.relax + (1 - self.relax) * self.transfer(*q)
        return xp.astype(factors, arrays.real_dtype(like, xp=xp))


def filtered(obj: Array, by: Filter, *, xp: Namespace) -> Array:
    """Multiply the spectrum of an array; of a complex one that of real and imaginary part."""
    cosine, periodic = by.axes
    factors = by.factors(obj.shape, obj, half=bool(periodic), rows=slice(None), xp=xp)
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
    single = q.dtype == xp.float32
    far, steep = (_FAR_SINGLE, _STEEP_SINGLE) if single else (_FAR, _STEEP)
    ratio = xp.clip(xp.clip(q, max=cutoff * far) / cutoff, min=1 / far)
    if shape == "gaussian":
        return xp.exp(-0.5 * ratio**2)
    steep /= 2 * order
    return 1 / (1 + xp.exp(2 * order * xp.clip(xp.log(ratio), min=-steep, max=steep)))


def gaussian(q: Array, *, sigma: float, xp: Namespace) -> Array:
    """Transfer function exp(-2π²σ²q²) of a Gaussian of width σ along one axis."""
    if sigma == 0:
        return xp.ones_like(q)
    scale = math.pi * sigma
    return xp.exp(-2 * (xp.clip(q, max=40 / scale) * scale) ** 2)


def _frequencies(
    n: int, like: Array, spacing: float, *, mirror: bool, half: bool, xp: Namespace
) -> Array:
    number = n // 2 + 1 if half else n
    index = xp.arange(number, dtype=arrays.wide(like, xp=xp), device=arrays.device(like))
    if not mirror:
        index = xp.where(index < n / 2, index, n - index)
    length = (2 * n if mirror else n) * spacing
    return index * (1 / max(length, n / HIGHEST))
