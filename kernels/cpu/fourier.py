"""Filters of the object in reciprocal space, laterally and in depth."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import array_api_compat.numpy as xp
import numpy as np

from arraycon.kernels.agnostic.tools import optics as agnostic
from arraycon.kernels.common import fft, threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.fft import slices
from arraycon.kernels.cpu.tools import elementary, optics
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.matrix import product
from arraycon.kernels.cpu.tools.sums import as_real, keep_values, squares

# Keeps the depth filter finite on the axis kx = ky = 0, in (cycles per pixel)².
_AXIS = 1e-3
# The arctangent is saturated long before; larger values would overflow when squared.
_LARGEST_RATIO = 1e15

# Up to this depth the transform along z is a product with a small matrix, beyond it an FFT. One
# thread, AVX-512, nz×512×512 float32, ms by matrix, ducc0 and SciPy: 2.8, 6.3 and 7.5 at nz = 6;
# 11, 19 and 21 at 20; 31, 38 and 50 at 40; 45, 49 and 71 at 50.
_DENSE = 48
# Bytes in a block of that FFT; from a quarter to twice of it the time is the same.
_BLOCK = 1 << 20
# Fewer voxels than this are filtered in depth before a second thread has woken up: two of 64² px
# took twice as long with two threads.
_GRAIN = 1 << 16


def kr_filter(
    obj: Array, *, radius: float, width: float, sums: Array | None = None
) -> Iterator[None]:
    """Soft circular low-pass filter of each slice."""
    planes = obj.reshape(-1, *obj.shape[-2:])
    mask = _mask(planes, radius=radius, width=width)
    if planes.dtype.kind == "c":
        # the rest of the frequencies kx, in the order that they have
        mask = np.concatenate([mask, mask[:, (planes.shape[2] - 1) // 2 : 0 : -1]], axis=1)
        yield from _filter_complex(planes, mask, sums)
        return
    memory = _spectra(planes)
    changes = np.empty((len(planes), 2))

    def work(engine: Any, start: int, stop: int, spectrum: Array) -> None:
        for x in planes[start:stop]:
            engine.filter_real(x, mask, spectrum)

    def measure(engine: Any, start: int, stop: int, spectrum: Array) -> None:
        for i in range(start, stop):
            changes[i] = engine.filter_real_measured(planes[i], mask, spectrum)

    yield
    slices.run(work if sums is None else measure, planes, memory)
    if sums is not None:
        np.sum(changes, axis=0, out=sums[0])


def _filter_complex(planes: Array, mask: Array, sums: Array | None) -> Iterator[None]:
    measured = sums is not None
    memory = slices.memory(lambda _: np.empty_like(planes[0]) if measured else None, planes)
    changes = np.empty((len(planes), 2))

    def work(engine: Any, start: int, stop: int, old: Array | None) -> None:
        for i in range(start, stop):
            if old is not None:
                old[...] = planes[i]
            engine.filter_complex(planes[i], mask)
            if old is not None:
                changes[i] = squares(as_real(planes[i]), as_real(old))

    yield
    slices.run(work, planes, memory)
    if sums is not None:
        np.sum(changes, axis=0, out=sums[0])


def kz_filter(
    obj: Array,
    *,
    beta: float,
    alpha: float,
    obj_type: str,
    boundary: str,
    sums: Array | None = None,
) -> Iterator[None]:
    """Missing-wedge filter over the last three axes.

    The lateral spectrum takes the place of the object, but for one frequency that does not fit.
    Real and imaginary parts lie side by side there; along z they are filtered independently.

    The object's change is that of its lateral spectra, by Parseval's theorem: rows of them are at
    hand before and after the filter in depth, the object itself is not. What is missing is the
    rounding of the lateral transforms, some 10⁻⁷ of the object and unrelated to the change.
    """
    nz, ny, nx = obj.shape[-3:]
    volumes = obj.reshape(-1, nz, ny, nx)
    mirror, scale = boundary == "mirror", 0.9 if obj_type == "amplitude" else 1.0
    wedge = _wedge(volumes[0], beta=beta, alpha=alpha, scale=scale, mirror=mirror)
    # the highest frequency along x: ky takes the place of kx
    last = np.zeros((nz, 1, 2 * ny), obj.dtype)
    last_wedge = wedge._replace(ky2=wedge.kx2[-1:], kx2=wedge.ky2)
    # frequencies kx > 0 stand for -kx too, but for the highest of an even number
    most = 1.0 if nx % 2 == 0 else 2.0
    offset = (1 - scale) * ny * nx  # 1 + 0.9 (F - 1) of an amplitude
    measured = sums is not None
    filters = (
        _DepthFilter(volumes[0], wedge, mirror, offset, (1.0, 2.0), measured),
        _DepthFilter(last, last_wedge, mirror, 0.0, (most, most), measured),
    )
    memory = _spectra(volumes[0])

    yield
    changes = np.zeros(2)
    for volume in volumes:
        _transform(volume, last.reshape(nz, ny, 2), memory)
        for x, filter_depth in zip((volume, last), filters, strict=True):
            changes += filter_depth(x)
        _transform(volume, last.reshape(nz, ny, 2), memory, inverse=True)
    if sums is not None:
        sums[0] = changes / (ny * nx)


def _spectra(planes: Array) -> list[Any]:
    ny, nx = planes.shape[-2:]
    return slices.memory(lambda engine: engine.spectrum_buffer(ny, nx, planes.dtype), planes)


def _transform(volume: Array, last: Array, memory: list[Any], *, inverse: bool = False) -> None:
    """Replace slices by their spectra, or back.

    By way of a buffer that stays in the cache: 34 ms for 20×512×512 on one thread, there and back.
    Straight into an array of the spectra, and out of it, 44.
    """
    nx = volume.shape[-1]
    rest = 2 - nx % 2

    def work(engine: Any, start: int, stop: int, spectrum: Array) -> None:
        pairs = spectrum.view(volume.dtype)
        fitting, remaining = pairs[:, :nx], pairs[:, nx : nx + rest]
        for x, remainder in zip(volume[start:stop], last[start:stop], strict=True):
            if inverse:
                fitting[...], remaining[...] = x, remainder[:, :rest]
                engine.irfft2_into(spectrum, x)
            else:
                engine.rfft2_into(x, spectrum)
                x[...], remainder[:, :rest] = fitting, remaining
                remainder[:, rest:] = 0  # an odd nx leaves what the last volume's depth FFT wrote

    slices.run(work, volume, memory)


def _mask(planes: Array, *, radius: float, width: float) -> Array:
    """M(f) for the non-negative frequencies."""
    _, ny, nx = planes.shape
    ky, kx = _frequencies(ny)[: ny // 2 + 1], _frequencies(nx)[: nx // 2 + 1]
    mask = np.empty((ky.size, kx.size), planes.real.dtype)
    for i in range(0, ky.size, 32):  # all at once, the float64 temporaries would be two slices
        rows = agnostic.low_pass(ky[i : i + 32], kx, radius=radius, width=width, xp=xp)
        mask[i : i + 32] = optics.without_tail(rows, mask.dtype)
    return mask


def _frequencies(n: int) -> Array:
    """Moduli of the frequencies of an FFT, in cycles per pixel."""
    index = np.arange(n)
    return np.minimum(index, n - index) / n


class _Wedge(NamedTuple):
    """What Wa is computed from, row by row: all of it would take half as much as the object."""

    ky2: Array  # (ny,)
    kx2: Array  # (nx//2 + 1,)
    kz2: Array  # without repetition, in the object's precision
    alpha: float
    beta: float
    scale: float
    tables: elementary.Tables


def _wedge(volume: Array, *, beta: float, alpha: float, scale: float, mirror: bool) -> _Wedge:
    nz, ny, nx = volume.shape
    # the even extension has 2·nz slices, and its spectrum is real and even
    kz = np.arange(nz) / (2 * nz) if mirror else np.arange(nz // 2 + 1) / nz
    ky, kx = _frequencies(ny), _frequencies(nx)[: nx // 2 + 1]
    tables = elementary.tables(volume.dtype)
    return _Wedge(ky**2, kx**2, (kz**2).astype(volume.dtype), alpha, beta, scale, tables)


class _DepthFilter:
    """Transform along z, multiply by Wa and transform back, in blocks that stay in the cache.

    Parameters
    ----------
    like : array, shape (nz, ny, n)
        What is to be filtered; real and imaginary parts in turn.
    wedge, mirror
        What with.
    offset : float
        What is added to the first number of each slice afterwards.
    counts : tuple of float
        What the first pair of numbers of each row, and what all others, count in the sums.
    measured : bool
        Whether the sums of the change are asked for; otherwise they come out as 0.
    """

    def __init__(
        self,
        like: Array,
        wedge: _Wedge,
        mirror: bool,
        offset: float,
        counts: tuple[float, float],
        measured: bool,
    ) -> None:
        nz, ny, nx = like.shape
        self._wedge, self._mirror, self._counts = wedge, mirror, counts
        self._offset, self._measured = like.dtype.type(offset), measured
        self._changes = np.zeros((ny, 2))
        self._basis, self._memory = None, None
        if nz <= _DENSE:
            self._basis = _basis(nz, mirror, like.dtype)
            # ky and -ky have the same weights
            self._rows, self._grain = ny // 2 + 1, max(1, _GRAIN // (2 * nz * nx))
            return
        self._rows, self._grain = ny, max(1, _GRAIN // (nz * nx))
        self._at_a_time = max(1, min(ny, _BLOCK // like[:, 0].nbytes))
        self._which = np.arange(nz) if mirror else np.minimum(np.arange(nz), nz - np.arange(nz))
        size = nz * self._at_a_time * (nx + nx % 2)
        self._memory = threads.memory(
            lambda: np.empty(size, like.dtype), self._rows, grain=self._grain
        )

    def __call__(self, x: Array) -> Array:
        """Filter; return the sums of the change."""
        work = functools.partial(self._by_fft if self._basis is None else self._by_basis, x)
        threads.run(work, self._rows, grain=self._grain, memory=self._memory)
        total: Array = np.sum(self._changes, axis=0)
        return total

    def _by_basis(self, x: Array, first: int, last: int) -> None:
        numbers = self._offset, self._counts, self._measured
        _filter_rows(x, first, last, self._basis, self._wedge, *numbers, self._changes)

    def _by_fft(self, x: Array, first: int, last: int, memory: Array) -> None:
        nz, _, nx = x.shape
        for i in range(first, last, self._at_a_time):
            part = x[:, i : min(i + self._at_a_time, last)]
            shape = nz, part.shape[1], nx + nx % 2
            block = memory[: math.prod(shape)].reshape(shape)
            block[..., :nx], block[..., nx:] = part, 0
            _along_z(block, self._mirror)
            _weigh(block, i, self._which, self._wedge)
            _along_z(block, self._mirror, inverse=True)
            if i == 0:
                block[:, 0, 0] += self._offset
            if self._measured:
                for row in range(part.shape[1]):
                    self._changes[i + row] = _compare(block, row, x, i + row, self._counts)
            part[...] = block[..., :nx]


def _along_z(block: Array, mirror: bool, *, inverse: bool = False) -> None:
    if mirror:
        fft.dct_inplace(block, axes=(0,), inverse=inverse)
    else:
        pairs = block.view(np.result_type(block.dtype, np.complex64))
        fft.fft_inplace(pairs, axis=0, inverse=inverse)


class _Basis(NamedTuple):
    """Orthonormal cosines, even over pairs of slices, and sines, odd: half of each is enough."""

    partner: Array  # of each of the first slices, maybe itself
    which: Array  # (nz,): index of the frequency of each vector, cosines first
    cosines: Array  # (number of cosines, of pairs)
    sines: Array  # (number of sines, of pairs of two slices)
    cosines_back: Array  # the transposes
    sines_back: Array


def _basis(nz: int, mirror: bool, dtype: Any) -> _Basis:
    n = np.arange(nz)
    if mirror:  # cosines about the middle of the even extension, of even and of odd order
        partner = nz - 1 - n
        which = np.concatenate([n[::2], n[1::2]])
        vectors = np.cos(np.outer(which, 2 * n + 1) * (math.pi / (2 * nz)))
    else:
        partner = -n % nz
        which = np.concatenate([n[: nz // 2 + 1], n[1 : (nz + 1) // 2]])
        angle = np.outer(which, n) * (2 * math.pi / nz)
        vectors = np.where(n[:, None] <= nz // 2, np.cos(angle), np.sin(angle))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(dtype)
    pairs = np.count_nonzero(n <= partner)
    cosines, sines = vectors[:pairs, :pairs], vectors[pairs:, partner[pairs:]]
    matrices = (cosines, sines, cosines.T, sines.T)
    return _Basis(partner[:pairs], which, *(matrix.copy() for matrix in matrices))


@kernel
def _filter_rows(x, first, last, basis, wedge, offset, counts, measured, changes):
    """Filter the rows ky and -ky of x (nz, ny, nx), first <= ky < last; write each row's sums."""
    nz, ny, width = x.shape
    pairs = basis.partner.size
    slice_rows = np.empty((nz, 1, width), x.dtype)  # 41 kB at 20 slices of 512 pixels
    slices = slice_rows.reshape((nz, width))
    vector_rows = np.empty((nz, 1, width), x.dtype)
    vectors = vector_rows.reshape((nz, width))
    weights = np.empty((wedge.kz2.size, wedge.kx2.size), x.dtype)
    for ky in range(first, last):
        _weights(weights, ky, wedge)
        for row in (ky, (ny - ky) % ny):
            _fold(x, row, slice_rows, 0, basis.partner)
            product(basis.cosines, slices[:pairs], vectors[:pairs])
            product(basis.sines, slices[pairs:], vectors[pairs:])
            for i in range(nz):
                _multiply(vectors[i], weights[basis.which[i]])
            product(basis.cosines_back, vectors[:pairs], slices[:pairs])
            product(basis.sines_back, vectors[pairs:], slices[pairs:])
            if measured:  # the vectors' memory is free by now, and the old rows are still there
                _fold(slice_rows, 0, vector_rows, 0, basis.partner)
                if row == 0:
                    _add_offset(vector_rows, offset)
                changes[row] = _compare(vector_rows, 0, x, row, counts)
                for z in range(nz):
                    keep_values(vectors[z], x[z, row])
            else:
                _fold(slice_rows, 0, x, row, basis.partner)
                if row == 0:
                    _add_offset(x, offset)
            if (ny - ky) % ny == ky:
                break


