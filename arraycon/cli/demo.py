"""``arraycon demo``: reconstruct without and with constraints, and compare."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from arraycon import Constraints
from arraycon.cli.errors import console, reported, shown_warnings
from arraycon.cli.job import Backend, existing, require_gpu
from arraycon.io import atomic

if TYPE_CHECKING:
    from arraycon.demo.plan import Plan
    from arraycon.demo.reconstruct import Reconstruction, Result
    from arraycon.demo.report import Report
    from arraycon.demo.runs import Tell

_BARS = 4  # more reconstructions than that share one bar


class Halves(str, Enum):
    """What is split in two where there is no truth."""

    counts = "counts"
    positions = "positions"


def command(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to write to; it is made if need be.")
    ] = Path("demo"),
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Diffraction data, .npz or .h5; without it, data are simulated."),
    ] = None,
    truth: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Truth of the data, .npz; without it, halves of the data are compared."),
    ] = None,
    params: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--params", "-p", help="Constraints; without it, those that suit the data."),
    ] = None,
    dose: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="NUMBER",
            help="Electrons per Å² of the simulation; with --data the fraction of the counts to "
            "use, without --truth several: 1,0.01.",
        ),
    ] = None,
    scan: Annotated[int, typer.Option(min=4, max=64, help="Simulated positions per side.")] = 24,
    slices: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, max=36, help="Object slices; by default 6, of .npz data 1."),
    ] = None,
    modes: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, max=20, help="Probe modes; by default 3, of .h5 data 4."),
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Passes over the data.")] = 12,
    halves: Annotated[
        Halves, typer.Option(help="What is halved where there is no truth.")
    ] = Halves.counts,
    study: Annotated[
        bool,
        typer.Option("--study", help="Show instead what each constraint is for, in numbers."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    backend: Annotated[
        Backend, typer.Option(help="Array library that computes; cupy needs an NVIDIA GPU.")
    ] = Backend.numpy,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails.")
    ] = False,
) -> None:
    """Reconstruct a data set twice, without and with constraints, and compare.

    Simulated 4D-STEM data by default. A figure, a table, both results and the parameters go to a
    folder.
    """
    from arraycon.demo import plan as plans
    from arraycon.demo import report

    with reported(debug=debug):
        if study:
            _study(out, seed)
            return
        xp = require_gpu("--backend cupy") if backend is Backend.cupy else np
        given = plans.preset(data).constraints if params is None else _text(params)
        parameters = "params.yaml" if params is None else f"params{params.suffix.lower()}"
        files = (*report.FILES, parameters)
        atomic.output_folder(out, files)
        if truth is not None and data is None:
            raise ValueError("--truth: expected --data as well; simulated data bring their own")
        with shown_warnings():
            constraints = Constraints.from_file(params) if params else _preset(given)
        asked = {"slices": slices, "modes": modes, "iterations": iterations, "seed": seed}
        chosen = {name: value for name, value in asked.items() if value is not None}
        if data is None:
            plan = plans.simulated(constraints, chosen, scan=scan, dose=_one_dose(dose))
        elif truth is None:
            plan = plans.measured(constraints, chosen, data, doses=_doses(dose), split=halves.value)
        else:
            least = (_doses(dose) or (1.0,))[-1]
            plan = plans.known(constraints, chosen, data, truth, dose=least)
        begun = time.perf_counter()
        results, judged = _reconstruct(plan, xp)
        seconds = time.perf_counter() - begun
        console().print(report.table(judged))
        console().print(f"{len(results)} reconstructions in {seconds:.1f} s", soft_wrap=True)
        report.write(judged, plan, results, out)
        atomic.write_text(out / parameters, given)
        for name in files:
            console().print(f"wrote {out / name}", soft_wrap=True)


def _study(out: Path, seed: int) -> None:
    from arraycon.demo import study

    atomic.output_folder(out, study.FILES)
    with console(stderr=True).status("experiments"):
        findings = study.run(seed)
    console().print(study.table(findings))
    study.write(findings, out, seed=seed)
    for name in study.FILES:
        console().print(f"wrote {out / name}", soft_wrap=True)


def _text(path: Path) -> str:
    """Parameter file, of which a copy is left beside the results."""
    return existing(path).read_bytes().decode("utf-8", "replace")


def _preset(text: str) -> Constraints:
    import yaml

    return Constraints(yaml.safe_load(text))


def _doses(text: str | None) -> tuple[float, ...] | None:
    """Read fractions of the counts, largest first."""
    if text is None:
        return None
    try:
        found = sorted({float(part) for part in text.split(",")}, reverse=True)
    except ValueError:
        found = [0.0]
    if not 0 < found[-1] <= found[0] <= 1:
        raise ValueError(f"--dose: expected fractions of the counts, above 0 to 1, got {text!r}")
    return tuple(found)


def _one_dose(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise ValueError(f"--dose: expected electrons per Å², above 0, got {text!r}")
    return value


def _reconstruct(plan: Plan, xp: Any) -> tuple[dict[str, Result], Report]:
    """Do what is planned, with bars that show the running error, and judge it."""
    from arraycon.demo import report, runs, with_truth

    if plan.truth is None:
        with _progress(plan) as show:
            results = runs.run(plan.tasks, xp=xp, tell=show)
        return results, report.of_halves(plan, results)
    watch = with_truth.Watch(plan.data, plan.truth)
    with _progress(plan) as show:

        def tell(name: str, going: Reconstruction) -> None:
            show(name, going)
            watch(name, going)

        results = runs.run(plan.tasks, xp=xp, tell=tell)
    return results, report.against_truth(plan, results, watch)


@contextlib.contextmanager
def _progress(plan: Plan) -> Iterator[Tell]:
    """Bars with the running error; what is given back is to be told of each iteration."""
    bar = console(stderr=True)
    if not bar.is_terminal:
        yield lambda *_: None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("error {task.fields[error]:.4f}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=bar, transient=True) as progress:
        names = list(plan.tasks)
        each = plan.settings.iterations
        if len(names) > _BARS:
            one = progress.add_task("reconstructions", total=each * len(names), error=np.nan)
            bars = dict.fromkeys(names, one)
        else:
            bars = {name: progress.add_task(name, total=each, error=np.nan) for name in names}
        yield lambda name, going: progress.update(bars[name], advance=1, error=going.errors[-1])
