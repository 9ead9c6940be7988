"""The slopes of a weighted least-squares plane, from sums about the weights' centroid."""

from __future__ import annotations

import math

from arraycon.kernels.common.arrays import Array, Namespace

# Singular values of the normal matrix below this share of the largest count as 0: along an axis of
# size 1 there is no slope. And below this share of the square of a size there is no extent: the
# rounded centroid of a single pixel lies beside it, and gave a slope of 10¹⁵ rad/px.
_CUT = 1e-12
_EXTENT = 1e-20


def slopes(
    left: Array, right: Array, total: Array, shape: tuple[int, int], *, xp: Namespace
) -> Array:
    """Return g_y and g_x, (..., 2).

    Parameters
    ----------
    left : array, shape (..., 2, 2)
        Normal matrices: sums of the weights times dy², dy·dx and dx².
    right : array, shape (..., 2)
        Sums of weights and values times dy and dx.
    total : array, shape (...)
        Sums of weights, not 0.
    shape : tuple of int
        (ny, nx).
    """
    extended = [left[..., i, i] > _EXTENT * n**2 * total for i, n in enumerate(shape)]
    there = xp.astype(xp.stack(extended, axis=-1), left.dtype)  # NaN stays NaN
    inverse = _pseudo_inverse(left * there[..., :, None] * there[..., None, :], xp)
    return (inverse @ (right * there)[..., None])[..., 0]


def _pseudo_inverse(matrices: Array, xp: Namespace) -> Array:
    # a decomposition may fail or hang on NaN
    finite = xp.all(xp.isfinite(matrices), axis=(-2, -1))[..., None, None]
    safe = xp.where(finite, matrices, xp.zeros_like(matrices))
    inverse = xp.linalg.pinv(safe, rtol=_CUT)
    return xp.where(finite, inverse, xp.full_like(inverse, math.nan))
