"""Schedule: which constraints run at an iteration, and in which order."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from arraycon.blocks import Block, describe_schedule
from arraycon.blocks.wording import warn
from arraycon.constraints import Constraint, declared
from arraycon.kernels import metrics
from arraycon.kernels.common import arrays, check
from arraycon.params import ConstraintParams, files
from arraycon.pipeline.fields import Fields, read_only
from arraycon.pipeline.lending import lend_state
from arraycon.pipeline.report import (
    Measured,
    Metrics,
    Record,
    Report,
    Skipped,
    relative_change,
)
from arraycon.state import State

logger = logging.getLogger("arraycon")

Defaults: TypeAlias = Literal["none", "ptyrad"]
"""What becomes of constraints that parameters do not mention."""


class MissingInputError(ValueError):
    """Constraints that were asked for lack fields of the state."""


class Constraints:
    """A schedule of constraints for a whole state.

    Holds no arrays and does not change: one object may serve several states, threads and, pickled,
    processes. Two are equal when they do the same.

    Parameters
    ----------
    params : ConstraintParams or mapping
        Validated parameters, or a mapping as a parameter file holds it.
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
        params: ConstraintParams | Mapping[str, Any] | None = None,
        *,
        defaults: Defaults = "none",
        order: Sequence[str] | None = None,
    ) -> None:
        check.choice("defaults", defaults, ("none", "ptyrad"))
        if params is None or (isinstance(params, Mapping) and not params and defaults == "none"):
            raise ValueError(
                "params: expected constraints, got none: say what is to run, as in "
                'Constraints({"kz_filter": {"start_iter": 1}}), or read a file, '
                "Constraints.from_file(path)"
            )
        if not isinstance(params, ConstraintParams):
            params = files.from_mapping(params)
        self._take(params.only_given() if defaults == "none" else params, order)
        self._warn_of_defaults()
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
            f"{_and(unasked)} {runs} by default, as in PtyRAD; NAME: null switches one off, "
            f'defaults="none" all of them'
        )
        told = self._params.only_given().notes()
        for note in self._params.notes():
            if note not in told:
                warn(note)

    def _take(self, params: ConstraintParams, order: Sequence[str] | None) -> None:
        blocks, known = params.blocks(), declared()
        if unknown := params.given - known.keys():
            raise ValueError(f"{min(unknown)}: expected a constraint, got one that is forgotten")
        self._params = params
        self._steps = tuple((known[name], blocks[name]) for name in _ordered(blocks, order))

    @property
    def _does(self) -> tuple[tuple[str, Block], ...]:
        return tuple((step.name, block) for step, block in self._steps)

    @property
    def params(self) -> ConstraintParams:
        """The validated parameters."""
        return self._params

    @property
    def order(self) -> tuple[str, ...]:
        """Names of the constraints in the order in which they run."""
        return tuple(step.name for step, _ in self._steps)

    def due(self, iteration: int) -> tuple[str, ...]:
        """Names of the constraints that run at an iteration (counted from 1), in order."""
        return tuple(step.name for step in self.due_constraints(iteration))

    def due_constraints(self, iteration: int) -> tuple[Constraint, ...]:
        """Return what was declared of the constraints that `due` names."""
        iteration = check.integer("iteration", iteration, low=1)
        return tuple(step for step, block in self._steps if block.is_due(iteration))

    def check(self, state: State, iteration: int = 1) -> tuple[Skipped, ...]:
        """Find out now whether the state has what this and all later iterations need.

        Returns
        -------
        tuple of Skipped
            Constraints that are only on by default and will be left out.

        Raises
        ------
        MissingInputError
            Constraints that the parameters ask for lack fields.
        TypeError, ValueError
            A field is not valid, or an array that is to be changed is read-only.
        """
        if not isinstance(state, State):
            raise TypeError(f"state: expected a State, got {type(state).__name__}")
        iteration = check.integer("iteration", iteration, low=1)
        state.validate()
        present, fixed = state.present, read_only(state)
        skipped, problems = [], []
        for step, asked in self._steps:
            if not asked.runs_from(iteration):
                continue
            block, _ = step.fitted(asked, present)
            missing = tuple(field for field in step.needs(block) if field not in present)
            if missing and step.name in self._params.given:
                problems.append(_missing(step, block, missing))
            elif missing:
                skipped.append(Skipped(step.name, missing))
            elif frozen := sorted(fixed.intersection(step.writes(block))):
                raise ValueError(
                    f"{' and '.join(frozen)}: expected writable arrays, because {step.name} "
                    f"changes them in place, got read-only ones; give copies"
                )
        if problems:
            raise MissingInputError("\n".join(problems))
        return tuple(skipped)

    def apply(self, state: State, iteration: int, *, measure: bool = False) -> Report:
        """Run what is due at an iteration on the state's arrays, in place.

        A constraint that fails leaves the state as it was before that constraint; those that ran
        before it have been applied.

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
            Whether to record how much each target changed. That takes the old and the new values
            at once: a temporary copy of each target and one more pass over it. Without it the
            kernels work in place, where only Ctrl-C or a lack of memory between amplitude and phase
            can leave one of them changed. Neither waits for a GPU: figures are fetched when they
            are read.

        Returns
        -------
        Report
            One record per constraint that ran, and the ones that were skipped.

        Raises
        ------
        MissingInputError, TypeError, ValueError
            As `check`, before anything runs.
        """
        missing = {skip.name: skip for skip in self.check(state, iteration)}
        records, skipped = [], []
        present = state.present
        due = [
            (step, *step.fitted(block, present))
            for step, block in self._steps
            if block.is_due(iteration)
        ]
        uses = ((step.needs(block), step.writes(block)) for step, block, _ in due)
        with lend_state(state, uses) as (lent, loan):
            fields = Fields(lent, loan)
            try:
                for step, block, note in due:
                    if step.name in missing:
                        skipped.append(missing[step.name])
                        logger.debug("iteration %d: %s", iteration, missing[step.name])
                        continue
                    record = _run(step, block, fields, iteration, measure)
                    records.append(replace(record, note=note) if note else record)
            finally:
                fields.join()
        return Report(tuple(records), tuple(skipped))

    def __str__(self) -> str:
        active = [
            f"{step.name} ({describe_schedule(block)})"
            for step, block in self._steps
            if block.enabled
        ]
        return ", ".join(active) or "none"

    def __repr__(self) -> str:
        return f"<Constraints: {self}>"


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


