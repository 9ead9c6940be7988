"""A constraint step in the place of a reconstruction's own method, and its removal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

    from arraycon.pipeline import Constraints, Report


class Undoable(ABC):
    """What is undone when its ``with`` block is left."""

    @abstractmethod
    def undo(self) -> None:
        """Put back what was there before; a second time nothing happens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.undo()


class Attachment(Undoable):
    """Constraints that run inside one reconstruction, until `undo` or the end of a ``with`` block.

    The method is shadowed in the reconstruction itself; its class and all others stay as they are.

    Attributes
    ----------
    constraints : Constraints
        What runs.
    reports : tuple of Report
        What the latest iteration did: one report, or in PtyLab one per wavelength.
    """

    def __init__(
        self,
        target: Any,
        method: str,
        step: Callable[..., Any],
        constraints: Constraints,
        *,
        instead: bool,
        measure: bool,
    ) -> None:
        self.constraints = constraints
        self.reports: tuple[Report, ...] = ()
        self._target, self._method, self._step_taken = target, method, step
        self._instead, self._measure = instead, measure
        self._own = getattr(target, method)
        self._shadowed = vars(target).get(method)  # another attachment, or nothing
        setattr(target, method, step)

    def undo(self) -> None:
        """Give the reconstruction its own constraint step back."""
        if vars(self._target).get(self._method) != self._step_taken:
            return  # undone already
        delattr(self._target, self._method)
        if self._shadowed is not None:
            setattr(self._target, self._method, self._shadowed)
