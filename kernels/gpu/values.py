"""Values of the object: shrinkage towards vacuum, its level, and what fills regions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools import levels
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device
from arraycon.kernels.gpu.tools.sums import MOST, add_up, of_blocks, planes_grid

# As the kernels number them.
_RULES = {"soft": 0, "positive": 1, "hard": 2, "ridge": 3}
# Elements that a thread changes at a time, of four bytes; fewer, of eight, only go round once more.
_PIECE = 4


@on_device
def obj_shrink(
    obj: Array,
    *,
    amount: float,
    rule: str,
    target: float,
    relax: float,
    sums: Array | None = None,
) -> Iterator[None]:
    """Shrink the distance from a value."""
    pairs = obj.dtype.kind == "c"
    name = "shrink_complex" if pairs else "shrink"
    pieces = obj.size if pairs else -(-obj.size // _PIECE)
    numbers = _RULES[rule], amount, 1 + amount, target, relax, 1 - relax
    grid = blocks(pieces) if sums is None else blocks(pieces, most=MOST)
    parts = None if sums is None else of_blocks(grid)
    yield
    if sums is None or parts is None:
        launch("values", name, obj, grid, obj, obj.size, *numbers)
        return
    launch("values", f"{name}_measured", obj, grid, obj, obj.size, *numbers, *parts[0])
    add_up(obj, parts, sums)


@on_device
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
    kind, weights = levels.weights_of(mask, obj)
    name = f"fill{kind}"
    plane = obj.shape[-2] * obj.shape[-1]
    planes = obj.size // plane
    every = _passes(obj, slices, 1 - relax, whole=sums is not None)
    grids = [
        planes_grid(-(-planes // step), plane, measured=sums is not None) for _, step, _ in every
    ]
    ends = list(itertools.accumulate(columns * rows for columns, rows in grids))
    parts = None if sums is None else of_blocks(ends[-1])
    yield
    for (first, step, strength), grid, end in zip(every, grids, ends, strict=True):
        numbers = planes, plane, first, step, strength, value
        if parts is None:
            launch("values", name, obj, grid, obj, *weights, *numbers)
        else:
            own = parts[0, :, end - grid[0] * grid[1] : end]
            launch("values", f"{name}_measured", obj, grid, obj, *weights, *numbers, *own)
    if sums is not None and parts is not None:
        add_up(obj, parts, sums)


@on_device
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
    planes = obj.reshape(-1, obj.shape[-2] * obj.shape[-1])
    number, plane = planes.shape
    correction = levels.Correction(obj_type == "amplitude", factor, relax)
    whole = scope == "global"
    if statistic == "mean":
        weights = levels.weights_of(mask, obj)
        corrections, find = levels.by_means(planes, weights, correction, whole=whole)
    else:
        weights = levels.inside(mask, obj)
        corrections, find = levels.by_percentiles(
            planes, weights, percentile, correction, whole=whole
        )
    grid = planes_grid(number, plane, measured=sums is not None)
    parts = None if sums is None else of_blocks(grid[0] * grid[1])
    yield
    find()
    given = planes, number, plane, corrections, len(corrections)
    if sums is None or parts is None:
        launch("values", "correct", planes, grid, *given)
        return
    launch("values", "correct_measured", planes, grid, *given, *parts[0])
    add_up(planes, parts, sums)


def _passes(
    obj: Array, slices: tuple[int, ...] | None, strength: float, *, whole: bool
) -> list[tuple[int, int, float]]:
    """First plane, step and strength of each launch; of the whole object for its sums.

    Which slices are chosen is known to the host: an array of them would have to be sent.
    """
    if slices is None:
        return [(0, 1, strength)]
    nz = obj.shape[-3]
    chosen = {i % nz for i in slices}
    return [(z, nz, strength if z in chosen else 0.0) for z in range(nz) if whole or z in chosen]
