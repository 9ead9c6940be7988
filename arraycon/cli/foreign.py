"""``arraycon ptyrad``: PtyRAD's own command with this package's constraints installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from arraycon.adapters import ptyrad
from arraycon.adapters._ptyrad import PTYRAD
from arraycon.cli import job
from arraycon.cli.errors import reported, shown_warnings
from arraycon.pipeline import Constraints

# what follows PtyRAD's command is PtyRAD's, --help and what looks like an option of ours included
PASSED_ON = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
}


def command(
    arguments: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="COMMAND [ARGS]...", help="PtyRAD's command and its arguments."),
    ] = None,
    params: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--constraints",
            "-c",
            metavar="FILE",
            help="Constraints in place of those in PtyRAD's own file, .yaml, .toml or .json; what "
            "PtyRAD does not know may be among them.",
        ),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails.")
    ] = False,
) -> None:
    """Run PtyRAD's own command with the constraints of this package in it.

    As in: arraycon ptyrad run params.yaml --gpuid 0

    On several GPUs: accelerate launch --multi_gpu --num_processes 2 -m arraycon ptyrad run
    params.yaml --gpuid acc
    """
    with reported(debug=debug), shown_warnings():
        given = None if params is None else Constraints.from_file(job.existing(params))
        main = PTYRAD.find("ptyrad.cli.entry", "main")
        installed = ptyrad.install(given)
    with installed:
        sys.argv = ["ptyrad", *(arguments or ["--help"])]
        main()
