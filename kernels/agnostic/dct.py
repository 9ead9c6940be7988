"""Sparsity of the object in the discrete cosine transform."""

from __future__ import annotations

import functools
import math

from arraycon.kernels.agnostic.tools import parts
from arraycon.kernels.common import arrays, fft
from arraycon.kernels.common.arrays import Array, Namespace


def kr_thresh(obj: Array, *, thresh: float, scope: str, xp: Namespace) -> Array:
    """Keep the DCT coefficients of largest modulus."""
    ny, nx = obj.shape[-2:]
    size = math.prod(obj.shape) if scope == "global" else ny * nx
    n_keep = kept(thresh, size)
    if n_keep == size:  # nothing is dropped; a transform would spread NaN and infinities
        return arrays.copy(obj, xp=xp)
    coefficients = parts.each(functools.partial(fft.dctn, xp=xp), obj, xp=xp)
    if scope == "global":
        sparse = _keep_largest(coefficients, n_keep, xp)
    else:
        slices = xp.reshape(coefficients, (-1, ny, nx))
        sparse = xp.reshape(
            xp.stack([_keep_largest(slices[i, ...], n_keep, xp) for i in range(slices.shape[0])]),
            obj.shape,
        )
    return parts.each(functools.partial(fft.idctn, xp=xp), sparse, xp=xp)


def _keep_largest(coefficients: Array, n_keep: int, xp: Namespace) -> Array:
    size = math.prod(coefficients.shape)
    moduli = xp.reshape(xp.abs(coefficients), (-1,))
    smallest_kept = arrays.kth_smallest(moduli, size - n_keep, xp=xp)
    return without_smaller(coefficients, smallest_kept, xp=xp)


def kept(thresh: float, size: int) -> int:
    """Return how many of `size` coefficients are kept."""
    return max(1, math.floor(thresh * size))


def without_smaller(coefficients: Array, smallest_kept: Array, *, xp: Namespace) -> Array:
    """Set coefficients of a smaller modulus to 0."""
    # "not smaller" rather than "at least as large" keeps NaN visible
    smaller = xp.abs(coefficients) < smallest_kept
    return xp.where(smaller, xp.zeros_like(coefficients), coefficients)
