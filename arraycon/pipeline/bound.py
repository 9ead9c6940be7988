"""Bound: a schedule that knows its state, for loops that call it again and again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from arraycon.blocks import Block
from arraycon.constraints import Constraint, Outcome
from arraycon.kernels.common import arrays, check
from arraycon.monitor import Monitor
from arraycon.pipeline import larger, starting
from arraycon.pipeline.fields import PARTS, Fields
from arraycon.pipeline.graphs import Graphs
from arraycon.pipeline.holding import Holding
from arraycon.pipeline.report import Metrics, Record, Report
from arraycon.pipeline.running import run
from arraycon.pipeline.signals import Held
from arraycon.pipeline.watching import READS, Watch, checked
from arraycon.state import ARRAYS, State

if TYPE_CHECKING:
    from arraycon.constraints.wiring import Repeat
    from arraycon.pipeline.report import Skipped

logger = logging.getLogger("arraycon")


class Schedule(Protocol):
    """What is bound: `Constraints`."""

    @property
    def steps(self) -> tuple[tuple[Constraint, Block], ...]:
        """What runs, in order."""

    def check_state(self, state: State, iteration: int = 1) -> tuple[Skipped, ...]:
        """Check the state."""

    def apply_with(
        self,
        memories: dict[str, dict[str, Any]],
        state: State,
        iteration: int,
        *,
        measure: bool = False,
        error: float | None = None,
        monitor: Monitor | None = None,
    ) -> Report:
        """Run what is due, with what constraints that have a memory kept."""


@dataclass(frozen=True)
class _Step:
    """One constraint on the arrays that it is bound to.

    Parameters
    ----------
    constraint, block, note
        What runs, and with what.
    repeat : callable or None
        What it is at each iteration; None where everything has to be done each time.
    reads_parts, writes_parts : frozenset of str
        Parts of a complex object that it works on.
    whole : bool
        Whether it changes the complex object.
    changes : tuple of str
        Fields of the state itself that it changes.
    """

    constraint: Constraint
    block: Block
    note: str
    repeat: Repeat | None
    reads_parts: frozenset[str]
    writes_parts: frozenset[str]
    whole: bool
    changes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.constraint.name

    def at(self, iteration: int, errors: Mapping[int, float]) -> _Step | None:
        """Return what runs at an iteration: this, the same with other parameters, or nothing."""
        block = self.block.at(iteration, errors)
        if block is None or block is self.block:
            return None if block is None else self
        return replace(self, block=block, repeat=None)


class Bound:
    """A schedule bound to a state, for one thread; made by `Constraints.bind`.

    What `Constraints.apply` checks at each call is checked once here, and at each call only whether
    the state holds the same memory and numbers; where it does not, everything is bound again. Kept
    are the kernels' calls, PyTorch's tensors as NumPy or CuPy arrays of the same memory, the parts
    of a complex object (two real arrays), the memory of constraints that have one, and on CuPy one
    graph for each set of constraints that is due, with the memory it needs. JAX's arrays, which
    cannot be written to, tensors that are conjugate or negative views, and arrays of other
    libraries are checked and lent at each call.

    Parameters
    ----------
    constraints : Constraints
        What runs.
    state : State
        What it runs on.
    graph : bool
        Whether CuPy arrays are worked on by CUDA graphs.
    monitor : Monitor, optional
        What watches it.

    Raises
    ------
    MissingInputError, TypeError, ValueError
        As `Constraints.check`.
    """

    def __init__(
        self,
        constraints: Schedule,
        state: State,
        *,
        graph: bool = True,
        monitor: Monitor | None = None,
    ) -> None:
        larger.require_memory(state, "bind")
        self.constraints, self.state, self._graph = constraints, state, graph
        self._monitor = checked(monitor)
        self.reset()

    def reset(self) -> None:
        """Forget what is kept, the memory of constraints included, and bind everything again."""
        self._memories: dict[str, dict[str, Any]] = {}
        self._bind()

    def _bind(self) -> None:
        skipped = {skip.name: skip for skip in self.constraints.check_state(self.state)}
        enabled = [(step, block) for step, block in self.constraints.steps if block.enabled]
        self._ruled = [(step, block) for step, block in enabled if block.start_when is not None]
        self._skipped = [
            (skipped[step.name], block) for step, block in enabled if step.name in skipped
        ]
        present = self.state.present
        fitted = [
            (step, *step.fitted(block, present))
            for step, block in enabled
            if step.name not in skipped
        ]
        uses = [(step.needs(block), step.writes(block)) for step, block, _ in fitted]
        if self._monitor is not None:
            uses.append(READS)
        self._holding = Holding(self.state, uses)
        self._fields = Fields(self._holding.state, self._holding.loan, keep=True)
        lasting = self._holding.lasting
        self._steps = [self._bound(*each) for each in fitted] if lasting else []
        replays = self._graph and lasting and self._library() == "cupy"
        self._graphs = Graphs[list[Outcome]]() if replays else None

    def apply(self, iteration: int, *, measure: bool = False, error: float | None = None) -> Report:
        """Run what is due at an iteration, as `Constraints.apply` does on the same state.

        What that says of constraints that fail and of signals holds here, too. A recorded CUDA
        graph is one launch, between whose constraints nothing is called.

        Parameters
        ----------
        iteration : int
            Counted from 1.
        measure : bool
            Whether to record how much each target changed; this takes the way of
            `Constraints.apply`.
        error : float, optional
            As for `Constraints.apply`. What is relaxed gradually (`ramp`) is not taken from what
            is kept until it has come to its value.

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
        if not self.is_current():
            self._bind()
        if measure or not self._holding.lasting:
            return self.constraints.apply_with(
                self._memories, self.state, iteration,
                measure=measure, error=error, monitor=self._monitor,
            )  # fmt: skip
        if self._ruled:
            value = starting.require(self._ruled, self.state, iteration, error)
            starting.remember(self.state, iteration, value)
        due, errors = self._due(iteration), self.state.errors
        skipped = [skip for skip, block in self._skipped if block.at(iteration, errors)]
        loan = self._holding.loan
        if loan is None:
            return Report(self._records(due, iteration), tuple(skipped))
        with loan.again():
            return Report(self._records(due, iteration), tuple(skipped))

    def _due(self, iteration: int) -> list[_Step]:
        errors = self.state.errors
        return [at for step in self._steps if (at := step.at(iteration, errors)) is not None]

    def is_current(self) -> bool:
        """Whether the state has the memory and the numbers that this is bound to."""
        return self._holding.is_current()

    def __repr__(self) -> str:
        return f"<Bound: {self.constraints} on {self.state}>"

    def _library(self) -> str:
        found = (self._holding.state.__dict__[name] for name in ARRAYS)
        return next((arrays.library(array) for array in found if array is not None), "numpy")

    def _bound(self, step: Constraint, block: Block, note: str) -> _Step:
        writes, repeat = step.writes(block), None
        parts = PARTS if self.state.object is not None else frozenset[str]()
        reads_parts = parts.intersection(step.needs(block))
        self._fields.reserve(reads_parts)
        if step.prepare is not None:
            repeat = step.prepare(self._fields, block, self._fields.writable(writes))
        return _Step(
            step.remembering(self._memories),
            block,
            note,
            repeat,
            reads_parts=reads_parts,
            writes_parts=parts.intersection(writes),
            whole="object" in writes,
            changes=self._fields.held(name for name in writes if name not in parts),
        )

    def _records(self, due: list[_Step], iteration: int) -> tuple[Record, ...]:
        if self._monitor is None:
            return self._run_all(due, iteration, None)
        watch = Watch(self._monitor, self._fields, iteration, self._names)
        records = self._run_all(due, iteration, watch)
        watch.end()
        return records

    def _names(self, iteration: int) -> list[str]:
        return [step.name for step in self._due(iteration)]

    def _run_all(self, due: list[_Step], iteration: int, watch: Watch | None) -> tuple[Record, ...]:
        if watch is not None and not watch.active:
            watch = None
        replays = self._graphs is not None and watch is None and due
        if replays and all(step.repeat is not None for step in due):
            return self._replayed(due, iteration)
        self._fields.renew()
        with Held() as held:
            try:
                if watch is None:
                    return tuple([self._run(step, iteration, held) for step in due])
                watch.start(held)
                return tuple([watch.after(self._run(step, iteration, held), held) for step in due])
            finally:
                self._fields.join()

    def _run(self, step: _Step, iteration: int, held: Held) -> Record:
        if step.repeat is None:
            self._fields.expect(step.reads_parts)
            return run(step.constraint, step.block, self._fields, iteration, held, note=step.note)
        try:
            record = self._record(step, self._outcome(step), iteration)
            held.deliver()
            return record
        except BaseException:
            logger.error("iteration %d: %s failed", iteration, step.name)
            raise

    def _outcome(self, step: _Step) -> Outcome:
        if step.reads_parts:
            self._fields.split(step.reads_parts)
        if step.whole:
            self._fields.whole()
        outcome = step.repeat() if step.repeat is not None else Outcome({})
        if step.writes_parts:
            self._fields.parts_changed(step.writes_parts)
        if step.whole:
            self._fields.whole_changed()
        self._fields.changed(step.changes)
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
        for step in due:  # a replay calls none of the above
            self._fields.changed((*step.changes, "object") if step.writes_parts else step.changes)
        return tuple(
            self._record(step, _copied(outcome), iteration)
            for step, outcome in zip(due, outcomes, strict=True)
        )

    def _record(self, step: _Step, outcome: Outcome, iteration: int) -> Record:
        targets, figures = tuple(outcome.updates), Metrics(outcome.figures)
        returned = self._fields.returned(outcome.returned)
        return Record(step.name, iteration, targets, figures, returned, step.note)


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
