"""``arraycon apply``: constraints on saved reconstructions."""

from __future__ import annotations

import contextlib
import glob
import shlex
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.progress import Progress, track

from arraycon.cli import as_json, job, large, page, rehearsing, tables
from arraycon.cli.backends import Backend
from arraycon.cli.errors import console, reported, shown_warnings, stopped, warn
from arraycon.cli.iterations import parse_iterations, say
from arraycon.cli.options import Debug, Force, Json, Quiet
from arraycon.io import atomic
from arraycon.io.errors import ReadError
from arraycon.kernels.common.threads import use_threads
from arraycon.showing.words import readable


class Executor(str, Enum):
    """Who works on blocks."""

    serial = "serial"
    threads = "threads"
    dask = "dask"


# typer before 0.15 cannot read `Path | None` on every Python that is supported


def command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Reconstructions: PtyRAD's .hdf5, or an .npz of State fields; patterns such as "
            "'runs/*.hdf5', too.",
        ),
    ],
    params: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--params",
            "-p",
            help="Parameters, .yaml, .toml or .json; PtyRAD's own do, and so does its .hdf5. "
            "By default those that FILE was made with.",
        ),
    ] = None,
    out: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--out",
            "-o",
            help="File to write, in the format of FILE; a folder, or a name with {stem}, where "
            "there are several.",
        ),
    ] = None,
    changes: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--set",
            metavar="NAME.FIELD=VALUE",
            help="Change a parameter, as in --set kz_filter.beta=0.3; may be given several times.",
        ),
    ] = None,
    only: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="NAME", help="Run this constraint alone; may be given several times."),
    ] = None,
    iteration: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1,
            help="Apply what is due at this iteration, counted from 1; by default "
            "the one at which FILE ended (niter), else 1.",
        ),
    ] = None,
    iterations: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="A:B",
            help="Apply what is due at each of the iterations from A to B, "
            "both included, counted from 1.",
        ),
    ] = None,
    backend: Annotated[
        Backend, typer.Option(help="Array library that computes; cupy needs an NVIDIA GPU.")
    ] = Backend.numpy,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Replace FILE itself, atomically, instead of --out.")
    ] = False,
    figure: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FIG.png", help="Draw before and after; lengths in Å, phase in rad."),
    ] = None,
    report: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE.html",
            help="Write a page: figures, parameters, where all came from, before and after.",
        ),
    ] = None,
    illumination: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="FILE[:DATASET]",
            help="Summed intensity of the probe on the object, (ny, nx): .npy, .npz or HDF5.",
        ),
    ] = None,
    vacuum_mask: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="FILE[:DATASET]",
            help="1 where there is no sample, (ny, nx) or (nz, ny, nx): .npy, .npz or HDF5.",
        ),
    ] = None,
    threads: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1, help="Threads to use; by default ARRAYCON_THREADS, else all processors."
        ),
    ] = None,
    memory: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="SIZE",
            help="Work on the object block by block, with so much memory for blocks (2GB), of each "
            "worker with dask. By default what does not fit into memory gets a quarter of it.",
        ),
    ] = None,
    executor: Annotated[
        Optional[Executor],  # noqa: UP045
        typer.Option(help="Who works on blocks: one at a time, several threads, a Dask cluster."),
    ] = None,
    scheduler: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="ADDRESS",
            help="Running Dask scheduler whose workers see FILE; by default one is started here.",
        ),
    ] = None,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Threads or processes that work on blocks at once."),
    ] = None,
    scratch: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FOLDER",
            help="For what blocks are written to on the way; by default that of the output.",
        ),
    ] = None,
    resident: Annotated[
        bool,
        typer.Option(
            "--resident",
            help="Let the workers of a Dask cluster keep arrays in memory between passes, on their "
            "devices with --backend cupy.",
        ),
    ] = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Block by block too, tell what each constraint has changed: each needs passes of "
            "its own then.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check everything, and write nothing.")
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Apply constraints to saved reconstructions.

    The output has the format of FILE; whatever is not understood in it is kept untouched. One file
    that fails does not keep the others from being done.
    """
    done: list[dict[str, Any]] = []
    failed: list[int] = []
    with reported(debug=debug):
        sources = matching(files)
        several = len(sources) > 1
        for name, path in (("--figure", figure), ("--report", report)):
            if several and path is not None and "{stem}" not in str(path):
                raise atomic.OutputError(
                    f"{name} {path}: expected a name with {{stem}} for {len(sources)} files"
                )
        told = parse_iterations(iterations) if iterations is not None else None
        if iteration is not None:
            if told is not None:
                raise atomic.OutputError(
                    "--iteration and --iterations: expected one of them, got both"
                )
            told = range(iteration, iteration + 1)
        with use_threads(threads) if threads else contextlib.nullcontext():
            for source in sources:
                with each(debug=debug, go_on=several, failed=failed):
                    todo = job.Job(
                        source=source,
                        target=target(source, out, in_place=in_place, several=several),
                        params=params,
                        iterations=told,
                        backend=backend.value,
                        figure=_named(figure, source),
                        report=_named(report, source),
                        in_place=in_place,
                        illumination=illumination,
                        vacuum_mask=vacuum_mask,
                        force=force,
                        changes=tuple(changes or ()),
                        only=tuple(only or ()),
                        blocks=large.Blocks(
                            memory,
                            executor and executor.value,
                            scheduler,
                            workers,
                            scratch,
                            resident,
                            measure,
                        ),
                    )
                    silent = json_ or quiet
                    done.append(
                        rehearse(todo, silent=silent) if dry_run else perform(todo, silent=silent)
                    )
        if json_:
            as_json.give(done)
        if several and failed:
            warn(f"{len(failed)} of {len(sources)} files failed")
    if failed:
        raise typer.Exit(max(failed))


@contextlib.contextmanager
def each(*, debug: bool, go_on: bool, failed: list[int]) -> Iterator[None]:
    """Report what goes wrong with one file, and note its exit code where there are others."""
    if not go_on:
        yield
        return
    try:
        with reported(debug=debug):
            yield
    except typer.Exit as end:
        if stopped(end):
            raise
        failed.append(end.exit_code)


def perform(todo: job.Job, *, silent: bool = False) -> dict[str, Any]:
    """Do a job and print what came of it; return it for programs."""
    out = console()
    with shown_warnings():
        found, constraints = job.load(todo)
    if not silent:
        _announce(todo, found)
    command_line = shlex.join(["arraycon", *sys.argv[1:]])
    large_one = job.is_large(found.state)
    with shown_warnings(), _blocks(silent) as showing:
        done = job.run(
            todo,
            found,
            constraints,
            progress=iter if silent or large_one else _progress,
            showing=showing,
            page=lambda outcome, before, after: page.html(
                todo, outcome, before, after, command=command_line
            ),
        )
    if not done.changed:
        warn(f"{todo.target}: nothing was changed, the file is a copy of the input")
    if not silent:
        out.print(tables.outcome(done))
        if done.peak:
            out.print(f"peak memory of a process: {readable(done.peak)}")
        for path in filter(None, (todo.target, todo.figure, todo.report)):
            out.print(f"wrote {path}", soft_wrap=True)
    return as_json.outcome(todo, done)


def rehearse(todo: job.Job, *, silent: bool = False) -> dict[str, Any]:
    """Check a job and print what it would do."""
    with shown_warnings():
        found, constraints = job.load(todo)
        plan = rehearsing.rehearse(todo, found, constraints)
    if not silent:
        _announce(todo, found)
        console().print(tables.rehearsal(plan))
        console().print(f"would write {todo.target}; nothing was written", soft_wrap=True)
    return as_json.rehearsal(todo, plan)


def _announce(todo: job.Job, found: Any) -> None:
    out = console()
    if todo.params is None:
        out.print(f"parameters: those that {todo.source} was made with", soft_wrap=True)
    due = job.iterations_of(todo, found)
    why = ""
    if todo.iterations is None:
        why = " (where the file ended)" if found.iteration else " (the file records none)"
    how = ", block by block" if job.is_large(found.state) else ""
    out.print(f"{say(due)}{why}, on {todo.backend}{how}", soft_wrap=True)


def _progress(iterations: range) -> Iterable[int]:
    bar = console(stderr=True)
    if len(iterations) == 1 or not bar.is_terminal:
        return iterations
    return track(iterations, description="iterations", console=bar, transient=True)


@contextlib.contextmanager
def _blocks(silent: bool) -> Iterator[large.Progress | None]:
    """Show passes and blocks where there is a terminal."""
    bar = console(stderr=True)
    if silent or not bar.is_terminal:
        yield None
        return
    with Progress(console=bar, transient=True) as shown:
        task = shown.add_task("", total=None, visible=False)

        def show(number: int, passes: int, done: int, blocks: int) -> None:
            shown.update(
                task,
                description=f"pass {number} of {passes}, {done} of {blocks} blocks",
                completed=done,
                total=blocks,
                visible=True,
            )

        yield show


def matching(files: list[str]) -> list[Path]:
    """Return the files that names and patterns stand for, each once, in this order.

    Raises
    ------
    ReadError
        A pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for name in files:
        # a file may be called a[1].hdf5
        if Path(name).exists() or not glob.has_magic(name):
            found[Path(name)] = None
            continue
        hits = sorted(glob.glob(name, recursive=True))
        if not hits and not set(name).isdisjoint("*?"):
            raise ReadError(f"{name}: no file matches")
        hits = hits or [name]  # brackets alone may just be meant
        found.update(dict.fromkeys(map(Path, hits)))
    return list(found)


def target(source: Path, out: str | None, *, in_place: bool, several: bool) -> Path:
    """Return where the result of a file goes.

    Raises
    ------
    OutputError
        It is not said, or several files would get one name.
    """
    if in_place and out is not None:
        raise atomic.OutputError("--in-place replaces FILE itself; expected no --out beside it")
    if in_place:
        return source
    if out is None:
        raise atomic.OutputError("expected --out FILE, or --in-place to replace the input")
    if out.endswith(("/", "\\")) or Path(out).is_dir():
        return Path(out) / source.name
    if several and "{stem}" not in out:
        raise atomic.OutputError(
            f"--out {out}: expected a folder, or a name with {{stem}}, for several files"
        )
    return Path(out.replace("{stem}", source.stem))


def _named(path: Path | None, source: Path) -> Path | None:
    return None if path is None else Path(str(path).replace("{stem}", source.stem))
