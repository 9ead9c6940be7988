"""Executors: who works on the regions of a pass: this thread, several, or a cluster of dask's."""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeAlias, TypeVar

from arraycon.kernels.common.threads import cores, use_threads

T = TypeVar("T")
R = TypeVar("R")

# A region is tried so often more, where what it reads or writes fails for a while.
RETRIES = 2


class Executor(Protocol):
    """Whoever calls a function for each of some regions.

    Attributes
    ----------
    workers : int
        How many regions are worked on at once.
    travels : bool
        Whether that is in other processes, which see files alone.
    """

    workers: int
    travels: bool

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield what the function gives, in whatever order it comes.

        Should it fail for one, the exception is raised when nobody works any more.
        """


class Serial:
    """One region after the other, each with all threads of the kernels."""

    workers = 1
    travels = False

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield what the function gives, in order."""
        return map(function, items)


class Threads:
    """Several regions at once, each with one thread.

    Parameters
    ----------
    workers : int, optional
        By default as many as there are processors.
    """

    travels = False

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or cores()

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield what the function gives, as it comes."""
        rest = iter(items)
        alone = functools.partial(with_one_thread, function)
        pool = concurrent.futures.ThreadPoolExecutor(self.workers)
        try:
            # no more than are worked on: what is done and not yet asked for takes memory
            running = {pool.submit(alone, item) for item in itertools.islice(rest, self.workers)}
            while running:
                done, running = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED
                )
                results = [future.result() for future in done]
                running |= {pool.submit(alone, item) for item in itertools.islice(rest, len(done))}
                yield from results
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class Cluster:
    """Workers of dask's, each in a process of its own on this machine or another.

    A task that fails is repeated, and so is one whose worker is lost.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        # one whose workers are threads of this process has its arrays
        self.travels = not str(client.scheduler.address).startswith("inproc:")
        # what the scheduler tells of its workers leaves out all but five, or not, by its version
        self._threads = [int(number) for number in client.nthreads().values()]
        if not self._threads:
            raise ValueError("executor: expected a cluster with workers, got one without any")
        self._limits = [int(limit or 0) for limit in _asked(client, _limit)]
        self.workers = sum(self._threads)

    @property
    def limit(self) -> int | None:
        """Least memory that one of the workers has by its own limit; None without any."""
        return min((limit for limit in self._limits if limit), default=None)

    def device(self) -> int:
        """Return the least memory that is free on one of the workers' devices."""
        return int(min(_asked(self.client, on_device)))

    def share(self, memory: int) -> int:
        """Return what all have together, where each process has so much."""
        # every thread gets the same, and the process with most threads has least for each
        return memory // max(self._threads) * self.workers

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield what the function gives, as it comes."""
        from distributed import as_completed

        alone = functools.partial(with_one_thread, function)
        futures = self.client.map(alone, list(items), pure=False, retries=RETRIES)
        try:
            arriving: Any = as_completed(futures)  # type: ignore[no-untyped-call]
            for future in arriving:
                yield future.result()
                future.release()
        finally:
            self.client.cancel(futures)


def _asked(client: Any, function: Callable[..., Any]) -> list[Any]:
    """Return what each worker answers, those left out that are lost meanwhile."""
    answers = client.run(function, on_error="return").values()
    for each in answers:
        if isinstance(each, Exception) and not isinstance(each, OSError):
            raise each
    return [each for each in answers if not isinstance(each, OSError)]


def on_device() -> int:
    """Return the memory that is free on the current device, what CuPy keeps for itself included."""
    try:
        import cupy
    except ImportError as error:
        raise ValueError(
            f'backend: expected "numpy", or "cupy" where CuPy can be imported, but: {error}'
        ) from None
    free, _ = cupy.cuda.runtime.memGetInfo()
    return int(free) + int(cupy.get_default_memory_pool().free_bytes())


def _limit(dask_worker: Any) -> int | None:
    """Return the memory that a worker allows itself."""
    limit: int | None = dask_worker.memory_manager.memory_limit
    return limit


def with_one_thread(function: Callable[[T], R], item: T) -> R:
    """Call a function whose kernels use this thread only: the others have regions of their own."""
    with use_threads(1):
        return function(item)


Asked: TypeAlias = Any
"""None, the name of an executor, or a ``distributed.Client``."""


def executor(asked: Asked) -> Executor:
    """Return what is asked for.

    Parameters
    ----------
    asked : {None, "serial", "threads"} or distributed.Client

    Raises
    ------
    TypeError, ValueError
        It is something else, or a cluster without workers.
    """
    if asked is None or asked == "serial":
        return Serial()
    if asked == "threads":
        return Threads()
    if isinstance(asked, Serial | Threads | Cluster):
        return asked
    expected = 'executor: expected "serial", "threads" or a distributed.Client'
    if isinstance(asked, str):
        raise ValueError(f"{expected}, got {asked!r}")
    root = type(asked).__module__.partition(".")[0]
    if root != "distributed" or not hasattr(asked, "submit"):
        raise TypeError(f"{expected}, got {type(asked).__name__}")
    if getattr(asked, "asynchronous", False):
        raise ValueError(f"{expected}, got one that is asynchronous")
    if getattr(asked, "status", "running") != "running":
        raise ValueError(f"{expected}, got one that is {asked.status}")
    return Cluster(asked)
