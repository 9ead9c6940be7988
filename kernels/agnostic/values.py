"""Values of the object: shrinkage towards vacuum, its level, and what fills regions."""

from __future__ import annotations

import math
from collections.abc import Iterator

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace


def obj_shrink(
    obj: Array, *, amount: float, rule: str, target: float, relax: float, xp: Namespace
) -> Array:
    """Shrink the distance from a value."""
    distance = obj - target
    return relax * obj + (1 - relax) * (target + _shrunk(distance, amount, rule, xp))


def _shrunk(distance: Array, amount: float, rule: str, xp: Namespace) -> Array:
    if rule == "ridge":
        return distance / (1 + amount)
    if rule == "positive":
        return xp.clip(distance - amount, min=0.0)
    size = xp.abs(distance)
    if rule == "hard":
        # NaN is not below, and stays visible
        return xp.where(size <= amount, xp.zeros_like(distance), distance)
    left = xp.clip(size - amount, min=0.0)
    if not xp.isdtype(distance.dtype, "complex floating"):
        return xp.sign(distance) * left
    share = left / xp.where(size > 0, size, xp.ones_like(size))
    return distance * xp.astype(share, distance.dtype)


def obj_fill(
    obj: Array,
    mask: Array | None = None,
    *,
    value: float,
    slices: tuple[int, ...] | None,
    relax: float,
    xp: Namespace,
) -> Array:
    """Mix a value into a region."""
    weight = xp.ones_like(obj) if mask is None else xp.astype(mask, obj.dtype)
    weight = (1 - relax) * weight
    if slices is not None:
        weight = weight * _chosen(obj, slices, xp)
    # not x + w·(value - x), which misses the value by its rounding
    return (1 - weight) * obj + weight * value


def _chosen(obj: Array, slices: tuple[int, ...], xp: Namespace) -> Array:
    """Return 1 for the slices that are named, counted from either end, else 0."""
    z = xp.arange(obj.shape[-3], device=arrays.device(obj))
    chosen = z < 0
    for i in slices:
        chosen = chosen | (z == i % obj.shape[-3])
    return xp.astype(chosen, obj.dtype)[:, None, None]


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
    xp: Namespace,
) -> Array:
    """Take the level of a region away."""
    if statistic == "mean":
        level, known = _mean(obj, mask, scope, xp)
    else:
        level, known = _percentile(obj, mask, percentile, scope, xp)
    return levelled(obj, level, known, obj_type=obj_type, factor=factor, relax=relax, xp=xp)


def levelled(
    obj: Array,
    level: Array,
    known: Array,
    *,
    obj_type: str,
    factor: float,
    relax: float,
    xp: Namespace,
) -> Array:
    """Take levels away where they are known."""
    if obj_type == "phase":
        # NaN where nothing is known of finite values would spread
        offset = xp.where(known, (1 - relax) * factor * level, xp.zeros_like(level))
        return obj - xp.astype(offset, obj.dtype)
    usable = known & ~(level <= 0)  # NaN is usable, so that it stays visible
    divisor = xp.where(usable, level, xp.ones_like(level)) ** factor
    return obj * xp.astype(relax + (1 - relax) / divisor, obj.dtype)


def _mean(obj: Array, mask: Array | None, scope: str, xp: Namespace) -> tuple[Array, Array]:
    """Weighted mean of each slice or of all, in float64, and whether there is one."""
    sums, weights = [], []
    for values, weight in _planes(obj, mask, xp):
        total, size = weighted_sum(values, weight, xp=xp)
        sums.append(total)
        weights.append(size)
    total, weight = _by_slice(obj, xp.stack(sums), xp), _by_slice(obj, xp.stack(weights), xp)
    if scope == "global":
        total, weight = xp.sum(total), xp.sum(weight)
    known = weight != 0
    return total / xp.where(known, weight, xp.ones_like(weight)), known


def weighted_sum(values: Array, weight: Array | None, *, xp: Namespace) -> tuple[Array, Array]:
    """Sum of weights times values, and of the weights, in float64."""
    dtype = arrays.wide(values, xp=xp)
    values = xp.astype(values, dtype)
    if weight is None:
        total = xp.sum(values)
        return total, xp.full_like(total, math.prod(values.shape))
    weight = xp.astype(weight, dtype)
    return xp.sum(weight * values), xp.sum(weight)


def _percentile(
    obj: Array, mask: Array | None, percentile: float, scope: str, xp: Namespace
) -> tuple[Array, Array]:
    """Percentile of each slice or of all in float64, and whether there is one."""
    if scope == "global":
        weight = None if mask is None else xp.broadcast_to(mask, obj.shape)
        return _interpolated(obj, weight, percentile, xp)
    found = [
        _interpolated(values, weight, percentile, xp) for values, weight in _planes(obj, mask, xp)
    ]
    levels, known = (xp.stack(list(each)) for each in zip(*found, strict=True))
    return _by_slice(obj, levels, xp), _by_slice(obj, known, xp)


def _interpolated(
    values: Array, weight: Array | None, percentile: float, xp: Namespace
) -> tuple[Array, Array]:
    """Percentile of the values with more than half of the weight, by linear interpolation."""
    dtype = arrays.wide(values, xp=xp)
    flat = xp.reshape(values, (-1,))
    count = xp.asarray(flat.shape[0], dtype=dtype, device=arrays.device(values))
    if weight is not None:
        inside = xp.reshape(counting(weight, xp=xp), (-1,))
        count = xp.sum(xp.astype(inside, dtype))
        # behind all others, infinities too, where no position within the count reaches it
        flat = xp.where(inside, flat, xp.full_like(flat, math.nan))
    known = count > 0
    last = xp.clip(count - 1, min=0.0)
    position = percentile / 100 * last
    low = xp.floor(position)
    high = xp.minimum(low + 1, last)
    ordered = xp.sort(flat)
    whole = xp.int64 if dtype == xp.float64 else xp.int32  # JAX has no other
    below, above = (
        xp.astype(xp.take(ordered, xp.astype(xp.reshape(i, (1,)), whole))[0], dtype)
        for i in (low, high)
    )
    # no difference of infinities where it does not count
    low_end, high_end = (
        xp.where(known & (position > low), each, xp.zeros_like(each)) for each in (below, above)
    )
    level = below + (position - low) * (high_end - low_end)
    return xp.where(known, level, xp.zeros_like(level)), known


def counting(weight: Array, *, xp: Namespace) -> Array:
    """Whether values with these weights count in a percentile."""
    return weight if weight.dtype == xp.bool else weight > 0.5


def _planes(obj: Array, mask: Array | None, xp: Namespace) -> Iterator[tuple[Array, Array | None]]:
    """Go through the slices, so that no wide copy of all of them is made, and their weights."""
    ny, nx = obj.shape[-2:]
    planes = xp.reshape(obj, (-1, ny, nx))
    leading = obj.shape[:-2]
    weights = None if mask is None else xp.broadcast_to(mask, obj.shape)
    for i in range(planes.shape[0]):
        place = (*_index(i, leading), ...)
        yield planes[i, ...], None if weights is None else weights[place]


def _index(position: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index: list[int] = []
    for n in reversed(shape):
        position, i = divmod(position, n)
        index.insert(0, i)
    return tuple(index)


def _by_slice(obj: Array, values: Array, xp: Namespace) -> Array:
    return xp.reshape(values, (*obj.shape[:-2], 1, 1))
