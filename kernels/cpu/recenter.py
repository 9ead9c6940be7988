"""Removal of drifts that the diffraction patterns cannot fix: depth and scan origin.

Sines, arctangents and products with small matrices are NumPy's, in blocks that fit the cache: they
are vectorised, which Numba's are not (5.2 M float32 sines: 3 ms on one thread).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from arraycon.kernels import fft, threads
from arraycon.kernels.agnostic import recenter as agnostic
from arraycon.kernels.backend import Array
from arraycon.kernels.cpu import optics
from arraycon.kernels.cpu.compiled import summing

# Elements of one block in depth, of which the scratch memory holds five. Half or twice as many made
# no difference, with four times as many it took an eighth longer.
_BLOCK = 1 << 15
# Multiplications in one real product up to which OpenBLAS stays on the calling thread. Threads of
# its own would come beside those of `threads`, and spin for 0.1 s after the product.
_SERIAL_PRODUCT = 1 << 18
# Most columns of one product, and what their number is a multiple of.
_COLUMNS, _ALIGNED = 512, 16
# Up to this depth the shift is a product with a small matrix, beyond it an FFT along z (ducc0's).
# nz×512×512 float32 on one thread, ms by matrix and by FFT: 40 and 109 at nz = 20, 145 and 277 at
# 48, 240 and 370 at 64. Beyond, even the fewest columns would be no serial product.
_DENSE = 64
# Fewer elements than this are done before a second thread has woken up.
_GRAIN = 1 << 15
# Values of which the percentile is estimated, before all others are compared with the estimate.
_SAMPLE = 1 << 15
# Half-width of the bracket around the estimate, in standard deviations of its rank.
_MARGIN = 5.0


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
    with np.errstate(all="ignore"):
        # column by column: a sum over the long axis of an (n, 2) array takes ten times as long
        for column in shifts.T:
            column -= shifts.dtype.type((1 - relax) * np.mean(column, dtype=np.float64))


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

    threads.run(work, len(slices), grain=max(1, _GRAIN // slices.shape[1]))
    return np.sum(sums.reshape(-1, phase.shape[-3]), axis=0)


def _percentile(phase: Array, thresh: float) -> float:
    """Smallest of the values max(φ, 0) that is not below the percentile.

    As in `agnostic` the upper one of the two order statistics next to it, exactly. A sample
    brackets it, then one pass counts what is below and collects what is inside: 5 ms for 5.2 M
    float32 on one thread, where `numpy.partition` takes 8 and a copy of the phase.
    """
    position = thresh * (phase.size - 1) / 100
    rank = max(math.ceil(position - 4 * math.ulp(position)), 0)
    low, high = _bracket(phase, rank)
    below, inside, collected = _compare(phase, low, high)
    if not below <= rank < below + inside:  # the sample has misled, or there are NaNs
        value = np.partition(phase, rank)[rank]
    elif low == high:
        value = low
    else:
        value = np.partition(collected, rank - below)[rank - below]
    return float(np.maximum(value, 0))


def _bracket(phase: Array, rank: int) -> tuple[float, float]:
    """Two values between which the one of this rank lies, most probably."""
    # an odd stride, so that all columns are met
    sample = np.sort(phase[:: phase.size // _SAMPLE | 1])
    fraction = rank / phase.size
    centre = fraction * sample.size
    margin = _MARGIN * math.sqrt(centre * (1 - fraction)) + 1
    first, last = math.floor(centre - margin), math.ceil(centre + margin)
    low = sample[first] if first >= 0 else -np.inf
    high = sample[last] if last < sample.size else np.inf
    return low, high


def _compare(phase: Array, low: float, high: float) -> tuple[int, int, Array]:
    """Numbers of values below and within the bracket, and the latter unless they are all equal."""
    # by NumPy: Numba's loops, vectorised or with branches, took 0.5 to 1.2 ns for a value, this 0.6
    counts: list[tuple[int, int]] = []
    collected: list[Array] = [phase[:0]]

    def work(start: int, stop: int) -> None:
        for i in range(start, stop, _BLOCK):
            block = phase[i : min(i + _BLOCK, stop)]
            inside = block >= low
            inside &= block <= high
            counts.append((int(np.count_nonzero(block < low)), int(np.count_nonzero(inside))))
            if low < high:
                collected.append(block[inside])

    threads.run(work, phase.size, grain=_GRAIN)
    below, inside = (sum(count) for count in zip(*counts, strict=True))
    return below, inside, np.concatenate(collected)


def _shift_object(amplitude: Array, phase: Array, shift: float) -> None:
    """Move A·exp(iφ) and φ along z; both arrays are (nz, pixels)."""
    nz, pixels = phase.shape
    ramp = np.exp(-2j * np.pi * shift * np.fft.fftfreq(nz))
    shift_blocks = _shift_by_matrix if nz <= _DENSE else _shift_by_fft

    def work(start: int, stop: int) -> None:
        with np.errstate(all="ignore"):  # a warning made an error would stop halfway
            shift_blocks(amplitude[:, start:stop], phase[:, start:stop], ramp)

    threads.run(work, pixels, grain=max(1, _GRAIN // nz))


def _shift_by_matrix(amplitude: Array, phase: Array, ramp: Array) -> None:
    nz, pixels = phase.shape
    matrix = np.fft.ifft(np.fft.fft(np.eye(nz), axis=0) * ramp[:, None], axis=0)
    # of the real and the imaginary part, one below the other
    wave_matrix = np.block([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])
    wave_matrix, phase_matrix = (x.astype(phase.dtype) for x in (wave_matrix, matrix.real))
    columns = _SERIAL_PRODUCT // (2 * nz) ** 2 // _ALIGNED * _ALIGNED
    columns = max(_ALIGNED, min(columns, _COLUMNS))
    step = columns * max(1, _BLOCK // (nz * columns))
    scratch = np.empty(5 * nz * min(step, pixels), phase.dtype)
    for start, stop in _steps(pixels, step, columns):
        a, p = amplitude[:, start:stop], phase[:, start:stop]
        rows = scratch[: 5 * p.size].reshape(5 * nz, stop - start)
        wave, moved, angle = rows[: 2 * nz], rows[2 * nz : 4 * nz], rows[4 * nz :]
        angle[...] = p
        moved[:nz] = a
        _wave(moved[:nz], angle, wave[:nz], wave[nz:])
        _multiply(wave_matrix, wave, moved, columns)
        _multiply(phase_matrix, angle, wave[:nz], columns)
        _polar(moved[:nz], moved[nz:], wave[:nz], wave[nz:], angle)
        a[...], p[...] = moved[:nz], angle


def _steps(size: int, step: int, columns: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most `step`, whose lengths are multiples of `columns` but for the last one."""
    start = 0
    while start < size:
        length = min(step, size - start)
        stop = start + (length if length < columns else length - length % columns)
        yield start, stop
        start = stop


