"""The two scores: what unseen counts say, and what two halves have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import xlogy

_DARK = 1e-3  # of the mean count per pixel: no model is so sure that a pixel stays dark


def thinned(counts: Any, fraction: float, rng: np.random.Generator) -> tuple[Any, Any]:
    """Split counts by chance; the parts are independent where the counts are Poissonian.

    Parameters
    ----------
    counts : array, shape (n, ky, kx), integer
    fraction : float
        Probability that a count goes to the first part.
    rng : Generator

    Returns
    -------
    tuple of array
        Of the shape and dtype of `counts`, which is their sum.
    """
    taken = rng.binomial(counts, fraction).astype(counts.dtype)
    return taken, counts - taken


def deviance(model: Any, counts: Any) -> Any:
    r"""Poisson deviance of each pattern, :math:`2\sum(m - n + n\ln(n/m))`.

    Less is better; apart from a constant of the counts it is minus twice the log-likelihood.

    Parameters
    ----------
    model, counts : array, shape (n, ky, kx)
        Expected and measured counts.

    Returns
    -------
    array, shape (n,), float64
    """
    found = np.empty(len(counts))
    dark = _DARK * max(float(counts.mean(dtype=np.float64)), np.finfo(float).tiny)
    for i, (m, n) in enumerate(zip(model, counts, strict=True)):  # no float64 copy of all
        expected, seen = m.astype(np.float64) + dark, n.astype(np.float64)
        found[i] = 2 * np.sum(expected - seen + xlogy(seen, seen / expected))
    return found


def agreement(one: Any, other: Any) -> float:
    """Correlation of two volumes (nz, ny, nx) without the mean of each slice; 0 if one is flat."""
    x, y = (_without_mean(np.asarray(volume, np.float64)) for volume in (one, other))
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.vdot(x, y)) / norm if norm > 0 else 0.0


def agreements(one: Any, other: Any) -> Any:
    """`agreement` of each lateral quarter, (4,): how much it differs from place to place."""
    ny, nx = one.shape[-2] // 2, one.shape[-1] // 2
    quarters = [(..., y, x) for y in (slice(ny), slice(ny, None))
                for x in (slice(nx), slice(nx, None))]  # fmt: skip
    return np.array([agreement(one[part], other[part]) for part in quarters])


def _without_mean(volume: Any) -> Any:
    return volume - volume.mean(axis=(-2, -1), keepdims=True)
