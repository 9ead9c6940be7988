"""Total variation of the object.

A slice, or a volume, is gone through row by row, where a row is that of all slices. Each update
needs the object less what the dual variable takes from it, u, in its own row and in the next one;
the update after it can follow one row behind. So some updates go through the array together, while
their rows are in the cache.

Bands of one array are worked on at once. What a band needs of the other side of its edge is u in
the first row behind it, before each of the updates; that comes from a copy of the rows around the
edge, of which with each update one less on either side is right.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from arraycon.kernels.agnostic.tools import gradient
from arraycon.kernels.agnostic.tools.gradient import Gradient
from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.cpu.tools import updates
from arraycon.kernels.cpu.tools.sums import as_real

# Updates that go together. Of 20×512×512 float32 in depth too one takes, on one thread, 4.0 ns a
# voxel by itself, 2.7 with three others, 2.5 with seven, also with fifteen; of a slice of 2048²
# 2.8, 1.8, 1.65 and 1.6, and of one of 512², which is in the cache as a whole, 1.75 to 1.6.
_MOST_TOGETHER = 8
# Bytes of the rows that they have in use.
_IN_CACHE = 4 << 20
# Rows of a band for each of them: what is done twice around an edge is then an eighth at most.
_ROWS = 16
# Fewer pixels times updates than this are done before a second thread has woken up.
_SMALL = 1 << 17
# Values, and strengths, between which no square overflows or vanishes.
_ORDINARY = {"f": (1e-15, 1e17), "d": (1e-140, 1e150)}


class _Edge(NamedTuple):
    """A row where a band ends and the next one begins.

    Parameters
    ----------
    row, first, stop : int
        The row, and those around it that are copied.
    copied : updates.Dual
    u : array, shape (levels, parts, nz, nx), flat
        u in the row before each update.
    """

    row: int
    first: int
    stop: int
    copied: updates.Dual
    u: Array


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
    """Flatten noise and keep edges."""
    limits = np.finfo(obj.real.dtype)
    over = gradient.gradient(
        obj.shape,
        weight=weight,
        axes_weight=axes_weight,
        norm=norm,
        smallest=float(limits.smallest_normal),
        largest=float(limits.max),
    )
    rules = _rules(over, 2 if obj.dtype.kind == "c" else 1, solver, obj.real.dtype)
    nz = obj.shape[-3] if -3 in over.weights else 1
    ny, nx = obj.shape[-2:]
    sizes = updates.Sizes(nz, ny, nx, rows=ny)
    momenta = np.array(gradient.momenta(n_iter), obj.real.dtype)
    items = as_real(obj).reshape(-1, nz * sizes.ny * sizes.nx * rules.parts)
    run = _Run(items, sizes, rules, momenta, relax, measured=sums is not None)
    yield
    run()
    if sums is not None:
        np.sum(run.changes, axis=(0, 1), out=sums[0])


class _Run:
    """All updates of all items: an item to a thread, or bands of one after the other.

    Parameters
    ----------
    items : array, shape (n, nz * ny * nx * parts)
        Slices or volumes.
    sizes : updates.Sizes
        Of each of them.
    rules : updates.Rules
    momenta : array
        One for each update.
    relax : float
    measured : bool
        Whether `changes` (n, ny, 2) are asked for.
    """

    def __init__(
        self,
        items: Array,
        sizes: updates.Sizes,
        rules: updates.Rules,
        momenta: Array,
        relax: float,
        *,
        measured: bool,
    ) -> None:
        self._items, self._sizes, self._rules = items, sizes, rules
        self._weights = tuple(momenta.dtype.type(1 - relax) * w for w in rules.weights)
        work = items.shape[1] * len(momenta)
        bands = max(1, min(threads.count(), sizes.ny // _ROWS, work // _SMALL))
        if len(items) >= 2 * bands:
            bands = 1
        self._levels = levels = self._together(len(momenta), bands)
        # momenta of the updates that go together
        self._sweeps = [momenta[i : i + levels] for i in range(0, len(momenta), levels)]
        self.changes = np.zeros((len(items), sizes.ny if measured else 0, 2))
        self._grain = max(1, _SMALL // work)
        self._rows = [sizes.ny * i // bands for i in range(bands + 1)]
        self._edges = [self._edge(row) for row in self._rows[1:-1]]
        if bands > 1:
            self._shared = self._dual(sizes.ny)
            self._scratch = threads.memory(self._room, bands)
        else:
            self._scratch = threads.memory(
                lambda: (self._dual(sizes.ny), *self._room()), len(items), grain=self._grain
            )

    def __call__(self) -> None:
        """Do it."""
        if not self._edges:
            threads.run(self._by_items, len(self._items), grain=self._grain, memory=self._scratch)
            return
        for i, x in enumerate(self._items):
            self._by_bands(i, x)

    def _together(self, n_iter: int, bands: int) -> int:
        """Return how many updates go together."""
        differences = self._rules.number * (2 if self._rules.fast else 1)
        row = self._sizes.nz * self._sizes.nx * self._rules.parts * self._items.itemsize
        fit = _IN_CACHE // (row * (differences + 3))
        most = self._sizes.ny // (_ROWS * bands) if bands > 1 else n_iter
        return int(max(1, min(_MOST_TOGETHER, n_iter, fit, most)))

    def _empty(self, *shape: int) -> Array:
        return scratch_memory(np.empty, (math.prod(shape),), self._items.dtype)

    def _dual(self, rows: int) -> updates.Dual:
        size = self._rules.number * self._rules.parts, rows, self._sizes.nz, self._sizes.nx
        ahead = self._empty(*size)
        return updates.Dual(self._empty(*size) if self._rules.fast else ahead, ahead)

    def _room(self) -> tuple[updates.Scratch, Array]:
        """Memory of one thread, and for a row of the object where it is to be compared."""
        nx, parts = self._sizes.nx, self._rules.parts
        u = self._empty(2 * self._levels * parts * self._sizes.nz * nx + 1)
        which = np.empty((self._rules.number * parts, 2), np.int64)
        old = self._empty(nx * parts if self.changes.size else 0)
        return updates.Scratch(u, self._empty(nx), self._empty(nx), which), old

    def _edge(self, row: int) -> _Edge:
        first, stop = max(0, row - self._levels), min(self._sizes.ny, row + self._levels)
        u = self._empty(self._levels, self._rules.parts, self._sizes.nz, self._sizes.nx)
        return _Edge(row, first, stop, self._dual(stop - first), u)

    def _rules_for(self, x: Array) -> updates.Rules:
        low, high = _ORDINARY[x.dtype.char]
        ordinary = low < self._rules.strength < high and updates.largest(x) < high
        return self._rules._replace(careful=not ordinary)

    def _by_items(
        self, start: int, stop: int, own: tuple[updates.Dual, updates.Scratch, Array]
    ) -> None:
        (dual, ahead), scratch, old = own
        ny, none = self._sizes.ny, scratch.u
        for i in range(start, stop):
            x = self._items[i]
            rules = self._rules_for(x)
            updates.clear(dual, ahead)
            for momenta in self._sweeps:
                updates.sweep(
                    x, self._sizes, 0, dual, ahead, scratch, momenta, 0, ny, none, none, none, rules
                )
            self._finish(i, dual, (scratch, old), 0, ny)

    def _by_bands(self, i: int, x: Array) -> None:
        rules, (dual, ahead), bands = self._rules_for(x), self._shared, len(self._rows) - 1
        updates.clear(dual, ahead)
        for momenta in self._sweeps:
            for work, number in ((self._look_ahead, bands - 1), (self._advance, bands)):
                given = functools.partial(work, x, rules, momenta)
                threads.run(given, number, memory=self._scratch)

        def finish(start: int, stop: int, own: tuple[updates.Scratch, Array]) -> None:
            self._finish(i, dual, own, self._rows[start], self._rows[stop])

        threads.run(finish, bands, memory=self._scratch)

    def _look_ahead(
        self, x: Array, rules: updates.Rules, momenta: Array, start: int, stop: int, own: Any
    ) -> None:
        """Find u at some edges, on copies of what is around them."""
        for edge in self._edges[start:stop]:
            sizes = self._sizes._replace(rows=edge.stop - edge.first)
            for source, copy in zip(self._shared, edge.copied, strict=True):
                updates.copy_rows(source, copy, edge.first, self._sizes, sizes)
            updates.sweep(
                x, sizes, edge.first, *edge.copied, own[0], momenta, 0, sizes.rows, edge.u, edge.u,
                edge.u, rules._replace(record=edge.row - edge.first),
            )  # fmt: skip

    def _advance(
        self, x: Array, rules: updates.Rules, momenta: Array, start: int, stop: int, own: Any
    ) -> None:
        """Update some bands."""
        for band in range(start, stop):
            low, high = (
                self._edges[max(band - 1, 0)].u,
                self._edges[min(band, len(self._edges) - 1)].u,
            )
            first, last = self._rows[band : band + 2]
            updates.sweep(
                x, self._sizes, 0, *self._shared, own[0], momenta, first, last, low, high, high,
                rules,
            )  # fmt: skip

    def _finish(
        self, i: int, dual: Array, own: tuple[updates.Scratch, Array], first: int, stop: int
    ) -> None:
        updates.finish(
            self._items[i], dual, own[0].u, own[1], first, stop, self._weights, self._sizes,
            self._rules, self.changes[i],
        )  # fmt: skip


def _rules(over: Gradient, parts: int, solver: str, dtype: Any) -> updates.Rules:
    cast, fast = dtype.type, solver == "fgp"
    axes = [axis for group in over.groups for axis in group]
    bounds = [0, *itertools.accumulate(map(len, over.groups))]
    none = 3 - len(axes)
    return updates.Rules(
        number=len(axes),
        groups=len(over.groups),
        axes=(*(3 + axis for axis in axes), *[0] * none),
        bounds=(*bounds, *[bounds[-1]] * (4 - len(bounds))),
        weights=(*(cast(over.weights[axis]) for axis in axes), *[cast(0)] * none),
        parts=parts,
        fast=fast,
        lateral=parts == 1 and over.groups == ((-2, -1),),
        step=cast(1 / ((4 if fast else 2) * over.square)),
        strength=cast(over.strength),
        nothing=cast(over.nothing),
    )