def _multiply(matrix: Array, rows: Array, out: Array, columns: int) -> None:
    """Write matrix @ rows, by products of `columns` columns, to `out`."""
    if rows.shape[1] < columns:
        np.matmul(matrix, rows, out=out)
        return
    stacked, out = (x.reshape(len(x), -1, columns).transpose(1, 0, 2) for x in (rows, out))
    np.matmul(matrix, stacked, out=out)


def _shift_by_fft(amplitude: Array, phase: Array, ramp: Array) -> None:
    nz, pixels = phase.shape
    step = max(1, _BLOCK // nz)
    dtype = np.result_type(phase.dtype, np.complex64)
    ramp = ramp[:, None].astype(dtype)
    for start in range(0, pixels, step):
        a, p = amplitude[:, start : start + step], phase[:, start : start + step]
        angle, (moved, expected) = p.copy(), np.zeros((2, *p.shape), dtype)
        _wave(a, angle, moved.real, moved.imag)
        expected.real = angle
        for x in (moved, expected):
            fft.fft_inplace(x, axis=0)
            x *= ramp
            fft.fft_inplace(x, axis=0, inverse=True)
        _polar(moved.real, moved.imag, expected.real, expected.imag, angle)
        a[...], p[...] = moved.real, angle


def _wave(amplitude: Array, phase: Array, real: Array, imag: Array) -> None:
    np.cos(phase, out=real)
    real *= amplitude
    np.sin(phase, out=imag)
    imag *= amplitude


def _polar(real: Array, imag: Array, expected: Array, spare: Array, angle: Array) -> None:
    """Make `real` the modulus, and `angle` the phase with the turns closest to the expected one."""
    np.arctan2(imag, real, out=angle)
    expected -= angle
    expected *= angle.dtype.type(0.5 / np.pi)
    np.rint(expected, out=expected)
    expected *= angle.dtype.type(2 * np.pi)
    angle += expected
    np.multiply(real, real, out=expected)
    np.multiply(imag, imag, out=spare)
    expected += spare
    if np.isfinite(np.max(expected)):
        np.sqrt(expected, out=real)
    else:  # slow, but there is no square in it to overflow
        np.hypot(real, imag, out=real)


@summing
def _sum_above(x: Array, floor: float) -> float:
    total = 0.0
    for i in range(x.size):
        # written so that NaN counts
        total += 0.0 if x[i] < floor else np.float64(x[i])
    return total
