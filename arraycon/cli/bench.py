"""``arraycon bench``: measure this installation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.progress import track

from arraycon.cli import as_json, signals
from arraycon.cli.backends import require_gpu
from arraycon.cli.errors import console, reported, shown_warnings
from arraycon.cli.options import Json
from arraycon.io import atomic
from arraycon.plain import plain

if TYPE_CHECKING:
    from arraycon.bench import Bench, Case

FILES = ("bench.json", "bench.png", "table.txt")


class Processor(str, Enum):
    """Where the arrays are."""

    cpu = "cpu"
    gpu = "gpu"


class SizeName(str, Enum):
    """Sizes of `arraycon.bench.SIZES`."""

    small = "small"
    medium = "medium"
    large = "large"
    awkward = "awkward"


def command(
    size: Annotated[
        SizeName, typer.Option(help="Shapes of the inputs; large takes 12 GiB and hours.")
    ] = SizeName.small,
    only: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME,NAME", help="Constraints to measure; by default all."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Least number of timed calls of each.")] = 7,
    threads: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Threads of all contenders; by default those of the package."),
    ] = None,
    on: Annotated[Processor, typer.Option(help="NumPy arrays, or CuPy's.")] = Processor.cpu,
    complex_object: Annotated[
        bool,
        typer.Option("--complex", help="The object as one complex array, as most codes hold it."),
    ] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="Also import, first call and peak memory of fresh processes."),
    ] = False,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", "-o", help=f"Folder for {', '.join(FILES)}; made if need be."),
    ] = None,
    json_: Json = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there already.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails.")
    ] = False,
) -> None:
    """Measure how fast the constraints are here.

    Against PtyRAD if it is installed, plain NumPy, and the floor that no code can pass.
    """
    from arraycon import bench
    from arraycon.bench import reporting

    with reported(debug=debug):
        form = "complex" if complex_object else "parts"
        names = _names(only, form)
        if out is not None:
            atomic.output_folder(out, FILES, replace=force)
        if on is Processor.gpu:
            require_gpu("--on gpu")
        done = bench.run(
            bench.SIZES[size.value],
            names=names,
            form=form,
            rounds=rounds,
            threads=threads,
            full=full,
            on=on.value,
            progress=_progress,
        )
        screen = console(stderr=json_)
        # a narrow terminal folds lines; cut figures would be of no use
        width = max(screen.width, reporting.WIDTH)
        if json_:
            as_json.give(reporting.as_json(done))
        else:
            screen.print(reporting.table(done), width=width, crop=False)
        if out is not None:
            signals.hold()
            with shown_warnings():
                write(done, out, replace=force)
            for name in FILES:
                screen.print(f"wrote {out / name}", soft_wrap=True)


def write(done: Bench, folder: Path, *, replace: bool = True) -> None:
    """Write the results as JSON, chart and table into a folder that is there."""
    from arraycon.bench import chart, reporting

    data, picture, text = (folder / name for name in FILES)
    atomic.write_text(data, json.dumps(reporting.as_json(done), indent=1) + "\n", replace=replace)
    with atomic.replacing(picture, replace=replace) as draft:
        chart.save(done, draft)
    atomic.write_text(text, plain(reporting.table(done), 2 * reporting.WIDTH), replace=replace)


def _names(only: str | None, form: str) -> Sequence[str]:
    from arraycon.bench import names_for

    known = names_for(form)
    if only is None:
        return known
    asked = list(filter(None, (name.strip() for name in only.split(","))))
    unknown = [name for name in asked if name not in known]
    if unknown or not asked:
        raise ValueError(f"--only: expected names out of {', '.join(known)}, got {only!r}")
    return [name for name in known if name in asked]


def _progress(cases: Sequence[Case]) -> Iterable[Case]:
    bar = console(stderr=True)
    if not bar.is_terminal:
        return signals.between(cases)
    shown = track(cases, description="constraints", console=bar, transient=True)
    return signals.between(shown)
