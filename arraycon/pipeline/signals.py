"""Signals that come while arrays are written: their handlers wait until a constraint is done."""

from __future__ import annotations

import contextlib
import importlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
try:
    # what is behind `signal`, which looks each handler up in an enumeration: 15 µs in all for one
    # block instead of 3
    _plain: Any = importlib.import_module("_signal")
except ImportError:  # another Python
    _plain = signal


class Held:
    """Holds SIGINT and SIGTERM within a ``with`` block, in the main thread.

    Only handlers written in Python are held, as Ctrl-C's own is: what the system does by default is
    left alone, and so is a handler that somebody installs meanwhile. In other threads nothing is
    done: Python calls handlers in the main thread alone.
    """

    __slots__ = ("_holding", "_old", "_waiting")

    def __init__(self) -> None:
        self._holding = False
        self._old: dict[int, Callable[..., Any]] = {}
        self._waiting: list[tuple[int, Any]] = []

    def __enter__(self) -> Held:
        if threading.current_thread() is threading.main_thread():
            self._holding = True
            for number in _SIGNALS:
                old = _plain.getsignal(number)
                if callable(old):
                    self._old[number] = old
                    _plain.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # should one come from here on and raise, what is left behind lets the next ones through
        self._holding = False
        for number, old in self._old.items():
            if _plain.getsignal(number) == self._take:
                _plain.signal(number, old)
        self._call()

    def deliver(self) -> None:
        """Call the handlers of what has come: nothing is being written now."""
        if self._waiting:
            self._call()

    @contextlib.contextmanager
    def let_through(self) -> Iterator[None]:
        """Hold nothing within a ``with`` block: somebody else's code may run for long."""
        holding, self._holding = self._holding, False
        try:
            yield
        finally:
            self._holding = holding

    def _take(self, number: int, frame: Any) -> None:
        if self._holding:
            self._waiting.append((number, frame))
        else:
            self._old[number](number, frame)

    def _call(self) -> None:
        while self._waiting:
            number, frame = self._waiting.pop(0)
            self._old[number](number, frame)
