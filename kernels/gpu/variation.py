"""Total variation of the object: one pass for each update."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import cupy
import numpy as np

from arraycon.kernels.agnostic.tools import gradient
from arraycon.kernels.agnostic.tools.gradient import Gradient
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.gpu.tools.batches import at_a_time
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device
from arraycon.kernels.gpu.tools.sums import MOST, add_up, of_blocks


@on_device
def obj_tv(
    obj: Array,
    *,
    weight: float,
    axes_weight: tuple[float, float, float],
    norm: str,
    solver: str,
    n_iter: int,
    relax: float,
    sums: Array | None = None,
) -> Iterator[None]:
    """Flatten noise and keep edges; as many slices, or volumes, at a time as the L2 cache holds."""
    real = obj.real.dtype
    over = gradient.gradient(
        obj.shape,
        weight=weight,
        axes_weight=axes_weight,
        norm=norm,
        smallest=float(np.finfo(real).smallest_normal),
        largest=float(np.finfo(real).max),
    )
    shape = (obj.shape[-3] if -3 in over.weights else 1, *obj.shape[-2:])
    items = obj.view(real).reshape(-1, math.prod(shape) * (obj.itemsize // real.itemsize))
    solve = _Solver(items, shape, over, norm, fast=solver == "fgp")
    batches = [items[i : i + solve.number] for i in range(0, len(items), solve.number)]
    grid = blocks(solve.number * math.prod(shape), most=MOST)
    partial = None if sums is None else of_blocks(len(batches) * grid)
    yield
    for i, x in enumerate(batches):
        dual = solve.dual(x, gradient.momenta(n_iter))
        if partial is None:
            solve.launch("finish", x, dual, after=(1 - relax,))
        else:
            rows = partial[0][:, i * grid : (i + 1) * grid]
            solve.launch("finish_measured", x, dual, after=(1 - relax, *rows), grid=grid)
    if partial is not None:
        add_up(items, partial, sums)


class _Solver:
    """Updates of some items at a time, in memory that all of them have in turn.

    Parameters
    ----------
    items : array, shape (n, nz * ny * nx * parts)
        Slices or volumes.
    shape : tuple of int
        (nz, ny, nx) of each of them.
    over : Gradient
    norm : str
    fast : bool
        Fast gradient projection, or else Chambolle's fixed point.

    Attributes
    ----------
    number : int
        Items at a time.
    """

    def __init__(
        self, items: Array, shape: tuple[int, ...], over: Gradient, norm: str, *, fast: bool
    ) -> None:
        self._shape, self._over, self._fast = shape, over, fast
        cast = items.dtype.type
        weights = [cast(over.weights.get(axis, 0)) for axis in gradient.AXES]
        self._given = *map(float, weights), gradient.NORMS.index(norm)
        self._defines = (("PARTS", items.shape[1] // math.prod(shape)),)
        differences, nbytes = sum(w > 0 for w in weights), items[0].nbytes
        # what an update writes, and reads of the two before it, or of the one, take turns
        turns = 3 if fast else 2
        self.number = at_a_time(len(items), turns * differences * nbytes, of=nbytes)
        self._memory = scratch_memory(
            cupy.empty,
            (turns, differences * self.number * items.shape[1]),
            items.dtype,
            where=items.device,
        )

    def dual(self, x: Array, momenta: Sequence[float]) -> Array:
        """Make all updates for some items; return the dual variable."""
        over, turns = self._over, self._memory
        numbers = 1 / ((4 if self._fast else 2) * over.square), over.strength, over.nothing
        # update k goes beyond update k - 1 by the momentum that came of that one
        for k, momentum in enumerate((0.0, *momenta[:-1])):
            following, now, before = (turns[(k - i) % len(turns)] for i in range(3))
            first = int(k == 0)
            if self._fast:
                after = *numbers, momentum, first
                self.launch("project", x, now, before, following, after=after)
            else:
                self.launch("damp", x, now, following, after=(*numbers, first))
        return following

    def launch(self, name: str, x: Array, *dual: Array, after: Any, grid: int = 0) -> None:
        """Launch a kernel for some items; `grid` is by default as many blocks as they need."""
        given = x, *dual, len(x), *self._shape, *self._given, *after
        grid = grid or blocks(len(x) * math.prod(self._shape))
        launch("variation", name, self._memory, grid, *given, defines=self._defines)
