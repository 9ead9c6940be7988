"""Launches: grids, arguments of the right width, and the device that the arrays are on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import cupy

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools import source

F = TypeVar("F", bound=Callable[..., Any])

# Blocks of an element-wise kernel: enough to fill any device several times over.
_MOST_BLOCKS = 1 << 14
# Shared memory that a block may have without asking for it.
_SHARED_BY_DEFAULT = 48 << 10


def on_device(function: F) -> F:
    """Run a function on the device of its first argument."""
    if inspect.isgeneratorfunction(function):
        return _halves_on_device(function)  # type: ignore[return-value]

    @functools.wraps(function)
    def inner(array: Array, *args: Any, **kwargs: Any) -> Any:
        # entering the device that is current already would cost several calls of the driver
        if array.data.device_id == cupy.cuda.runtime.getDevice():
            return function(array, *args, **kwargs)
        with array.device:
            return function(array, *args, **kwargs)

    return inner  # type: ignore[return-value]


def _halves_on_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """`on_device` for a function in two halves, between which the device is left again."""

    @functools.wraps(function)
    def inner(array: Array, *args: Any, **kwargs: Any) -> Any:
        halves = function(array, *args, **kwargs)
        if array.data.device_id == cupy.cuda.runtime.getDevice():
            return (yield from halves)
        with array.device:
            next(halves)
        yield
        with array.device:
            return (yield from halves)

    return inner


def blocks(size: int, *, threads: int = source.THREADS, most: int = _MOST_BLOCKS) -> int:
    """Return the number of blocks for a kernel that strides over `size` elements."""
    return max(1, min(-(-size // threads), most))


def largest_shared() -> int:
    """Return the bytes of shared memory that a block may ask for on the current device."""
    return _largest_shared(cupy.cuda.runtime.getDevice())


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
    defines: source.Defines = (),
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
        Arrays, and numbers, which arrive as the types that the kernel declares.
    shared : int
        Bytes of shared memory beyond what the kernel declares.
    defines : tuple of (str, int or str)
        Macros that the kernel is compiled with.
    """
    kernel = source.kernel(family, name, like, defines)
    if shared > _SHARED_BY_DEFAULT:
        kernel.grant(cupy.cuda.runtime.getDevice(), shared)
    kernel.call(
        grid if type(grid) is tuple else (grid,),
        threads if type(threads) is tuple else (threads,),
        tuple(
            [
                value if convert is None else convert(value)
                for convert, value in zip(kernel.converters, args, strict=True)
            ]
        ),
        shared_mem=shared,
    )
