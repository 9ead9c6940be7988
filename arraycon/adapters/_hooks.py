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


class Placed(Undoable):
    """What has somebody else's place, one at a time, until it is undone.

    A further one takes the place of the one before it, as when a notebook's cell is run again. One
    whose ``with`` block is still open goes on when an inner one has been left.
    """

    _done = _open = False
    _former: Placed | None = None

    def _take_place(self) -> None:
        # of those that will not go on nothing is kept: they hold what they are bound to
        self._former = _open(self._holder())
        self._put()

    def __enter__(self) -> Self:
        self._open = True
        return self

    def undo(self) -> None:
        """Put back what was there before; a second time nothing happens."""
        self._done, self._open = True, False
        if self._holder() is not self:
            return  # undone already, or another one has its place
        former = _open(self._former)
        if former is None:
            self._restore()
        else:
            former._put()

    @abstractmethod
    def _holder(self) -> Placed | None:
        """Return what has the place now, if it is one of these."""

    @abstractmethod
    def _put(self) -> None:
        """Take the place."""

    @abstractmethod
    def _restore(self) -> None:
        """Give it back to whom it belongs."""


class Attachment(Placed):
    """Constraints that run inside one reconstruction, until `undo` or the end of a ``with`` block.

    The method is shadowed in the reconstruction itself; its class and all others stay as they are.
    Constraints that are attached again take the place of those before.

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
        before = self._holder()
        # what is the code's own, or somebody else's around it
        if before is None:
            self._own, self._shadowed = getattr(target, method), vars(target).get(method)
        else:
            self._own, self._shadowed = before._own, before._shadowed
        self._take_place()

    def _run(self, *arguments: Any, **options: Any) -> Any:
        # somebody may have wrapped it and go on calling it
        work = self._own if self._done else self._work
        return work(*arguments, **options)

    def _holder(self) -> Attachment | None:
        owner = getattr(vars(self._target).get(self._method), "__self__", None)
        return owner if isinstance(owner, Attachment) else None

    def _put(self) -> None:
        setattr(self._target, self._method, self._run)

    def _restore(self) -> None:
        delattr(self._target, self._method)
        if self._shadowed is not None:
            setattr(self._target, self._method, self._shadowed)


def _open(placed: Placed | None) -> Placed | None:
    """Return the latest one that is to go on."""
    while placed is not None and not placed._open:
        placed = placed._former
    return placed
