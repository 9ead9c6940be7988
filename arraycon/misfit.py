"""Misfit: how far a model is from counts, in units of what noise alone makes."""

from __future__ import annotations

import functools
import math
from typing import Any, TypeAlias

import numpy as np

from arraycon.kernels.common import arrays, check

Array: TypeAlias = Any
Namespace: TypeAlias = Any

_LARGEST = 8.0  # of √m: beyond it the series in 1/m is right to 3e-7
_STEPS = 2048  # to _LARGEST: straight lines between them are right to 8e-6
_BLOCK = 1 << 18  # pixels that are worked on at a time


def misfit_ratio(model: Array, counts: Array) -> Array:
    r"""Misfit of a model to counts over what is expected of noise alone.

    .. math::

        Q = \sum (\sqrt m - \sqrt n)^2 / \sum g(m), \qquad
        g(m) = \operatorname{E}(\sqrt N - \sqrt m)^2,\ N \sim \mathrm{Poisson}(m)

    1: the model fits to the noise. Below, it fits noise; above, it does not fit. The usual error
    :math:`\sum(\sqrt m - \sqrt n)^2 / \sum n` says neither, because its floor depends on the dose.

    Parameters
    ----------
    model : array, any shape, float32 or float64
        Expected counts m ≥ 0 per pixel: intensities in the unit of `counts`.
    counts : array, same shape, real or integer
        Measured counts n.

    Returns
    -------
    array, 0-d, float64
        Q, on the device of the arrays, which is not waited for. NaN where there are no pixels, or a
        value is negative or NaN. float32 where JAX has no other.

    Raises
    ------
    TypeError
        One of them is no array of such a dtype, or they come from different libraries.
    ValueError
        The shapes differ.

    Notes
    -----
    :math:`g` rises from 0 over 0.078 at m = 0.05 and 0.454 at 1, falls to 0.263 at 10, and tends to
    1/4, the variance that the square root gives to counts. Counts of a detector with gain or
    read-out noise have to be scaled first.

    References
    ----------
    M. S. Bartlett, Suppl. J. R. Stat. Soc. 3, 68 (1936).

    Examples
    --------
    >>> import arraycon, numpy
    >>> rng = numpy.random.default_rng(0)
    >>> model = rng.uniform(0, 4, (100, 64, 64))
    >>> counts = rng.poisson(model).astype(float)
    >>> round(float(arraycon.misfit_ratio(model, counts)), 2)
    1.0
    >>> round(float(arraycon.misfit_ratio(0.5 * model, counts)), 2)
    1.12
    """
    xp = arrays.namespace(model=model, counts=counts)
    check.array("model", model, kind="real", ndim=0)
    if not xp.isdtype(counts.dtype, ("integral", "real floating")):
        raise TypeError(f"counts: expected numbers or integers, got {counts.dtype}")
    check.same("counts", counts, "model", model, dtype=counts.dtype)
    dtype = arrays.wide(model, xp=xp)
    table = xp.asarray(_table(), dtype=dtype, device=arrays.device(model))
    misfit = expected = xp.zeros((), dtype=dtype, device=arrays.device(model))
    flat_model, flat_counts = xp.reshape(model, (-1,)), xp.reshape(counts, (-1,))
    size = math.prod(model.shape)
    for start in range(0, size, _BLOCK):
        block = slice(start, min(start + _BLOCK, size))
        m, n = xp.astype(flat_model[block], dtype), xp.astype(flat_counts[block], dtype)
        misfit = misfit + xp.sum(_squares(m, n, xp))
        expected = expected + xp.sum(_expected(m, table, xp))
    nothing = expected == 0  # no noise is expected: anything that differs is too much
    ratio = misfit / xp.where(nothing, xp.ones_like(expected), expected)
    beyond = xp.where(misfit > 0, xp.full_like(misfit, math.inf), xp.full_like(misfit, math.nan))
    return xp.where(nothing, beyond, ratio)


def _squares(m: Array, n: Array, xp: Namespace) -> Array:
    # roots of negative numbers are NaN, which NumPy would warn of
    roots = (xp.sqrt(xp.where(x < 0, math.nan, x)) for x in (m, n))
    one, other = roots
    return (one - other) ** 2


def _expected(m: Array, table: Array, xp: Namespace) -> Array:
    """Return g, by straight lines of g/m in √m, which is smooth at 0, and beyond by its series."""
    tabled = m < _LARGEST**2
    few = xp.where(tabled & (m > 0), m, xp.zeros_like(m))
    place = xp.sqrt(few) * (_STEPS / _LARGEST)
    index = xp.astype(place, xp.int32)  # JAX may have no other
    low, high = xp.take(table, index, axis=0), xp.take(table, index + 1, axis=0)
    ratio = low + (place - xp.astype(index, m.dtype)) * (high - low)
    return xp.where(tabled, few * ratio, _series(xp.where(tabled, xp.ones_like(m), m)))


def _series(m: Array) -> Array:
    # from the expansion of E√N in the central moments
    return 0.25 + (7 / 64 + (75 / 512 + 5509 / 16384 / m) / m) / m


@functools.cache
def _table() -> np.ndarray[Any, Any]:
    r"""Return g/m at equal steps of √m, from :math:`g = 2m - 2\sqrt m \operatorname{E}\sqrt N`."""
    roots = np.arange(1, _STEPS + 2) * (_LARGEST / _STEPS)
    m = roots**2
    k = np.arange(1, int(_LARGEST**2 + 12 * _LARGEST))[:, None]
    logarithms = np.array([math.lgamma(i + 1) for i in k[:, 0]])[:, None]
    chances = np.exp(k * np.log(m) - m - logarithms)
    ratio = 2 - 2 / roots * np.sum(np.sqrt(k) * chances, axis=0)
    return np.concatenate([[2.0], ratio])
