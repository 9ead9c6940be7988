"""Probe modes: orthogonalisation and total intensity."""

from __future__ import annotations

import array_api_compat.numpy as xp
import numpy as np

from arraycon.kernels.agnostic import modes as agnostic
from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools.compiled import kernel, summing
from arraycon.kernels.cpu.tools.sums import (
    CHUNK,
    add_unchanged,
    as_real,
    keep_values,
    run_blocks,
    squares,
)

# Pixels of all modes that are worked on at a time, with their real and imaginary parts apart. Eight
# modes of them are 32 kB in float64, and the products of pairs vectorise: the Gram matrix of eight
# modes of 256² took 0.9 ms on one thread. By BLAS, in blocks cast to complex128, 1.8 ms; and from
# 2^16 complex multiplications on OpenBLAS uses threads of its own, which then spin for up to 0.1 s
# beside those of `threads`.
_BLOCK = 256
# Real numbers of each mode that are rotated at a time: 0.8 ms for eight modes of 256² on one
# thread, 1.3 with four times as many. BLAS took 1.0, in blocks so large that it uses its threads.
_ROTATED = 256
# Parts whose sums are added up in order, so that the number of threads does not change the result.
_PARTS = 32
# Elements of the smallest part, for sums over pairs and over single modes. Fewer than these are
# merely read or scaled before a second thread has woken up, which takes some 50 µs.
_GRAIN = 1 << 16
_LIGHT_GRAIN = 1 << 19
# And fewer products of two modes are formed: two modes of 256² took 1.3 times as long with two
# threads.
_PRODUCTS = 1 << 19


def mode_powers(probe: Array, memory: Array | None = None) -> Array:
    """Σ|P|² of each mode, accumulated in float64; `memory` is what `power_memory` returns."""
    pixels = _pixels(probe)
    bounds = _bounds(pixels, _LIGHT_GRAIN)
    powers = power_memory(probe) if memory is None else memory
    values = pixels.view(pixels.real.dtype)

    def work(first: int, last: int) -> None:
        for part in range(first, last):
            _powers(values, bounds[part], bounds[part + 1], powers[part])

    threads.run(work, len(powers))
    return np.sum(powers, axis=0)


def power_memory(probe: Array) -> Array:
    """Return what `mode_powers` needs, for whoever has written to the probe before it."""
    return np.empty((len(_bounds(_pixels(probe), _LIGHT_GRAIN)) - 1, len(probe)))


def fix_probe_int(probe: Array, *, intensity: float, sums: Array | None = None) -> None:
    """Scale to a total intensity."""
    total = np.sum(mode_powers(probe))
    if total == 0:
        if sums is not None:
            add_unchanged(probe, sums[0])
        return
    # an overflowed total must not turn into a silent zero
    factor = np.nan if np.isinf(total) else np.sqrt(intensity) / np.sqrt(total)
    values = as_real(probe)

    def work(start: int, stop: int) -> None:
        _scale(values[start:stop], factor)

    if sums is None:
        threads.run(work, values.size, grain=2 * _LIGHT_GRAIN)
    else:
        run_blocks(
            lambda part: _scale_measured(values[part], factor),
            values.size,
            sums[0],
            grain=_LIGHT_GRAIN,
        )


def ortho_pmode(probe: Array, *, sums: Array | None = None) -> Array:
    """Make the modes orthogonal, strongest first; return the unitary that does it."""
    pixels = _pixels(probe)
    rotation = agnostic.unitary(_gram(pixels), noise=agnostic.rounding_noise(probe, xp), xp=xp)
    rotation = rotation.astype(probe.dtype)
    # the usual case after the first iteration but for rounding; NaN is not equal to anything
    if not np.array_equal(rotation, np.eye(len(probe))):
        _rotate(pixels, rotation, sums)
    elif sums is not None:
        add_unchanged(probe, sums[0])
    return rotation


def _pixels(probe: Array) -> Array:
    return probe.reshape(len(probe), -1)


