"""Exact order statistics of what is too much to be held: by histograms of the bits of numbers.

The bits of a float, the sign's turned round, are an integer of the same order. Of these integers
the upper 16 bits are counted; the wanted value lies where the count passes its place, and the next
16 bits are counted of those numbers alone. Two looks find one of float32, four one of float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from arraycon.kernels.blocks.tools import lateral
from arraycon.kernels.blocks.tools.placed import here
from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace
from arraycon.kernels.common.steps import Blocks, Layout, Region, Shared, Step

_DIGIT = 16

Values: TypeAlias = Callable[[Blocks, Region], Iterable[Array]]
"""From the blocks of a region to the numbers that are selected from, some at a time."""

Ranks: TypeAlias = Callable[[int], Sequence[int]]
"""From how many numbers there are to the wanted places in order, counted from 0."""


def steps(
    reads: Sequence[str],
    values: Values,
    ranks: Ranks,
    *,
    single: bool,
    layout: Layout = "any",
) -> list[Step]:
    """Return the steps that select.

    They share ``"selected"``, a tuple of the numbers at the wanted places, as NumPy's floats, and
    ``"count"``, how many there are to select from. NaN counts as larger than all other numbers.

    Parameters
    ----------
    reads : sequence of str
    values : callable
    ranks : callable
        Is not asked where there are no numbers, of which none is selected.
    single : bool
        Whether the numbers are of single precision.
    layout : {"any", "slices", "columns"}
        How the regions of the first step may be cut.
    """
    rounds = (32 if single else 64) // _DIGIT
    made = []
    for i in range(rounds):
        conclude = _Narrow(ranks, i == rounds - 1, single)
        made.append(
            Step(
                layout if i == 0 else "any",
                tuple(reads),
                part=_Count(values, i, single),
                conclude=conclude,
                scratch=0.7,
            )
        )
    return made


@dataclass(frozen=True)
class _Count:
    """Count the next bits of the numbers that begin as the wanted ones do."""

    values: Values
    digits: int
    single: bool

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> np.ndarray:
        prefixes = _prefixes(shared) if self.digits else (0,)
        counts = np.zeros((len(prefixes), 1 << _DIGIT), np.int64)
        for x in self.values(blocks, region):
            xp = arrays.namespace(x=x)
            if lateral.own(xp):
                self._add_own(counts, x, prefixes)
                continue
            keys = _keys(x, self.single, xp)
            for row, prefix in zip(counts, prefixes, strict=True):
                row += self._count(keys, prefix, xp)
        return counts

    def _add_own(self, counts: np.ndarray, x: Array, prefixes: Sequence[int]) -> None:
        from arraycon.kernels.cpu.tools import histogram  # Numba may be missing

        x = arrays.contiguous(x)
        for row, prefix in zip(counts, prefixes, strict=True):
            histogram.add_counts(row, x, digits=self.digits, prefix=prefix)

    def _count(self, keys: Array, prefix: int, xp: Namespace) -> np.ndarray:
        bits = 32 if self.single else 64
        integer = keys.dtype.type
        if self.digits:
            keys = keys[keys >> integer(bits - _DIGIT * self.digits) == integer(prefix)]
        digit = keys >> integer(bits - _DIGIT * (self.digits + 1)) & integer((1 << _DIGIT) - 1)
        return here(xp.bincount(digit.astype(xp.int64), minlength=1 << _DIGIT))


@dataclass(frozen=True)
class _Narrow:
    """Find the next bits of the wanted numbers."""

    ranks: Ranks
    last: bool
    single: bool

    def __call__(self, counts: np.ndarray, shared: Shared) -> dict[str, Any]:
        if "wanted" not in shared:
            count = int(counts.sum())
            wanted = [(0, rank) for rank in self.ranks(count)] if count else []
        else:
            count, wanted = shared["count"], shared["wanted"]
        rows = dict(zip(sorted({prefix for prefix, _ in wanted}), counts, strict=False))
        found = tuple(_next(rows[prefix], prefix, rank) for prefix, rank in wanted)
        made: dict[str, Any] = {"count": count, "wanted": found}
        if self.last:
            made["selected"] = tuple(_value(key, self.single) for key, _ in found)
        return made


def _prefixes(shared: Shared) -> tuple[int, ...]:
    return tuple(sorted({prefix for prefix, _ in shared["wanted"]}))


def _next(counts: np.ndarray, prefix: int, rank: int) -> tuple[int, int]:
    """Bits of the number at a place, and its place among those that have the same."""
    passed = np.cumsum(counts)
    digit = int(np.searchsorted(passed, rank, side="right"))
    return prefix << _DIGIT | digit, rank - (int(passed[digit - 1]) if digit else 0)


def _keys(x: Array, single: bool, xp: Namespace) -> Array:
    """Return integers in the order of floats; all NaN, whatever their signs, are the largest."""
    integer = np.uint32 if single else np.uint64
    sign = integer(1 << (31 if single else 63))
    # adding 0 makes 0 of -0
    bits = xp.where(xp.isnan(x), xp.full_like(x, math.nan), x + x.dtype.type(0)).view(integer)
    return xp.where(bits & sign, ~bits, bits | sign)


def _value(key: int, single: bool) -> Any:
    sign, ones = (1 << 31, (1 << 32) - 1) if single else (1 << 63, (1 << 64) - 1)
    bits = key ^ sign if key & sign else key ^ ones
    return np.asarray(bits, np.uint32 if single else np.uint64).view(
        np.float32 if single else np.float64
    )[()]
