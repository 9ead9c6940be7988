"""A filter of a few large slices by all threads: each in place, by blocks of rows and columns.

What filters a slice by itself needs memory for its spectrum: 1.4 arrays where there is one slice.
Here rows are transformed in place, then a few columns at a time are transformed, multiplied and
transformed back: 0.34 arrays, most of which are the mask. One thread takes 2.1 times as long at
512² and 2.6 at 2048²; several share a slice here, which they do not there.
"""

from __future__ import annotations

import numpy as np

from arraycon.kernels.common import fft, threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.sums import squares

# Below so many pixels the spectrum's memory, 23 MB in float32, is worth the time.
_LEAST = 1 << 22
# Rows, and columns, at a time: the blocks of a thread are so much of a slice.
_SHARE = 12


def suits(planes: Array) -> bool:
    """Whether slices (n, ny, nx) are so few, and so large, that they are filtered one by one."""
    n, ny, nx = planes.shape
    few = n == 1 or n < threads.count()
    return few and bool(planes.dtype.kind == "f" and nx % 2 == 0 and ny * nx >= _LEAST)


class Alone:
    """The filter of slices, with its memory.

    Parameters
    ----------
    planes : array, shape (n, ny, nx)
        Real, nx even.
    mask : array, shape (ny//2 + 1, nx//2 + 1)
    """

    def __init__(self, planes: Array, mask: Array) -> None:
        _, ny, nx = planes.shape
        self._mask = mask
        self._rows, self._columns = max(1, ny // _SHARE), max(1, nx // 2 // _SHARE)
        pairs = np.result_type(planes.dtype, np.complex64)
        size = max(ny * self._columns, self._rows * (nx // 2 + 1))
        self._changes = np.zeros(-(-nx // 2 // self._columns))
        most = max(len(self._changes), -(-ny // self._rows))
        self._memory = threads.memory(lambda: scratch_memory(np.empty, (size,), pairs), most)

    def __call__(self, x: Array, sums: Array | None = None) -> None:
        """Filter one slice in place; note Σ(new - old)² and Σold² where asked."""
        if sums is not None:
            sums[1] = squares(x.reshape(-1), x.reshape(-1))[1]
        # each row holds its spectrum but for two numbers that are real: they share the first place
        packed = x.view(self._memory[0].dtype)
        self._by_rows(x, packed, inverse=False)
        self._by_columns(packed)
        self._by_rows(x, packed, inverse=True)
        if sums is not None:
            sums[0] = np.sum(self._changes) / x.size

    def _by_rows(self, x: Array, packed: Array, *, inverse: bool) -> None:
        number, width = -(-len(x) // self._rows), packed.shape[1] + 1

        def work(first: int, last: int, memory: Array) -> None:
            for i in range(first, last):
                part = slice(i * self._rows, min((i + 1) * self._rows, len(x)))
                rows = memory[: (part.stop - part.start) * width].reshape(-1, width)
                if inverse:
                    rows[:, :-1] = packed[part]
                    rows[:, -1], rows[:, 0] = rows[:, 0].imag, rows[:, 0].real
                    fft.irfft_into(rows, x[part])
                else:
                    fft.rfft_into(x[part], rows)
                    packed[part] = rows[:, :-1]
                    packed[part, 0].imag = rows[:, -1].real

        threads.run(work, number, memory=self._memory)

    def _by_columns(self, packed: Array) -> None:
        ny, half = packed.shape
        number = len(self._changes)

        def work(first: int, last: int, memory: Array) -> None:
            for i in range(first, last):
                part = slice(i * self._columns, min((i + 1) * self._columns, half))
                block = memory[: ny * (part.stop - part.start)].reshape(ny, -1)
                block[...] = packed[:, part]
                fft.fft_inplace(block, axis=0)
                self._changes[i] = _multiply(block, self._mask, part.start)
                fft.fft_inplace(block, axis=0, inverse=True)
                packed[:, part] = block

        threads.run(work, number, memory=self._memory)


@kernel
def _multiply(block, mask, start):
    """Multiply columns of a spectrum; return Σ|(M - 1)X|² over both signs of kx."""
    ny, width = block.shape
    changed = 0.0
    for ky in range(ny):
        factors = mask[min(ky, ny - ky)]
        for j in range(1 if start == 0 else 0, width):
            factor = factors[start + j]
            value = block[ky, j]
            change = np.float64(factor) - 1.0
            real, imag = np.float64(value.real), np.float64(value.imag)
            changed += 2.0 * change * change * (real * real + imag * imag)
            block[ky, j] = value * factor
    if start == 0:
        changed += _multiply_both(block, mask)
    return changed


@kernel
def _multiply_both(block, mask):
    """Multiply kx = 0 and the highest kx, whose real columns are the parts of one complex one."""
    ny, last = block.shape[0], mask.shape[1] - 1
    changed = 0.0
    for ky in range(ny // 2 + 1):
        other = (ny - ky) % ny
        here, there = block[ky, 0], np.conj(block[other, 0])
        first, highest = here + there, here - there  # twice of each
        lowest_change = np.float64(mask[ky, 0]) - 1.0
        highest_change = np.float64(mask[ky, last]) - 1.0
        share = 0.25 if other == ky else 0.5
        changed += (
            share * lowest_change**2 * (np.float64(first.real) ** 2 + np.float64(first.imag) ** 2)
        )
        changed += (
            share
            * highest_change**2
            * (np.float64(highest.real) ** 2 + np.float64(highest.imag) ** 2)
        )
        half = mask.dtype.type(0.5)
        first, highest = first * (half * mask[ky, 0]), highest * (half * mask[ky, last])
        block[ky, 0] = first + highest
        if other != ky:
            block[other, 0] = np.conj(first) - np.conj(highest)
    return changed
