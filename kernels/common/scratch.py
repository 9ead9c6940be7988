"""What calls that are finished one after the other have in common: scratch memory, and tables."""

from __future__ import annotations

import contextlib
import contextvars
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np

from arraycon.kernels.common.arrays import Array

Make = Callable[[Any, Any], Array]
"""`numpy.empty` or `cupy.empty`."""


class Pool:
    """What a call has got, for the next one to get again."""

    def __init__(self) -> None:
        self._made: dict[Hashable, list[Array]] = defaultdict(list)
        self._taken: Counter[Hashable] = Counter()
        self._tables: dict[Hashable, Array] = {}

    def next_call(self) -> None:
        """Let the call that begins now have what those before it have got."""
        self._taken.clear()

    def take(self, make: Make, shape: tuple[int, ...], dtype: Any, where: Hashable) -> Array:
        """Return an array that this call has not got yet."""
        kind = make, shape, np.dtype(dtype), where
        number = self._taken[kind]
        self._taken[kind] += 1
        if number == len(self._made[kind]):
            self._made[kind].append(make(shape, dtype))
        return self._made[kind][number]

    def table(self, key: Hashable, make: Callable[[], Array]) -> Array:
        """Return what was made for this key, or make it."""
        if key not in self._tables:
            self._tables[key] = make()
        return self._tables[key]


_pool: contextvars.ContextVar[Pool | None] = contextvars.ContextVar(
    "arraycon_scratch", default=None
)


@contextlib.contextmanager
def shared() -> Iterator[Pool]:
    """Let the calls that are begun within a ``with`` block have their scratch memory in common.

    Each is finished before the next one is: amplitude and phase have all that they need before the
    first of them is written, and together no more than one of them alone.
    """
    pool = Pool()
    token = _pool.set(pool)
    try:
        yield pool
    finally:
        _pool.reset(token)


def scratch_memory(
    make: Make, shape: tuple[int, ...], dtype: Any, *, where: Hashable = None
) -> Array:
    """Return memory that holds nothing between the two halves of a call.

    Parameters
    ----------
    make : callable
        `numpy.empty` or `cupy.empty`.
    shape : tuple of int
    dtype : dtype
    where : hashable
        The device, where there are several.
    """
    pool = _pool.get()
    return make(shape, dtype) if pool is None else pool.take(make, shape, dtype, where)


def table(key: Hashable, make: Callable[[], Array]) -> Array:
    """Return an array that nobody changes, made once for the calls that belong together.

    Parameters
    ----------
    key : hashable
        All that it follows from.
    make : callable
        Makes it.
    """
    pool = _pool.get()
    return make() if pool is None else pool.table(key, make)
