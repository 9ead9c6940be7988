"""Updates of the dual variable of total variation, compiled: rows of it, some updates together."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.sums import keep_values, squares


class Rules(NamedTuple):
    """What an update is made of, in numbers alone: compiled code counts who holds an array.

    Parameters
    ----------
    number, groups : int
        Of axes, and of groups of them.
    axes : tuple of three int
        0, 1, 2 for z, y, x, those of a group together; as many as there are.
    bounds : tuple of four int
        Where each group begins and the last one ends.
    weights : tuple of three float
        Of the axes.
    parts : int
        2 for complex numbers, else 1.
    fast : bool
        Fast gradient projection, or else Chambolle's fixed point.
    lateral : bool
        Real slices, whose two differences are one group.
    step, strength, nothing : float
        As `Gradient` has them, in the object's precision.
    careful : bool
        Squares may overflow or vanish.
    record : int
        Row of which u is kept; -1 for none.
    """

    number: int
    groups: int
    axes: tuple[int, ...]
    bounds: tuple[int, ...]
    weights: tuple[Any, ...]
    parts: int
    fast: bool
    lateral: bool
    step: Any
    strength: Any
    nothing: Any
    careful: bool = False
    record: int = -1


class Sizes(NamedTuple):
    """Sizes of an array (nz, ny, nx), and how many rows of it the dual variable has."""

    nz: int
    ny: int
    nx: int
    rows: int


class Dual(NamedTuple):
    """The dual variable, flat, of shape (differences, rows, nz, nx), and where it goes from next.

    In Chambolle's fixed point these are one array.
    """

    dual: Array
    ahead: Array


class Scratch(NamedTuple):
    """Memory of one thread.

    Parameters
    ----------
    u : array, shape (levels, 2, parts, nz, nx), flat, and one number more
        Of each update, u in its row and in the next one.
    factors, tops : array, shape (nx,)
        Of the differences, and their scale.
    which : array, shape (differences, 2)
        Those of a group in a row.
    """

    u: Array
    factors: Array
    tops: Array
    which: Array


@kernel
def largest(values):
    """Largest modulus of finite numbers."""
    most, zero = np.finfo(values.dtype).max, values.dtype.type(0)
    found = zero
    for i in range(values.size):
        size = abs(values[i])
        size = size if size <= most else zero
        found = size if size > found else found
    return found


@kernel
def clear(dual, ahead):
    """Begin with 0."""
    for i in range(ahead.size):
        ahead[i] = 0
    for i in range(dual.size):
        dual[i] = 0


@kernel
def sweep(x, sizes, offset, dual, ahead, scratch, momenta, first, stop, low, high, found, rules):
    """Bring rows from `first` to `stop` forward by as many updates as there are momenta.

    Row y of the dual variable belongs to row y + `offset` of x. Where the band ends before the
    array does, u in its first row is in `low`, and in the first one behind it in `high`. Of the
    row `rules.record` it goes into `found`.
    """
    u, factors, tops, which = scratch
    size = rules.parts * sizes.nz * sizes.nx
    for front in range(first, stop + momenta.size - 1):
        for level in range(min(momenta.size, front - first + 1)):
            y = front - level
            if y >= stop:
                continue
            here, below = (2 * level + y % 2) * size, (2 * level + (y + 1) % 2) * size
            if y == first and y > 0:
                _copy(low, level * size, u, here, size)
            elif y == first:
                _less_dual(x, y, offset, ahead, rules.weights, sizes, rules, u, here)
            if y + 1 == stop and stop < sizes.rows:
                _copy(high, level * size, u, below, size)
            elif y + 1 < sizes.rows:
                _less_dual(x, y + 1, offset, ahead, rules.weights, sizes, rules, u, below)
            if y + 1 == rules.record:
                _copy(u, below, found, level * size, size)
            for z in range(sizes.nz):
                _update_row(
                    dual, ahead, u, here, below, y, z, momenta[level], factors, tops, which, sizes,
                    rules,
                )  # fmt: skip


@kernel
def copy_rows(source, copy, first, sizes, some):
    """Copy some rows of all differences."""
    row = sizes.nz * sizes.nx
    for d in range(copy.size // (some.rows * row)):
        start = (d * sizes.rows + first) * row
        _copy(source, start, copy, d * some.rows * row, some.rows * row)


@kernel
def _copy(source, start, target, to, size):
    i, k = np.uint64(start), np.uint64(to)
    for j in range(np.uint64(size)):
        target[k + j] = source[i + j]


@kernel
def _less_dual(x, y, offset, p, weights, sizes, rules, u, to):
    """Write a row of the object less the adjoint of the differences, of all slices and parts."""
    nz, nx, parts = sizes.nz, sizes.nx, rules.parts
    if rules.lateral and y > 0:
        start = y * nx
        _less_lateral(x, (y + offset) * nx, p, start, start + sizes.rows * nx, weights, u, to, nx)
        return
    for part in range(parts):
        for z in range(nz):
            row = to + (part * nz + z) * nx
            _take(x, (z * sizes.ny + y + offset) * nx * parts + part, parts, u, row, nx)
            for a in range(rules.number):
                axis, w = rules.axes[a], weights[a]
                here = (((a * parts + part) * sizes.rows + y) * nz + z) * nx
                if (axis == 0 and z == 0) or (axis == 1 and y == 0):
                    _add(u, row, p, here, w, nx)
                elif axis == 0:
                    _add_difference(u, row, p, here, here - nx, w, nx)
                elif axis == 1:
                    _add_difference(u, row, p, here, here - nz * nx, w, nx)
                else:
                    _add(u, row, p, here, w, 1)
                    _add_difference(u, row + 1, p, here + 1, here, w, nx - 1)


@kernel
def _less_lateral(x, start, p, y_row, x_row, weights, u, to, size):
    """`_less_dual` of a real slice in one loop, below its first row.

    What comes before a row along x is the last element of the row before it, which is 0.
    """
    wy, wx = weights[0], weights[1]
    i, k, a, b = np.uint64(start), np.uint64(to), np.uint64(y_row), np.uint64(y_row - size)
    c, d = np.uint64(x_row), np.uint64(x_row - 1)
    for j in range(np.uint64(size)):
        u[k + j] = x[i + j] + wy * (p[a + j] - p[b + j]) + wx * (p[c + j] - p[d + j])


@kernel
def _take(x, start, step, u, row, size):
    i, k, step = np.uint64(start), np.uint64(row), np.uint64(step)
    if step == 1:  # in a loop with an unknown step nothing is vectorised
        for j in range(np.uint64(size)):
            u[k + j] = x[i + j]
    else:
        for j in range(np.uint64(size)):
            u[k + j] = x[i + j * step]


@kernel
def _add(u, row, p, here, w, size):
    k, i = np.uint64(row), np.uint64(here)
    for j in range(np.uint64(size)):
        u[k + j] += w * p[i + j]


@kernel
def _add_difference(u, row, p, here, before, w, size):
    k, i, b = np.uint64(row), np.uint64(here), np.uint64(before)
    for j in range(np.uint64(size)):
        u[k + j] += w * (p[i + j] - p[b + j])


@kernel
def _update_row(dual, ahead, u, here, below, y, z, momentum, factors, tops, which, sizes, rules):
    """Update the dual variable of a row of one slice, group by group."""
    if rules.lateral and not rules.careful and y + 1 < sizes.rows:
        row, nx = y * sizes.nx, sizes.nx
        other = row + sizes.rows * nx
        _update_lateral(dual, ahead, row, other, u, here, below, nx, momentum, factors, rules)
        return
    for group in range(rules.groups):
        count = _differences(group, y, z, sizes, rules, which)
        if rules.careful:
            _moduli(ahead, u, here, below, y, z, count, factors, tops, which, sizes, rules)
        else:
            _factors(ahead, u, here, below, y, z, count, factors, which, sizes, rules)
        for k in range(count):
            row, base, other, n, w = _place(k, here, below, y, z, which, sizes, rules)
            if rules.careful and rules.fast:
                _project_by(dual, ahead, row, u, base, other, n, w, factors, momentum, rules)
            elif rules.careful:
                _damp_by(ahead, row, u, base, other, n, w, factors, rules)
            elif rules.fast:
                _project(dual, ahead, row, u, base, other, n, rules.step * w, factors, momentum)
            else:
                _damp(ahead, row, u, base, other, n, rules.step * w, factors)


@kernel
def _update_lateral(dual, ahead, y_row, x_row, u, here, below, nx, momentum, factors, rules):
    """`_update_row` of a real slice, above its last row: of 256 pixels in 0.8 of the time.

    Loops are as long as rows, because of one pixel less as much as an eighth of 256 would not be
    vectorised. So the last pixel gets a difference along x, and loses it again.
    """
    a, b, n = np.uint64(y_row), np.uint64(x_row), np.uint64(nx)
    base, under, right = np.uint64(here), np.uint64(below), np.uint64(here + 1)
    wy, wx = rules.weights[0], rules.weights[1]
    y_step, x_step = rules.step * wy, rules.step * wx
    last, zero = nx - 1, type(wx)(0)
    slope = u[below + last] - u[here + last]
    if rules.fast:
        strength = rules.strength
        _project_lateral(ahead, a, b, u, base, under, right, n, y_step, x_step, factors, strength)
        moved = ahead[y_row + last] + y_step * slope
        factors[last] = _projection(moved * moved, strength)
        _project(dual, ahead, a, u, base, under, n, y_step, factors, momentum)
        _project(dual, ahead, b, u, base, right, n, x_step, factors, momentum)
        dual[x_row + last] = zero
    else:
        rate = rules.step / rules.strength
        _damp_lateral(u, base, under, right, n, wy, wx, factors, rate)
        factors[last] = _damping(wy * slope * (wy * slope), rate)
        _damp(ahead, a, u, base, under, n, y_step, factors)
        _damp(ahead, b, u, base, right, n, x_step, factors)
    ahead[x_row + last] = zero


@kernel
def _factors(ahead, u, here, below, y, z, count, factors, which, sizes, rules):
    """Write what a group of differences is to be multiplied by."""
    _fill(factors, 0)
    for k in range(count):
        row, base, other, n, w = _place(k, here, below, y, z, which, sizes, rules)
        if rules.fast:
            _add_squares(ahead, row, u, base, other, n, rules.step * w, factors)
        else:
            _add_slopes(u, base, other, n, w, factors)
    for j in range(factors.size):
        if rules.fast:
            factors[j] = _projection(factors[j], rules.strength)
        else:
            factors[j] = _damping(factors[j], rules.step / rules.strength)


@kernel
def _differences(group, y, z, sizes, rules, which):
    """Note which differences of a group there are in a row, by axis and part; return how many.

    At the end of an axis there is none.
    """
    count = 0
    for a in range(rules.bounds[group], rules.bounds[group + 1]):
        axis = rules.axes[a]
        if (axis == 0 and z + 1 == sizes.nz) or (axis == 1 and y + 1 == sizes.rows):
            continue
        for part in range(rules.parts):
            which[count, 0], which[count, 1] = a, part
            count += 1
    return count


@kernel
def _place(k, here, below, y, z, which, sizes, rules):
    """Return where the k-th difference is, where the numbers that it is one of, and its weight."""
    a, part = which[k, 0], which[k, 1]
    nx, axis = sizes.nx, rules.axes[a]
    row = (((a * rules.parts + part) * sizes.rows + y) * sizes.nz + z) * nx
    inside = (part * sizes.nz + z) * nx
    base = here + inside
    other = base + nx if axis == 0 else below + inside if axis == 1 else base + 1
    n = nx - 1 if axis == 2 else nx
    return np.uint64(row), np.uint64(base), np.uint64(other), np.uint64(n), rules.weights[a]


@kernel
def _fill(row, value):
    for j in range(row.size):
        row[j] = value


# In the following, places are unsigned, because signed ones are looked at for being negative, and
# then nothing is vectorised: 1.2 ns a pixel instead of 0.15. Rows as arrays of their own, whose
# owners are counted, made an update of 512² take 2.6 ns a pixel instead of 1.6.


@kernel
def _projection(square, strength):
    """Factor that brings a modulus down to a strength; of infinity, where λ/∞ would be 0, NaN."""
    one = type(square)(1)
    return one if square <= strength * strength else strength * (math.sqrt(square) / square)


@kernel
def _damping(square, rate):
    """1/(1 + rate·modulus), of infinity NaN."""
    one = type(square)(1)
    size = one + rate * math.sqrt(square)
    return (one + (size - size)) / size


@kernel
def _add_squares(ahead, row, u, base, other, n, step, squares):
    for j in range(n):
        value = ahead[row + j] + step * (u[other + j] - u[base + j])
        squares[j] += value * value


@kernel
def _add_slopes(u, base, other, n, w, squares):
    for j in range(n):
        slope = w * (u[other + j] - u[base + j])
        squares[j] += slope * slope


@kernel
def _project_lateral(ahead, y_row, x_row, u, base, below, right, n, y_step, x_step, factors, limit):
    """Factors of both differences of each pixel."""
    for j in range(n):
        a = ahead[y_row + j] + y_step * (u[below + j] - u[base + j])
        b = ahead[x_row + j] + x_step * (u[right + j] - u[base + j])
        factors[j] = _projection(a * a + b * b, limit)


@kernel
def _damp_lateral(u, base, below, right, n, wy, wx, factors, rate):
    """Factors of both differences of each pixel."""
    for j in range(n):
        a = wy * (u[below + j] - u[base + j])
        b = wx * (u[right + j] - u[base + j])
        factors[j] = _damping(a * a + b * b, rate)


@kernel
def _project(dual, ahead, row, u, base, other, n, step, factors, momentum):
    for j in range(n):
        moved = ahead[row + j] + step * (u[other + j] - u[base + j])
        value = moved * factors[j]
        ahead[row + j] = value + momentum * (value - dual[row + j])
        dual[row + j] = value


@kernel
def _damp(ahead, row, u, base, other, n, step, factors):
    for j in range(n):
        ahead[row + j] = (ahead[row + j] + step * (u[other + j] - u[base + j])) * factors[j]


@kernel
def _moduli(ahead, u, here, below, y, z, count, moduli, tops, which, sizes, rules):
    """Write moduli of a group, at least the strength or next to nothing, without their squares."""
    floor = rules.strength if rules.fast else rules.nothing
    _fill(moduli, 0)
    _fill(tops, floor)
    for k in range(count):
        row, base, other, n, w = _place(k, here, below, y, z, which, sizes, rules)
        for j in range(n):
            size = abs(_measured(ahead[row + j], w * (u[other + j] - u[base + j]), rules))
            tops[j] = tops[j] if size <= tops[j] else size
    for k in range(count):
        row, base, other, n, w = _place(k, here, below, y, z, which, sizes, rules)
        for j in range(n):
            ratio = _measured(ahead[row + j], w * (u[other + j] - u[base + j]), rules) / tops[j]
            moduli[j] += ratio * ratio
    for j in range(moduli.size):
        least = (floor / tops[j]) * (floor / tops[j])
        moduli[j] = tops[j] * math.sqrt(least if moduli[j] < least else moduli[j])


@kernel
def _measured(ahead, slope, rules):
    """Return that of which the modulus counts."""
    return ahead + rules.step * slope if rules.fast else slope


@kernel
def _project_by(dual, ahead, row, u, base, other, n, w, moduli, momentum, rules):
    for j in range(n):
        moved = ahead[row + j] + rules.step * (w * (u[other + j] - u[base + j]))
        value = rules.strength * (moved / moduli[j])
        ahead[row + j] = value + momentum * (value - dual[row + j])
        dual[row + j] = value


@kernel
def _damp_by(ahead, row, u, base, other, n, w, moduli, rules):
    for j in range(n):
        moved = ahead[row + j] + rules.step * (w * (u[other + j] - u[base + j]))
        ahead[row + j] = rules.strength * (moved / (rules.strength + rules.step * moduli[j]))


@kernel
def finish(x, dual, u, old, first, stop, weights, sizes, rules, changes):
    """Take the dual variable from rows of the object; note their changes where there is room."""
    parts, nx = rules.parts, sizes.nx
    for y in range(first, stop):
        _less_dual(x, y, 0, dual, weights, sizes, rules, u, 0)
        for z in range(sizes.nz):
            start = (z * sizes.ny + y) * nx * parts
            row = x[start : start + nx * parts]
            keep_values(row[: old.size], old)
            for part in range(parts):
                for j in range(nx):
                    row[j * parts + part] = u[(part * sizes.nz + z) * nx + j]
            if changes.shape[0] > 0:
                more, size = squares(row, old)
                changes[y, 0] += more
                changes[y, 1] += size
