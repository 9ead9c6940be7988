"""Subset: a fixed random choice of the patterns, and what a model makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

from arraycon.kernels.common import arrays, check
from arraycon.misfit import misfit_ratio

Array: TypeAlias = Any
Indices: TypeAlias = Any
"""Numbers of patterns: NumPy, one axis, integer, ascending."""
Forward: TypeAlias = Callable[[Indices], Array]
"""From numbers of patterns to intensities (number, ky, kx) of the model as it is now."""


class Subset:
    """The same patterns each time, so that what changes is the model.

    Parameters
    ----------
    counts : array, shape (n, ky, kx), or callable
        Measured patterns, of which only those that are chosen are kept; or what returns them for
        given numbers, as `forward` does for the model.
    forward : callable
        ``forward(indices)``.
    total : int, optional
        Number n of all patterns; needed where `counts` is a callable.
    number : int
        How many are chosen, all where there are fewer.
    seed : int
        Of the choice.
    counts_per_unit : float
        Counts per unit of `counts` and of what `forward` returns.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or range.
    """

    def __init__(
        self,
        counts: Array | Callable[[Indices], Array],
        forward: Forward,
        *,
        total: int | None = None,
        number: int = 48,
        seed: int = 0,
        counts_per_unit: float = 1.0,
    ) -> None:
        if not callable(forward):
            raise TypeError(f"forward: expected a callable, got {type(forward).__name__}")
        number = check.integer("number", number, low=1)
        seed = check.integer("seed", seed, low=0)
        self._scale = check.number("counts_per_unit", counts_per_unit, above=0)
        if total is None:
            total = _patterns(counts)
        rng = np.random.default_rng(seed)
        self.indices = np.sort(rng.choice(total, min(number, total), replace=False))
        self._forward = forward
        self._counts = counts(self.indices) if callable(counts) else _taken(counts, self.indices)

    def misfit(self) -> Array:
        """Q of these patterns, an array without axes that nothing has waited for."""
        model, counts = self._pair()
        return misfit_ratio(model, counts)

    def error(self) -> Array:
        r"""Return :math:`\sum(\sqrt m - \sqrt n)^2 / \sum n`, an array without axes."""
        model, counts = self._pair()
        xp = arrays.namespace(model=model)
        wide = arrays.wide(model, xp=xp)
        difference = xp.sqrt(xp.astype(model, wide)) - xp.sqrt(xp.astype(counts, wide))
        return xp.sum(difference * difference) / xp.sum(xp.astype(counts, wide))

    def _pair(self) -> tuple[Array, Array]:
        model = self._forward(self.indices)
        xp = arrays.namespace(**{"forward's intensities": model})
        if arrays.library(self._counts) != arrays.library(model):
            # float32 holds counts up to 2^24; some libraries have no unsigned integers
            own = np.asarray(self._counts, np.float32)
            self._counts = xp.asarray(own, device=arrays.device(model))
        if tuple(model.shape) != tuple(self._counts.shape):
            raise ValueError(
                f"forward: expected intensities of shape {tuple(self._counts.shape)}, as the "
                f"counts, got {tuple(model.shape)}"
            )
        if self._scale == 1:
            return model, self._counts
        return model * self._scale, self._counts * self._scale


def _patterns(counts: Array) -> int:
    shape = getattr(counts, "shape", None)
    if shape is None or len(shape) != 3:
        what = type(counts).__name__ if shape is None else tuple(shape)
        raise TypeError(f"counts: expected patterns of shape (n, ky, kx), got {what}")
    if 0 in shape:
        raise ValueError(f"counts: expected at least one pattern, got {tuple(shape)}")
    return int(shape[0])


def _taken(counts: Array, indices: Indices) -> Array:
    if isinstance(counts, np.ndarray) or not array_api_compat.is_array_api_obj(counts):
        return np.asarray(counts[indices])  # or a data set in a file
    xp = arrays.namespace(counts=counts)
    return xp.take(counts, xp.asarray(indices, device=arrays.device(counts)), axis=0)
