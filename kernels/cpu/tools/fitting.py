"""The fit of a plane c + g_y·y + g_x·x to each slice of an object.

Sums are taken of pieces of some rows, whose bounds do not depend on the number of threads, and in
float64. A slice is one of the planes (number, pixels); `index` says whose weights are whose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from arraycon.kernels.agnostic.tools import planes as least_squares
from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools import elementary, phasors
from arraycon.kernels.cpu.tools.compiled import kernel, summing
from arraycon.kernels.cpu.tools.planes import GRAIN, split, weights_of
from arraycon.kernels.cpu.tools.sums import BLOCK

# A pixel whose sine and cosine are taken, 5 ns, is worth as many others.
_WAVES = 16


class Fit:
    """The fit of a plane to each slice, with the memory that it needs.

    Parameters
    ----------
    phase : array, shape (..., nz, ny, nx)
    weight : array or None
        Of pixels.
    ramp : bool
        Whether there are slopes, or a constant alone.
    """

    def __init__(self, phase: Array, weight: Array | None, *, ramp: bool) -> None:
        self._planes, self._ramp = split(phase), ramp
        self._weights, self._index = weights_of(weight, phase)
        self._nz, ny, nx = phase.shape[-3:]
        self._shape = ny, nx
        self._steps = np.arange(nx, dtype=np.float64) - nx // 2
        self._rows = max(1, BLOCK // nx)
        self._pieces = -(-ny // self._rows)
        self._tables = elementary.tables(np.dtype(np.float64))
        self._sums = np.empty((len(self._planes) * self._pieces, 4))
        self._extents = np.empty((1 if self._weights is None else len(self._weights), 6))
        self._centres = np.zeros((len(self._extents), 2))

    def by_plane(self) -> Array:
        """Least squares: c, g_y and g_x of each slice."""
        total, there = self._weigh()
        which = self._index[: self._nz]
        sums = self._add(_add_moments, self._centres, cost=1)[:, :3]
        sums /= len(self._planes) // self._nz
        found = np.zeros((self._nz, 3))
        found[:, 0] = sums[:, 0] / total
        if self._ramp:
            left = self._extents[which][:, [[3, 4], [4, 5]]]
            slopes = least_squares.slopes(left, sums[:, 1:], total, self._shape, xp=xp)
            found[:, 0] -= np.sum(slopes * self._centres[which], axis=1)
            found[:, 1:] = slopes
        return np.where(there[:, None], found, 0)

    def by_gradient(self) -> Array:
        """Angles of mean phasors between neighbours, then of what their slopes leave."""
        _, there = self._weigh()
        found = np.zeros((self._nz, 3))
        if self._ramp:
            sums = self._add(phasors.add_turns, self._tables, cost=_WAVES)
            found[:, 1:] = np.arctan2(sums[:, 1::2], sums[:, ::2])
        sums = self._add(phasors.add_phasors, found[:, 1:].copy(), self._tables, cost=_WAVES)
        found[:, 0] = np.arctan2(sums[:, 1], sums[:, 0])
        return np.where(there[:, None], found, 0)

    def _add(self, kernel: Callable[..., None], *arguments: Any, cost: int) -> Array:
        """Return the sums of all object modes of each slice."""
        given = self._planes, self._weights, self._index, self._steps, self._rows, *arguments

        def work(first: int, last: int) -> None:
            kernel(*given, first, last, self._sums)

        size = min(self._rows * self._shape[1], self._planes.shape[1])
        threads.run(work, len(self._sums), grain=max(1, GRAIN // (cost * size)))
        total: Array = self._sums.reshape(-1, self._nz, self._pieces, 4).sum(axis=(0, 2))
        return total

    def _weigh(self) -> tuple[Array, Array]:
        """Take the weights' moments; return each slice's sum, 1 for 0, and whether it is not 0.

        About their centroid: about any other point they lose their digits where it is far away.
        """
        if self._weights is None:
            self._weigh_all_alike()
        else:
            self._centres[:] = 0
            self._weigh_about_centres()
            totals = self._extents[:, :1]
            self._centres[:] = self._extents[:, 1:3] / np.where(totals == 0, 1, totals)
            self._weigh_about_centres()
        total = self._extents[self._index[: self._nz], 0]
        there = total != 0
        return np.where(there, total, 1), there

    def _weigh_all_alike(self) -> None:
        ny, nx = self._shape
        y, x = (np.arange(n) - (n - 1) / 2 for n in (ny, nx))
        self._centres[:] = [(n - 1) / 2 - n // 2 for n in (ny, nx)]
        self._extents[:] = ny * nx, 0, 0, nx * np.sum(y**2), 0, ny * np.sum(x**2)

    def _weigh_about_centres(self) -> None:
        def work(first: int, last: int) -> None:
            _weigh_planes(self._weights, self._steps, self._centres, first, last, self._extents)

        threads.run(work, len(self._extents), grain=max(1, GRAIN // self._planes.shape[1]))


@kernel
def _weigh_planes(weights, steps, centres, first, last, extents):
    """Σw, Σw·dy, Σw·dx, Σw·dy², Σw·dy·dx and Σw·dx² of planes of weights."""
    nx = steps.size
    ny = weights.shape[1] // nx
    for p in range(first, last):
        extents[p] = 0
        for y in range(ny):
            row = weights[p, y * nx : (y + 1) * nx]
            total, along_x, square_x = _weigh_row(row, steps, centres[p, 1])
            dy = y - ny // 2 - centres[p, 0]
            extents[p, 0] += total
            extents[p, 1] += dy * total
            extents[p, 2] += along_x
            extents[p, 3] += dy * (dy * total)
            extents[p, 4] += dy * along_x
            extents[p, 5] += square_x


@summing
def _weigh_row(weights, steps, centre):
    total = along = square = 0.0
    for j in range(weights.size):
        weight, dx = np.float64(weights[j]), steps[j] - centre
        total += weight
        along += weight * dx
        square += weight * dx * dx
    return total, along, square


@kernel
def _add_moments(planes, weights, index, steps, rows, centres, first, last, sums):
    """Σwφ, Σwφ·dy and Σwφ·dx of pieces."""
    nx = steps.size
    ny = planes.shape[1] // nx
    pieces = -(-ny // rows)
    for task in range(first, last):
        p, i = divmod(task, pieces)
        center_y, center_x = centres[index[p]]
        sums[task] = 0
        for y in range(i * rows, min(ny, (i + 1) * rows)):
            part = slice(y * nx, (y + 1) * nx)
            if weights is None:
                total, along = _moments(planes[p, part], steps, center_x)
            else:
                total, along = _weighted_moments(
                    planes[p, part], weights[index[p], part], steps, center_x
                )
            sums[task, 0] += total
            sums[task, 1] += (y - ny // 2 - center_y) * total
            sums[task, 2] += along


@summing
def _moments(values, steps, centre):
    total = along = 0.0
    for j in range(values.size):
        value = np.float64(values[j])
        total += value
        along += value * (steps[j] - centre)
    return total, along


@summing
def _weighted_moments(values, weights, steps, centre):
    total = along = 0.0
    for j in range(values.size):
        value = np.float64(weights[j]) * values[j]
        total += value
        along += value * (steps[j] - centre)
    return total, along