@kernel
def _add_offset(x, offset):
    for z in range(len(x)):
        x[z, 0, 0] += offset


@kernel
def _compare(new, place, old, row, counts):
    """Σ|new - old|² and Σ|old|² of one row of spectra, whose pairs of numbers count differently."""
    changed = before = 0.0
    for z in range(len(old)):
        given = old[z, row]
        after = new[z, place, : given.size]
        more, size = squares(after[:2], given[:2])
        changed += counts[0] * more
        before += counts[0] * size
        more, size = squares(after[2:], given[2:])
        changed += counts[1] * more
        before += counts[1] * size
    return changed, before


@kernel
def _weigh(block: Array, first: int, which: Array, wedge: _Wedge) -> None:
    """Multiply a spectrum along z by Wa; its rows begin with ky = first."""
    weights = np.empty((wedge.kz2.size, wedge.kx2.size), block.dtype)
    for row in range(block.shape[1]):
        _weights(weights, first + row, wedge)
        for i in range(which.size):
            _multiply(block[i, row], weights[which[i]])


@kernel
def _weights(weights: Array, ky: int, wedge: _Wedge) -> None:
    """Wa of one row (kz, kx): 1 - (2/π)·arctan(t) is (2/π)·arctan(1/t), with digits for large t."""
    one = wedge.tables.one
    ratio2 = np.empty(wedge.kx2.size, weights.dtype)
    falloff = np.empty(wedge.kx2.size, weights.dtype)
    for j in range(ratio2.size):
        lateral = wedge.ky2[ky] + wedge.kx2[j]
        ratio2[j] = min(wedge.beta / math.sqrt(lateral + _AXIS), _LARGEST_RATIO) ** 2
        falloff[j] = wedge.scale * math.exp(-wedge.alpha * lateral) * 2 / math.pi
    for z in range(wedge.kz2.size):
        kz2, line = wedge.kz2[z], weights[z]
        for j in range(ratio2.size):
            line[j] = falloff[j] * elementary.arctangent(one, kz2 * ratio2[j], wedge.tables)


@kernel
def _fold(source: Array, row: int, target: Array, place: int, partner: Array) -> None:
    """Form sums and differences of pairs of slices: even and odd parts from values, and back."""
    for n in range(partner.size):
        upper, lower = source[n, row], source[partner[n], row]
        total, difference = target[n, place], target[partner[n], place]
        if partner[n] == n:
            total[:] = upper
            continue
        for j in range(upper.size):
            total[j] = upper[j] + lower[j]
        for j in range(upper.size):
            difference[j] = upper[j] - lower[j]


@kernel
def _multiply(x: Array, weights: Array) -> None:
    """Multiply real and imaginary parts in turn; the last one may be alone."""
    for j in range(x.size // 2):
        x[2 * j] *= weights[j]
        x[2 * j + 1] *= weights[j]
    if x.size % 2:
        x[x.size - 1] *= weights[x.size // 2]
