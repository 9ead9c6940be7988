"""The ``arraycon`` command."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.progress import track
from typer.core import TyperGroup

from arraycon import presets
from arraycon.cli import bench, demo, doctor, foreign, job, signals, tables, tune
from arraycon.cli.errors import Spoken, console, reported, shown_warnings, warn
from arraycon.io import atomic
from arraycon.kernels.common.threads import use_threads
from arraycon.params import templates
from arraycon.pipeline import Constraints
from arraycon.pipeline import warmup as ahead
from arraycon.version import __version__


class Verbs(TyperGroup):
    """Commands of ``arraycon params``; a file without one before it gets a hint."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, or say which one reads files."""
        name = args[0] if args else ""
        known = Path(name).suffix.lower() in job.PARAMETER_SUFFIXES
        if self.get_command(ctx, name) is None and (known or Path(name).is_file()):
            ctx.fail(f"{name!r} is a file, expected a command: arraycon params check {name}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    help="Physical constraints for ptychographic reconstructions.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_NO_LOG = logging.NullHandler()
_SPOKEN = Spoken()
params_app = typer.Typer(
    cls=Verbs, help="Check parameter files, and make new ones.", no_args_is_help=True
)
app.add_typer(params_app, name="params")
app.command("bench")(bench.command)
app.command("demo")(demo.command)
app.command("tune")(tune.command)
app.command("ptyrad", context_settings=foreign.PASSED_ON)(foreign.command)


class Kind(str, Enum):
    """Parameter templates."""

    minimal = "minimal"
    recommended = "recommended"
    full = "full"


class Specimen(str, Enum):
    """Presets by kind of specimen."""

    thin_layers = "thin-layers"
    crystal = "crystal"
    low_dose = "low-dose"
    x_ray = "x-ray"


Debug = Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")]
# typer before 0.15 cannot read `Path | None` on every Python that is supported
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there already.")]
Out = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--out", "-o", help="File to write; without it the text goes to the terminal."),
]


def main() -> None:
    """Run the command and exit."""
    for stream in (sys.stdout, sys.stderr):
        # a terminal that cannot show Å gets a question mark instead of a traceback
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    with signals.watched(last=True):
        app(prog_name="arraycon")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"arraycon {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _asked: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Physical constraints for ptychographic reconstructions."""
    # errors are reported here; without a handler Python would print the library's log lines too
    logging.getLogger("arraycon").addHandler(_NO_LOG)
    logging.getLogger("arraycon.compiling").addHandler(_SPOKEN)


@app.command()
def apply(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Reconstruction: PtyRAD's .hdf5, or an .npz of State fields."
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
        Optional[Path],  # noqa: UP045
        typer.Option("--out", "-o", help="File to write, in the format of FILE."),
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
        job.Backend, typer.Option(help="Array library that computes; cupy needs an NVIDIA GPU.")
    ] = job.Backend.numpy,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Replace FILE itself, atomically, instead of --out.")
    ] = False,
    figure: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FIG.png", help="Draw before and after; lengths in Å, phase in rad."),
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
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Apply constraints to a saved reconstruction.

    The output has the format of FILE; whatever is not understood in it is kept untouched.
    """
    with reported(debug=debug):
        todo = job.Job(
            source=file,
            target=_target(file, out, in_place),
            params=params,
            iterations=_iterations(iteration, iterations),
            backend=backend.value,
            figure=figure,
            in_place=in_place,
            illumination=illumination,
            vacuum_mask=vacuum_mask,
            force=force,
        )
        with use_threads(threads) if threads else contextlib.nullcontext():
            perform(todo)


def perform(todo: job.Job) -> job.Outcome:
    """Do a job and print what came of it."""
    out = console()
    with shown_warnings():
        found, constraints = job.load(todo)
    if todo.params is None:
        out.print(f"parameters: those that {todo.source} was made with", soft_wrap=True)
    due = job.iterations_of(todo, found)
    why = ""
    if todo.iterations is None:
        why = " (where the file ended)" if found.iteration else " (the file records none)"
    out.print(f"{job.say(due)}{why}, on {todo.backend}", soft_wrap=True)
    with shown_warnings():
        done = job.run(todo, found, constraints, progress=_progress)
    out.print(tables.outcome(done))
    if not done.changed:
        warn(f"{todo.target}: nothing was changed, the file is a copy of the input")
    for path in filter(None, (todo.target, todo.figure)):
        out.print(f"wrote {path}", soft_wrap=True)
    return done


def _progress(iterations: range) -> Iterable[int]:
    bar = console(stderr=True)
    if len(iterations) == 1 or not bar.is_terminal:
        return iterations
    return track(iterations, description="iterations", console=bar, transient=True)


def _target(file: Path, out: Path | None, in_place: bool) -> Path:
    if in_place and out is not None:
        raise atomic.OutputError("--in-place replaces FILE itself; expected no --out beside it")
    if in_place:
        return file
    if out is None:
        raise atomic.OutputError("expected --out FILE, or --in-place to replace the input")
    return out


def _iterations(one: int | None, several: str | None) -> range | None:
    if one is not None and several is not None:
        raise atomic.OutputError("--iteration and --iterations: expected one of them, got both")
    if several is not None:
        return job.parse_iterations(several)
    return None if one is None else range(one, one + 1)


@params_app.command("check")
def params_check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Parameter file, .yaml, .toml or .json.")
    ],
    debug: Debug = False,
) -> None:
    """Say what a parameter file switches on.

    A table of what is active, when, and whether only by default; warnings; exit code 2 if invalid.
    """
    with reported(debug=debug):
        with shown_warnings():
            constraints = Constraints.from_file(job.existing(file))
        console().print(tables.schedule(constraints.params))


@params_app.command("schema")
def params_schema(out: Out = None, force: Force = False, debug: Debug = False) -> None:
    """Print the JSON schema of parameter files.

    Editors that know it complete and check parameters.
    """
    with reported(debug=debug):
        _give(json.dumps(templates.schema(), indent=2, ensure_ascii=False) + "\n", out, force)


@params_app.command("template")
def params_template(
    kind: Annotated[Kind, typer.Option(help="How much to write down.")] = Kind.recommended,
    specimen: Annotated[
        Optional[Specimen],  # noqa: UP045
        typer.Option("--for", help="A kind of specimen, in place of --kind."),
    ] = None,
    out: Out = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Print a parameter file to start from."""
    with reported(debug=debug):
        content = presets.text(specimen.value) if specimen else templates.template(kind.value)
        _give(content, out, force)


def _give(text: str, out: Path | None, force: bool) -> None:
    if out is None:
        typer.echo(text, nl=False)
    else:
        with shown_warnings():
            atomic.write_text(out, text, replace=force)
        console().print(f"wrote {out}", soft_wrap=True)


@app.command()
def warmup(debug: Debug = False) -> None:
    """Compile all kernels now, so that the first iteration of a run does not wait for it."""
    with reported(debug=debug):
        console().print(tables.seconds(ahead.warmup()))


@app.command("doctor")
def doctor_command(debug: Debug = False) -> None:
    """Show what is installed and what is fast.

    Versions, array libraries that answer, fast paths, and the commands that install what lacks.
    """
    with reported(debug=debug):
        console().print(tables.doctor(doctor.examine()))
