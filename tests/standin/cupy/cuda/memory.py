"""Memory as CuPy's pools give it: taken back when its array is dropped, and handed out again."""

from __future__ import annotations

import contextlib
import math

import numpy as np

_ROUNDED = 512  # bytes, as in CuPy


class MemoryPool:
    """Blocks by their size; the one that was freed last is the next to be given."""

    def __init__(self):
        self._free, self._bytes = {}, 0

    def malloc(self, size):
        size = max(1, math.ceil(size / _ROUNDED)) * _ROUNDED
        free = self._free.setdefault(size, [])
        if not free:
            self._bytes += size
        return Block(self, free.pop() if free else np.empty(size, np.uint8))

    def take_back(self, memory):
        self._free[memory.size].append(memory)

    def total_bytes(self):
        return self._bytes

    def free_bytes(self):
        return sum(memory.size for free in self._free.values() for memory in free)

    def free_all_blocks(self):
        for free in self._free.values():
            self._bytes -= sum(memory.size for memory in free)
            free.clear()


class Block:
    """Memory of a pool, for as long as an array sees it."""

    def __init__(self, pool, memory):
        self._pool, self._memory = pool, memory
        self.__array_interface__ = memory.__array_interface__

    def __del__(self):
        self._pool.take_back(self._memory)


_default = MemoryPool()
_allocators = [_default.malloc]


def default_pool():
    return _default


@contextlib.contextmanager
def using_allocator(malloc):
    _allocators.append(malloc)
    try:
        yield
    finally:
        _allocators.pop()


def empty(shape, dtype=float):
    """Return a NumPy array in memory of the pool in use."""
    shape = (shape,) if np.ndim(shape) == 0 else tuple(shape)
    count = math.prod(int(n) for n in shape)
    memory = np.asarray(_allocators[-1](count * np.dtype(dtype).itemsize))
    return memory[: count * np.dtype(dtype).itemsize].view(dtype).reshape(shape)
