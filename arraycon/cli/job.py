"""What ``arraycon apply`` does, without its options and its printing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from arraycon import figure, io
from arraycon.blocks import Block
from arraycon.io import single
from arraycon.io.atomic import ReadError
from arraycon.pipeline import Constraints, MissingInputError, Record, Skipped
from arraycon.state import ARRAYS, READ_ONLY, State

Progress = Callable[[range], Iterable[int]]


class Backend(str, Enum):
    """Array libraries that the command can compute with."""

    numpy = "numpy"
    cupy = "cupy"


class BackendError(RuntimeError):
    """The array library that was asked for does not answer."""


@dataclass(frozen=True)
class Job:
    """What to apply to which file.

    Parameters
    ----------
    source, target : Path
        The reconstruction, and where the result goes.
    params : Path
        Parameter file.
    iterations : range, optional
        Iterations, counted from 1; by default the one that the file ended with, else 1.
    backend : {'numpy', 'cupy'}
        Array library that computes.
    figure : Path, optional
        Before/after figure.
    in_place : bool
        Allow `target` to be `source`.
    illumination, vacuum_mask : str, optional
        ``FILE`` or ``FILE:dataset`` of these fields of the state, in place of what `source` holds.
    """

    source: Path
    target: Path
    params: Path
    iterations: range | None = None
    backend: str = "numpy"
    figure: Path | None = None
    in_place: bool = False
    illumination: str | None = None
    vacuum_mask: str | None = None


@dataclass(frozen=True)
class Ran:
    """A constraint that ran: how often, and its first and last records."""

    times: int
    first: Record
    last: Record


@dataclass(frozen=True)
class Outcome:
    """What a job did.

    Parameters
    ----------
    constraints : Constraints
        As loaded from the parameter file.
    iterations : range
        Those that were gone through.
    ran : dict of str to Ran
        Constraints that ran, in the order of their first run.
    skipped : tuple of Skipped
        Constraints that are on only by default and lack an input.
    waiting : dict of str to int or None
        Constraints that are on but were not due, with the next iteration at which they are.
    changed : tuple of str
        Datasets that differ from the input.
    state : State
        The state written.
    """

    constraints: Constraints
    iterations: range
    ran: dict[str, Ran]
    skipped: tuple[Skipped, ...]
    waiting: dict[str, int | None]
    changed: tuple[str, ...]
    state: State


def load(job: Job) -> tuple[io.Reconstruction, Constraints]:
    """Read both inputs and refuse whatever can be refused before anything runs.

    Raises
    ------
    ReadError, ParameterError
        One of the inputs is unusable.
    OutputError
        The result or the figure cannot be written where it should go.
    """
    found = _with_masks(io.read(job.source), job)
    constraints = Constraints.from_file(existing(job.params))
    io.check_target(job.target, job.source, in_place=job.in_place)
    if job.figure is not None:
        figure.check_figure(job.figure, found.state, keep=(job.source, job.target, job.params))
    return found, constraints


def _with_masks(found: io.Reconstruction, job: Job) -> io.Reconstruction:
    """Put in what the options name."""
    state = found.state
    for field in READ_ONLY:
        text = getattr(job, field)
        if text is None:
            continue
        try:
            given: dict[str, Any] = {field: single.read(text, field)}
            state = replace(state, **given)
        except (TypeError, ValueError) as error:
            raise ReadError(f"--{field.replace('_', '-')} {text}: {error}") from error
    return replace(found, state=state)


def iterations_of(job: Job, found: io.Reconstruction) -> range:
    """Return the iterations asked for, else the last one that the file records, else 1."""
    if job.iterations is not None:
        return job.iterations
    last = max(found.iteration or 1, 1)
    return range(last, last + 1)


def run(
    job: Job,
    found: io.Reconstruction,
    constraints: Constraints,
    *,
    progress: Progress = iter,
) -> Outcome:
    """Apply the constraints, then write the result and the figure.

    Parameters
    ----------
    job : Job
        What to do.
    found, constraints
        As `load` returned them; the arrays of `found.state` are changed in place.
    progress : callable
        Wraps the range of iterations, to show how far it is.

    Raises
    ------
    MissingInputError
        An input is missing that a constraint needs at these iterations or later; nothing has run.
    BackendError
        The array library does not answer.
    WriteError
        Writing failed.
    """
    iterations, state = iterations_of(job, found), found.state
    try:
        constraints.check(state, iteration=iterations[0])
    except MissingInputError as error:
        raise MissingInputError(f"{job.source}: {'; '.join(str(error).splitlines())}") from None
    before = figure.snapshot(state) if job.figure is not None else None
    ran: dict[str, Ran] = {}
    skipped: dict[str, Skipped] = {}
    with on_backend(state, job.backend) as working:
        for iteration in progress(iterations):
            report = constraints.apply(working, iteration, measure=True)
            # between the first and the last only the count is kept: records hold arrays
            for record in report:
                known = ran.get(record.name, Ran(0, record, record))
                ran[record.name] = Ran(known.times + 1, known.first, record)
            skipped |= {item.name: item for item in report.skipped}
    with contextlib.ExitStack() as stack:
        if job.figure is not None and before is not None:
            after = figure.snapshot(state, row=before.row)
            title = f"{job.source.name} · {say(iterations)}"
            # rendered first, named last: neither file appears without the other
            drawn = figure.draw(before, after, title=title)
            stack.enter_context(figure.saved(drawn, job.figure))
        changed = io.write(job.target, state, source=job.source, in_place=job.in_place)
    waiting = {
        name: next_due(block, iterations[-1])
        for name, block in constraints.params.blocks().items()
        if block.enabled and name not in ran and name not in skipped
    }
    return Outcome(constraints, iterations, ran, tuple(skipped.values()), waiting, changed, state)


def say(iterations: range) -> str:
    """Name a range of iterations."""
    if len(iterations) == 1:
        return f"iteration {iterations[0]}"
    return f"iterations {iterations[0]} to {iterations[-1]} ({len(iterations)} in all)"


def parse_iterations(text: str) -> range:
    """Read ``A:B``, both included and counted from 1.

    Raises
    ------
    ValueError
        It is something else.
    """
    first, colon, last = text.partition(":")
    try:
        numbers = int(first), int(last)
    except ValueError:
        numbers = (0, 0)
    if not colon or not 1 <= numbers[0] <= numbers[1]:
        raise ValueError(
            f"--iterations: expected A:B with 1 ≤ A ≤ B, from A to B with both included, "
            f"got {text!r}"
        )
    return range(numbers[0], numbers[1] + 1)


def next_due(block: Block, after: int) -> int | None:
    """First iteration later than `after` at which a constraint runs; None if there is none."""
    if block.start_iter is None:
        return None
    steps = max(0, (after - block.start_iter) // block.step + 1)
    due = block.start_iter + steps * block.step
    return due if block.is_due(due) else None


@contextlib.contextmanager
def on_backend(state: State, name: str) -> Iterator[State]:
    """Give the state with its arrays in another library, and bring the results back.

    Parameters
    ----------
    state : State
        NumPy arrays; they hold the results when the block has ended well.
    name : {'numpy', 'cupy'}
        Array library.

    Raises
    ------
    BackendError
        CuPy is missing, or no GPU answers.
    """
    if name == "numpy":
        yield state
        return
    cupy = require_gpu("--backend cupy")
    arrays = {field: getattr(state, field) for field in ARRAYS}
    hosts = {field: array for field, array in arrays.items() if array is not None}
    working = replace(state, **{field: cupy.asarray(array) for field, array in hosts.items()})
    yield working
    for field, host in hosts.items():
        host[...] = cupy.asnumpy(getattr(working, field))


def require_gpu(option: str) -> Any:
    """Return CuPy, if it can be imported and a device answers.

    Raises
    ------
    BackendError
        Otherwise; the message begins with `option`.
    """
    try:
        import cupy
    except Exception as error:  # a CuPy built for another CUDA fails in many ways
        raise BackendError(
            f"{option}: CuPy cannot be imported ({str(error).splitlines()[0]}); "
            f"`arraycon doctor` says how to install it"
        ) from error
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:
        raise BackendError(f"{option}: no GPU answers: {error}") from error
    if count == 0:
        raise BackendError(f"{option}: no GPU answers: CuPy finds 0 devices")
    return cupy


def existing(path: Path) -> Path:
    """Return the path of a parameter file that exists.

    Raises
    ------
    ReadError
        There is no such file, or it is a folder.
    """
    if path.is_dir():
        raise ReadError(f"{path}: is a folder, expected a parameter file")
    if not path.exists():
        raise ReadError(f"{path}: no such file")
    return path
