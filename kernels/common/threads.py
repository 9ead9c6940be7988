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
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from arraycon.kernels.common import processors, settings

SETTING = "ARRAYCON_THREADS"
_setting = settings.variable(SETTING)

_chosen: contextvars.ContextVar[int | None] = contextvars.ContextVar(
    "arraycon_threads", default=None
)
_state = threading.local()
# Threads that wait for work, and for how many seconds they do.
_idle: list[_Helper] = []
_PATIENCE = 30.0


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

    Examples
    --------
    The results do not depend on the number:

    >>> import arraycon, numpy
    >>> phase = numpy.random.default_rng(0).normal(size=(4, 64, 64))
    >>> with arraycon.use_threads(1):
    ...     alone = arraycon.obj_rblur(phase)
    >>> bool((alone == arraycon.obj_rblur(phase)).all())
    True
    """
    from arraycon.kernels.common import check

    token = _chosen.set(check.integer("threads", number, low=1))
    try:
        yield
    finally:
        _chosen.reset(token)


def memory(make: Callable[[], Any], size: int, *, grain: int = 1) -> list[Any]:
    """Return scratch memory for `run` with the same size and grain, had before anything is written.

    Parameters
    ----------
    make : callable
        Returns the scratch memory of one thread.
    """
    return [make() for _ in range(_parts(size, grain))]


def run(
    work: Callable[..., None], size: int, *, grain: int = 1, memory: list[Any] | None = None
) -> None:
    """Call ``work(start, stop)`` on ranges that together cover ``range(size)``.

    Parameters
    ----------
    work : callable
        Releases the GIL while it works.
    size : int
        Number of items.
    grain : int
        Least number of items that is worth a thread.
    memory : list, optional
        Of `memory`. One of its members is a third argument of `work`, and nobody else's meanwhile.

    Notes
    -----
    The ranges depend on the number of threads alone, and become shorter towards the end; who takes
    which does not matter to the result as long as `work` does not care in which order it is called.

    Returns or raises only when all ranges are done, also after Ctrl-C: an array is never left while
    a thread still writes to it.

    The calling thread only waits. An exception from a signal handler, which only the main thread
    can get, would otherwise leave locks locked for good that the others wait for: Numba's while a
    kernel is loaded, or those of a pool. One interrupted run in ten hung with `concurrent.futures`,
    one in thirty with one range in the calling thread.
    """
    if memory is not None:
        work = functools.partial(_with_memory, work, memory)
    parts = _parts(size, grain)
    if parts == 1:
        _work(work, 0, size)
        return
    job = _Job(work, _ranges(size, parts, grain))
    interruption: BaseException | None = None
    helpers = 0
    while helpers < parts:
        try:
            helpers += _ask(job)
        except BaseException as error:  # noqa: PERF203 (somebody has to do the work all the same)
            interruption = error
    while not job.is_done():
        try:
            job.finished.acquire(timeout=1)
        except BaseException as error:  # noqa: PERF203 (the wait goes on)
            interruption = error
    if interruption is not None:
        raise interruption
    if job.failures:
        raise job.failures[0]


def _parts(size: int, grain: int) -> int:
    worth = size // grain
    return min(count(), worth) if worth > 1 else 1  # to ask how many threads there are takes 3 µs


def _with_memory(work: Callable[..., None], memory: list[Any], start: int, stop: int) -> None:
    scratch = memory.pop()
    try:
        work(start, stop, scratch)
    finally:
        memory.append(scratch)


def _ranges(size: int, parts: int, grain: int) -> list[tuple[int, int]]:
    """Divide into ranges that become shorter: who is late or disturbed gets less to do."""
    ranges = []
    start = 0
    while start < size:
        length = max(grain, -(-(size - start) // (2 * parts)))
        stop = size if size - start - length < grain else start + length
        ranges.append((start, stop))
        start = stop
    return ranges


class _Job:
    """What is to be done by several threads, and what became of it."""

    def __init__(self, work: Callable[[int, int], None], ranges: Sequence[tuple[int, int]]) -> None:
        self._work = work
        self._ranges = ranges
        self._next = itertools.count()
        self._done: list[int] = []
        self.processors: list[int] = []
        self.failures: list[BaseException] = []
        self.finished = _thread.allocate_lock()
        self.finished.acquire()

    def is_done(self) -> bool:
        return len(self._done) == len(self._ranges)

    def take_part(self) -> None:
        """Do ranges until there are none; exceptions are raised where the work was asked for."""
        while (index := next(self._next)) < len(self._ranges):
            try:
                _work(self._work, *self._ranges[index])
            except BaseException as failure:
                self.failures.append(failure)
            self._done.append(index)
            if self.is_done():
                with contextlib.suppress(RuntimeError):  # two were last at once
                    self.finished.release()


class _Helper:
    """A thread that waits for jobs: to wake it takes a third of the time that starting one does."""

    def __init__(self, job: _Job) -> None:
        self.job: _Job | None = job
        self.asked = _thread.allocate_lock()
        self.asked.acquire()

    def serve(self) -> None:
        while self.job is not None:
            processors.keep_apart(self.job.processors)
            self.job.take_part()
            self.job = None  # its arrays may be gone long before the next one comes
            _idle.append(self)
            if not self.asked.acquire(timeout=_PATIENCE):
                try:
                    _idle.remove(self)
                except ValueError:  # somebody is just about to ask
                    self.asked.acquire()


def _ask(job: _Job) -> int:
    """Let one thread more take part: an idle one, else a new one; return 1."""
    try:
        helper = _idle.pop()
    except IndexError:
        try:
            _thread.start_new_thread(_Helper(job).serve, ())
        except RuntimeError:  # the system grants no more
            job.take_part()
    else:
        helper.job = job
        helper.asked.release()
    return 1


def _work(work: Callable[[int, int], None], start: int, stop: int) -> None:
    outer = getattr(_state, "working", False)
    _state.working = True
    try:
        work(start, stop)
    finally:
        _state.working = outer


def _from_environment() -> int | None:
    setting = _setting()
    if not setting:
        return None
    if not setting.isdecimal() or int(setting) < 1:
        raise ValueError(f"{SETTING}: expected an integer ≥ 1, got {setting!r}")
    return int(setting)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # only the forking thread lives on there
