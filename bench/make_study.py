"""Run the study of what each constraint is for, and when it hurts: ``python bench/make_study.py``.

Writes its table, its numbers and its page into a folder; ``bench/study.md`` is such a page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import study
import typer

from arraycon.cli.errors import console, reported
from arraycon.io import atomic

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to write to; it is made if need be.")
    ] = Path("study"),
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
) -> None:
    """Show what each constraint is for, in numbers."""
    with reported():
        atomic.output_folder(out, study.FILES)
        with console(stderr=True).status("experiments"):
            findings = study.run(seed)
        study.write(findings, out, seed=seed)
        console().print(study.table(findings))
        for name in study.FILES:
            console().print(f"wrote {out / name}", soft_wrap=True)


if __name__ == "__main__":
    app()
