"""Values of the object: shrinkage towards vacuum, and what fills regions."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cupy

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device
from arraycon.kernels.gpu.tools.source import THREADS
from arraycon.kernels.gpu.tools.sums import MOST, add_up, of_blocks

# As the kernels number them.
_RULES = {"soft": 0, "positive": 1, "hard": 2, "ridge": 3}
# Elements that a thread changes at a time, of four bytes; fewer, of eight, only go round once more.
_PIECE = 4
# Rows of blocks, each of which has planes of its own, at most.
_ROWS = 1 << 10


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
    name, weights = _weights(mask, obj)
    plane = obj.shape[-2] * obj.shape[-1]
    planes = obj.size // plane
    every = _passes(obj, slices, 1 - relax, whole=sums is not None)
    columns = blocks(plane, most=max(1, MOST // THREADS) if sums is not None else MOST)
    rows = [min(_ROWS, -(-planes // step)) for _, step, _ in every]
    ends = [sum(rows[: i + 1]) * columns for i in range(len(rows))]
    parts = None if sums is None else of_blocks(ends[-1])
    yield
    for (first, step, strength), number, end in zip(every, rows, ends, strict=True):
        numbers = planes, plane, first, step, strength, value
        grid = columns, number
        if parts is None:
            launch("values", name, obj, grid, obj, *weights, *numbers)
        else:
            own = parts[0, :, end - columns * number : end]
            launch("values", f"{name}_measured", obj, grid, obj, *weights, *numbers, *own)
    if sums is not None and parts is not None:
        add_up(obj, parts, sums)


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


def _weights(mask: Array | None, obj: Array) -> tuple[str, tuple[Array | int, ...]]:
    """Kernel, and weights whose planes follow each other as the object's do, with their number."""
    if mask is None:
        return "fill", ()
    plane, leading = obj.shape[-2:], obj.shape[:-2]
    others = mask.shape[:-2]
    while others and others[0] == 1:
        others = others[1:]
    mask = mask.reshape((*others, *mask.shape[-2:]))
    if others != leading[len(leading) - len(others) :]:
        others = leading
    byte = mask.dtype == cupy.bool_
    weights = cupy.broadcast_to(
        mask.view(cupy.uint8) if byte else mask.astype(obj.dtype, copy=False), (*others, *plane)
    )
    name = "fill_mask" if byte else "fill_weights"
    return name, (cupy.ascontiguousarray(weights), math.prod(others))
