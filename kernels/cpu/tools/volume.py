"""Filters of whole volumes by a transfer function: lateral spectra in place, then along z.

The lateral spectrum takes the place of the object, but for one frequency of a real one that does
not fit. Real and imaginary parts lie side by side there; along z they are filtered independently.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from arraycon.kernels.common import fft, threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.cpu.fft import slices
from arraycon.kernels.cpu.tools import transfer
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.matrix import product
from arraycon.kernels.cpu.tools.sums import keep_values, squares
from arraycon.kernels.cpu.tools.transfer import Transfer

# Up to this depth the transform along z is a product with a small matrix, beyond it an FFT. One
# thread, AVX-512, nz×512×512 float32, ms by matrix, ducc0 and SciPy: 2.8, 6.3 and 7.5 at nz = 6;
# 11, 19 and 21 at 20; 31, 38 and 50 at 40; 45, 49 and 71 at 50.
_DENSE = 48
# Bytes in a block of that FFT; from a quarter to twice of it the time is the same.
_BLOCK = 1 << 20
# Fewer voxels than this are filtered in depth before a second thread has woken up: two of 64² px
# took twice as long with two threads.
_GRAIN = 1 << 16


def filtered(
    obj: Array,
    table: Transfer,
    *,
    mirror: bool,
    lateral_mirror: bool = False,
    offset: float = 0.0,
    sums: Array | None,
) -> Iterator[None]:
    """Filter volumes (..., nz, ny, nx) in place, laterally periodic or mirrored.

    The object's change is that of its lateral spectra, by Parseval's theorem: rows of them are at
    hand before and after the filter in depth, the object itself is not. What is missing is the
    rounding of the lateral transforms, some 10⁻⁷ of the object and unrelated to the change.

    Parameters
    ----------
    obj : array
        Real, or complex of the same precision.
    table : Transfer
        With the frequencies of such a spectrum: of a real object that is periodic laterally half
        of them along x.
    mirror : bool
        Whether it is the even extension that is filtered along z.
    lateral_mirror : bool
        Whether it is so laterally, too.
    offset : float
        What is added to the frequency 0 of each slice.
    sums : array, shape (1, 2), or None
        Where the sums of the change go.
    """
    kind = _Complex if obj.dtype.kind == "c" else _Real
    each = _Mirrored if lateral_mirror else kind
    work = each(obj, table, mirror, offset, measured=sums is not None)
    yield
    changes = np.zeros(2)
    for volume in obj.reshape(-1, *obj.shape[-3:]):
        changes += work(volume)
    if sums is not None:
        scale = 4 if lateral_mirror else 1  # of the squares of unnormalised cosine coefficients
        sums[0] = changes / (scale * obj.shape[-2] * obj.shape[-1])


def filtered_depth(
    obj: Array, table: Transfer, *, mirror: bool, sums: Array | None
) -> Iterator[None]:
    """Filter along z alone, by a table that makes no difference between lateral frequencies."""
    volumes = obj.reshape(-1, *obj.shape[-3:])
    volumes = volumes.view(volumes.real.dtype)
    work = _DepthFilter(volumes[0], table, mirror, 0.0, (1.0, 1.0), sums is not None)
    yield
    changes = np.zeros(2)
    for volume in volumes:
        changes += work(volume)
    if sums is not None:
        sums[0] = changes


def filter_rows(spectrum: Array, table: Transfer, rows: slice, *, mirror: bool) -> None:
    """Filter some rows of the lateral spectra of volumes along z, in place.

    Each by itself, so that it comes out the same whichever others are there.

    Parameters
    ----------
    spectrum : array, shape (..., nz, n, nx)
        Complex, or real ones of cosines.
    table : Transfer
        Of all rows ky.
    rows : slice
        Which of these there are.
    mirror : bool
        Whether it is the even extension that is filtered along z.
    """
    volumes = spectrum.reshape(-1, *spectrum.shape[-3:])
    single = volumes.dtype.kind != "c"
    volumes = volumes.view(volumes.real.dtype)
    own = table._replace(ky2=table.ky2[rows])
    counts = 1.0, 1.0
    work = _DepthFilter(volumes[0], own, mirror, 0.0, counts, False, single=single, apart=True)
    for volume in volumes:
        work(volume)


class _Real:
    """The filter of one real volume."""

    def __init__(
        self, obj: Array, table: Transfer, mirror: bool, offset: float, *, measured: bool
    ) -> None:
        nz, ny, nx = obj.shape[-3:]
        # the highest frequency along x: ky takes the place of kx
        self._last = np.zeros((nz, 1, 2 * ny), obj.dtype)
        last_table = table._replace(ky2=table.kx2[-1:], kx2=table.ky2)
        # frequencies kx > 0 stand for -kx too, but for the highest of an even number
        most = 1.0 if nx % 2 == 0 else 2.0
        like = obj.reshape(-1, nz, ny, nx)[0]
        self._filters = (
            _DepthFilter(like, table, mirror, offset, (1.0, 2.0), measured),
            _DepthFilter(self._last, last_table, mirror, 0.0, (most, most), measured),
        )
        self._memory = spectra(like)

    def __call__(self, volume: Array) -> Array:
        last = self._last.reshape(len(volume), -1, 2)
        _transform(volume, last, self._memory)
        pairs = zip((volume, self._last), self._filters, strict=True)
        changes: Array = np.sum([filter_depth(x) for x, filter_depth in pairs], axis=0)
        _transform(volume, last, self._memory, inverse=True)
        return changes


class _Complex:
    """The filter of one complex volume, whose spectrum fits where it is."""

    def __init__(
        self, obj: Array, table: Transfer, mirror: bool, offset: float, *, measured: bool
    ) -> None:
        like = _numbers(obj.reshape(-1, *obj.shape[-3:])[0])
        self._filter = _DepthFilter(like, table, mirror, offset, (1.0, 1.0), measured)

    def __call__(self, volume: Array) -> Array:
        for inverse in (False, True):
            if inverse:
                changes = self._filter(_numbers(volume))
            work = functools.partial(_transform_complex, volume, inverse)
            slices.run(work, volume)
        return changes


class _Mirrored:
    """The filter of one volume whose spectrum is one of cosines, of complex ones part by part."""

    def __init__(
        self, obj: Array, table: Transfer, mirror: bool, offset: float, *, measured: bool
    ) -> None:
        volume = obj.reshape(-1, *obj.shape[-3:])[0]
        self._part = np.empty_like(volume.real) if obj.dtype.kind == "c" else None
        like = volume if self._part is None else self._part
        self._filter = _DepthFilter(like, table, mirror, offset, (0.5, 1.0), measured, single=True)

    def __call__(self, volume: Array) -> Array:
        if self._part is None:
            return self._work(volume)
        changes = np.zeros(2)
        for part in (volume.real, volume.imag):
            self._part[...] = part
            changes += self._work(self._part)
            part[...] = self._part
        return changes

    def _work(self, volume: Array) -> Array:
        slices.run(functools.partial(_transform_cosines, volume, False), volume)
        changes = self._filter(volume)
        slices.run(functools.partial(_transform_cosines, volume, True), volume)
        return changes


def _transform_cosines(volume: Array, inverse: bool, engine: Any, start: int, stop: int) -> None:
    for x in volume[start:stop]:
        engine.dct2_inplace(x, inverse=inverse)


def _transform_complex(volume: Array, inverse: bool, engine: Any, start: int, stop: int) -> None:
    for x in volume[start:stop]:
        engine.fft2_inplace(x, inverse=inverse)


def _numbers(volume: Array) -> Array:
    """Return the parts of complex numbers in turn."""
    return volume.view(volume.real.dtype)


def spectra(planes: Array) -> list[Any]:
    """Memory for spectra of real slices, for each thread."""
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


class _DepthFilter:
    """Transform along z, multiply and transform back, in blocks that stay in the cache.

    Parameters
    ----------
    like : array, shape (nz, ny, n)
        What is to be filtered; real and imaginary parts in turn.
    table, mirror
        What with.
    offset : float
        What is added to the first number of each slice afterwards.
    counts : tuple of float
        What the first pair of numbers of each row, and what all others, count in the sums; of
        cosines the first number, and the first row counts half.
    measured : bool
        Whether the sums of the change are asked for; otherwise they come out as 0.
    single : bool
        Whether each number has a weight of its own, and ky no negative ones: those of cosines.
    apart : bool
        Whether rows have nothing to do with each other, even if there are negative ky.
    """

    def __init__(
        self,
        like: Array,
        table: Transfer,
        mirror: bool,
        offset: float,
        counts: tuple[float, float],
        measured: bool,
        *,
        single: bool = False,
        apart: bool = False,
    ) -> None:
        nz, ny, nx = like.shape
        self._single, self._paired = single, not (single or apart)
        self._table, self._mirror, self._counts = table, mirror, counts
        self._offset, self._measured = like.dtype.type(offset), measured
        self._changes = np.zeros((ny, 2))
        self._basis, self._memory = None, None
        if nz <= _DENSE:
            self._basis = _basis(nz, mirror, like.dtype)
            # ky and -ky have the same weights
            self._rows = ny // 2 + 1 if self._paired else ny
            self._grain = max(1, _GRAIN // (2 * nz * nx))
            return
        self._rows, self._grain = ny, max(1, _GRAIN // (nz * nx))
        # a library takes some columns of a call together, the rest one by one and rounded otherwise
        self._at_a_time = 1 if apart else max(1, min(ny, _BLOCK // like[:, 0].nbytes))
        self._which = np.arange(nz) if mirror else np.minimum(np.arange(nz), nz - np.arange(nz))
        size = nz * self._at_a_time * (nx + nx % 2)
        self._memory = threads.memory(
            lambda: scratch_memory(np.empty, (size,), like.dtype), self._rows, grain=self._grain
        )

    def __call__(self, x: Array) -> Array:
        """Filter; return the sums of the change."""
        work = functools.partial(self._by_fft if self._basis is None else self._by_basis, x)
        threads.run(work, self._rows, grain=self._grain, memory=self._memory)
        total: Array = np.sum(self._changes, axis=0)
        return total

    def _by_basis(self, x: Array, first: int, last: int) -> None:
        numbers = self._offset, self._counts, self._measured, self._single, self._paired
        _filter_rows(x, first, last, self._basis, self._table, *numbers, self._changes)

    def _by_fft(self, x: Array, first: int, last: int, memory: Array) -> None:
        nz, _, nx = x.shape
        for i in range(first, last, self._at_a_time):
            part = x[:, i : min(i + self._at_a_time, last)]
            shape = nz, part.shape[1], nx + nx % 2
            block = memory[: math.prod(shape)].reshape(shape)
            block[..., :nx], block[..., nx:] = part, 0
            _along_z(block, self._mirror)
            _weigh(block, i, self._which, self._table, self._single)
            _along_z(block, self._mirror, inverse=True)
            if i == 0:
                block[:, 0, 0] += self._offset
            if self._measured:
                for row in range(part.shape[1]):
                    where = block, row, x, i + row
                    self._changes[i + row] = _compare(*where, self._counts, self._single)
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
def _filter_rows(x, first, last, basis, table, offset, counts, measured, single, paired, changes):
    """Filter the rows ky of x (nz, ny, nx), first <= ky < last; write each row's sums.

    Where they are paired, also the rows -ky, which have the same weights.
    """
    nz, ny, width = x.shape
    pairs = basis.partner.size
    slice_rows = np.empty((nz, 1, width), x.dtype)  # 41 kB at 20 slices of 512 pixels
    slices = slice_rows.reshape((nz, width))
    vector_rows = np.empty((nz, 1, width), x.dtype)
    vectors = vector_rows.reshape((nz, width))
    weights = np.empty((table.kz2.size, table.kx2.size), x.dtype)
    for ky in range(first, last):
        transfer.weights(weights, ky, table)
        for row in (ky, (ny - ky) % ny):
            _fold(x, row, slice_rows, 0, basis.partner)
            product(basis.cosines, slices[:pairs], vectors[:pairs])
            product(basis.sines, slices[pairs:], vectors[pairs:])
            for i in range(nz):
                _multiply(vectors[i], weights[basis.which[i]], single)
            product(basis.cosines_back, vectors[:pairs], slices[:pairs])
            product(basis.sines_back, vectors[pairs:], slices[pairs:])
            if measured:  # the vectors' memory is free by now, and the old rows are still there
                _fold(slice_rows, 0, vector_rows, 0, basis.partner)
                if row == 0:
                    _add_offset(vector_rows, offset)
                changes[row] = _compare(vector_rows, 0, x, row, counts, single)
                for z in range(nz):
                    keep_values(vectors[z], x[z, row])
            else:
                _fold(slice_rows, 0, x, row, basis.partner)
                if row == 0:
                    _add_offset(x, offset)
            if not paired or (ny - ky) % ny == ky:
                break


@kernel
def _add_offset(x, offset):
    for z in range(len(x)):
        x[z, 0, 0] += offset


@kernel
def _compare(new, place, old, row, counts, single):
    """Σ|new - old|² and Σ|old|² of one row of spectra, whose pairs of numbers count differently."""
    changed = before = 0.0
    first = 1 if single else 2
    share = 0.5 if single and row == 0 else 1.0
    for z in range(len(old)):
        given = old[z, row]
        after = new[z, place, : given.size]
        more, size = squares(after[:first], given[:first])
        changed += counts[0] * more
        before += counts[0] * size
        more, size = squares(after[first:], given[first:])
        changed += counts[1] * more
        before += counts[1] * size
    return share * changed, share * before


@kernel
def _weigh(block: Array, first: int, which: Array, table: Transfer, single: bool) -> None:
    """Multiply a spectrum along z; its rows begin with ky = first."""
    weights = np.empty((table.kz2.size, table.kx2.size), block.dtype)
    for row in range(block.shape[1]):
        transfer.weights(weights, first + row, table)
        for i in range(which.size):
            _multiply(block[i, row], weights[which[i]], single)


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
def _multiply(x: Array, weights: Array, single: bool) -> None:
    """Multiply real and imaginary parts in turn, of which the last may be alone; or each number."""
    if single:
        for j in range(weights.size):
            x[j] *= weights[j]
        return
    for j in range(x.size // 2):
        x[2 * j] *= weights[j]
        x[2 * j + 1] *= weights[j]
    if x.size % 2:
        x[x.size - 1] *= weights[x.size // 2]
