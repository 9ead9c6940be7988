"""Values of the object: shrinkage towards vacuum, its level, and what fills regions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools.compiled import kernel, summing
from arraycon.kernels.cpu.tools.selection import kth_smallest

# Fewer elements than this are done before a second thread has started.
_GRAIN = 1 << 20
_SOFT, _POSITIVE, _HARD, _RIDGE = range(4)
_RULES = {"soft": _SOFT, "positive": _POSITIVE, "hard": _HARD, "ridge": _RIDGE}


def obj_shrink(obj: Array, *, amount: float, rule: str, target: float, relax: float) -> None:
    """Shrink the distance from a value."""
    whole = obj.dtype.kind == "c"
    flat, cast = obj.reshape(-1).view(obj.real.dtype), obj.real.dtype.type
    with np.errstate(over="ignore"):  # of float32 the limits do
        numbers = cast(amount), cast(1 + amount), cast(target), cast(relax), cast(1 - relax)
    chosen, step = _RULES[rule], 2 if whole else 1
    shrink = _shrink_complex if whole else _shrink

    def work(first: int, last: int) -> None:
        shrink(flat[first * step : last * step], chosen, *numbers)

    threads.run(work, obj.size, grain=_GRAIN // step)


def obj_fill(
    obj: Array,
    mask: Array | None = None,
    *,
    value: float,
    slices: tuple[int, ...] | None,
    relax: float,
) -> None:
    """Mix a value into a region."""
    planes, weights = _planes(obj), _weights(mask, obj)
    chosen = np.ones(len(planes), np.bool_)
    if slices is not None:
        nz = obj.shape[-3]
        chosen = np.isin(np.arange(len(planes)) % nz, [i % nz for i in slices])
    cast = obj.dtype.type
    with np.errstate(over="ignore"):
        numbers = cast(1 - relax), cast(value)

    def work(first: int, last: int) -> None:
        _fill(planes, weights, chosen, first, last, *numbers)

    _by_rows(work, planes)


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
) -> None:
    """Take the level of a region away."""
    planes, weights = _planes(obj), _weights(mask, obj)
    if statistic == "mean":
        level, known = _means(planes, weights, scope)
    else:
        some = None if mask is None else weights
        level, known = _percentiles(planes, some, percentile, scope)
    level = np.broadcast_to(level, len(planes))
    factors, offsets = np.ones(len(planes)), np.zeros(len(planes))
    if obj_type == "phase":
        offsets = np.where(known, (1 - relax) * factor * level, 0)
    else:
        usable = known & ~(level <= 0)  # NaN is usable, so that it stays visible
        with np.errstate(over="ignore", divide="ignore"):
            factors = relax + (1 - relax) / np.where(usable, level, 1) ** factor
    with np.errstate(over="ignore"):
        factors, offsets = factors.astype(obj.dtype), offsets.astype(obj.dtype)
    _by_rows(lambda i, j: _change(planes, factors, offsets, i, j), planes)


def _planes(obj: Array) -> Array:
    return obj.reshape(-1, *obj.shape[-2:])


def _weights(mask: Array | None, obj: Array) -> Array:
    """Weights (n, ny, nx), of which those of plane i of the object are at i % n."""
    plane = obj.shape[-2:]
    if mask is None:
        return np.broadcast_to(np.ones((1, 1, 1), obj.dtype), (1, *plane))
    if mask.dtype == np.bool_:
        mask = mask.view(np.uint8)
    if mask.ndim <= 3:
        return np.broadcast_to(mask, (mask.shape[0] if mask.ndim == 3 else 1, *plane))
    return np.broadcast_to(mask, obj.shape).reshape(-1, *plane)


def _by_rows(work: Callable[[int, int], None], planes: Array) -> None:
    threads.run(work, planes.shape[0] * planes.shape[1], grain=max(1, _GRAIN // planes.shape[2]))


def _means(planes: Array, weights: Array, scope: str) -> tuple[Array, Array]:
    """Weighted means and whether there are any."""
    rows = np.empty((planes.shape[0], planes.shape[1], 2))
    flat = rows.reshape(-1, 2)
    _by_rows(lambda i, j: _sum_rows(planes, weights, i, j, flat), planes)
    sums = rows.sum(axis=(0, 1) if scope == "global" else 1)
    total, weight = sums[..., 0], sums[..., 1]
    known = weight != 0
    return total / np.where(known, weight, 1), known


def _percentiles(
    planes: Array, weights: Array | None, percentile: float, scope: str
) -> tuple[Array, Array]:
    """Percentiles of the values with more than half of the weight, and whether there are any."""
    groups = [planes] if scope == "global" else list(planes[:, None])
    if weights is None:
        flat = (group.reshape(-1) for group in groups)
        return np.array([_percentile(x, percentile) for x in flat]), np.ones(len(groups), np.bool_)
    inside = weights > 0.5
    memory = np.empty(groups[0].size, planes.dtype)
    level, known = np.zeros(len(groups)), np.zeros(len(groups), np.bool_)
    for g, group in enumerate(groups):
        size = 0
        for i, plane in enumerate(group):
            found = plane[inside[(g + i) % len(inside)]]
            memory[size : size + found.size] = found
            size += found.size
        known[g] = size > 0
        level[g] = _percentile(memory[:size], percentile) if size else 0
    return level, known


def _percentile(values: Array, percentile: float) -> float:
    """Percentile by linear interpolation between two values in order."""
    position = percentile / 100 * (values.size - 1)
    low = math.floor(position)
    below = np.float64(kth_smallest(values, low))
    if position == low:
        return float(below)
    above = np.float64(kth_smallest(values, low + 1))
    return float(below + (position - low) * (above - below))


@kernel
def _shrink(x, rule, amount, divisor, target, relax, keep):
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
def _shrink_complex(x, rule, amount, divisor, target, relax, keep):
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
def _fill(planes, weights, chosen, first, last, strength, value):
    ny, nx = planes.shape[1:]
    for row in range(first, last):
        p, y = divmod(row, ny)
        if chosen[p]:
            w = p % weights.shape[0]
            for x in range(nx):
                weight = planes.dtype.type(strength * weights[w, y, x])
                planes[p, y, x] = (1 - weight) * planes[p, y, x] + weight * value


@kernel
def _change(planes, factors, offsets, first, last):
    ny, nx = planes.shape[1:]
    for row in range(first, last):
        p, y = divmod(row, ny)
        for x in range(nx):
            planes[p, y, x] = planes[p, y, x] * factors[p] - offsets[p]


@summing
def _sum_rows(planes, weights, first, last, sums):
    ny, nx = planes.shape[1:]
    for row in range(first, last):
        p, y = divmod(row, ny)
        w = p % weights.shape[0]
        total = weight = 0.0
        for x in range(nx):
            one = np.float64(weights[w, y, x])
            total += one * planes[p, y, x]
            weight += one
        sums[row, 0], sums[row, 1] = total, weight
