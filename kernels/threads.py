"""One number of threads for everything that runs on the CPU, and the pool that uses them.

Numba's own threading is not used: its portable layer aborts when two Python threads call it at
once, its OpenMP layer when a process forks, and compiling parallel code takes several times as
long. The kernels release the GIL instead, and work on ranges that this module hands to ordinary
threads.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

SETTING = "ARRAYCON_THREADS"

_chosen: contextvars.ContextVar[int | None] = contextvars.ContextVar(
    "arraycon_threads", default=None
)
_state = threading.local()
_lock = threading.Lock()
_executor: ThreadPoolExecutor | None = None


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
    """
    parts = max(1, min(count(), size // grain))
    bounds = [size * i // parts for i in range(parts + 1)]
    futures: list[Future[None]] = []
    try:
        for start, stop in itertools.pairwise(bounds[1:]):
            futures.append(_pool().submit(_work, work, start, stop))
        _work(work, bounds[0], bounds[1])
    finally:
        wait(futures)
    for future in futures:
        future.result()


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


def _pool() -> ThreadPoolExecutor:
    global _executor
    with _lock:
        if _executor is None:
            # More than the cores: several callers share the pool, and idle threads cost nothing.
            _executor = ThreadPoolExecutor(max(32, 4 * cores()), thread_name_prefix="arraycon")
        return _executor


def _forget_pool() -> None:
    # a child process inherits the pool, but none of its threads
    global _executor, _lock
    _executor, _lock = None, threading.Lock()
    _state.working = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
