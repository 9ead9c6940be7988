"""Removal of drifts that the diffraction patterns cannot fix: depth and scan origin."""

from __future__ import annotations

import math

import array_api_compat.numpy as xp
import numpy as np

from arraycon.kernels.agnostic import recenter as agnostic
from arraycon.kernels.common import fft, threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools import elementary, optics
from arraycon.kernels.cpu.tools.compiled import kernel, summing
from arraycon.kernels.cpu.tools.matrix import product
from arraycon.kernels.cpu.tools.selection import kth_smallest
from arraycon.kernels.cpu.tools.sums import add_unchanged, keep_values, squares

# Elements of one block in depth where that is transformed by FFT. Half or twice as many made no
# difference, with four times as many it took an eighth longer.
_BLOCK = 1 << 15
# Columns that are shifted at a time by the matrix.
_COLUMNS = 128
# Up to this depth the shift is a product with a small matrix, beyond it an FFT along z. ns a voxel
# on one thread, by matrix and by ducc0: 7.9 and 10.1 at nz = 64, 9.3 and 10.8 at 80, 10.5 and 10.6
# at 96, 10.8 and 10.1 at 128; on two threads the matrix gains more.
_DENSE = 96
# Fewer elements than this are done before a second thread has woken up: shifted, and added up.
_GRAIN = 1 << 15
_LIGHT_GRAIN = 1 << 19


def obj_z_recenter(
    amplitude: Array,
    phase: Array,
    probe: Array,
    *,
    dx: float,
    wavelength: float,
    slice_thickness: float,
    thresh: float | None,
    scale: float,
    max_shift: float | None,
    sums: Array | None = None,
) -> Array:
    """Move the object's centre of mass to the middle slice and refocus the probe; return the shift.

    The shift is a 0-d array.
    """
    shift = _depth_shift(phase, thresh=thresh, scale=scale, max_shift=max_shift)
    if abs(shift) < agnostic.SMALLEST_SHIFT:
        if sums is not None:
            for array, its in zip((amplitude, phase, probe), sums, strict=True):
                add_unchanged(array, its)
        return np.zeros(())
    measured = sums is not None
    rate = optics.propagation_rate(probe, dx=dx, wavelength=wavelength)
    factors = optics.phasors(rate, -slice_thickness * shift, probe.shape[-1], probe.dtype)
    old_modes = optics.old_modes(probe, kept=measured)
    move = _Shifter(phase, shift, measured=measured)
    # from here on arrays are written to: all that takes memory comes before
    volume = (-1, phase.shape[-3], phase.shape[-2] * phase.shape[-1])
    for a, p in zip(amplitude.reshape(volume), phase.reshape(volume), strict=True):
        move(a, p)
    optics.propagate(probe, factors, old_modes, None if sums is None else sums[2])
    if sums is not None:
        sums[:2] = move.sums().reshape(2, 2)
    return np.asarray(shift)


def move(amplitude: Array, phase: Array, shift: float) -> None:
    """Move A·exp(iφ) along z in place; both arrays are (..., nz, ny, nx) and C-contiguous."""
    work = _Shifter(phase, shift, measured=False)
    volume = (-1, phase.shape[-3], phase.shape[-2] * phase.shape[-1])
    for a, p in zip(amplitude.reshape(volume), phase.reshape(volume), strict=True):
        work(a, p)


def pos_recenter(shifts: Array, *, relax: float) -> None:
    """Subtract the mean shift."""
    # NumPy takes twice as long for 16 384 positions: a sum over the long axis of an (n, 2) array
    # goes in steps of two, and rounds in the array's precision unless it is converted first
    total_y, total_x = _sum_of_pairs(shifts)
    cast, kept = shifts.dtype.type, (1 - relax) / len(shifts)
    _subtract(shifts, cast(kept * total_y), cast(kept * total_x))


def _depth_shift(
    phase: Array, *, thresh: float | None, scale: float, max_shift: float | None
) -> float:
    """Shift in slices."""
    nz = phase.shape[-3]
    floor = phase.dtype.type(0 if thresh is None else _percentile(phase.reshape(-1), thresh))
    with np.errstate(all="ignore"):
        mass = _slice_sums(phase, floor) * (nz / phase.size)
        total = np.sum(mass)
        centre = np.sum(np.arange(nz) * mass) / (total + agnostic.GUARD)
        limit = (nz - 1) / 2 if max_shift is None else min(max_shift, (nz - 1) / 2)
        shift = np.clip(scale * ((nz - 1) / 2 - centre), -limit, limit)
    # Without any positive phase there is no centre of mass to move.
    return 0.0 if total == 0 else float(shift)


