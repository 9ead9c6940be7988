"""What ``arraycon apply`` does, without its options and its printing."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from arraycon import figure, io
from arraycon.blockwise.stores import Stored
from arraycon.cli import large, signals
from arraycon.cli.backends import Backend, on_backend, require_gpu
from arraycon.cli.choosing import chosen
from arraycon.cli.iterations import next_due, say
from arraycon.io import memory, ptyrad, single
from arraycon.io.errors import ReadError
from arraycon.io.outline import Outline
from arraycon.io.regular import require_regular
from arraycon.params import files
from arraycon.params.files import READERS
from arraycon.pipeline import Constraints, MissingInputError, Record, Report, Skipped
from arraycon.state import READ_ONLY, State

PARAMETER_SUFFIXES = tuple(READERS)
# bytes that loading and compiling the kernels takes beside the arrays: measured as 0.32 GB, and
# 0.85 GB of addresses, of which threads and their heaps map more than they use
_COMPILING, _MAPPED = 320 * 2**20, 560 * 2**20
_PARTS = frozenset({"object_amplitude", "object_phase"})
Progress = Callable[[range], Iterable[int]]
Page = Callable[["Outcome", Any, Any], str]


@dataclass(frozen=True)
class Job:
    """What to apply to which file.

    Parameters
    ----------
    source, target : Path
        The reconstruction, and where the result goes.
    params : Path or None
        Parameter file; None for the parameters that `source` was made with.
    iterations : range, optional
        Iterations, counted from 1; by default the one that the file ended with, else 1.
    backend : {'numpy', 'cupy'}
        Array library that computes.
    figure : Path, optional
        Before/after figure.
    in_place : bool
        Allow `target` to be `source`.
    force : bool
        Allow `target` and `figure` to be there already.
    report : Path, optional
        HTML page about what was done.
    changes : tuple of str
        Parameters that differ from the file's, ``NAME.FIELD=VALUE``.
    only : tuple of str
        Constraints that run alone; empty: all that the parameters ask for.
    illumination, vacuum_mask : str, optional
        ``FILE`` or ``FILE:dataset`` of these fields of the state, in place of what `source` holds.
    blocks : Blocks
        How the object is worked on where it does not fit into memory, or where that is asked for.
    """

    source: Path
    target: Path
    params: Path | None
    iterations: range | None = None
    backend: str = "numpy"
    figure: Path | None = None
    in_place: bool = False
    force: bool = False
    illumination: str | None = None
    vacuum_mask: str | None = None
    report: Path | None = None
    changes: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    blocks: large.Blocks = dataclasses.field(default_factory=large.Blocks)

    @property
    def drawn(self) -> bool:
        """Whether anything shows the object before and after."""
        return self.figure is not None or self.report is not None


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
    peak : int or None
        Most bytes that a process has had, where the object was worked on block by block.
    """

    constraints: Constraints
    iterations: range
    ran: dict[str, Ran]
    skipped: tuple[Skipped, ...]
    waiting: dict[str, int | None]
    changed: tuple[str, ...]
    state: State
    peak: int | None = None


