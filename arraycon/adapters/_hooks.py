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
    There is one attachment at a time: a further one takes the place of the one before it, as when a
    notebook's cell is run again, and what is undone is the constraints of whichever is the latest.
    One whose ``with`` block is still open goes on when an inner one has been left.

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
        self._target, self._method, self._work = target, method, step
        self._instead, self._measure = instead, measure
        self._done = self._open = False
        self._former = _attached(target, method)
        # what is the code's own, or somebody else's around it
        if self._former is None:
            self._own, self._shadowed = getattr(target, method), vars(target).get(method)
        else:
            self._own, self._shadowed = self._former._own, self._former._shadowed
        setattr(target, method, self._run)

    def _run(self, *arguments: Any, **options: Any) -> Any:
        # somebody may have wrapped it and go on calling it
        work = self._own if self._done else self._work
        return work(*arguments, **options)

    def __enter__(self) -> Self:
        self._open = True
        return self

    def undo(self) -> None:
        """Give the reconstruction its own constraint step back."""
        self._done, self._open = True, False
        if _attached(self._target, self._method) is not self:
            return  # undone already, or another one has its place
        former = self._former
        while former is not None and not former._open:
            former = former._former
        if former is not None:
            setattr(self._target, self._method, former._run)
            return
        delattr(self._target, self._method)
        if self._shadowed is not None:
            setattr(self._target, self._method, self._shadowed)


def _attached(target: Any, method: str) -> Attachment | None:
    owner = getattr(vars(target).get(method), "__self__", None)
    return owner if isinstance(owner, Attachment) else None
