"""Objects as planes, (number, pixels), with the weights of each, and passes over all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.sums import run_blocks

GRAIN = 1 << 20
"""Fewer elements than this are changed before a second thread has started."""
# With sums a thread is busy for longer.
_SUM_GRAIN = 1 << 18


def split(obj: Array) -> Array:
    """Return all slices as planes."""
    return obj.reshape(-1, obj.shape[-2] * obj.shape[-1])


def weights_of(mask: Array | None, obj: Array) -> tuple[Array | None, Array]:
    """Planes of weights, and which of them is each of the object's."""
    leading, plane = obj.shape[:-2], obj.shape[-2:]
    if mask is None:
        return None, np.zeros(math.prod(leading), np.intp)
    if mask.dtype == np.bool_:
        mask = mask.view(np.uint8)
    mask = mask.reshape((1,) * (2 - mask.ndim) + mask.shape)
    others = mask.shape[:-2]
    planes = np.ascontiguousarray(np.broadcast_to(mask, (*others, *plane)))
    index = np.arange(math.prod(others)).reshape(others)
    return planes.reshape(-1, math.prod(plane)), np.broadcast_to(index, leading).reshape(-1)


def run(work: Callable[[int, int, bool], Any], obj: Array, sums: Array | None) -> None:
    """Work on ranges of all elements, real numbers or pairs of them; take sums if asked."""
    if sums is None:
        threads.run(lambda first, last: work(first, last, False), obj.size, grain=GRAIN)
        return

    def measured(part: slice) -> Any:
        return work(part.start, min(part.stop, obj.size), True)

    run_blocks(measured, obj.size, sums[0], grain=_SUM_GRAIN)


@kernel
def piece_from(start, last, plane, room):
    """Which plane an element is of, and what is done at once from there on: first and last."""
    p, i = divmod(start, plane)
    stop = min(plane, i + last - start)
    return p, i, min(stop, i + room) if room else stop