def load(job: Job) -> tuple[io.Reconstruction, Constraints]:
    """Read both inputs and refuse whatever can be refused before anything runs.

    Only those arrays are read that constraints or the figure use.

    Raises
    ------
    ReadError, ParameterError
        One of the inputs is unusable, or does not fit into memory.
    OutputError
        The result or the figure cannot be written where it should go.
    """
    _require_reconstruction(job)
    found = io.outline(job.source)
    constraints = Constraints(chosen(files.load(_parameters(job)), job), defaults="ptyrad")
    io.check_target(job.target, job.source, in_place=job.in_place, replace=job.force)
    wanted = _wanted(job, found, constraints)
    apart = _apart(job, found, wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the outline has warned of the same
        reconstruction = io.read(job.source, arrays=wanted - set(apart))
        vars(reconstruction.state).update(apart)
        reconstruction = _with_masks(reconstruction, job)
    keep = [path for path in (job.source, job.target, job.params) if path is not None]
    if job.figure is not None:
        figure.check_figure(job.figure, reconstruction.state, keep=keep, replace=job.force)
    if job.report is not None:
        for other in (*keep, *filter(None, [job.figure])):
            io.check_output(job.report, keep=other)
        io.check_output(job.report, replace=job.force)
    return reconstruction, constraints


def _require_reconstruction(job: Job) -> None:
    """Say so if the two inputs have changed places."""
    if job.source.suffix.lower() in PARAMETER_SUFFIXES and job.source.is_file():
        given: Path | str = job.params or "RECONSTRUCTION"
        if Path(given).suffix.lower() in PARAMETER_SUFFIXES:
            given = "RECONSTRUCTION"
        raise ReadError(
            f"{job.source}: is a parameter file, expected a reconstruction: "
            f"arraycon apply {given} --params {job.source}"
        )


def _parameters(job: Job) -> Path:
    """File that holds the parameters: the reconstruction itself if none is given."""
    if job.params is not None:
        return existing(job.params)
    if not ptyrad.recognises(job.source):
        raise ReadError(f"{job.source}: holds no parameters; expected --params FILE")
    return job.source


def _wanted(job: Job, found: Collection[str], constraints: Constraints) -> frozenset[str]:
    """Arrays that constraints use at these iterations or later, or that are drawn."""
    first = 1 if job.iterations is None else job.iterations[0]
    parts = _PARTS if "object" in found else frozenset[str]()
    names = set(figure.FIELDS) if job.drawn else set()
    for step, block in constraints.steps:
        if block.runs_from(first):
            fitted, _ = step.fitted(block, frozenset(found) | parts)
            names |= {*step.needs(fitted), *step.writes(fitted)}
    names |= {"object"} if names & parts else set()
    # what works on the object as a whole takes both parts where those are what there is
    return frozenset(found) & (names | _PARTS if "object" in names else names)


def _apart(job: Job, found: Mapping[str, Outline], wanted: frozenset[str]) -> dict[str, Stored]:
    """Return the arrays that are worked on block by block, and are not read now."""
    job.blocks.check()
    sizes = [found[name].nbytes for name in wanted]
    objects = wanted.intersection(large.OBJECTS)
    if not job.blocks.given:
        try:
            _require_memory(job, sizes)
        except ReadError:
            if not objects or not ptyrad.recognises(job.source):
                raise
        else:
            return {}
    _require_memory(job, [found[name].nbytes for name in wanted - objects])
    return large.stored(job.source, objects)


def _require_memory(job: Job, sizes: Sequence[int]) -> None:
    """Refuse now what would end, after minutes, in LLVM's abort or the system's killer."""
    # all of them, the largest once more to be measured and compared when it is written; a complex
    # object in two parts takes as much again, and the parts are what is measured then
    needed = sum(sizes) + 2 * max(sizes, default=0) + _COMPILING
    memory.require(needed, f"{job.source}", mapped=_MAPPED)


def _with_masks(found: io.Reconstruction, job: Job) -> io.Reconstruction:
    """Put in what the options name; the state stays the one that the file is known by."""
    for field in READ_ONLY:
        text = getattr(job, field)
        if text is None:
            continue
        try:
            setattr(found.state, field, single.read(text, field))
            found.state.validate()
        except (TypeError, ValueError) as error:
            raise ReadError(f"--{field.replace('_', '-')} {text}: {error}") from error
    return found


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
    page: Page | None = None,
    showing: large.Progress | None = None,
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
    page : callable, optional
        Makes the report's text of the outcome and what was seen before and after.
    showing : callable, optional
        Told how far an iteration is that goes block by block: the pass, of how many, the block, of
        how many.

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
    checked(job, state, constraints, iterations)
    with large.scratch(job.target, job.blocks) if is_large(state) else nullcontext() as folder:
        before = _drawn(state)[0] if job.drawn else None
        with _applying(job, state, constraints, showing, folder) as (apply, peak):
            ran, skipped = _iterate(apply, progress(iterations))
            highest = peak()
        waiting = {
            name: next_due(block, iterations[-1])
            for name, block in constraints.params.blocks().items()
            if block.enabled and name in constraints and name not in ran and name not in skipped
        }
        done = Outcome(
            constraints, iterations, ran, tuple(skipped.values()), waiting, (), state, highest
        )
        return _write(job, done, before, page)


def _iterate(
    apply: Callable[[int], Report], iterations: Iterable[int]
) -> tuple[dict[str, Ran], dict[str, Skipped]]:
    """Apply iterations; return what ran and what did not."""
    ran: dict[str, Ran] = {}
    skipped: dict[str, Skipped] = {}
    for iteration in signals.between(iterations):
        report = apply(iteration)
        # between the first and the last only the count is kept: records hold arrays
        for record in report:
            known = ran.get(record.name, Ran(0, record, record))
            ran[record.name] = Ran(known.times + 1, known.first, record)
        skipped |= {item.name: item for item in report.skipped}
    return ran, skipped


def _write(job: Job, done: Outcome, before: figure.Snapshot | None, page: Page | None) -> Outcome:
    """Write the result, and figure and report if there are any; add the datasets that changed."""
    state, iterations = done.state, done.iterations
    with contextlib.ExitStack() as stack:
        after, note = (None, "") if before is None else _drawn(state, before.row)
        if job.figure is not None and before is not None and after is not None:
            title = " · ".join(filter(None, (job.source.name, say(iterations), note)))
            # rendered first, named last: neither file appears without the other
            drawn = figure.draw(before, after, title=title)
            stack.enter_context(figure.saved(drawn, job.figure, like=job.source, replace=job.force))
        if job.report is not None:
            draft = stack.enter_context(
                io.replacing(job.report, like=job.source, replace=job.force)
            )
        changed = stack.enter_context(
            io.written(job.target, state, source=job.source,
                       in_place=job.in_place, replace=job.force)
        )  # fmt: skip
        done = replace(done, changed=changed)
        if job.report is not None and page is not None:
            draft.write_text(page(done, before, after), encoding="utf-8")
        signals.hold()
    return done


def checked(
    job: Job, state: State, constraints: Constraints, iterations: range
) -> tuple[Skipped, ...]:
    """Check a state; an error names the file.

    Raises
    ------
    MissingInputError
        An input is missing that a constraint needs at these iterations or later.
    """
    try:
        return constraints.check(state, iteration=iterations[0])
    except MissingInputError as error:
        raise MissingInputError(f"{job.source}: {'; '.join(str(error).splitlines())}") from None


def is_large(state: State) -> bool:
    """Whether the object is worked on block by block."""
    return any(isinstance(getattr(state, name), Stored) for name in large.OBJECTS)


def _drawn(state: State, row: int | None = None) -> tuple[figure.Snapshot, str]:
    few, note = large.thinned(state)
    return figure.snapshot(few, row=row), note


@contextlib.contextmanager
def _applying(
    job: Job,
    state: State,
    constraints: Constraints,
    showing: large.Progress | None,
    folder: Path | None,
) -> Iterator[tuple[Callable[[int], Report], Callable[[], int | None]]]:
    """Give what applies an iteration, in memory or by blocks, and what tells the memory it took."""
    if folder is None:
        with on_backend(state, job.backend) as working:
            yield lambda at: constraints.apply(working, at, measure=True), lambda: None
        return
    if job.backend == Backend.cupy:
        require_gpu("--backend cupy")
    with large.executor(job.blocks, job.backend) as executor:
        options: dict[str, Any] = {
            "executor": executor,
            "memory": job.blocks.memory,
            "scratch": folder,
            "backend": job.backend,
            "progress": showing,
            "resident": job.blocks.resident,
            "measure": job.blocks.measure,
        }
        yield (
            lambda at: constraints.apply(state, at, **options),
            lambda: large.peak(executor),
        )


def existing(path: Path) -> Path:
    """Return the path of a parameter file that exists.

    Raises
    ------
    ReadError
        There is no such file, or it is a folder, a pipe or a device.
    """
    return require_regular(path, "a parameter file")
