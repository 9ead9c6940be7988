"""Filter of a real slice in its own memory.

A real row of n numbers has a spectrum of n numbers: that of frequency 0, which is real, pairs of
the others, and of an even n the highest one, real again. So it takes the row's place, and columns
are transformed there, multiplied and transformed back. Rows and columns do not know of each other,
so that threads share a slice.

Each number comes out as by `transform.filter_real`, to the last bit. One thread takes as long as
there (256² and 384² float32 1.0 and 1.1 times, 405², 1500×1296 and 97×614 1.0), where rows are a
power of two and columns compete for few places in the cache more: 512² 1.2, 1024² 1.2, in float64
1.3 and 1.2. Turning rows against each other by some columns gained 0.06 of that.
"""

from __future__ import annotations

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.fft import butterflies as move
from arraycon.kernels.cpu.fft import lanes
from arraycon.kernels.cpu.fft.plans import plan_of
from arraycon.kernels.cpu.fft.tile import fft, tile_for
from arraycon.kernels.cpu.tools.compiled import kernel, summing


class Packed:
    """The filter of slices (ny, nx) as `InPlace`."""

    def __init__(self, like: Array, mask: Array) -> None:
        ny, nx = like.shape
        self._mask, self._lane = mask, lanes.BYTES // like.itemsize
        self._of_rows, self._of_columns = plan_of(nx, like.dtype), plan_of(ny, like.dtype)
        self.rows = -(-ny // (2 * self._lane))
        # the real numbers, and all others but for those that do not fill a vector
        self.columns = 1 + (nx - 1) // 2 // self._lane

    @staticmethod
    def suits(x: Array) -> bool:
        """Tell whether there are enough columns for a vector."""
        return bool((x.shape[1] - 1) // 2 >= lanes.BYTES // x.itemsize)

    def memory(self) -> None:
        """Nothing: tiles are made where they are needed."""

    def forward_rows(self, x: Array, first: int, last: int, _: None) -> None:
        """Replace rows by twice their spectra."""
        _forward_rows(x, first, last, self._of_rows)

    def filter_columns(
        self, x: Array, changes: Array | None, first: int, last: int, _: None
    ) -> None:
        """Transform columns, multiply and transform back."""
        noted = np.empty(0) if changes is None else changes
        _filter_columns(x, self._mask, first, last, self._of_columns, noted)

    def backward_rows(self, x: Array, first: int, last: int, _: None) -> None:
        """Replace spectra by rows."""
        _backward_rows(x, first, last, self._of_rows)


@kernel
def _forward_rows(x, first, last, plan):
    """Twice the spectra of rows, in their place: of some parts of as many rows as fit a tile."""
    ny, nx = x.shape
    pairs = (nx - 1) // 2
    flat = x.reshape(-1)
    tile, lane = tile_for(nx, plan)
    # the first pair is frequency 1, and behind the first number
    order, inner = plan.frequency[1:], flat[1:]
    for row in range(2 * lane * first, min(2 * lane * last, ny), 2 * lane):
        for part in (0, lane):
            for column in range(0, nx, lane):
                start = min(column, nx - lane)
                move.load_rows(x, row + part, ny - 1, nx, start, tile, part, plan.natural)
        fft(tile, nx, plan)
        for column in range(0, pairs, lane // 2):
            k = min(column, pairs - lane // 2)
            move.split_rows(tile, nx - 2, order, inner, row, ny - 1, nx, k)
        _store_ends(tile, plan.frequency, flat, row, ny, nx)


@kernel
def _store_ends(tile, frequency, flat, row, ny, nx):
    """Twice the real numbers, of frequencies 0 and n/2."""
    number = 2 * lanes.BYTES // tile.itemsize
    lowest, highest = frequency[0] * number, frequency[nx // 2] * number
    two = tile.dtype.type(2)
    for i in range(number):  # the last row several times: of equal ones the last counts, as above
        place = min(row + i, ny - 1) * nx
        flat[place] = two * tile[lowest + i]
        if nx % 2 == 0:
            flat[place + nx - 1] = two * tile[highest + i]


@kernel
def _backward_rows(x, first, last, plan):
    """Rows from their spectra, times nx."""
    ny, nx = x.shape
    pairs = (nx - 1) // 2
    flat = x.reshape(-1)
    tile, lane = tile_for(nx, plan)
    inner, others = flat[1:], tile[2 * lane :]
    for row in range(2 * lane * first, min(2 * lane * last, ny), 2 * lane):
        _load_ends(flat, tile, row, ny, nx)
        for column in range(0, pairs, lane // 2):
            k = min(column, pairs - lane // 2)
            move.join_pairs(inner, row, ny - 1, nx, k, others, nx - 2)
        fft(tile, nx, plan)
        for part in (0, lane):
            for column in range(0, nx, lane):
                start = min(column, nx - lane)
                move.store_rows(tile, part, plan.frequency, x, row + part, ny - 1, nx, start)


@kernel
def _load_ends(flat, tile, row, ny, nx):
    number = 2 * lanes.BYTES // tile.itemsize
    for i in range(number):
        place = min(row + i, ny - 1) * nx
        tile[i] = flat[place]
        if nx % 2 == 0:
            tile[nx // 2 * number + i] = flat[place + nx - 1]


@kernel
def _filter_columns(x, mask, first, last, plan, changes):
    """Filter the columns of some parts: part 0 has the real numbers, the last one what is left.

    What does not fill a vector is done by going back to where a whole one ends with the last
    column. So the columns before it are read again, and must be those of the same thread.
    """
    ny, nx = x.shape
    flat, factors = x.reshape(-1), mask.reshape(-1)
    scale = x.dtype.type(0.5 / x.size)
    tile, lane = tile_for(ny, plan)
    filtered, _ = tile_for(ny, plan)
    if first == 0:
        changed = _filter_ends(flat, ny, nx, mask, tile, filtered, scale, plan, changes.size > 0)
        if changes.size:
            changes[0] = changed
    pairs = (nx - 1) // 2
    parts = pairs // lane
    for part in range(max(first - 1, 0), last - 1):
        changed = 0.0
        for column in range(part * lane, pairs if part == parts - 1 else (part + 1) * lane, lane):
            start = min(column, pairs - lane)
            for row in range(ny):
                move.load_columns(flat, row * nx + 2 * start + 1, tile, row, 0, lane)
            _filter_tile(tile, filtered, ny, factors, mask.shape[1], start + 1, plan)
            for row in range(ny):
                place, i = row * nx + 2 * start + 1, plan.frequency[row]
                move.store_columns(filtered, i, lane, 0, flat, place, scale, column - start)
            if changes.size:
                place = start + 1
                changed += _dropped(tile, ny, factors, mask.shape[1], place, column - start, plan)
        if changes.size:
            changes[part + 1] = 2 * changed


@kernel
def _filter_ends(flat, ny, nx, mask, tile, filtered, scale, plan, measured):
    """Filter the columns of frequencies 0 and n/2: complex ones whose imaginary parts are 0."""
    lane = lanes.BYTES // tile.itemsize
    number = 1 if nx % 2 else 2
    factors = np.zeros(len(mask) * lane, flat.dtype)
    tile[:] = 0
    for end in range(number):
        for ky in range(len(mask)):
            factors[ky * lane + end] = mask[ky, end * (nx // 2)]
        for row in range(ny):
            tile[2 * lane * row + end] = flat[row * nx + end * (nx - 1)]
    _filter_tile(tile, filtered, ny, factors, lane, 0, plan)
    for end in range(number):
        for row in range(ny):
            place = 2 * lane * plan.frequency[row] + lane + end
            flat[row * nx + end * (nx - 1)] = scale * filtered[place]
    return _dropped(tile, ny, factors, lane, 0, 0, plan) if measured else 0.0


@kernel
def _row_of_mask(ky, ny, size, stride):
    """Row of a frequency in a mask that is even in ky, or has all of them."""
    return ky if size == ny * stride else min(ky, ny - ky)


@kernel
def _filter_tile(tile, filtered, ny, factors, stride, start, plan):
    """FFT of columns, which stays in the tile; multiplied and transformed back in the other."""
    fft(tile, ny, plan)
    for row in range(ny):
        place = _row_of_mask(row, ny, factors.size, stride) * stride + start
        move.multiply(tile, plan.frequency[row], factors, place, filtered, row)
    fft(filtered, ny, plan)


@summing
def _dropped(tile, ny, factors, stride, start, done, plan):
    """Σ|(M - 1)X|² of all columns but those that are done; the tile has twice of X."""
    lane = lanes.BYTES // tile.itemsize
    total = 0.0
    for row in range(ny):
        first = _row_of_mask(row, ny, factors.size, stride) * stride + start
        place = 2 * lane * plan.frequency[row]
        for j in range(done, lane):
            change = 0.5 * (np.float64(factors[first + j]) - 1.0)
            real, imag = np.float64(tile[place + j]), np.float64(tile[place + lane + j])
            total += change * change * (real * real + imag * imag)
    return total
