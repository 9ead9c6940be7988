"""The contract of all slice transforms."""

from __future__ import annotations

from typing import Any, Protocol

from arraycon.kernels.common.arrays import Array


class InPlace(Protocol):
    """irfft2(rfft2(x)·mask) of real slices in their own memory: rows, columns, and rows again.

    Each of the three consists of parts that do not know of each other, so that threads share them.

    Parameters
    ----------
    rows, columns : int
        Number of parts.
    """

    rows: int
    columns: int

    def memory(self) -> Any:
        """Return the scratch memory of one thread."""

    def forward_rows(self, x: Array, first: int, last: int, memory: Any) -> None:
        """Replace rows by their spectra, in an order of its own."""

    def filter_columns(
        self, x: Array, changes: Array | None, first: int, last: int, memory: Any
    ) -> None:
        """Transform columns, multiply and transform back.

        Where asked, note in `changes` of each part Σ|(M - 1)X|² over both signs of kx.
        """

    def backward_rows(self, x: Array, first: int, last: int, memory: Any) -> None:
        """Undo `forward_rows`."""


class SliceTransforms(Protocol):
    """Transforms of one C-contiguous slice (ny, nx), in place or into given memory.

    A mask holds the non-negative frequencies ky, that is ny//2 + 1 rows, and is even in ky. Inverse
    transforms are normalised. Whoever computes with several threads at once takes a spectrum's
    memory for each.
    """

    def spectrum_buffer(self, ny: int, nx: int, dtype: Any) -> Array:
        """Return memory for the spectrum of a real slice: nx//2 + 1 columns, perhaps more."""

    def rfft2_into(self, x: Array, spectrum: Array) -> None:
        """FFT of a real slice; the first nx//2 + 1 columns of `spectrum` are written."""

    def irfft2_into(self, spectrum: Array, x: Array) -> None:
        """Inverse of `rfft2_into`; `spectrum` is overwritten."""

    def filter_real(self, x: Array, mask: Array, spectrum: Array) -> None:
        """irfft2(rfft2(x)·mask) for a real mask of nx//2 + 1 columns."""

    def filter_real_measured(self, x: Array, mask: Array, spectrum: Array) -> tuple[float, float]:
        """`filter_real`, with the sums of the change: Σ(new - old)² and Σold²."""

    def in_place(self, like: Array, mask: Array) -> InPlace | None:
        """`filter_real` without memory for a spectrum, where slices like this one suit it.

        The mask may have all ny rows, and need not be even in ky then, but where kx is 0 or nx/2.
        """

    def fft2_inplace(self, x: Array, *, inverse: bool = False) -> None:
        """FFT of a complex slice, or its inverse."""

    def filter_complex(self, x: Array, mask: Array) -> None:
        """ifft2(fft2(x)·mask) for a real or complex mask of nx columns."""

    def dct2_inplace(self, x: Array, *, inverse: bool = False) -> None:
        """DCT-II of a real slice, y_k = 2 Σ x_n cos(π k (2n + 1) / 2N) along each axis."""
