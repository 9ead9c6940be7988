"""Gaussian blurs of the object, laterally and in depth, and of the tilts over the scan."""

from __future__ import annotations

import numpy as np

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace


def obj_rblur(obj: Array, *, taps: tuple[float, ...], xp: Namespace) -> Array:
    """Blur along the last two axes, reflecting at the edges without repeating the edge pixel."""
    for axis in (-2, -1):
        obj = _correlate(obj, taps, _reflected(obj.shape[axis], len(taps)), axis, xp)
    return obj


def obj_zblur(obj: Array, *, taps: tuple[float, ...], xp: Namespace) -> Array:
    """Blur along axis -3, replicating the first and the last slice."""
    return _correlate(obj, taps, _replicated(obj.shape[-3], len(taps)), -3, xp)


def tilt_smooth(
    tilts: Array, *, scan_shape: tuple[int, int], taps: tuple[float, ...], xp: Namespace
) -> Array:
    """Blur over the two scan axes, reflecting as `obj_rblur`."""
    grid = xp.reshape(tilts, (*scan_shape, 2))
    for axis in (0, 1):
        grid = _correlate(grid, taps, _reflected(grid.shape[axis], len(taps)), axis, xp)
    return xp.reshape(grid, tilts.shape)


def _reflected(n: int, taps: int) -> np.ndarray:
    """Extend the indices of an axis of size n by taps//2 at both ends, with period 2(n - 1)."""
    index = np.arange(-(taps // 2), n + taps // 2)
    period = max(2 * (n - 1), 1)
    return np.asarray(n - 1 - np.abs(index % period - (n - 1)))


def _replicated(n: int, taps: int) -> np.ndarray:
    return np.clip(np.arange(-(taps // 2), n + taps // 2), 0, n - 1)


def _correlate(
    x: Array, taps: tuple[float, ...], index: np.ndarray, axis: int, xp: Namespace
) -> Array:
    if len(taps) == 1:
        return arrays.copy(x, xp=xp)
    padded = xp.take(x, xp.asarray(index, device=arrays.device(x)), axis=axis)
    n = x.shape[axis]
    window = [slice(None)] * x.ndim
    total = xp.zeros_like(x)
    for offset, tap in enumerate(taps):
        window[axis] = slice(offset, offset + n)
        total = total + tap * padded[tuple(window)]
    return total