def _missing(step: Constraint, block: Block, missing: tuple[str, ...]) -> str:
    kind = getattr(block, "obj_type", None)
    setting = f" (obj_type: {kind})" if kind else ""
    return f"{step.name}{setting}: needs {_and(missing)}, which the state does not have"


def _and(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _run(step: Constraint, block: Block, fields: Fields, iteration: int, measure: bool) -> Record:
    try:
        # Measuring a change takes the old values beside the new ones; without it the kernels work
        # in place, and check everything before they write.
        outs = {} if measure or not step.in_place else fields.writable(step.writes(block))
        outcome = step.run(fields, block, outs)
        updates = outcome.updates
        fields.validate(step.name, updates, step.writes(block))
        figures = {**(_measure(fields, updates) if measure else {}), **outcome.figures}
        fields.commit(updates)
    except BaseException:
        logger.error("iteration %d: %s failed", iteration, step.name)
        raise
    logger.debug("iteration %d: %s changed %s", iteration, step.name, tuple(updates))
    return Record(
        step.name, iteration, tuple(updates), Metrics(figures), fields.returned(outcome.returned)
    )


def _measure(fields: Fields, updates: Mapping[str, Any]) -> dict[str, Measured]:
    figures: dict[str, Measured] = {}
    for field, new in updates.items():
        xp = arrays.namespace(**{field: new})
        figures[f"{field}: relative change"] = relative_change(
            *metrics.change(new, fields[field], xp=xp)
        )
        if field == "probe":
            figures["probe: power per mode"] = metrics.mode_powers(new, xp=xp)
    return figures