def _slice_sums(phase: Array, floor: float) -> Array:
    """Sum of the values of each slice that are not below `floor`, in float64."""
    slices = phase.reshape(-1, phase.shape[-2] * phase.shape[-1])
    sums = np.empty(len(slices))

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            sums[i] = _sum_above(slices[i], floor)

    threads.run(work, len(slices), grain=max(1, _LIGHT_GRAIN // slices.shape[1]))
    return np.sum(sums.reshape(-1, phase.shape[-3]), axis=0)


def _percentile(phase: Array, thresh: float) -> float:
    """Smallest of the values max(φ, 0) that is not below the percentile.

    As in `agnostic` the upper one of the two order statistics next to it, exactly.
    """
    position = thresh * (phase.size - 1) / 100
    rank = max(math.ceil(position - 4 * math.ulp(position)), 0)
    return float(np.maximum(kth_smallest(phase, rank), 0))


class _Shifter:
    """Moves A·exp(iφ) and φ along z; both arrays are (nz, pixels).

    Parameters
    ----------
    like : array, shape (..., nz, ny, nx)
        The phase.
    shift : float
        In slices.
    measured : bool
        Whether the sums of the changes are taken.
    """

    def __init__(self, like: Array, shift: float, *, measured: bool) -> None:
        nz, pixels = like.shape[-3], like.shape[-2] * like.shape[-1]
        dtype = like.dtype
        self._tables = elementary.tables(dtype)
        self._by_matrix = nz <= _DENSE
        if self._by_matrix:
            width, self._factors = _COLUMNS, _shift_matrix(nz, shift).astype(dtype)
            second = (nz + 1, 3 * width), dtype
        else:
            width = max(1, _BLOCK // nz)
            complex_dtype = np.result_type(dtype, np.complex64)
            self._factors = _ramp(nz, shift).astype(complex_dtype)
            second = (nz, width), complex_dtype

        def scratch() -> tuple[Array, Array, Array]:
            old = np.empty((2, width if measured else 0), dtype)
            return np.zeros((nz + 1, 3 * width), dtype), np.zeros(*second), old

        # always the same blocks, so that the number of threads does not change the sums
        self._blocks, self._grain = -(-pixels // width), max(1, _GRAIN // (nz * width))
        self._memory = threads.memory(scratch, self._blocks, grain=self._grain)
        self._changes = np.zeros((self._blocks, 4))

    def __call__(self, amplitude: Array, phase: Array) -> None:
        """Move one volume."""

        def work(first: int, last: int, memory: tuple[Array, Array, Array]) -> None:
            given = amplitude, phase, first, last, self._factors, self._tables
            if self._by_matrix:
                _shift_by_matrix(*given, *memory, self._changes)
            else:
                with np.errstate(all="ignore"):  # a warning made an error would stop halfway
                    _shift_by_fft(*given, *memory, self._changes)

        threads.run(work, self._blocks, grain=self._grain, memory=self._memory)

    def sums(self) -> Array:
        """Return both sums of the amplitude, then of the phase, over all volumes."""
        total: Array = np.sum(self._changes, axis=0)
        return total


def _ramp(nz: int, shift: float) -> Array:
    return np.exp(-2j * np.pi * shift * np.fft.fftfreq(nz))


def _shift_matrix(nz: int, shift: float) -> Array:
    """Real part of the matrix that shifts a column, and below it the first row of the imaginary.

    The imaginary part is what the highest of an even number of frequencies contributes: its row z
    is the first one times (-1)^z.
    """
    matrix = np.fft.ifft(np.fft.fft(np.eye(nz), axis=0) * _ramp(nz, shift)[:, None], axis=0)
    return np.concatenate([matrix.real, matrix.imag[:1]])


def _shift_by_fft(
    amplitude: Array,
    phase: Array,
    first: int,
    last: int,
    ramp: Array,
    tables: elementary.Tables,
    rows: Array,
    wave: Array,
    old: Array,
    changes: Array,
) -> None:
    nz, width = wave.shape
    half = ramp[: nz // 2 + 1]
    for block in range(first, last):
        start = block * width
        n = min(width, phase.shape[1] - start)
        _to_rows(amplitude, phase, start, n, rows, tables)
        _pack(rows, wave)
        fft.fft_inplace(wave, axis=0)
        _multiply(wave, ramp)
        fft.fft_inplace(wave, axis=0, inverse=True)
        _unpack(wave, rows)
        # the real part of the shifted phase, as the inverse of a real FFT takes it
        expected = rows[:nz, 2 * width :]
        spectrum = fft.rfftn(expected, axes=(0,), xp=xp)
        _multiply(spectrum, half)
        expected[...] = fft.irfftn(spectrum, shape=(nz,), axes=(0,), xp=xp)
        _from_rows(rows, amplitude, phase, start, n, tables, old, changes[block])


@kernel
def _pack(rows, wave):
    width = wave.shape[1]
    for z in range(len(wave)):
        for j in range(width):
            wave[z, j] = complex(rows[z, j], rows[z, width + j])


@kernel
def _unpack(wave, rows):
    width = wave.shape[1]
    for z in range(len(wave)):
        for j in range(width):
            rows[z, j], rows[z, width + j] = wave[z, j].real, wave[z, j].imag


@kernel
def _multiply(wave, ramp):
    for z in range(len(wave)):
        factor = ramp[z]
        for j in range(wave.shape[1]):
            wave[z, j] *= factor


@kernel
def _shift_by_matrix(amplitude, phase, first, last, matrix, tables, rows, moved, old, changes):
    width = rows.shape[1] // 3
    for block in range(first, last):
        start = block * width
        n = min(width, phase.shape[1] - start)
        _to_rows(amplitude, phase, start, n, rows, tables)
        product(matrix, rows, moved)
        _from_rows(moved, amplitude, phase, start, n, tables, old, changes[block])


@kernel
def _to_rows(amplitude, phase, start, n, rows, tables):
    """Write A·cos(φ), A·sin(φ) and φ of n columns side by side."""
    width = rows.shape[1] // 3
    for z in range(len(phase)):
        a, angle = amplitude[z, start : start + n], rows[z, 2 * width : 2 * width + n]
        real, imag = rows[z, :n], rows[z, width : width + n]
        angle[:] = phase[z, start : start + n]
        elementary.sines_and_cosines(angle, imag, real, tables)
        for j in range(n):
            real[j] *= a[j]
            imag[j] *= a[j]


@kernel
def _from_rows(rows, amplitude, phase, start, n, tables, old, changes):
    """Turn rows as of `_to_rows` into A and φ, with the turns that bring φ closest to its own row.

    The last row is imaginary, and to be added with alternating signs. With room for old values, the
    sums of both changes are added to `changes`.
    """
    kept = min(n, old.shape[1])
    nz, width = len(phase), rows.shape[1] // 3
    last_real, last_imag = rows[nz, :n], rows[nz, width : width + n]
    turn = tables.half_turn + tables.half_turn
    for z in range(nz):
        sign = tables.one if z % 2 == 0 else -tables.one
        a, p = amplitude[z, start : start + n], phase[z, start : start + n]
        real, imag, expected = rows[z, :width], rows[z, width:], rows[z, 2 * width :]
        keep_values(a[:kept], old[0])
        keep_values(p[:kept], old[1])
        for j in range(n):
            x, y = real[j] - sign * last_imag[j], imag[j] + sign * last_real[j]
            angle = elementary.arctangent(y, x, tables)
            a[j] = elementary.modulus(x, y, tables)
            p[j] = angle + turn * np.rint((expected[j] - angle) / turn)
        more, size = squares(a[:kept], old[0])
        changes[0] += more
        changes[1] += size
        more, size = squares(p[:kept], old[1])
        changes[2] += more
        changes[3] += size


@summing
def _sum_above(x: Array, floor: float) -> float:
    total = 0.0
    for i in range(x.size):
        # written so that NaN counts
        total += 0.0 if x[i] < floor else np.float64(x[i])
    return total


@summing
def _sum_of_pairs(x: Array) -> tuple[float, float]:
    first = second = 0.0
    for i in range(len(x)):
        first += np.float64(x[i, 0])
        second += np.float64(x[i, 1])
    return first, second


@kernel
def _subtract(x: Array, first: float, second: float) -> None:
    for i in range(len(x)):
        x[i, 0] -= first
        x[i, 1] -= second
