"""Values of the object: shrinkage towards vacuum, its level, and what fills regions.

What differs from slice to slice works on planes, (number, pixels), of which `index` says whose
weights are whose. One loop serves with and without measuring: it goes by pieces whose old values
stay in the cache.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools import selection
from arraycon.kernels.cpu.tools.compiled import kernel, summing
from arraycon.kernels.cpu.tools.planes import GRAIN, piece_from, run, split, weights_of
from arraycon.kernels.cpu.tools.sums import BLOCK, CHUNK, keep_values, squares

_SOFT, _POSITIVE, _HARD, _RIDGE = range(4)
_RULES = {"soft": _SOFT, "positive": _POSITIVE, "hard": _HARD, "ridge": _RIDGE}


def obj_shrink(
    obj: Array,
    *,
    amount: float,
    rule: str,
    target: float,
    relax: float,
    sums: Array | None = None,
) -> None:
    """Shrink the distance from a value."""
    flat, cast = obj.reshape(-1).view(obj.real.dtype), obj.real.dtype.type
    with np.errstate(over="ignore"):  # of float32 the limits do
        numbers = cast(amount), cast(1 + amount), cast(target), cast(relax), cast(1 - relax)
    parts, number = flat.size // obj.size, _RULES[rule]
    run(lambda *part: _shrink(flat, parts, number, *numbers, *part), obj, sums)


def obj_fill(
    obj: Array,
    mask: Array | None = None,
    *,
    value: float,
    slices: tuple[int, ...] | None,
    relax: float,
    sums: Array | None = None,
) -> Iterator[None]:
    """Mix a value into a region."""
    planes, (weights, index) = split(obj), weights_of(mask, obj)
    strengths = np.full(len(planes), 1 - relax, obj.dtype)
    if slices is not None:
        nz = obj.shape[-3]
        strengths[~np.isin(np.arange(len(planes)) % nz, [i % nz for i in slices])] = 0
    with np.errstate(over="ignore"):
        value = obj.dtype.type(value)
    yield
    if weights is None:
        _scale(planes, 1 - strengths, -strengths * value, sums)
        return
    run(
        lambda *part: _fill(planes, weights, index, strengths, value, *part),
        obj,
        sums,
    )


def obj_baseline(
    obj: Array,
    mask: Array | None = None,
    *,
    obj_type: str,
    statistic: str,
    percentile: float,
    scope: str,
    factor: float,
    relax: float,
    sums: Array | None = None,
) -> Iterator[None]:
    """Take the level of a region away."""
    planes, (weights, index) = split(obj), weights_of(mask, obj)
    whole = scope == "global"
    if statistic == "mean":
        find = _means(planes, weights, index, whole=whole)
    else:
        find = _percentiles(planes, weights, index, percentile, whole=whole)
    factors, offsets = np.ones(len(planes)), np.zeros(len(planes))
    yield
    level, known = find()
    with np.errstate(over="ignore", divide="ignore"):
        if obj_type == "phase":
            offsets[:] = np.where(known, (1 - relax) * factor * level, 0)
        else:
            usable = known & ~(level <= 0)  # NaN is usable, so that it stays visible
            factors[:] = relax + (1 - relax) / np.where(usable, level, 1) ** factor
        _scale(planes, factors.astype(obj.dtype), offsets.astype(obj.dtype), sums)


def _scale(planes: Array, factors: Array, offsets: Array, sums: Array | None) -> None:
    """Multiply each plane by its factor, and subtract its offset."""
    run(
        lambda *part: _scale_planes(planes, factors, offsets, *part),
        planes,
        sums,
    )


def _means(
    planes: Array, weights: Array | None, index: Array, *, whole: bool
) -> Callable[[], tuple[Array, Array]]:
    """Return what finds weighted means and whether there are any, with the memory that it needs."""
    pieces = -(-planes.shape[1] // BLOCK)
    sums = np.empty((len(planes) * pieces, 2))

    def work(first: int, last: int) -> None:
        if weights is None:
            _sum_pieces(planes, pieces, first, last, sums)
        else:
            _sum_weighted(planes, weights, index, pieces, first, last, sums)

    def find() -> tuple[Array, Array]:
        threads.run(work, len(sums), grain=max(1, GRAIN // min(BLOCK, planes.shape[1])))
        by_plane = sums.reshape(len(planes), pieces, 2)
        total, weight = by_plane.sum(axis=(0, 1) if whole else 1).T
        known = weight != 0
        return total / np.where(known, weight, 1), known

    return find


def _percentiles(
    planes: Array, weights: Array | None, index: Array, percentile: float, *, whole: bool
) -> Callable[[], tuple[Array, Array]]:
    """As `_means`: percentiles of the values with more than half of the weight."""
    groups = [np.arange(len(planes))] if whole else list(np.arange(len(planes))[:, None])
    level, known = np.zeros(len(groups)), np.ones(len(groups), np.bool_)
    if weights is None:
        size = planes.size // len(groups)
        scratch = selection.memory(size, planes.dtype)

        def find() -> tuple[Array, Array]:
            for g, values in enumerate(planes.reshape(len(groups), size)):
                ordered = functools.partial(selection.kth_smallest, values, scratch=scratch)
                level[g] = _interpolated(ordered, size, percentile)
            return level, known

        return find
    counts = np.array([_count_inside(plane) for plane in weights])
    sizes = [int(sum(counts[index[group]])) for group in groups]
    memory = np.empty(max(sizes), planes.dtype)

    def find_inside() -> tuple[Array, Array]:
        for g, (group, size) in enumerate(zip(groups, sizes, strict=True)):
            found, filled = memory[:size], 0
            for p in group:
                filled += _take_inside(planes[p], weights[index[p]], found[filled:])
            known[g] = size > 0
            if size:
                low = math.floor(_position(size, percentile))
                found.partition([low, min(low + 1, size - 1)])
                level[g] = _interpolated(found.__getitem__, size, percentile)
        return level, known

    return find_inside


def _position(size: int, percentile: float) -> float:
    return percentile / 100 * (size - 1)


def _interpolated(ordered: Callable[[int], Any], size: int, percentile: float) -> float:
    """Percentile by linear interpolation between two values in order."""
    position = _position(size, percentile)
    low = math.floor(position)
    below = np.float64(ordered(low))
    if position == low:
        return float(below)
    with np.errstate(invalid="ignore"):  # between infinities
        return float(below + (position - low) * (np.float64(ordered(low + 1)) - below))


@kernel
def _shrink(flat, parts, rule, amount, divisor, target, relax, keep, first, last, measured):
    old = np.empty(CHUNK if measured else 0, flat.dtype)
    changed = before = 0.0
    start, end = parts * first, parts * last
    while start < end:
        x = flat[start : min(end, start + old.size) if old.size else end]
        was = old[: x.size]
        keep_values(x[: was.size], was)
        if parts == 1:
            _shrink_values(x, rule, amount, divisor, target, relax, keep)
        else:
            _shrink_pairs(x, rule, amount, divisor, target, relax, keep)
        more, size = squares(x[: was.size], was)
        changed += more
        before += size
        start += x.size
    return changed, before


@kernel
def _shrink_values(x, rule, amount, divisor, target, relax, keep):
    # one loop for each rule: a choice inside is not vectorised
    if rule == _SOFT:
        for i in range(x.size):
            d = x[i] - target
            left = abs(d) - amount
            left = x.dtype.type(0) if left < 0 else left
            x[i] = relax * x[i] + keep * (target + math.copysign(left, d))
    elif rule == _POSITIVE:
        for i in range(x.size):
            left = x[i] - target - amount
            left = x.dtype.type(0) if left < 0 else left
            x[i] = relax * x[i] + keep * (target + left)
    elif rule == _HARD:
        for i in range(x.size):
            d = x[i] - target
            d = x.dtype.type(0) if abs(d) <= amount else d
            x[i] = relax * x[i] + keep * (target + d)
    else:
        for i in range(x.size):
            x[i] = relax * x[i] + keep * (target + (x[i] - target) / divisor)


@kernel
def _shrink_pairs(x, rule, amount, divisor, target, relax, keep):
    for i in range(0, x.size, 2):
        real, imag = x[i] - target, x[i + 1]
        if rule == _RIDGE:
            real, imag = real / divisor, imag / divisor
        else:
            # squares of float32 fit into float64, of float64 they may not
            size = math.sqrt(np.float64(real) * real + np.float64(imag) * imag)
            if not 1e-150 < size < 1e150:
                size = math.hypot(np.float64(real), np.float64(imag))
            if rule == _HARD:
                share = 0.0 if size <= amount else 1.0
            else:
                left = size - amount
                share = 0.0 if left < 0 else left / (size if size > 0 else 1.0)
            real, imag = x.dtype.type(share * real), x.dtype.type(share * imag)
        x[i] = relax * x[i] + keep * (target + real)
        x[i + 1] = relax * x[i + 1] + keep * imag


@kernel
def _fill(planes, weights, index, strengths, value, first, last, measured):
    old = np.empty(CHUNK if measured else 0, planes.dtype)
    changed = before = 0.0
    start = first
    while start < last:
        p, i, stop = piece_from(start, last, planes.shape[1], old.size)
        x, w = planes[p, i:stop], weights[index[p], i:stop]
        was = old[: x.size]
        keep_values(x[: was.size], was)
        if strengths[p] != 0:
            for k in range(x.size):
                weight = x.dtype.type(strengths[p] * w[k])
                x[k] = (1 - weight) * x[k] + weight * value
        more, size = squares(x[: was.size], was)
        changed += more
        before += size
        start += x.size
    return changed, before


@kernel
def _scale_planes(planes, factors, offsets, first, last, measured):
    old = np.empty(CHUNK if measured else 0, planes.dtype)
    changed = before = 0.0
    start = first
    while start < last:
        p, i, stop = piece_from(start, last, planes.shape[1], old.size)
        x = planes[p, i:stop]
        was = old[: x.size]
        keep_values(x[: was.size], was)
        for k in range(x.size):
            x[k] = x[k] * factors[p] - offsets[p]
        more, size = squares(x[: was.size], was)
        changed += more
        before += size
        start += x.size
    return changed, before


@kernel
def _sum_pieces(planes, pieces, first, last, sums):
    for task in range(first, last):
        p, i = divmod(task, pieces)
        values = planes[p, i * BLOCK : (i + 1) * BLOCK]
        sums[task, 0], sums[task, 1] = _sum(values), values.size


@kernel
def _sum_weighted(planes, weights, index, pieces, first, last, sums):
    for task in range(first, last):
        p, i = divmod(task, pieces)
        part = slice(i * BLOCK, (i + 1) * BLOCK)
        sums[task] = _weighted(planes[p, part], weights[index[p], part])


@summing
def _sum(values):
    total = 0.0
    for i in range(values.size):
        total += np.float64(values[i])
    return total


@summing
def _weighted(values, weights):
    total = weight = 0.0
    for i in range(values.size):
        one = np.float64(weights[i])
        total += one * values[i]
        weight += one
    return total, weight


@kernel
def _count_inside(weights):
    number = 0
    for i in range(weights.size):
        number += weights[i] > 0.5
    return number


@kernel
def _take_inside(values, weights, found):
    number = 0
    for i in range(values.size):
        if weights[i] > 0.5:
            found[number] = values[i]
            number += 1
    return number
