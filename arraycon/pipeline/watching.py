"""Watching: one iteration of a schedule, as a monitor sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from arraycon.monitor import Monitor
from arraycon.pipeline.fields import OBJECTS, Fields
from arraycon.pipeline.report import Record
from arraycon.pipeline.signals import Held

READS = (OBJECTS, ())
"""What a monitor uses of a state, as `lend_state` is told it."""


def checked(monitor: object) -> Monitor | None:
    """Return a monitor, or None; refuse everything else.

    Raises
    ------
    TypeError
        It is something else.
    """
    if monitor is None or isinstance(monitor, Monitor):
        return monitor
    raise TypeError(f"monitor: expected an arraycon.Monitor, got {type(monitor).__name__}")


class Watch:
    """Shows a monitor what each constraint does.

    Parameters
    ----------
    monitor : Monitor
    fields : Fields
    iteration : int
    due : callable
        From an iteration to the names of the constraints that run then.

    Attributes
    ----------
    active : bool
        Whether the iteration is monitored.
    """

    def __init__(
        self,
        monitor: Monitor,
        fields: Fields,
        iteration: int,
        due: Callable[[int], Iterable[str]],
    ) -> None:
        self._monitor, self._fields, self._due = monitor, fields, due
        self.active = monitor.begin(iteration, due(iteration))

    def start(self, held: Held) -> None:
        """Look before the first constraint."""
        if self.active:
            with held.let_through():
                self._monitor.start(self._fields.show())

    def after(self, record: Record, held: Held) -> Record:
        """Look after a constraint; returns its record, with what was seen."""
        if not self.active:
            return record
        objects = self._fields.show()
        moved = not set(record.targets).isdisjoint(OBJECTS)
        with held.let_through():
            found = self._monitor.after(record.name, objects if moved else None)
        return replace(record, metrics=record.metrics.also(found))

    def end(self) -> None:
        """Go on, after the last constraint."""
        self._monitor.end(self._fields.objects(), self._due)
