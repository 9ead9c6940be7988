"""SIGINT, SIGTERM and SIGHUP: noted as well as raised, and looked for where it matters.

What a handler raises while a finaliser runs, as those of llvmlite do while kernels are compiled, is
printed by Python and lost; so is what arises inside a callback of a C library. So the handler also
leaves a note, which is looked at between iterations and before anything is written.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}


class StoppedError(BaseException):
    """A signal has asked for the end; no Exception, so that nobody takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(_WORDS[signal.Signals(number).name])
        self.code = 128 + number


@dataclass
class _Watch:
    """What has been asked for, and whether it is too late to stop."""

    asked: int | None = None
    holding: bool = False

    def note(self, number: int, _frame: Any) -> None:
        self.asked = number
        if not self.holding:
            raise StoppedError(number)


_watches: list[_Watch] = []


@contextlib.contextmanager
def watched(*, last: bool = False) -> Iterator[None]:
    """Watch signals in the block, and end with one line and 128 plus the signal's number.

    Parameters
    ----------
    last : bool
        Whether the process ends with the block: what was to be done is done by then, and a signal
        that comes while Python shuts down must not turn that into a failure.
    """
    if _watches:
        yield
        return
    watch, hook = _Watch(), sys.unraisablehook
    before = {number: signal.getsignal(number) for number in _numbers()}

    def unraisable(lost: Any) -> None:
        if not isinstance(lost.exc_value, StoppedError):
            hook(lost)

    _watches.append(watch)
    sys.unraisablehook = unraisable
    try:
        for number in before:
            signal.signal(number, watch.note)
        yield
        look()
    except StoppedError as stopped:
        watch.holding = True
        print(f"error: {stopped}", file=sys.stderr)
        raise SystemExit(stopped.code) from None
    finally:
        _watches.remove(watch)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if last else handler)


def look() -> None:
    """End here if a signal has come, whether or not what it raised has arrived."""
    for watch in _watches:
        if watch.asked is not None and not watch.holding:
            raise StoppedError(watch.asked)


def hold() -> None:
    """End here if a signal has come; from now on it is too late: what is ready gets its name."""
    look()
    for watch in _watches:
        watch.holding = True
    # one that came between the look and the hold has raised already


def between(items: Iterable[T]) -> Iterator[T]:
    """Look for signals before each item."""
    for item in items:
        look()
        yield item


def _numbers() -> tuple[int, ...]:
    """Signals to watch; those that were ignored when the process began, by nohup, stay so."""
    there = (getattr(signal, name, None) for name in NAMES)
    return tuple(
        number
        for number in there
        if number is not None and signal.getsignal(number) != signal.SIG_IGN
    )
