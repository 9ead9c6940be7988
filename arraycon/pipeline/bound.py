"""Bound: a schedule that knows its state, for loops that call it again and again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from arraycon.blocks import Block
from arraycon.constraints import Constraint, Outcome
from arraycon.kernels.common import arrays, check
from arraycon.pipeline.fields import PARTS, Fields
from arraycon.pipeline.graphs import Graphs
from arraycon.pipeline.report import Metrics, Record, Report
from arraycon.pipeline.running import run
from arraycon.state import ARRAYS, FIELDS, State

if TYPE_CHECKING:
    from arraycon.constraints.wiring import Repeat
    from arraycon.pipeline.report import Skipped

logger = logging.getLogger("arraycon")

_OWN = ("numpy", "cupy")
"""Libraries whose arrays stay where they are; others are lent anew at each call."""


class Schedule(Protocol):
    """What is bound: `Constraints`."""

    @property
    def steps(self) -> tuple[tuple[Constraint, Block], ...]:
        """What runs, in order."""

    def check(self, state: State, iteration: int = 1) -> tuple[Skipped, ...]:
        """Check the state."""

    def apply(self, state: State, iteration: int, *, measure: bool = False) -> Report:
        """Run what is due."""


@dataclass(frozen=True)
class _Step:
    """One constraint on the arrays that it is bound to.

    Parameters
    ----------
    constraint, block, note
        What runs, and with what.
    repeat : callable or None
        What it is at each iteration; None where everything has to be done each time.
    reads, writes : frozenset of str
        Fields that it works on.
    """

    constraint: Constraint
    block: Block
    note: str
    repeat: Repeat | None
    reads: frozenset[str]
    writes: frozenset[str]

    @property
    def name(self) -> str:
        return self.constraint.name


class Bound:
    """A schedule bound to a state, for one thread; made by `Constraints.bind`.

    What `Constraints.apply` checks at each call is checked once here, and at each call only whether
    the state holds the same arrays and numbers; where it does not, everything is bound again. Kept
    are the kernels' calls, the parts of a complex object (two real arrays), and on CuPy one graph
    for each set of constraints that is due, with the memory it needs.

    Parameters
    ----------
    constraints : Constraints
        What runs.
    state : State
        What it runs on.
    graph : bool
        Whether CuPy arrays are worked on by CUDA graphs.

    Raises
    ------
    MissingInputError, TypeError, ValueError
        As `Constraints.check`.
    """

    def __init__(self, constraints: Schedule, state: State, *, graph: bool = True) -> None:
        self.constraints, self.state, self._graph = constraints, state, graph
        self.reset()

    def reset(self) -> None:
        """Forget what is kept, and check and bind everything again."""
        state = self.state
        skipped = {skip.name: skip for skip in self.constraints.check(state)}
        self._seen = [state.__dict__[name] for name in FIELDS]
        self._library = next((arrays.library(x) for x in self._arrays()), "numpy")
        self._fields = Fields(state, keep=True)
        self._is_complex = state.object is not None
        self._graphs = Graphs[list[Outcome]]() if self._graph and self._library == "cupy" else None
        enabled = [(step, block) for step, block in self.constraints.steps if block.enabled]
        self._skipped = [
            (skipped[step.name], block) for step, block in enabled if step.name in skipped
        ]
        self._steps = [
            self._bound(step, block)
            for step, block in enabled
            if step.name not in skipped and self._library in _OWN
        ]

    def apply(self, iteration: int, *, measure: bool = False) -> Report:
        """Run what is due at an iteration, as `Constraints.apply` does on the same state.

        Parameters
        ----------
        iteration : int
            Counted from 1.
        measure : bool
            Whether to record how much each target changed; this takes the way of
            `Constraints.apply`.

        Returns
        -------
        Report
            One record per constraint that ran, and the ones that were skipped.

        Raises
        ------
        MissingInputError, TypeError, ValueError
            The state has other contents than before, and they do not do.
        """
        if type(iteration) is not int or iteration < 1:
            iteration = check.integer("iteration", iteration, low=1)
        contents = self.state.__dict__
        if any(contents[name] is not seen for name, seen in zip(FIELDS, self._seen, strict=True)):
            self.reset()
        if measure or self._library not in _OWN:
            return self.constraints.apply(self.state, iteration, measure=measure)
        due = [step for step in self._steps if step.block.is_due(iteration)]
        skipped = [skip for skip, block in self._skipped if block.is_due(iteration)]
        if self._graphs is not None and due and all(step.repeat is not None for step in due):
            return Report(self._replayed(due, iteration), tuple(skipped))
        self._fields.renew()
        try:
            records = tuple(self._run(step, iteration) for step in due)
        finally:
            self._fields.join()
        return Report(records, tuple(skipped))

    def __repr__(self) -> str:
        return f"<Bound: {self.constraints} on {self.state}>"

    def _arrays(self) -> list[Any]:
        found = (self.state.__dict__[name] for name in ARRAYS)
        return [array for array in found if array is not None]

    def _bound(self, step: Constraint, asked: Block) -> _Step:
        block, note = step.fitted(asked, self.state.present)
        writes, repeat = step.writes(block), None
        if step.prepare is not None:
            repeat = step.prepare(self._fields, block, self._fields.writable(writes))
        needs = frozenset(step.needs(block))
        return _Step(step, block, note, repeat, needs, frozenset(writes))

    def _run(self, step: _Step, iteration: int) -> Record:
        if step.repeat is None:
            return run(step.constraint, step.block, self._fields, iteration, note=step.note)
        try:
            return _record(step, self._outcome(step), iteration)
        except BaseException:
            logger.error("iteration %d: %s failed", iteration, step.name)
            raise

    def _outcome(self, step: _Step) -> Outcome:
        if self._is_complex and not PARTS.isdisjoint(step.reads):
            self._fields.split()
        if "object" in step.reads:
            self._fields.whole()
        outcome = step.repeat() if step.repeat is not None else Outcome({})
        if not PARTS.isdisjoint(step.writes):
            self._fields.parts_changed()
        if "object" in step.writes:
            self._fields.whole_changed()
        return outcome

    def _replayed(self, due: list[_Step], iteration: int) -> tuple[Record, ...]:
        def work() -> list[Outcome]:
            self._fields.renew()
            try:
                return [self._outcome(step) for step in due]
            finally:
                self._fields.join()

        assert self._graphs is not None
        outcomes = self._graphs.run(tuple(step.name for step in due), work)
        return tuple(
            _record(step, _copied(outcome), iteration)
            for step, outcome in zip(due, outcomes, strict=True)
        )


def _record(step: _Step, outcome: Outcome, iteration: int) -> Record:
    targets, figures = tuple(outcome.updates), Metrics(outcome.figures)
    return Record(step.name, iteration, targets, figures, outcome.returned, step.note)


def _copied(outcome: Outcome) -> Outcome:
    """Take by-products out of memory that the next replay writes to."""
    if not outcome.returned:
        return outcome
    copies = {name: value.copy() for name, value in outcome.returned.items()}
    figures = {
        title: next((copies[n] for n, v in outcome.returned.items() if v is figure), figure)
        for title, figure in outcome.figures.items()
    }
    return Outcome(outcome.updates, figures, copies)
