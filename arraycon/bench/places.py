"""Where arrays live during a benchmark, and how time and memory are taken there."""

from __future__ import annotations

import gc
import importlib
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Run = Callable[[], None]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Place:
    """A processor with its memory.

    Parameters
    ----------
    name : str
        ``cpu`` or ``gpu``.
    array : callable
        Makes an array there with the values of a NumPy array, a copy.
    numpy : callable
        Gives the values of such an array.
    seconds : callable
        Runs a function, and says how long it took.
    allocated : callable
        Runs a function, and gives the peak of the bytes that it held beyond what it found.
    """

    name: str
    array: Callable[[NDArray[Any]], Any]
    numpy: Callable[[Any], NDArray[Any]]
    seconds: Callable[[Run], float]
    allocated: Callable[[Run], int]


def cpu(clock: Clock = time.perf_counter) -> Place:
    """NumPy arrays, the clock on the wall, and what NumPy and Python allocate."""

    def seconds(run: Run) -> float:
        enabled = gc.isenabled()
        gc.disable()
        try:
            start = clock()
            run()
            return clock() - start
        finally:
            if enabled:
                gc.enable()

    return Place("cpu", np.array, np.asarray, seconds, _allocated_by_python)


def gpu() -> Place:
    """CuPy arrays, events on the current stream, and what CuPy's pool hands out."""
    cupy = importlib.import_module("cupy")

    def seconds(run: Run) -> float:
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        run()
        stop.record()
        stop.synchronize()
        milliseconds: float = cupy.cuda.get_elapsed_time(start, stop)
        return milliseconds / 1e3

    def allocated(run: Run) -> int:
        # a fresh pool: its size is the peak, as long as nothing is given back to the driver
        pool = cupy.cuda.MemoryPool()
        with cupy.cuda.using_allocator(pool.malloc):
            run()
            cupy.cuda.get_current_stream().synchronize()
        held: int = pool.total_bytes()
        return held

    return Place("gpu", cupy.array, cupy.asnumpy, seconds, allocated)


PLACES: dict[str, Callable[[], Place]] = {"cpu": cpu, "gpu": gpu}
"""Places by name."""


def _allocated_by_python(run: Run) -> int:
    tracemalloc.start()
    try:
        held = tracemalloc.get_traced_memory()[0]
        run()
        return tracemalloc.get_traced_memory()[1] - held
    finally:
        tracemalloc.stop()
