"""Transfer functions as they are multiplied: rows made of 1-D axes when they are needed.

All of one would take half as much memory as the object, and longer to fetch than to compute.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from arraycon.kernels.common import scratch, threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools import elementary
from arraycon.kernels.cpu.tools.compiled import kernel

WEDGE, GAUSSIAN, BAND, SOFT_EDGE = 0, 1, 2, 3
BUTTERWORTH, GAUSSIAN_EDGE, HARD = 0, 1, 2

# The arctangent is saturated long before; larger values would overflow when squared.
_LARGEST_RATIO = 1e15
# Keeps the quotient finite where a wedge has no floor, at kx = ky = 0.
_SMALLEST = 1e-290
# Weights that count as 0: they would make numbers that are slow, and contribute nothing.
_NOTHING = 1e-20
# Frequencies so near to a hard edge are on it; and the exponentials of these are finite.
_ON_EDGE, _STEEPEST = 1e-12, 700.0
# Highest whole order of a butterworth that is made of products: by an exponential and a logarithm
# for each weight 20×512×512 took 1.35 times as long.
_PRODUCTS = 16
# Fewer weights than this are made before a second thread has woken up.
_SMALL = 1 << 16


class Transfer(NamedTuple):
    """keep + share·T of squared frequencies, in whatever unit the kind has.

    Parameters
    ----------
    ky2, kx2 : array, float64
        Of each row and each column of a spectrum; of a `GAUSSIAN` exponentials.
    kz2 : array
        Along z, without repetition.
    kind : int
        `WEDGE`: T = (2/π)·atan(1/t)·exp(-alpha·k²), t = kz²·beta²/(k² + floor), k² = ky² + kx².
        `GAUSSIAN`: kz2·ky2·kx2. `BAND`: L(q; low)·(1 - L(q; high)), q the root of the
        sum, and 1 where that is 0. `SOFT_EDGE`: T = 1/(1 + exp(5 (q - low)/high)), of high = 0 a
        hard edge on which T is ½.
    keep, share : float
    beta, alpha, floor : float
        Of a wedge.
    low, high : float
        Cut-offs of a band, 0 for none; radius and width of a soft edge.
    edge : int
        `BUTTERWORTH`, of an order, `GAUSSIAN_EDGE` or `HARD`.
    order : float
    tables
        What the arctangent needs.
    """

    ky2: Array
    kx2: Array
    kz2: Array
    kind: int
    keep: float
    share: float
    tables: elementary.Tables
    beta: float = 0.0
    alpha: float = 0.0
    floor: float = 0.0
    low: float = 0.0
    high: float = 0.0
    edge: int = 0
    order: float = 0.0


def frequencies(n: int, *, mirror: bool = False) -> Array:
    """Moduli of the frequencies of an FFT or, mirrored, of a DCT, in cycles per sample."""
    index = np.arange(n)
    return index / (2 * n) if mirror else np.minimum(index, n - index) / n


def without_repetition(n: int, *, mirror: bool) -> Array:
    """Frequencies of which each occurs once."""
    return frequencies(n, mirror=mirror)[: n if mirror else n // 2 + 1]


def mask(table: Transfer, dtype: Any) -> Array:
    """Return the lateral transfer function of a table whose kz² is 0 alone."""

    def make() -> Array:
        made = np.empty((table.ky2.size, table.kx2.size), dtype)
        grain = max(1, _SMALL // table.kx2.size)
        threads.run(lambda first, last: _fill(made, first, last, table), len(made), grain=grain)
        return made

    numbers = (x for x in table if isinstance(x, int | float))
    return scratch.table((dtype, table.ky2.tobytes(), table.kx2.tobytes(), *numbers), make)


@kernel
def _fill(made: Array, first: int, last: int, table: Transfer) -> None:
    for ky in range(first, last):
        weights(made[ky : ky + 1], ky, table)


@kernel
def weights(rows: Array, ky: int, table: Transfer) -> None:
    """Write the weights (kz, kx) of one row ky."""
    if table.kind == WEDGE:
        _wedge(rows, ky, table)
    elif table.kind == GAUSSIAN:
        _gaussian(rows, ky, table)
    elif table.kind == BAND:
        _band(rows, ky, table)
    else:
        _soft_edge(rows, ky, table)


@kernel
def _wedge(rows, ky, table):
    """1 - (2/π)·arctan(t) is (2/π)·arctan(1/t), with digits for large t."""
    one, keep = table.tables.one, rows.dtype.type(table.keep)
    ratio2 = np.empty(table.kx2.size, rows.dtype)
    falloff = np.empty(table.kx2.size, rows.dtype)
    for j in range(ratio2.size):
        lateral = table.ky2[ky] + table.kx2[j]
        root = math.sqrt(max(lateral + table.floor, _SMALLEST))
        ratio2[j] = min(table.beta / root, _LARGEST_RATIO) ** 2
        falloff[j] = table.share * math.exp(-table.alpha * lateral) * 2 / math.pi
    for z in range(table.kz2.size):
        kz2, line = rows.dtype.type(table.kz2[z]), rows[z]
        for j in range(ratio2.size):
            line[j] = keep + falloff[j] * elementary.arctangent(one, kz2 * ratio2[j], table.tables)


@kernel
def _gaussian(rows, ky, table):
    for z in range(table.kz2.size):
        line, scale = rows[z], table.share * table.kz2[z] * table.ky2[ky]
        for j in range(line.size):
            value = scale * table.kx2[j]
            line[j] = table.keep + (value if value > _NOTHING else 0.0)


@kernel
def _band(rows, ky, table):
    # numbers, not the table: who holds its arrays is counted at every call. One loop for each step
    # is vectorised: of a weight by itself 36 ns, with numbers 7
    q2, values = np.empty(table.kx2.size, np.float64), np.empty(table.kx2.size, np.float64)
    others = np.empty(table.kx2.size, np.float64)
    for z in range(table.kz2.size):
        squared = table.kz2[z] + table.ky2[ky]
        for j in range(q2.size):
            q2[j], values[j] = squared + table.kx2[j], 1.0
        if table.low > 0:
            _low_pass(q2, values, table.low, table.edge, table.order)
        if table.high > 0:
            _low_pass(q2, others, table.high, table.edge, table.order)
            for j in range(q2.size):
                values[j] *= 1.0 - others[j]
        line = rows[z]
        for j in range(q2.size):
            value = values[j] if values[j] > _NOTHING else 0.0
            line[j] = table.keep + table.share * (1.0 if q2[j] == 0 else value)


@kernel
def _low_pass(q2, values, cutoff, edge, order):
    """Write L of the roots of some squares."""
    if edge == HARD:
        for j in range(q2.size):
            values[j] = 1.0 if math.sqrt(q2[j]) <= cutoff * (1 + 1e-9) else 0.0
        return
    for j in range(q2.size):
        ratio = math.sqrt(q2[j]) / cutoff
        values[j] = ratio * ratio
    if edge == GAUSSIAN_EDGE:
        for j in range(q2.size):
            values[j] = math.exp(-0.5 * values[j])
    elif order <= _PRODUCTS and order == math.floor(order):
        _inverse_power(values, int(order))
    else:
        for j in range(q2.size):
            values[j] = 1.0 / (1.0 + math.exp(order * math.log(values[j])))


@kernel
def _inverse_power(values, order):
    """Replace x by 1/(1 + x^order)."""
    for j in range(values.size):
        power = values[j]
        for _ in range(1, order):
            power *= values[j]
        values[j] = 1.0 / (1.0 + power)


@kernel
def _soft_edge(rows, ky, table):
    for z in range(table.kz2.size):
        for j in range(table.kx2.size):
            distance = math.sqrt(table.kz2[z] + table.ky2[ky] + table.kx2[j]) - table.low
            rows[z, j] = table.keep + table.share * _beyond(distance, table.high)


@kernel
def _beyond(distance, width):
    if width == 0:
        # frequencies that miss the edge by rounding alone are on it
        return 0.5 if abs(distance) <= _ON_EDGE else 0.0 if distance > 0 else 1.0
    # clipped before the division, which could overflow for a tiny width
    steps = min(max(5 * distance, -_STEEPEST * width), _STEEPEST * width) / width
    value = 1.0 / (1.0 + math.exp(steps))
    return value if value > _NOTHING else 0.0
