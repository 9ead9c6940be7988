"""Step: constraints between two iterations of a loop that is somebody else's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from arraycon.adapters._hooks import Attachment
from arraycon.adapters._loop import Loop
from arraycon.kernels.common import arrays

if TYPE_CHECKING:
    from arraycon.monitor import Monitor
    from arraycon.pipeline import Constraints, Report

ROTATION = "rotation"
"""By-product of constraints that mix modes of probe or object: the unitary matrix."""


class Step(ABC):
    """Constraints that run on a reconstruction's own arrays each time that this is called.

    Parameters
    ----------
    constraints : Constraints
        What runs.
    measure : bool, optional
        As for `Constraints.apply`.
    monitor : Monitor, optional
        What watches the constraints; one with a misfit of its own.

    Attributes
    ----------
    constraints : Constraints
    reports : tuple of Report
        What the latest call did.
    iteration : int
        That of the latest call, 0 before the first.
    """

    # what reconstructions of this code never have, for who asks for it
    _lacks = ""

    def __init__(
        self,
        constraints: Constraints,
        *,
        measure: bool = False,
        monitor: Monitor | None = None,
    ) -> None:
        self.constraints = constraints
        self.reports: tuple[Report, ...] = ()
        self.iteration = 0
        self._measure, self._loop = measure, Loop(monitor)

    def __call__(self, iteration: int | None = None, *, error: float | None = None) -> Report:
        """Run what is due, in place.

        Parameters
        ----------
        iteration : int, optional
            Counted from 1. By default as the code counts, or else the calls.
        error : float, optional
            Error of the reconstruction for rules in `start_when`, by default the code's own one.

        Raises
        ------
        MissingInputError
            A constraint needs what this reconstruction does not have.
        """
        self.iteration = self._count() if iteration is None else iteration
        fields = self._fields()
        if error is None and self._loop.waits(self.constraints, self.iteration):
            error = self._error()
        changed = set(fields)  # where an error comes before the report, what ran before it stays
        try:
            report = self._apply(self._loop, fields, error)
            changed = {name for record in report for name in record.targets}
        finally:
            self._settle(fields, changed)
        for record in report:
            if ROTATION in record.returned:
                turn = self._turn if "probe" in record.targets else self._turn_object
                turn(record.returned[ROTATION])
        self.reports = (report,)
        return report

    def check(self) -> None:
        """Find out now whether the reconstruction has what this and all later iterations need.

        Raises
        ------
        MissingInputError, TypeError, ValueError
            As `Constraints.check`, but for errors that rules in `start_when` wait for.
        """
        from arraycon.pipeline import MissingInputError
        from arraycon.state import State

        try:
            self.constraints.check_state(State(**self._fields()))
        except MissingInputError as error:
            raise MissingInputError(self._told(error)) from None

    def _asks(self, field: str) -> bool:
        """Whether a constraint that is on needs a field, which takes a while to make."""
        enabled = (each for each in self.constraints.steps if each[1].enabled)
        return any(field in step.needs(block) for step, block in enabled)

    def _apply(self, loop: Loop, fields: dict[str, Any], error: float | None) -> Report:
        from arraycon.pipeline import MissingInputError

        try:
            return loop.apply(
                self.constraints, fields, self.iteration, measure=self._measure, error=error
            )
        except MissingInputError as problem:
            raise MissingInputError(self._told(problem)) from None

    def _told(self, problem: Exception) -> str:
        return f"{problem}\n{self._lacks}"

    @abstractmethod
    def _fields(self) -> dict[str, Any]:
        """Fields of a `State`, as views of the code's own arrays where that can be."""

    def _settle(self, fields: dict[str, Any], changed: set[str]) -> None:  # noqa: B027
        """Give back what has changed and is no view; most codes have views only."""

    def _turn(self, rotation: Any) -> None:  # noqa: B027
        """Turn what else is told in terms of the probe's modes, as they have been turned."""

    def _turn_object(self, rotation: Any) -> None:  # noqa: B027
        """Do the same for the object's modes."""

    def _count(self) -> int:
        return self.iteration + 1

    def _error(self) -> float | None:
        """Return the code's own error of this iteration, if it has one already."""
        return None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of arraycon: {self.constraints}>"


class StepAttachment(Attachment):
    """A step that follows a method of one object, until `undo` or the end of a ``with`` block."""

    def __init__(
        self, target: Any, method: str, step: Step, iteration: Callable[[], int] | None = None
    ) -> None:
        super().__init__(
            target, method, self._after, step.constraints, instead=False, measure=False
        )
        self._step, self._iteration = step, iteration

    def _after(self, *arguments: Any, **options: Any) -> Any:
        result = self._own(*arguments, **options)
        self._step(None if self._iteration is None else self._iteration())
        self.reports = self._step.reports
        return result


def mixes_modes(constraints: Constraints) -> str:
    """Name a constraint that is on and mixes the probe's modes, if there is one."""
    enabled = (each for each in constraints.steps if each[1].enabled)
    mixing = (
        step.name
        for step, block in enabled
        if "probe" in step.writes(block) and ROTATION in step.returns
    )
    return next(mixing, "")


def turned(modes: Any, rotation: Any) -> Any:
    """Return modes, along the first axis, as a rotation mixes them."""
    xp = arrays.namespace(modes=modes)
    return xp.tensordot(xp.asarray(rotation, dtype=modes.dtype), modes, axes=1)


def intensity(probe: Any) -> float:
    """Return Σ|P|² of a probe of any library, summed in float64 where it has one."""
    xp = arrays.namespace(probe=probe)
    return float(xp.sum(arrays.abs2(probe, xp=xp), dtype=arrays.wide(probe, xp=xp)))
