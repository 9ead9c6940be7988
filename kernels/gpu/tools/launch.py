"""Launches: grids, arguments of the right width, and the device that the arrays are on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import cupy
import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools import source

F = TypeVar("F", bound=Callable[..., Any])

# Blocks of an element-wise kernel: enough to fill any device several times over.
_MOST_BLOCKS = 1 << 14
# Shared memory that a block may have without asking for it.
_SHARED_BY_DEFAULT = 48 << 10


def on_device(function: F) -> F:
    """Run a function on the device of its first argument."""

    @functools.wraps(function)
    def inner(array: Array, *args: Any, **kwargs: Any) -> Any:
        with array.device:
            return function(array, *args, **kwargs)

    return inner  # type: ignore[return-value]


def blocks(size: int, *, threads: int = source.THREADS, most: int = _MOST_BLOCKS) -> int:
    """Return the number of blocks for a kernel that strides over `size` elements."""
    return max(1, min(-(-size // threads), most))


def largest_shared() -> int:
    """Return the bytes of shared memory that a block may ask for on the current device."""
    return _largest_shared(cupy.cuda.Device().id)


@functools.cache
def _largest_shared(device: int) -> int:
    # CuPy asks for a hundred attributes at a time
    return int(cupy.cuda.Device(device).attributes["MaxSharedMemoryPerBlockOptin"])


def launch(
    family: str,
    name: str,
    like: Array,
    grid: int | tuple[int, ...],
    *args: Any,
    threads: int | tuple[int, ...] = source.THREADS,
    shared: int = 0,
) -> None:
    """Launch a kernel on the current stream.

    Parameters
    ----------
    family, name : str
        ``.cu`` file and function.
    like : array
        Array whose precision and length choose the variant.
    grid, threads : int or tuple of int
        Numbers of blocks and of threads per block.
    *args
        Arrays; integers, which arrive as ``long long``; real numbers, which arrive as ``real``; and
        NumPy scalars, which arrive as they are.
    shared : int
        Bytes of shared memory beyond what the kernel declares.
    """
    function = source.kernel(family, name, like)
    if shared > _SHARED_BY_DEFAULT:
        function.max_dynamic_shared_size_bytes = shared
    precision = like.real.dtype.type if like.dtype.kind == "c" else like.dtype.type
    function(
        grid if isinstance(grid, tuple) else (grid,),
        threads if isinstance(threads, tuple) else (threads,),
        tuple(_argument(value, precision) for value in args),
        shared_mem=shared,
    )


def _argument(value: Any, precision: Any) -> Any:
    # a Python number would reach the kernel as 8 bytes whatever it expects
    if isinstance(value, bool | np.bool_):
        raise TypeError("a kernel takes no truth values: give an integer")
    if type(value) is int:
        return np.int64(value)
    return precision(value) if type(value) is float else value
