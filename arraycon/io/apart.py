"""Work in a child process, where a crash of a C library ends the child alone."""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class CrashedError(RuntimeError):
    """The child was ended by a signal that nobody has sent."""


def run(work: Callable[[], T]) -> T:
    """Do some work that may crash, and return or raise what it returns or raises.

    On Linux, in a forked child, which takes milliseconds; elsewhere forking is not safe beside the
    system's own libraries, and the work is done here.

    Parameters
    ----------
    work : callable
        It must use no threads, and leave in files what is to last.

    Raises
    ------
    CrashedError
        The child was ended by a signal.
    """
    if not sys.platform.startswith("linux"):
        return work()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads, of which none is used in the child
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(reading)
        _in_child(work, writing)
    os.close(writing)
    try:
        with open(reading, "rb") as pipe:
            told = pipe.read()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) or not told:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        raise CrashedError(f"the library that does it crashed ({signal.Signals(number).name})"
                           if number else "the process that does it ended too early")  # fmt: skip
    error, value = pickle.loads(told)
    if error is not None:
        raise error
    result: T = value
    return result


def _in_child(work: Callable[[], Any], writing: int) -> None:
    """Work, tell, and end without whatever the parent has registered for its own end."""
    try:
        faulthandler.disable()  # the parent says that it crashed
        # those of the parent raise into it, and it kills this child
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        answer: tuple[BaseException | None, Any]
        try:
            answer = (None, work())
        except BaseException as error:
            error.__traceback__ = error.__context__ = error.__cause__ = None
            answer = (error, None)
        with open(writing, "wb") as pipe:
            pickle.dump(answer, pipe)
    finally:
        os._exit(0)
