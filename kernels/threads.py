"""One number of threads for everything that runs on the CPU, and the division of work among them.

Numba's own threading is not used: its portable layer aborts when two Python threads call it at
once, its OpenMP layer when a process forks, and compiling parallel code takes several times as
long. The kernels release the GIL instead, and work on ranges that this module hands to ordinary
threads.
"""

from __future__ import annotations

import _thread
import contextlib
import contextvars
import itertools
import os
import threading
from collections.abc import Callable, Iterator

SETTING = "ARRAYCON_THREADS"

_chosen: contextvars.ContextVar[int | None] = contextvars.ContextVar(
    "arraycon_threads", default=None
)
_state = threading.local()


def count() -> int:
    """Return the number of threads to use: of `use_threads`, else of the environment, else cores.

    Raises
    ------
    ValueError
        The environment variable is not an integer of at least 1.
    """
    if getattr(_state, "working", False):
        return 1  # a part of the work is not divided again
    return _chosen.get() or _from_environment() or cores()


def cores() -> int:
    """Return the number of processors that this process may use.

    `os.cpu_count` also counts those that a container or a batch system withholds.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def use_threads(number: int) -> Iterator[None]:
    """Use this many threads within a ``with`` block (for calls from this thread or task).

    ``ARRAYCON_THREADS`` does the same for a whole process.

    Raises
    ------
    TypeError, ValueError
        `number` is not an integer of at least 1.
    """
    from arraycon.kernels import check

    token = _chosen.set(check.integer("threads", number, low=1))
    try:
        yield
    finally:
        _chosen.reset(token)


def run(work: Callable[[int, int], None], size: int, *, grain: int = 1) -> None:
    """Call ``work(start, stop)`` on ranges that together cover ``range(size)``.

    Parameters
    ----------
    work : callable
        Releases the GIL while it works, and allocates its own scratch memory.
    size : int
        Number of items.
    grain : int
        Least number of items that is worth a thread.

    Notes
    -----
    Returns or raises only when all ranges are done, also after Ctrl-C: an array is never left while
    a thread still writes to it.

    The calling thread only waits, and threads are started for each call. An exception from a signal
    handler, which only the main thread can get, would otherwise leave locks locked for good that
    the others wait for: Numba's while a kernel is loaded, or those of a pool. One interrupted run
    in ten hung with `concurrent.futures`, one in thirty with one range in the calling thread.
    """
    parts = max(1, min(count(), size // grain))
    if parts == 1:
        _work(work, 0, size)
        return
    bounds = [size * i // parts for i in range(parts + 1)]
    crew = _Crew(parts)
    started = 0
    interruption: BaseException | None = None
    try:
        for start, stop in itertools.pairwise(bounds):
            started += _start(crew.work, (work, start, stop))
    except BaseException as error:
        interruption = error
    while len(crew.done) < started:
        try:
            crew.finished.acquire(timeout=1)
        except BaseException as error:  # noqa: PERF203 (the wait goes on)
            interruption = error
    if interruption is not None:
        raise interruption
    if crew.failures:
        raise crew.failures[0]


def _start(function: Callable[..., None], arguments: tuple[object, ...]) -> int:
    """Call a function in a new thread, or here where the system grants no more; return 1."""
    try:
        _thread.start_new_thread(function, arguments)
    except RuntimeError:
        function(*arguments)
    return 1


class _Crew:
    """Threads of one call, and what became of them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.done: list[int] = []
        self.failures: list[BaseException] = []
        self.finished = _thread.allocate_lock()
        self.finished.acquire()

    def work(self, work: Callable[[int, int], None], start: int, stop: int) -> None:
        """Do one range; an exception is raised where the work was asked for."""
        try:
            _work(work, start, stop)
        except BaseException as failure:
            self.failures.append(failure)
        finally:
            self.done.append(start)
            if len(self.done) == self.size:
                with contextlib.suppress(RuntimeError):  # two were last at once
                    self.finished.release()


def _work(work: Callable[[int, int], None], start: int, stop: int) -> None:
    outer = getattr(_state, "working", False)
    _state.working = True
    try:
        work(start, stop)
    finally:
        _state.working = outer


def _from_environment() -> int | None:
    setting = os.environ.get(SETTING)
    if not setting:
        return None
    if not setting.isdecimal() or int(setting) < 1:
        raise ValueError(f"{SETTING}: expected an integer ≥ 1, got {setting!r}")
    return int(setting)
