"""Planes c + g_y·y + g_x·x: taken from slices, and made up for in the probe."""

from __future__ import annotations

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.planes import piece_from
from arraycon.kernels.cpu.tools.sums import CHUNK, keep_values, squares


def turns(ny: int, nx: int, slope_y: float, slope_x: float) -> tuple[Array, Array]:
    """Factors of the rows and of the columns of a probe, exp(i g·r); cosines, then sines."""
    angles = ((np.arange(n) - n // 2) * g for n, g in ((ny, slope_y), (nx, slope_x)))
    along_y, along_x = (np.stack([np.cos(angle), np.sin(angle)]) for angle in angles)
    return along_y, along_x


@kernel
def subtract(rows, ny, ramps, first, last, measured):
    """Subtract from each slice its plane; rows (number, nx)."""
    nx = rows.shape[1]
    old = np.empty(CHUNK if measured else 0, rows.dtype)
    changed = before = 0.0
    start = first
    while start < last:
        r, i, stop = piece_from(start, last, nx, old.size)
        x = rows[r, i:stop]
        was = old[: x.size]
        keep_values(x[: was.size], was)
        p, y = divmod(r, ny)
        ramp = ramps[p % len(ramps)]
        _subtract_from_row(x, ramp[0] + ramp[1] * (y - ny // 2), ramp[2], i - nx // 2)
        more, size = squares(x[: was.size], was)
        changed += more
        before += size
        start += x.size
    return changed, before


@kernel
def _subtract_from_row(x, level, slope, begin):
    for k in range(np.int32(x.size)):
        x[k] -= x.dtype.type(level + slope * np.float64(np.int32(begin + k)))


@kernel
def turn(rows, ny, along_y, along_x, first, last, measured):
    """Multiply modes by the factors of their rows and columns; rows (number, 2·nx), in pairs."""
    nx = rows.shape[1] // 2
    old = np.empty(2 * CHUNK if measured else 0, rows.dtype)
    changed = before = 0.0
    start = first
    while start < last:
        r, i, stop = piece_from(start, last, nx, old.size // 2)
        x = rows[r, 2 * i : 2 * stop]
        was = old[: x.size]
        keep_values(x[: was.size], was)
        cosine, sine = along_y[0, r % ny], along_y[1, r % ny]
        for k in range(stop - i):
            c, s = along_x[0, i + k], along_x[1, i + k]
            by = x.dtype.type(cosine * c - sine * s)
            by_i = x.dtype.type(cosine * s + sine * c)
            real, imag = x[2 * k], x[2 * k + 1]
            x[2 * k] = real * by - imag * by_i
            x[2 * k + 1] = real * by_i + imag * by
        more, size = squares(x[: was.size], was)
        changed += more
        before += size
        start += stop - i
    return changed, before
