"""Graphs: what a schedule does on a GPU, recorded once and replayed as one launch.

On an H100 the host needs 0.14 to 2 ms for one constraint that keeps the device busy for 0.005 to
0.5 ms; a replay of the whole schedule takes it some microseconds.
"""

from __future__ import annotations

import importlib
import logging
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from arraycon.kernels.common.caches import released

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger("arraycon")

_everyone: weakref.WeakSet[Graphs[Any]] = weakref.WeakSet()


class Graphs(Generic[T]):
    """Recorded work by what it is for, with the memory that it uses.

    CuPy's pool takes memory back as soon as Python drops an array, and gives it to somebody else,
    whom a replay would then write over. So everything comes from a pool that lives as long as this.
    """

    def __init__(self) -> None:
        self._cupy = importlib.import_module("cupy")
        self._possible = True
        self.clear()
        _everyone.add(self)

    def clear(self) -> None:
        """Forget all recordings, and let go of their memory."""
        cuda = self._cupy.cuda
        self._pool = cuda.MemoryPool()
        # memory of a pool belongs to a stream, so that all of this is on one
        self._stream = cuda.Stream(non_blocking=True)
        self._known: set[Hashable] = set()
        self._recorded: dict[Hashable, tuple[Any, T]] = {}
        self._plans: list[Any] = []

    def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """Do work, from its second time on by replay.

        Parameters
        ----------
        key : hashable
            What the work is for: equal keys do the same on the same arrays.
        work : callable
            Launches kernels, and neither waits for the device nor looks at results.

        Returns
        -------
        object
            What `work` returned. Arrays in it are in memory that the next replay writes to.
        """
        if key in self._recorded:
            graph, result = self._recorded[key]
            graph.launch(self._cupy.cuda.get_current_stream())
            return result
        if not self._possible:
            return work()
        if key not in self._known:
            # also fills the pool: nothing can be had from the driver while a stream records
            self._known.add(key)
            return self._beside(work)
        return self._record(key, work)

    def _beside(self, work: Callable[[], R]) -> R:
        """Work on the own stream and in the own pool, between what comes before and after."""
        cuda = self._cupy.cuda
        current = cuda.get_current_stream()
        self._stream.wait_event(current.record())
        try:
            with cuda.using_allocator(self._pool.malloc), self._stream:
                return work()
        finally:
            current.wait_event(self._stream.record())

    def _record(self, key: Hashable, work: Callable[[], T]) -> T:
        try:
            graph, result = self._beside(lambda: self._captured(work))
        except Exception as error:  # what a driver or a constraint does not allow while recording
            self._possible = False
            logger.info("no CUDA graph, each constraint is launched: %s", error)
            return work()
        # plans hold work memory that the recording uses, and may be dropped from their cache
        transforms = importlib.import_module("arraycon.kernels.gpu.tools.transforms")
        self._plans += transforms.kept()
        self._recorded[key] = graph, result
        graph.launch(self._cupy.cuda.get_current_stream())
        return result

    def _captured(self, work: Callable[[], T]) -> tuple[Any, T]:
        self._stream.begin_capture()
        try:
            result = work()
        except BaseException:
            self._stream.end_capture()
            raise
        return self._stream.end_capture(), result


@released
def _clear() -> None:
    for graphs in list(_everyone):
        graphs.clear()
