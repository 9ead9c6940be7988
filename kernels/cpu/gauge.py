"""Freedoms of the model that the intensities do not fix: phase ramps, object modes, scale."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu import modes
from arraycon.kernels.cpu.tools import fitting, ramps
from arraycon.kernels.cpu.tools.compiled import kernel, summing
from arraycon.kernels.cpu.tools.planes import GRAIN, piece_from, run, split, weights_of
from arraycon.kernels.cpu.tools.sums import BLOCK, CHUNK, as_real, keep_values, squares


def ortho_omode(obj: Array, *, sums: Array | None = None) -> Array:
    """Make the object modes orthogonal, strongest first; return the unitary that does it."""
    return modes.ortho_pmode(obj[:, 0], sums=sums)


def obj_probe_scale(
    amplitude: Array,
    probe: Array,
    weight: Array | None = None,
    *,
    target: float,
    relax: float,
    sums: Array | None = None,
) -> Generator[None, None, Array]:
    """Scale every slice to an rms amplitude, and the probe by what they lose; return by what."""
    planes, nz = split(amplitude), amplitude.shape[-3]
    weights, index = weights_of(weight, amplitude)
    pieces = -(-planes.shape[1] // BLOCK)
    powers = np.empty((len(planes) * pieces, 2))
    inverse, every = np.empty(len(planes)), np.empty(1)
    yield

    def work(first: int, last: int) -> None:
        if weights is None:
            _add_squares(planes, pieces, first, last, powers)
        else:
            _add_weighted(planes, weights, index, pieces, first, last, powers)

    threads.run(work, len(powers), grain=max(1, GRAIN // min(BLOCK, planes.shape[1])))
    total, whole = powers.reshape(-1, nz, pieces, 2).sum(axis=(0, 2)).T
    rms = np.sqrt(np.where(whole != 0, total, 0) / np.where(whole != 0, whole, 1))
    there = rms != 0  # NaN is, so that it stays visible
    with np.errstate(over="ignore"):
        factor = np.where(there, (rms / target) ** (1 - relax), 1.0)
        inverse.reshape(-1, nz)[...], every[0] = 1 / factor, np.prod(factor)
    own = (None, None) if sums is None else (sums[:1], sums[1:])
    run(lambda *part: _scale(planes, inverse, *part), planes, own[0])
    values = as_real(probe).reshape(1, -1)
    run(lambda *part: _scale(values, every, *part), values, own[1])
    return factor


def phase_ramp(
    phase: Array,
    *others: Array,
    counter_probe: bool,
    terms: str,
    method: str,
    relax: float,
    sums: Array | None = None,
) -> Generator[None, None, Array]:
    """Subtract a plane from every slice, and turn the probe the other way; return the planes."""
    probe = others[0] if counter_probe else None
    weight = others[-1] if len(others) > counter_probe else None
    fit = fitting.Fit(phase, weight, ramp=terms == "ramp")
    ny, nx = phase.shape[-2:]
    yield
    with np.errstate(all="ignore"):  # what is not finite shows in the result
        slopes = fit.by_plane() if method == "plane" else fit.by_gradient()
        lost = (1 - relax) * slopes
        rows = phase.reshape(-1, nx)
        run(lambda *part: ramps.subtract(rows, ny, lost, *part), rows, sums)
        if probe is not None:
            pairs = as_real(probe).reshape(-1, 2 * probe.shape[-1])
            along = ramps.turns(*probe.shape[-2:], *lost[:, 1:].sum(axis=0))
            own = None if sums is None else sums[1:]
            run(lambda *part: ramps.turn(pairs, probe.shape[-2], *along, *part), probe, own)
    return slopes


@kernel
def _add_squares(planes, pieces, first, last, powers):
    for task in range(first, last):
        p, i = divmod(task, pieces)
        values = planes[p, i * BLOCK : (i + 1) * BLOCK]
        powers[task, 0], powers[task, 1] = _power(values), values.size


@kernel
def _add_weighted(planes, weights, index, pieces, first, last, powers):
    for task in range(first, last):
        p, i = divmod(task, pieces)
        part = slice(i * BLOCK, (i + 1) * BLOCK)
        powers[task] = _weighted_power(planes[p, part], weights[index[p], part])


@summing
def _power(values):
    total = 0.0
    for i in range(values.size):
        value = np.float64(values[i])
        total += value * value
    return total


@summing
def _weighted_power(values, weights):
    total = whole = 0.0
    for i in range(values.size):
        value, one = np.float64(values[i]), np.float64(weights[i])
        total += one * (value * value)
        whole += one
    return total, whole


@kernel
def _scale(planes, factors, first, last, measured):
    """Multiply each plane by its factor, in float64: float32 may not hold the factor."""
    old = np.empty(CHUNK if measured else 0, planes.dtype)
    changed = before = 0.0
    start = first
    while start < last:
        p, i, stop = piece_from(start, last, planes.shape[1], old.size)
        x = planes[p, i:stop]
        was = old[: x.size]
        keep_values(x[: was.size], was)
        for k in range(x.size):
            x[k] = np.float64(x[k]) * factors[p]
        more, size = squares(x[: was.size], was)
        changed += more
        before += size
        start += x.size
    return changed, before
