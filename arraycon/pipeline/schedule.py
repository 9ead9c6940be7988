"""Schedule: which constraints run at an iteration, and in which order."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from arraycon.blocks import Block, describe_schedule, schedule_table
from arraycon.blocks.wording import warn
from arraycon.blockwise.planning import Plan
from arraycon.blockwise.running import Progress
from arraycon.constraints import Constraint, declared, repeats
from arraycon.kernels.common import check
from arraycon.monitor import Monitor
from arraycon.params import ConstraintParams, files
from arraycon.pipeline import inputs, larger, starting
from arraycon.pipeline.bound import Bound
from arraycon.pipeline.fields import Fields
from arraycon.pipeline.lending import lend_state
from arraycon.pipeline.report import Record, Report, Skipped
from arraycon.pipeline.running import run
from arraycon.pipeline.signals import Held
from arraycon.pipeline.views import views_of
from arraycon.pipeline.watching import READS, Watch, checked
from arraycon.showing import public
from arraycon.state import State

logger = logging.getLogger("arraycon")

Defaults: TypeAlias = Literal["none", "ptyrad"]
"""What becomes of constraints that parameters do not mention."""


class Constraints:
    """A schedule of constraints for a whole state.

    Holds no arrays and does not change: one object may serve several states, threads and, pickled,
    processes. Two are equal when they do the same.

    Parameters
    ----------
    params : ConstraintParams, mapping or list
        Validated parameters, or a mapping as a parameter file holds it. A list of ``{name: block}``
        may hold a constraint several times with different values: they are called ``kz_filter``,
        ``kz_filter#2`` and so on, in `order`, reports and ``constraints["kz_filter#2"]`` alike, and
        by default each runs right behind the one before it. The order of a list has no other
        meaning.
    defaults : {"none", "ptyrad"}
        What becomes of constraints that `params` does not mention: nothing, or what PtyRAD does
        with a file, where five are on by default. One warning names those that run so.
    order : sequence of str, optional
        Names of the constraints in the order in which they run within an iteration; each one that
        is on must be there. By default this package's order; registered constraints run after it,
        or where they say.

    Raises
    ------
    ParameterError
        The mapping is not valid; the message lists every problem with the path of its field.
    ValueError
        There is nothing to run, or `order` has an unknown or repeated name, or lacks one that is
        on.

    Examples
    --------
    >>> import arraycon, numpy
    >>> constraints = arraycon.Constraints({"objp_postiv": {"start_iter": 5}})
    >>> state = arraycon.State(object_phase=numpy.full((1, 3, 8, 8), -0.1))
    >>> print(constraints.apply(state, iteration=4))
    nothing was due
    >>> print(constraints.apply(state, iteration=5))
    5: objp_postiv(object_phase)
    """

    def __init__(
        self,
        params: ConstraintParams | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        defaults: Defaults = "none",
        order: Sequence[str] | None = None,
        **misplaced: object,
    ) -> None:
        if misplaced:
            name = next(iter(misplaced))
            raise TypeError(
                f"{name}: expected constraints in one mapping, as in "
                f'Constraints({{"{name}": {{...}}}}), got an argument of that name'
            )
        check.choice("defaults", defaults, ("none", "ptyrad"))
        if params is None:
            raise ValueError(
                "params: expected constraints, got none: say what is to run, as in "
                'Constraints({"kz_filter": {"start_iter": 1}}), or read a file, '
                "Constraints.from_file(path)"
            )
        if isinstance(params, str | os.PathLike):
            path = os.fspath(params)
            raise TypeError(
                f"params: expected constraint blocks by name, got a text; to read a file, "
                f"Constraints.from_file({path!r})"
            )
        if isinstance(params, Sequence):
            params = files.from_mapping({files.SECTION: list(params)})
        elif not isinstance(params, ConstraintParams):
            params = files.from_mapping(params)
        elif not params.is_valid():  # pydantic's model_copy(update=...) validates nothing
            params = files.from_mapping({name: getattr(params, name) for name in params.given})
        self._take(params.only_given() if defaults == "none" else params, order)
        self._warn_of_defaults()
        if not params.given and not len(self):
            warn("no constraints: there is nothing to run")
        logger.info("constraints: %s", self)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        defaults: Defaults = "ptyrad",
        order: Sequence[str] | None = None,
    ) -> Constraints:
        """Read parameters from a YAML, TOML or JSON file; PtyRAD's whole file will do.

        Raises
        ------
        ParameterError
            The content is not valid.
        OSError
            The file cannot be read.

        Examples
        --------
        >>> import arraycon, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "params.json")
        ...     _ = path.write_text('{"kz_filter": {"start_iter": 5, "beta": 0.5}}')
        ...     constraints = arraycon.Constraints.from_file(path, defaults="none")
        >>> print(constraints)
        kz_filter (every iteration from 5)
        """
        return cls(files.load(path), defaults=defaults, order=order)

    def __getitem__(self, name: str) -> Block:
        """Parameters of a constraint, whether it is on or not."""
        return self._params.blocks()[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the constraints that are on, in order."""
        return (step.name for step, block in self._steps if block.enabled)

    def __len__(self) -> int:
        return sum(block.enabled for _, block in self._steps)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constraints):
            return NotImplemented
        return self._does == other._does

    def __hash__(self) -> int:
        return hash(self._does)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._params, self.order)

    def _warn_of_defaults(self) -> None:
        unasked = tuple(name for name in self if name not in self._params.given)
        if not unasked:
            return
        runs = "runs" if len(unasked) == 1 else "run"
        warn(
            f"{inputs.listed(unasked)} {runs} by default, as in PtyRAD; NAME: null switches one "
            f'off, defaults="none" all of them'
        )
        told = self._params.only_given().notes()
        for note in self._params.notes():
            if note not in told:
                warn(note)

    def _take(self, params: ConstraintParams, order: Sequence[str] | None) -> None:
        blocks, known = params.blocks(), declared()
        if unknown := {name for name in params.given if repeats.kind(name) not in known}:
            raise ValueError(f"{min(unknown)}: expected a constraint, got one that is forgotten")
        self._params = params
        names = _ordered(blocks, order)
        self._steps = tuple((repeats.find(name, known), blocks[name]) for name in names)
        self._enabled = tuple((step, block) for step, block in self._steps if block.enabled)

    @property
    def _does(self) -> tuple[tuple[str, Block], ...]:
        return tuple((step.name, block) for step, block in self._steps)

    @property
    def steps(self) -> tuple[tuple[Constraint, Block], ...]:
        """What is known of each constraint, and its parameters, in order, those off included."""
        return self._steps

    @property
    def params(self) -> ConstraintParams:
        """The validated parameters."""
        return self._params

    @property
    def order(self) -> tuple[str, ...]:
        """Names of the constraints in the order in which they run."""
        return tuple(step.name for step, _ in self._steps)

    def due(self, iteration: int) -> tuple[str, ...]:
        """Names of the constraints that run at an iteration (counted from 1), in order.

        Those that wait for `start_when` are among them, as if they began at their `start_iter`.
        """
        return tuple(step.name for step in self.due_constraints(iteration))

    def due_constraints(self, iteration: int) -> tuple[Constraint, ...]:
        """Return what was declared of the constraints that `due` names."""
        iteration = check.integer("iteration", iteration, low=1)
        return tuple(step for step, block in self._steps if block.is_due(iteration))

    def check(
        self, state: State, iteration: int = 1, *, error: float | None = None
    ) -> tuple[Skipped, ...]:
        """Find out now whether the state has what this and all later iterations need.

        Parameters
        ----------
        state : State
        iteration : int
            Counted from 1.
        error : float, optional
            As for `apply`; it is not kept.

        Returns
        -------
        tuple of Skipped
            Constraints that are only on by default and will be left out.

        Raises
        ------
        MissingInputError
            Constraints that the parameters ask for lack fields, or wait for an error.
        TypeError, ValueError
            A field is not valid, or an array that is to be changed is read-only.
        """
        skipped = self.check_state(state, iteration)
        starting.require(self._enabled, state, iteration, error)
        return skipped

    def check_state(self, state: State, iteration: int = 1) -> tuple[Skipped, ...]:
        """Do as `check`, ahead of iterations for which errors are still to be handed over."""
        if not isinstance(state, State):
            raise TypeError(f"state: expected a State, got {type(state).__name__}")
        iteration = check.integer("iteration", iteration, low=1)
        state.validate()
        return inputs.check(self._enabled, state, iteration, asked=self._params.given)

    def apply(
        self,
        state: State,
        iteration: int,
        *,
        measure: bool = False,
        error: float | None = None,
        monitor: Monitor | None = None,
        executor: Any = None,
        memory: int | str | None = None,
        scratch: str | os.PathLike[str] | None = None,
        backend: str = "numpy",
        progress: Progress | None = None,
        resident: bool = False,
    ) -> Report:
        """Run what is due at an iteration on the state's arrays, in place.

        A constraint is done or not begun. One that fails, for lack of memory too, leaves the state
        as it was before that constraint, amplitude and phase alike; those that ran before it have
        been applied. (What cannot be had ahead is a few kB that compiled loops and libraries of
        transforms take for themselves; on a GPU a kernel that the driver refuses halfway.) SIGINT,
        as from Ctrl-C, and SIGTERM wait for the end of the constraint that is running, if this is
        the main thread and they have a handler in Python; then that is called, and what it raises
        ends the call. Constraints that are registered as functions write nothing while they run:
        they are interrupted at once, and have not begun then. A process that is killed otherwise
        leaves arrays in whatever state they are.

        Parameters
        ----------
        state : State
            Its own arrays are changed; JAX arrays, which cannot be, are replaced. PyTorch's tensors
            on the CPU or a CUDA device, and JAX arrays on the CPU, take the kernels for NumPy and
            CuPy. No gradients pass: to autograd this is a change in place under ``no_grad``, so a
            graph recorded before may refuse its backward pass. Constraints that are registered get
            NumPy or CuPy arrays in their place.
        iteration : int
            Counted from 1.
        measure : bool
            Whether to record how much each target changed. Most kernels take the sums along, block
            by block; positions and the masks of the probe, some on a GPU, and what is computed by
            the array API or by a registered function are compared with the old arrays. Filters that
            leave the sums to their spectra say nothing about their rounding. Figures of arrays on a
            GPU are fetched when they are read.
        error : float, optional
            Error of the reconstruction at this iteration, in any unit, for rules in `start_when`;
            `state.errors` keeps it. One on a GPU is waited for, if there is such a rule.
        monitor : Monitor, optional
            Takes the misfit after each constraint in some iterations, for the records and for
            warnings; what it calls sees the state as each constraint has left it.
        executor : {"serial", "threads"} or distributed.Client, optional
            Who works on the object block by block, for arrays that do not fit into memory: this
            thread, several, or the workers of a Dask cluster, which have to see the files and the
            scratch folder. The results do not depend on it. By default arrays in memory are worked
            on as a whole; one in a file, one of dask's, or a memory map that is large for this
            machine, makes it ``"serial"``, which one log line says.
        memory : int or str, optional
            Memory for blocks in bytes or as text, ``"2GB"``: of this process, or of each worker of
            a cluster. By default a quarter of what is free, or a third of a worker's limit.
        scratch : path, optional
            Folder for what is written on the way; by default the one that the data lie in. It
            takes once or twice the size of what changes. Results that replace dask's arrays stay
            there as long as anybody has them.
        backend : {"numpy", "cupy"}
            Library of the blocks. CuPy's pass through the device, one for each process; half of
            what is free there is for them, if `memory` says nothing else.
        progress : callable, optional
            Called with the number of a pass, how many there are, and of how many blocks how many
            are done.
        resident : bool
            Whether arrays stay in the memory of the cluster's workers between passes, on their
            devices with ``backend="cupy"``, instead of in files. What one worker needs of another's
            goes from one to the other. Dask arrays of the state are computed where they are not
            yet, and replaced by ones whose chunks are with the workers, so that the next iteration
            finds them there; other arrays are read from and written to as ever. `memory` is then
            for arrays and blocks together.

        Returns
        -------
        Report
            One record per constraint that ran, and the ones that were skipped.

        Raises
        ------
        MissingInputError, TypeError, ValueError
            As `check`, before anything runs. With blocks also where the memory or the disk is too
            small, which says what is needed, or a constraint cannot be run on blocks.

        Notes
        -----
        Block by block it is all or nothing: the user's arrays are written to when all is done, by
        this process alone. Figures (`measure`) cost passes then: each constraint needs its own.
        """
        given = larger.Options(executor, memory, scratch, backend, progress, resident)
        if larger.is_wanted(state, given):
            larger.refuse(monitor)
            due, skipped, _ = self._settle(state, iteration, error)
            return larger.apply(due, skipped, state, iteration, given, measure=measure)
        return self.apply_with(
            {}, state, iteration, measure=measure, error=error, monitor=checked(monitor)
        )

    def plan(
        self,
        state: State,
        iteration: int = 1,
        *,
        memory: int | str | None = None,
        executor: Any = None,
        measure: bool = False,
        backend: str = "numpy",
        resident: bool = False,
    ) -> Plan:
        """Say how `apply` would go over arrays that do not fit into memory; none is read.

        Parameters
        ----------
        state : State
            Its illumination is read where a constraint asks for a region of it.
        iteration, memory, executor, measure, backend, resident
            As for `apply`.

        Returns
        -------
        Plan
            Printed, a table of the passes: what runs in each, its blocks, bytes and memory.

        Raises
        ------
        MissingInputError, TypeError, ValueError
            As `apply`.
        """
        due, *_ = self._settle(state, iteration, None, keep=False)
        options = larger.Options(executor, memory, backend=backend, resident=resident)
        return larger.plan(due, state, options, measure=measure)

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
        """Do as `apply`, with what constraints that have a memory kept of it, by their names."""
        views = views_of(state)
        seen = state if views is None else views.state
        due, skipped, missing = self._settle(state, iteration, error, seen=seen)
        uses = [(step.needs(block), step.writes(block)) for step, block, _ in due]
        if monitor is not None:
            uses.append(READS)

        def names(at: int) -> list[str]:
            return [step.name for step, _ in self._due(at, state) if step.name not in missing]

        records: list[Record] = []
        with Held() as held, views or lend_state(state, uses) as (lent, loan):
            fields = Fields(lent, loan)
            watch = None if monitor is None else Watch(monitor, fields, iteration, names)
            try:
                if watch is not None:
                    watch.start(held)
                for step, block, note in due:
                    fields.expect(step.needs(block))
                    step = step.remembering(memories)
                    record = run(step, block, fields, iteration, held, measure=measure, note=note)
                    records.append(record if watch is None else watch.after(record, held))
            finally:
                fields.join()
            if watch is not None:
                watch.end()
        return Report(tuple(records), skipped)

    def _settle(
        self,
        state: State,
        iteration: int,
        error: float | None,
        *,
        seen: State | None = None,
        keep: bool = True,
    ) -> tuple[list[tuple[Constraint, Block, str]], tuple[Skipped, ...], frozenset[str]]:
        """Check the state; return what runs at an iteration, what is left out then, and ever.

        What is checked is `seen`, if there is one: the state with its tensors as arrays.
        """
        checked = self.check_state(state if seen is None else seen, iteration)
        missing = {skip.name: skip for skip in checked}
        if keep:
            starting.remember(
                state, iteration, starting.require(self._enabled, state, iteration, error)
            )
        present = state.present
        due = [(step, *step.fitted(block, present)) for step, block in self._due(iteration, state)]
        skipped = tuple(missing[step.name] for step, _, _ in due if step.name in missing)
        for skip in skipped:
            logger.debug("iteration %d: %s", iteration, skip)
        return [each for each in due if each[0].name not in missing], skipped, frozenset(missing)

    def _due(self, iteration: int, state: State) -> list[tuple[Constraint, Block]]:
        """Return what runs at an iteration, with its parameters then."""
        found = ((step, asked.at(iteration, state.errors)) for step, asked in self._enabled)
        return [(step, block) for step, block in found if block is not None]

    def bind(self, state: State, *, graph: bool = True, monitor: Monitor | None = None) -> Bound:
        """Bind the schedule to a state, for a loop that calls it again and again.

        Parameters
        ----------
        state : State
            Its arrays and numbers are to stay the same; where they do not, the next call checks and
            binds everything again.
        graph : bool
            Whether CuPy arrays are worked on by CUDA graphs, recorded at the second call of each
            set of constraints that is due. Where that is impossible, each constraint is launched,
            and a log line says why.
        monitor : Monitor, optional
            As for `apply`. No graphs are replayed in the iterations that it watches.

        Returns
        -------
        Bound
            Its ``apply(iteration)`` does what ``constraints.apply(state, iteration)`` does.

        Raises
        ------
        MissingInputError, TypeError, ValueError
            As `check`.

        Examples
        --------
        >>> import arraycon, numpy
        >>> state = arraycon.State(object_phase=numpy.full((1, 3, 8, 8), -0.1))
        >>> bound = arraycon.Constraints({"objp_postiv": {"start_iter": 2}}).bind(state)
        >>> for iteration in range(1, 4):
        ...     report = bound.apply(iteration)
        >>> print(report)
        3: objp_postiv(object_phase)
        """
        return Bound(self, state, graph=graph, monitor=monitor)

    def __str__(self) -> str:
        active = [
            f"{step.name} ({describe_schedule(block)})"
            for step, block in self._steps
            if block.enabled
        ]
        return ", ".join(active) or "none"

    def __repr__(self) -> str:
        return f"<Constraints: {self}>"

    def _repr_html_(self) -> str:
        ordered = {step.name: block for step, block in self._steps}
        return schedule_table("Constraints", ordered, self._params.given)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._params.blocks())

    def __dir__(self) -> list[str]:
        return public(super().__dir__())


def _again(params: ConstraintParams, order: tuple[str, ...]) -> Constraints:
    """Make anew what was pickled; its warnings were given when it was made first."""
    made = Constraints.__new__(Constraints)
    made._take(params, order)
    return made


def _ordered(blocks: Mapping[str, Block], order: Sequence[str] | None) -> tuple[str, ...]:
    if order is None:
        return tuple(blocks)
    for name in order:
        if name not in blocks:
            raise ValueError(f"order: expected names out of {', '.join(blocks)}, got {name!r}")
    if len(set(order)) != len(order):
        raise ValueError(f"order: expected each name once, got {list(order)}")
    absent = [name for name, block in blocks.items() if block.enabled and name not in order]
    if absent:
        raise ValueError(f"order: expected every constraint that is on, got none of {absent}")
    return tuple(order)
