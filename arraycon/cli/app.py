"""The ``arraycon`` command."""

from __future__ import annotations

import json
import logging
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperGroup

from arraycon import presets
from arraycon.cli import (
    apply,
    as_json,
    bench,
    demo,
    diff,
    doctor,
    foreign,
    job,
    show,
    signals,
    tables,
    tune,
)
from arraycon.cli.errors import REFUSED, Spoken, console, reported, shown_warnings, stop
from arraycon.cli.options import Debug, Force, Json
from arraycon.io import atomic
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


class Root(TyperGroup):
    """The command; wrong usage is told in one line, as every other error."""

    def main(self, args: Any = None, *rest: Any, standalone_mode: bool = True, **more: Any) -> Any:
        """Run, and where it stands alone exit."""
        options: dict[str, Any] = {**more, "standalone_mode": False}
        if not standalone_mode:
            return super().main(args, *rest, **options)
        try:
            code = super().main(args, *rest, **options)
        except Exception as error:
            # typer brings click's errors from elsewhere, by its version
            if not hasattr(error, "format_message"):
                raise
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # type: ignore[attr-defined]
                sys.exit(REFUSED)
            context = getattr(error, "ctx", None)
            hint = f" ({context.command_path} --help)" if context is not None else ""
            sys.exit(stop(f"{error.format_message().rstrip('.')}{hint}", REFUSED).exit_code)
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    cls=Root,
    help="Physical constraints for ptychographic reconstructions.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_NO_LOG = logging.NullHandler()
_SPOKEN = Spoken()
params_app = typer.Typer(
    cls=Verbs, help="Check parameter files, and make new ones.", no_args_is_help=True
)
app.add_typer(params_app, name="params")
app.command("apply")(apply.command)
app.command("show")(show.command)
app.command("diff")(diff.command)
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
        typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Physical constraints for ptychographic reconstructions."""
    # errors are reported here; without a handler Python would print the library's log lines too
    logging.getLogger("arraycon").addHandler(_NO_LOG)
    logging.getLogger("arraycon.compiling").addHandler(_SPOKEN)


@params_app.command("check")
def params_check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Parameter file, .yaml, .toml or .json.")
    ],
    json_: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a parameter file switches on.

    A table of what is active, when, and whether only by default; warnings; exit code 2 if invalid.
    """
    with reported(debug=debug):
        with shown_warnings():
            constraints = Constraints.from_file(job.existing(file))
        if json_:
            as_json.give(as_json.schedule(constraints.params))
            return
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
def doctor_command(json_: Json = False, debug: Debug = False) -> None:
    """Show what is installed and what is fast.

    Versions, array libraries that answer, fast paths, and the commands that install what lacks.
    """
    with reported(debug=debug):
        found = doctor.examine()
        if json_:
            as_json.give(as_json.doctor(found))
        else:
            console().print(tables.doctor(found))