def _bounds(pixels: Array, grain: int) -> list[int]:
    modes, size = pixels.shape
    parts = max(1, min(_PARTS, modes * size // grain))
    return [size * i // parts for i in range(parts + 1)]


def _gram(pixels: Array) -> Array:
    modes = len(pixels)
    bounds = _bounds(pixels, _GRAIN)
    parts = np.zeros((len(bounds) - 1, 2, modes, modes))
    values = pixels.view(pixels.real.dtype)

    def work(first: int, last: int) -> None:
        scratch = np.empty((2, modes, _BLOCK))
        for part in range(first, last):
            _add_overlaps(values, bounds[part], bounds[part + 1], scratch, parts[part])

    products = modes * modes * pixels.shape[1]
    threads.run(work, len(parts), grain=max(1, _PRODUCTS * len(parts) // products))
    real, imag = np.sum(parts, axis=0)
    return real + 1j * imag


def _rotate(pixels: Array, rotation: Array, sums: Array | None) -> None:
    modes, size = pixels.shape
    values = pixels.view(pixels.real.dtype)
    even = modes + modes % 2  # the loops take two modes at a time: the last may be one of zeros
    weights = np.zeros((2, modes, even), values.dtype)
    weights[0, :, :modes], weights[1, :, :modes] = rotation.real, rotation.imag
    # always the same blocks, so that the number of threads does not change the sums
    blocks = -(-2 * size // _ROTATED)
    grain = max(1, 2 * _PRODUCTS // (modes * modes * _ROTATED))
    memory = threads.memory(
        lambda: np.zeros((2, even, _ROTATED), values.dtype), blocks, grain=grain
    )
    changes = np.zeros((blocks, 2))
    measured = sums is not None

    def work(first: int, last: int, scratch: Array) -> None:
        _mix(values, first, last, weights, scratch, measured, changes)

    threads.run(work, blocks, grain=grain, memory=memory)
    if sums is not None:
        np.sum(changes, axis=0, out=sums[0])


@summing
def _scale(values: Array, factor: float) -> None:
    # the product in float64: a probe of 1e-40 fits into float32, its factor does not
    for i in range(values.size):
        values[i] = np.float64(values[i]) * factor


@summing
def _powers(values: Array, start: int, stop: int, powers: Array) -> None:
    """Σ|P|² of each mode over some pixels."""
    for i in range(len(values)):
        mode = values[i, 2 * start : 2 * stop]
        total = 0.0
        for k in range(mode.size):
            value = np.float64(mode[k])
            total += value * value
        powers[i] = total


@summing
def _add_overlaps(values: Array, start: int, stop: int, scratch: Array, gram: Array) -> None:
    """Add Σ P_i·conj(P_j) over some pixels: real and imaginary parts."""
    modes, width = scratch.shape[1:]
    for first in range(start, stop, width):
        n = min(width, stop - first)
        for i in range(modes):
            _split(values[i, 2 * first : 2 * (first + n)], scratch[0, i, :n], scratch[1, i, :n])
        for i in range(modes):
            for j in range(i + 1):
                real, imag = _overlap(
                    scratch[0, i, :n], scratch[1, i, :n], scratch[0, j, :n], scratch[1, j, :n]
                )
                gram[0, i, j] += real
                gram[1, i, j] += imag
                if i != j:
                    gram[0, j, i] += real
                    gram[1, j, i] -= imag
                else:
                    gram[1, i, i] = 0


@summing
def _overlap(a: Array, b: Array, c: Array, d: Array) -> tuple[float, float]:
    """Σ (a + ib)·conj(c + id)."""
    real = imag = 0.0
    for k in range(a.size):
        real += a[k] * c[k] + b[k] * d[k]
        imag += b[k] * c[k] - a[k] * d[k]
    return real, imag


@summing
def _split(values: Array, real: Array, imag: Array) -> None:
    for k in range(real.size):
        real[k] = values[2 * k]
        imag[k] = values[2 * k + 1]


@summing
def _mix(values, first_block, last_block, weights, scratch, measured, changes):
    """Replace blocks of the modes by Σ (a + ib)·P = Σ a·P + b·(iP), with a and b the weights."""
    width = scratch.shape[2]
    for block in range(first_block, last_block):
        first = block * width
        n = min(width, values.shape[1] - first)
        for i in range(len(values)):
            _copy_and_turn(values[i, first : first + n], scratch[0, i, :n], scratch[1, i, :n])
        for i in range(len(values)):
            mixed = values[i, first : first + n]
            mixed[:] = 0
            for j in range(0, weights.shape[2], 2):
                a, b = weights[0, i, j], weights[1, i, j]
                c, d = weights[0, i, j + 1], weights[1, i, j + 1]
                x, y, u, v = scratch[0, j], scratch[1, j], scratch[0, j + 1], scratch[1, j + 1]
                for k in range(mixed.size):
                    mixed[k] += a * x[k] + b * y[k] + c * u[k] + d * v[k]
            if measured:
                more, size = squares(mixed, scratch[0, i, :n])
                changes[block, 0] += more
                changes[block, 1] += size


@summing
def _copy_and_turn(values: Array, same: Array, turned: Array) -> None:
    """Complex numbers as pairs of real ones, and i times them."""
    for k in range(values.size):
        same[k] = values[k]
    for k in range(values.size // 2):
        turned[2 * k] = -values[2 * k + 1]
        turned[2 * k + 1] = values[2 * k]


@kernel
def _scale_measured(values, factor):
    old = np.empty(CHUNK, values.dtype)
    changed = before = 0.0
    for start in range(0, values.size, CHUNK):
        part = values[start : start + CHUNK]
        was = old[: part.size]
        keep_values(part, was)
        _scale(part, factor)
        more, size = squares(part, was)
        changed += more
        before += size
    return changed, before
