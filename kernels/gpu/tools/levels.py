"""Levels of planes, and what follows from them, without a word to the host.

Functions return the memory of what they find, and what finds it when it is called: all that is
needed is there before the first array is written.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import cupy
import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools import selection
from arraycon.kernels.gpu.tools.launch import blocks, launch
from arraycon.kernels.gpu.tools.source import THREADS

# Values of a thread where sums are taken, and blocks in all.
_VALUES = 16
_BLOCKS = 2048

Found = tuple[Array, Callable[[], None]]


class Weights(NamedTuple):
    """Weights whose planes follow each other as an object's do.

    Parameters
    ----------
    kind : str
        How names of kernels end that take them: nothing, ``_mask`` for bytes, or ``_weights``.
    arguments : tuple
        The array and the number of its planes, or nothing.
    """

    kind: str
    arguments: tuple[Any, ...]


class Correction(NamedTuple):
    """What is done with a level."""

    amplitude: bool
    power: float
    relax: float


def weights_of(mask: Array | None, obj: Array) -> Weights:
    """Return the weights of an object's planes."""
    if mask is None:
        return Weights("", ())
    plane, leading = obj.shape[-2:], obj.shape[:-2]
    others = mask.shape[:-2]
    while others and others[0] == 1:
        others = others[1:]
    mask = mask.reshape((*others, *mask.shape[-2:]))
    if others != leading[len(leading) - len(others) :]:
        others = leading
    byte = mask.dtype == cupy.bool_
    values = cupy.broadcast_to(
        mask.view(cupy.uint8) if byte else mask.astype(obj.dtype, copy=False), (*others, *plane)
    )
    planes = cupy.ascontiguousarray(values), math.prod(others)
    return Weights("_mask" if byte else "_weights", planes)


def plane_sums(planes: Array, weights: Weights, *, squares: bool = False) -> Found:
    """Find Σ w·x, or Σ w·x², and Σ w of planes (number, pixels): (number, parts, 2)."""
    number, plane = planes.shape
    parts = _parts(number, plane)
    sums = cupy.empty((number, parts, 2), np.float64)
    given = planes, *weights.arguments, number, plane, parts, int(squares), sums
    grid = blocks(number * parts, threads=1)
    name = f"add{weights.kind}"
    return sums, functools.partial(launch, "levels", name, planes, grid, *given)


def by_means(planes: Array, weights: Weights, correction: Correction, *, whole: bool) -> Found:
    """Find the corrections (groups, 2) by the mean of each plane, or of all."""
    sums, add = plane_sums(planes, weights)
    groups = 1 if whole else len(planes)
    corrections = cupy.empty((groups, 2), np.float64)

    def find() -> None:
        add()
        given = sums, groups, sums.size // (2 * groups), *correction, corrections
        launch("levels", "by_means", planes, blocks(groups, threads=1), *given)

    return corrections, find


def by_percentiles(
    planes: Array, weights: Weights, percentile: float, correction: Correction, *, whole: bool
) -> Found:
    """As `by_means`: by a percentile of the values inside a mask."""
    groups = 1 if whole else len(planes)
    rows = planes.reshape(groups, -1)
    corrections = cupy.empty((groups, 2), np.float64)
    ranks, shares = cupy.empty(2 * groups, np.int64), cupy.empty(groups, np.float64)
    memory = selection.Memory(2 * groups, rows.shape[1], planes.dtype)
    mask, masks = weights.arguments or (None, 0)
    # of no mask no sum is looked at
    parts = _parts(masks, planes.shape[1]) if masks else 0
    sums = cupy.empty((masks, parts, 2), np.float64) if masks else shares

    def find() -> None:
        if masks:
            given = mask, masks, planes.shape[1], parts, sums
            launch("levels", "count_inside", planes, blocks(masks * parts, threads=1), *given)
        # all masks together are one of the whole object, some times over
        place = (1, masks * parts, len(planes) / masks) if masks and whole else (masks, parts, 1.0)
        numbers = sums, groups, *place, rows.shape[1], percentile, ranks, shares
        launch("levels", "place_percentiles", planes, blocks(groups, threads=1), *numbers)
        found = selection.pairs_of_rows(rows, ranks, mask, memory)
        launch(
            "levels", "by_percentiles", planes, blocks(groups),
            *(found, shares, groups, *correction, corrections),
        )  # fmt: skip

    return corrections, find


def inside(mask: Array | None, obj: Array) -> Weights:
    """Return the weights, as 0 and 1, of what has more than half of it."""
    if mask is None or mask.dtype == cupy.bool_:
        return weights_of(mask, obj)
    return weights_of(mask > 0.5, obj)


def _parts(planes: int, plane: int) -> int:
    """Blocks that add up one plane."""
    return min(-(-plane // (THREADS * _VALUES)), max(1, _BLOCKS // planes))
