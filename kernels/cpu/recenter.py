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
) -> Array:
    """Move the object's centre of mass to the middle slice and refocus the probe; return the shift.

    The shift is a 0-d array.
    """
    shift = _depth_shift(phase, thresh=thresh, scale=scale, max_shift=max_shift)
    if abs(shift) < agnostic.SMALLEST_SHIFT:
        return np.zeros(())
    rate = optics.propagation_rate(probe, dx=dx, wavelength=wavelength)
    volume = (-1, phase.shape[-3], phase.shape[-2] * phase.shape[-1])
    for a, p in zip(amplitude.reshape(volume), phase.reshape(volume), strict=True):
        _shift_object(a, p, shift)
    optics.propagate(probe, rate, -slice_thickness * shift)
    return np.asarray(shift)


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


def _shift_object(amplitude: Array, phase: Array, shift: float) -> None:
    """Move A·exp(iφ) and φ along z; both arrays are (nz, pixels)."""
    nz, pixels = phase.shape
    dtype, tables = phase.dtype, elementary.tables(phase.dtype)
    if nz <= _DENSE:
        matrix = _shift_matrix(nz, shift).astype(dtype)

        def work(start: int, stop: int) -> None:
            rows, moved = np.zeros((2, nz + 1, 3 * _COLUMNS), dtype)
            _shift_by_matrix(amplitude, phase, start, stop, matrix, rows, moved, tables)

    else:
        ramp = _ramp(nz, shift).astype(np.result_type(dtype, np.complex64))

        def work(start: int, stop: int) -> None:
            with np.errstate(all="ignore"):  # a warning made an error would stop halfway
                _shift_by_fft(amplitude, phase, start, stop, ramp, tables)

    threads.run(work, pixels, grain=max(1, _GRAIN // nz))


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
) -> None:
    nz = len(phase)
    width = max(1, _BLOCK // nz)
    rows = np.zeros((nz + 1, 3 * width), phase.dtype)
    wave = np.empty((nz, width), ramp.dtype)
    half = ramp[: nz // 2 + 1]
    for start in range(first, last, width):
        n = min(width, last - start)
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
        _from_rows(rows, amplitude, phase, start, n, tables)


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
def _shift_by_matrix(amplitude, phase, first, last, matrix, rows, moved, tables):
    width = rows.shape[1] // 3
    for start in range(first, last, width):
        n = min(width, last - start)
        _to_rows(amplitude, phase, start, n, rows, tables)
        product(matrix, rows, moved)
        _from_rows(moved, amplitude, phase, start, n, tables)


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
def _from_rows(rows, amplitude, phase, start, n, tables):
    """Turn rows as of `_to_rows` into A and φ, with the turns that bring φ closest to its own row.

    The last row is imaginary, and to be added with alternating signs.
    """
    nz, width = len(phase), rows.shape[1] // 3
    last_real, last_imag = rows[nz, :n], rows[nz, width : width + n]
    turn = tables.half_turn + tables.half_turn
    for z in range(nz):
        sign = tables.one if z % 2 == 0 else -tables.one
        a, p = amplitude[z, start : start + n], phase[z, start : start + n]
        real, imag, expected = rows[z, :width], rows[z, width:], rows[z, 2 * width :]
        for j in range(n):
            x, y = real[j] - sign * last_imag[j], imag[j] + sign * last_real[j]
            angle = elementary.arctangent(y, x, tables)
            a[j] = elementary.modulus(x, y, tables)
            p[j] = angle + turn * np.rint((expected[j] - angle) / turn)


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
