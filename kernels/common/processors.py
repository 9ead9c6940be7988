"""On which processor the threads of one job run.

Linux chooses a processor when it wakes a thread, and in a virtual machine it often takes one that
is busy for better than one that sleeps: both of two threads that were woken together then shared
one, for as long as 50 ms. Work of 14 ms took two threads 14.4 ms, and 7.4 since the second moves.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable


def keep_apart(taken: list[int]) -> None:
    """Move this thread where none of `taken` is, if there is such a processor; take note of it.

    It may run where it could before: nothing is pinned.

    Parameters
    ----------
    taken : list of int
        Processors that the others of the job began on; this one's is added.
    """
    current = _current()
    if current is None:
        return
    here = current()
    if here in taken:
        with contextlib.suppress(OSError):  # it is a favour, which a sandbox may refuse
            allowed = os.sched_getaffinity(0)
            if others := allowed.difference(taken):
                os.sched_setaffinity(0, others)
                os.sched_setaffinity(0, allowed)
                here = current()
    taken.append(here)


@functools.cache
def _current() -> Callable[[], int] | None:
    """Return what tells the processor, on systems where a thread can be moved."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    import ctypes

    # without letting go of the interpreter's lock it is 0.2 µs
    found: Callable[[], int] | None = getattr(ctypes.PyDLL(None), "sched_getcpu", None)
    return found
