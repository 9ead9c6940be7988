"""Sums of phasors of slices, of neighbours and of pixels, by pieces of some rows."""

from __future__ import annotations

import math

import numpy as np

from arraycon.kernels.cpu.tools import elementary
from arraycon.kernels.cpu.tools.compiled import kernel, summing
from arraycon.kernels.cpu.tools.sums import CHUNK


@kernel
def add_turns(planes, weights, index, steps, rows, tables, first, last, sums):
    """Σww'·exp(i(φ' - φ)) of neighbours along y, then along x, of pieces.

    Sine and cosine are taken of each pixel once: phasors of differences are products of theirs.
    """
    nx = steps.size
    ny = planes.shape[1] // nx
    pieces = -(-ny // rows)
    room = min(nx, CHUNK) + 1
    angles, waves = np.empty((2, room)), np.empty((2, 2, room))
    for task in range(first, last):
        p, i = divmod(task, pieces)
        sums[task] = 0
        for start in range(0, nx, CHUNK):
            n = min(CHUNK, nx - start)
            m = min(n + 1, nx - start)
            y, stop = i * rows, min(ny, (i + 1) * rows)
            here = y * nx + start
            fine = _phasors(planes[p], here, angles[y % 2, :m], waves[y % 2], tables)
            while y < stop:
                a, b, here = y % 2, (y + 1) % 2, y * nx + start
                real, imag = _turn(
                    angles[a],
                    angles[a, 1:],
                    waves[a],
                    waves[a, :, 1:],
                    m - 1,
                    weights,
                    index[p],
                    here,
                    here + 1,
                    fine,
                )
                sums[task, 2] += real
                sums[task, 3] += imag
                y += 1
                if y == ny:
                    continue
                below = _phasors(planes[p], here + nx, angles[b, :m], waves[b], tables)
                real, imag = _turn(
                    angles[a],
                    angles[b],
                    waves[a],
                    waves[b],
                    n,
                    weights,
                    index[p],
                    here,
                    here + nx,
                    fine and below,
                )
                sums[task, 0] += real
                sums[task, 1] += imag
                fine = below


@kernel
def _phasors(values, begin, angles, waves, tables):
    """Take sines and cosines; return whether all angles are of ordinary size."""
    for j in range(angles.size):
        angles[j] = values[begin + j]
    elementary.sines_and_cosines(angles, waves[0, : angles.size], waves[1, : angles.size], tables)
    return elementary.none_above(angles, tables.largest_angle)


@kernel
def _turn(old, new, before, after, n, weights, plane, here, there, fine):
    """Σww'·exp(i(φ' - φ)) of n pixels and their neighbours."""
    if not fine:  # of 10³⁰ rad the difference is rounded, in the reference too
        return _turn_by_difference(old, new, n, weights, plane, here, there)
    if weights is None:
        return _product(before, after, n)
    w = weights[plane]
    return _weighted_product(before, after, w[here : here + n], w[there : there + n])


@kernel
def _turn_by_difference(old, new, n, weights, plane, here, there):
    real = imag = 0.0
    for j in range(n):
        weight = 1.0
        if weights is not None:
            weight = np.float64(weights[plane, here + j]) * weights[plane, there + j]
        real += weight * math.cos(new[j] - old[j])
        imag += weight * math.sin(new[j] - old[j])
    return real, imag


@summing
def _product(a, b, n):
    real = imag = 0.0
    for j in range(n):
        real += a[1, j] * b[1, j] + a[0, j] * b[0, j]
        imag += a[1, j] * b[0, j] - a[0, j] * b[1, j]
    return real, imag


@summing
def _weighted_product(a, b, weights, others):
    real = imag = 0.0
    for j in range(weights.size):
        weight = np.float64(weights[j]) * np.float64(others[j])
        real += weight * (a[1, j] * b[1, j] + a[0, j] * b[0, j])
        imag += weight * (a[1, j] * b[0, j] - a[0, j] * b[1, j])
    return real, imag


@kernel
def add_phasors(planes, weights, index, steps, rows, slopes, tables, first, last, sums):
    """Σw·exp(i(φ - g·r)) of pieces."""
    nx = steps.size
    ny = planes.shape[1] // nx
    pieces = -(-ny // rows)
    room = min(nx, CHUNK)
    angles, waves = np.empty(room), np.empty((2, room))
    for task in range(first, last):
        p, i = divmod(task, pieces)
        slope_y, slope_x = slopes[p % len(slopes)]
        sums[task] = 0
        for y in range(i * rows, min(ny, (i + 1) * rows)):
            level = slope_y * (y - ny // 2)
            for start in range(0, nx, CHUNK):
                n, k = min(CHUNK, nx - start), y * nx + start
                for j in range(n):
                    angles[j] = planes[p, k + j] - (level + slope_x * steps[start + j])
                elementary.sines_and_cosines(angles[:n], waves[0, :n], waves[1, :n], tables)
                if weights is None:
                    sums[task, 0] += _sum(waves[1], n)
                    sums[task, 1] += _sum(waves[0], n)
                else:
                    w = weights[index[p], k : k + n]
                    sums[task, 0] += _weighted_sum(waves[1], w)
                    sums[task, 1] += _weighted_sum(waves[0], w)


@summing
def _sum(values, n):
    total = 0.0
    for j in range(n):
        total += values[j]
    return total


@summing
def _weighted_sum(values, weights):
    total = 0.0
    for j in range(weights.size):
        total += np.float64(weights[j]) * values[j]
    return total
