"""Feeding: errors for start rules and misfits for a monitor, out of a foreign code's own model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arraycon.monitor import Monitor, Subset


class Feed:
    """Some patterns of a code, and what its model makes of them.

    Codes append the error of an iteration after their constraint step, which is too late for a rule
    that is to be decided in it: it is taken from these patterns.

    Parameters
    ----------
    monitor : Monitor, optional
        Says which patterns, and is fed.
    """

    def __init__(self, monitor: Monitor | None) -> None:
        self.monitor = monitor
        self._source: Any = None
        self._subset: Subset | None = None

    def subset(
        self,
        source: Any,
        counts: Callable[[Any], Any],
        forward: Callable[[Any], Any],
        total: Callable[[], int],
    ) -> Subset:
        """Return the patterns of a source, the same as long as the source is.

        Parameters
        ----------
        source : object
            The reconstruction or model.
        counts, forward, total : callables
            See `Subset`; the last one gives the number of all patterns.
        """
        if self._subset is None or self._source is not source:
            from arraycon.monitor import Monitor

            chooser = Monitor() if self.monitor is None else self.monitor
            self._source = source
            self._subset = chooser.subset(counts, forward, total())
            if self.monitor is not None:
                self.monitor.feed(self._subset)
        return self._subset
