"""``arraycon diff``: where two reconstructions, or two parameter files, differ."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from arraycon.cli import as_json, comparing, tables
from arraycon.cli.errors import console, reported, shown_warnings
from arraycon.cli.job import PARAMETER_SUFFIXES, existing
from arraycon.cli.options import Debug, Json


def command(
    one: Annotated[Path, typer.Argument(metavar="A", help="Reconstruction or parameter file.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another one of the same kind.")],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if they differ.")
    ] = False,
    json_: Json = False,
    debug: Debug = False,
) -> None:
    """Show where two files differ.

    Of reconstructions the arrays, numbers and parameters; of parameter files what they make run,
    defaults included.
    """
    with reported(debug=debug):
        kinds = {path.suffix.lower() in PARAMETER_SUFFIXES for path in (one, other)}
        if len(kinds) > 1:
            raise ValueError(
                f"{one}, {other}: expected two reconstructions, or two parameter files"
            )
        with shown_warnings():
            if kinds == {True}:
                found = comparing.parameters(existing(one), existing(other))
            else:
                found = comparing.reconstructions(one, other)
        if json_:
            arrays = {name: asdict(each) for name, each in found.arrays.items()}
            as_json.give({"differ": found.any, "fields": arrays, "facts": found.facts})
        elif not found.any:
            console().print("equal")
        else:
            console().print(tables.differences(found))
    if exit_code and found.any:
        raise typer.Exit(1)
