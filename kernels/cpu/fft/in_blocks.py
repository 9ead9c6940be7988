"""Filter of a real slice of even width in its own memory, by a library: block by block.

Each row holds its spectrum but for two numbers that are real: they share the first place.
"""

from __future__ import annotations

import numpy as np

from arraycon.kernels.common import fft
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.cpu.tools.compiled import kernel

# Rows, and columns, at a time: the blocks of a thread are so much of a slice.
_SHARE = 12


class InBlocks:
    """The filter of slices (ny, nx) as `InPlace`."""

    def __init__(self, like: Array, mask: Array) -> None:
        ny, nx = like.shape
        self._mask, self._pairs = mask, np.result_type(like.dtype, np.complex64)
        self._height, self._width = max(1, ny // _SHARE), max(1, nx // 2 // _SHARE)
        self._size = max(ny * self._width, self._height * (nx // 2 + 1))
        self.rows, self.columns = -(-ny // self._height), -(-nx // 2 // self._width)

    def memory(self) -> Array:
        """Memory for a block."""
        return scratch_memory(np.empty, (self._size,), self._pairs)

    def forward_rows(self, x: Array, first: int, last: int, memory: Array) -> None:
        """Replace rows by their spectra."""
        for part in self._parts(first, last, self._height, len(x)):
            rows, packed = self._block(x, part, memory)
            fft.rfft_into(x[part], rows)
            packed[...] = rows[:, :-1]
            packed[:, 0].imag = rows[:, -1].real

    def backward_rows(self, x: Array, first: int, last: int, memory: Array) -> None:
        """Replace spectra by rows."""
        for part in self._parts(first, last, self._height, len(x)):
            rows, packed = self._block(x, part, memory)
            rows[:, :-1] = packed
            rows[:, -1], rows[:, 0] = rows[:, 0].imag, rows[:, 0].real
            fft.irfft_into(rows, x[part])

    def filter_columns(
        self, x: Array, changes: Array | None, first: int, last: int, memory: Array
    ) -> None:
        """Transform columns, multiply and transform back."""
        packed = x.view(self._pairs)
        ny, half = packed.shape
        for i, part in enumerate(self._parts(first, last, self._width, half), first):
            block = memory[: ny * (part.stop - part.start)].reshape(ny, -1)
            block[...] = packed[:, part]
            fft.fft_inplace(block, axis=0)
            changed = _multiply(block, self._mask, part.start)
            fft.fft_inplace(block, axis=0, inverse=True)
            packed[:, part] = block
            if changes is not None:
                changes[i] = changed

    def _block(self, x: Array, part: slice, memory: Array) -> tuple[Array, Array]:
        """Return memory for the spectra of some rows, and where they are packed."""
        packed = x.view(self._pairs)[part]
        width = packed.shape[1] + 1
        return memory[: len(packed) * width].reshape(-1, width), packed

    @staticmethod
    def _parts(first: int, last: int, length: int, size: int) -> list[slice]:
        return [slice(i * length, min((i + 1) * length, size)) for i in range(first, last)]


@kernel
def _multiply(block, mask, start):
    """Multiply columns of a spectrum; return Σ|(M - 1)X|² over both signs of kx."""
    ny, width = block.shape
    changed = 0.0
    for ky in range(ny):
        factors = mask[ky if len(mask) == ny else min(ky, ny - ky)]
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
