"""Bins of a spectrum near the harmonics of a grid."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# So that rounding decides nothing where a bin, or a harmonic, is on the edge.
_SLACK = 1e-9


def stopped(
    ny: int,
    nx: int,
    *,
    dx: float,
    period: tuple[float, float],
    window: float,
    direction: str,
    rotation: float,
) -> NDArray[np.bool_]:
    """Return which bins (ny, nx//2 + 1) of a real slice's spectrum lie in a window."""
    stop = np.zeros((ny, nx // 2 + 1), np.bool_)
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    for m, n in _orders(period, dx, direction):
        along_y, along_x = m / period[0], n / period[1]
        hy = ny * dx * (cos * along_y - sin * along_x)
        hx = nx * dx * (sin * along_y + cos * along_x)
        if abs(hy) <= ny / 2 + _SLACK and abs(hx) <= nx / 2 + _SLACK:
            columns = _near(hx, nx, window)
            stop[np.ix_(_near(hy, ny, window), columns[columns <= nx // 2])] = True
    stop[0, 0] = False
    return stop


def harmonics(period: tuple[float, float], dx: float, direction: str) -> int:
    """Return how many there are, the one at 0 included."""
    y, x = (2 * limit + 1 for limit in limits(period, dx))
    return {"y": y, "x": x, "axes": y + x - 1, "xy": y * x}[direction]


def limits(period: tuple[float, float], dx: float) -> tuple[int, int]:
    """Highest orders along y and x, as if the grid were not rotated."""
    # more than fit into a float's digits are too many anyway
    y, x = (math.floor(min(each / dx / 2 * (1 + _SLACK), 1e15)) for each in period)
    return y, x


def _orders(period: tuple[float, float], dx: float, direction: str) -> Iterator[tuple[int, int]]:
    """Orders (m, n) but (0, 0)."""
    y, x = limits(period, dx)
    for m in range(-y, y + 1) if direction != "x" else (0,):
        for n in range(-x, x + 1) if direction != "y" and (direction != "axes" or m == 0) else (0,):
            if (m, n) != (0, 0):
                yield m, n


def _near(harmonic: float, size: int, window: float) -> NDArray[np.intp]:
    """Bins at most a window from a harmonic, modulo the size of the axis."""
    reach = min(window + _SLACK, size)
    first, last = math.ceil(harmonic - reach), math.floor(harmonic + reach)
    return np.arange(first, min(last + 1, first + size)) % size
