"""``arraycon show``: what is in a reconstruction."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer

from arraycon import figure as figures
from arraycon.cli import as_json, looking, tables
from arraycon.cli.errors import console, reported, shown_warnings
from arraycon.cli.job import PARAMETER_SUFFIXES
from arraycon.cli.options import Debug, Force, Json
from arraycon.io.errors import ReadError


def command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Reconstruction: PtyRAD's .hdf5, or an .npz of State fields."
        ),
    ],
    figure: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FIG.png", help="Draw object and probe; lengths in Å, phase in rad."),
    ] = None,
    json_: Json = False,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Show what is in a reconstruction: fields, ranges, lengths, parameters, and a preview."""
    with reported(debug=debug):
        if file.suffix.lower() in PARAMETER_SUFFIXES:
            raise ReadError(f"{file}: is a parameter file: arraycon params check {file}")
        with shown_warnings():
            if figure is not None:
                figures.check_output(figure, keep=file, replace=force)
            found = looking.look(file)
            if figure is not None:
                figures.check_figure(figure, found.state, keep=[file], replace=force)
                drawn = figures.draw_one(figures.snapshot(found.state), title=file.name)
                with figures.saved(drawn, figure, like=file, replace=force):
                    pass
        if json_:
            arrays = {name: asdict(one) for name, one in found.arrays.items()}
            as_json.give({"file": file, "fields": arrays, "facts": found.facts})
            return
        out = console()
        out.print(tables.contents(found))
        if out.is_terminal:
            out.print(looking.preview(found.state, min(out.width, 72)))
        if figure is not None:
            out.print(f"wrote {figure}", soft_wrap=True)
