"""``arraycon demo``: reconstruct without and with constraints, and compare."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from arraycon import Constraints, figure, io
from arraycon.cli.errors import console, reported, shown_warnings
from arraycon.cli.job import Backend, existing, require_gpu
from arraycon.cli.tables import number
from arraycon.io import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from arraycon.demo.dataset import Dataset, Truth
    from arraycon.demo.reconstruct import Result, Settings
    from arraycon.demo.runs import Task

FILES = ("figure.png", "table.txt", "unconstrained.npz", "constrained.npz", "demo.json")
DOSES = (1.0, 0.1, 0.01)
_BARS = 4  # more reconstructions than that share one bar


class Halves(str, Enum):
    """What is split in two where there is no truth."""

    counts = "counts"
    positions = "positions"


@dataclass(frozen=True, eq=False)
class Plan:
    """What is going to be done.

    Parameters
    ----------
    data, truth : Dataset, Truth
        What there is; without a truth, halves are compared.
    doses : tuple of float
        Fractions of the counts.
    settings : Settings
        Of every reconstruction.
    constraints : Constraints
        Of those with constraints.
    tasks : dict of Task
        The reconstructions.
    about : str
        Heading of the figure.
    """

    data: Dataset
    truth: Truth | None
    doses: tuple[float, ...]
    settings: Settings
    constraints: Constraints
    tasks: dict[str, Task]
    about: str


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
        typer.Option(min=1, max=20, help="Probe modes; by default 3, of data with a truth 4."),
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
    from arraycon.demo import runs

    with reported(debug=debug):
        if study:
            _study(out, seed)
            return
        xp = require_gpu("--backend cupy") if backend is Backend.cupy else np
        chosen = _params(params, x_rays=data is not None and data.suffix == ".npz")
        files = (*FILES, chosen[0])
        prepare(out, files)
        if truth is not None and data is None:
            raise ValueError("--truth: expected --data as well; simulated data bring their own")
        with shown_warnings():
            constraints = Constraints.from_file(existing(params)) if params else _preset(chosen[1])
        if data is None:
            plan = _simulated(constraints, _one_dose(dose), scan, slices, modes, iterations, seed)
        else:
            plan = _loaded(
                constraints, data, truth, _doses(dose), slices, modes, iterations, seed, halves
            )
        begun = time.perf_counter()
        with _progress(plan) as tell:
            results = runs.run(plan.tasks, xp=xp, tell=tell)
        seconds = time.perf_counter() - begun
        _finish(plan, results, out, chosen, seconds)
        for name in files:
            console().print(f"wrote {out / name}", soft_wrap=True)


def _study(out: Path, seed: int) -> None:
    from arraycon.demo import study

    to = study.folder(out)
    with console(stderr=True).status("experiments"):
        findings = study.run(seed)
    console().print(study.table(findings))
    for path in study.write(findings, to, seed=seed):
        console().print(f"wrote {path}", soft_wrap=True)


def prepare(folder: Path, names: tuple[str, ...]) -> None:
    """Make the folder, and find out now, not after minutes, whether files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"{folder}: cannot be made: {atomic.reason(error)}"
        raise atomic.OutputError(text) from error
    for name in names:
        atomic.check_output(folder / name)


def _params(path: Path | None, *, x_rays: bool) -> tuple[str, str]:
    """Name and text of the parameter file that is left beside the results."""
    from arraycon.demo import presets

    if path is None:
        return "params.yaml", presets.X_RAYS if x_rays else presets.ELECTRONS
    return f"params{path.suffix.lower()}", existing(path).read_bytes().decode("utf-8", "replace")


def _preset(text: str) -> Constraints:
    import yaml

    return Constraints(yaml.safe_load(text))


def _doses(text: str | None) -> tuple[float, ...]:
    """Read fractions of the counts, largest first."""
    if text is None:
        return DOSES
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


def _simulated(
    constraints: Constraints, dose: float | None, scan: int, slices: int | None,
    modes: int | None, iterations: int, seed: int,
) -> Plan:  # fmt: skip
    from arraycon.demo import simulate, with_truth
    from arraycon.demo.reconstruct import Settings

    slices = slices or 6
    experiment = simulate.Experiment(scan=scan, slices=slices, seed=seed)
    if dose is not None:
        experiment = replace(experiment, dose=dose)
    settings = Settings(
        modes=modes or 3, slices=slices, iterations=iterations, seed=seed, batch=32,
        object_step=1.0, regularisation=1.0, position_step=1.0, mode_power=0.15,
    )  # fmt: skip
    data, truth = simulate.simulate(experiment)
    about = f"simulated, {experiment.dose:g} electrons per Å²"
    tasks = with_truth.tasks(data, settings, constraints)
    return Plan(data, truth, (1.0,), settings, constraints, tasks, about)


def _loaded(
    constraints: Constraints, path: Path, truth: Path | None, doses: tuple[float, ...],
    slices: int | None, modes: int | None, iterations: int, seed: int, halves: Halves,
) -> Plan:  # fmt: skip
    from arraycon.demo import loading, with_truth, without_truth
    from arraycon.demo.reconstruct import Settings

    slices = slices or (1 if path.suffix == ".npz" else 6)
    data = loading.load(path, slices)
    if slices == 1:
        settings = Settings(modes=modes or 3, iterations=iterations, seed=seed)
    else:
        settings = Settings(
            modes=modes or 4, slices=slices, iterations=iterations, seed=seed, batch=32,
            object_step=1.0, regularisation=1.0,
        )  # fmt: skip
    if truth is None:
        tasks = without_truth.tasks(data, settings, constraints, doses, split=halves.value)
        about = f"{path.name}, halves of the {halves.value}"
        return Plan(data, None, doses, settings, constraints, tasks, about)
    known = loading.load_truth(truth, slices)
    fraction = 1.0 if doses is DOSES else doses[-1]
    if fraction < 1:
        data = data.thin(fraction, np.random.default_rng(seed))[0]
    tasks = with_truth.tasks(data, settings, constraints)
    about = path.name if fraction == 1 else f"{path.name}, {100 * fraction:g} % of the counts"
    return Plan(data, known, (fraction,), settings, constraints, tasks, about)


@contextlib.contextmanager
def _progress(plan: Plan) -> Iterator[Any]:
    """Bars with the running error; what is given back is told each iteration."""
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
        yield lambda name, error: progress.update(bars[name], advance=1, error=error)


def _finish(
    plan: Plan, results: Mapping[str, Result], out: Path, params: tuple[str, str], seconds: float
) -> None:
    """Judge, print, and write everything."""
    from arraycon.demo import figures, with_truth, without_truth

    if plan.truth is not None:
        aligned = with_truth.align(results, plan.data, plan.truth)
        rows = with_truth.judge(results, plan.data, plan.truth, aligned)
        drawn = figures.with_truth(aligned, results, plan.data, title=plan.about)
        headings: tuple[str, ...] = with_truth.HEADINGS
        kept: tuple[str, ...] = with_truth.NAMES
    else:
        curves = without_truth.rings(results, plan.data, plan.doses)
        rows = without_truth.judge(results, curves)
        drawn = figures.without_truth(curves, results, plan.data, title=plan.about)
        headings = without_truth.HEADINGS
        kept = tuple(without_truth.WHOLE.values())
    table = _table(rows, headings)
    console().print(table)
    console().print(f"{len(results)} reconstructions in {seconds:.1f} s", soft_wrap=True)
    _write(out, drawn, table)
    for name, key in zip(("unconstrained.npz", "constrained.npz"), kept, strict=True):
        io.save(out / name, results[key].state)
    atomic.write_text(out / params[0], params[1])
    atomic.write_text(out / "demo.json", json.dumps(_record(plan, results, rows), indent=1) + "\n")


def _table(rows: Mapping[str, tuple[float | None, ...]], headings: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("quantity", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, values in rows.items():
        table.add_row(name, *("" if value is None else number(value) for value in values))
    return table


def _write(out: Path, drawn: Figure, table: Table) -> None:
    with figure.saved(drawn, out / "figure.png"):
        pass
    path = out / "table.txt"
    with atomic.replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        plain = Console(file=file, width=110, no_color=True, markup=False, force_terminal=False)
        plain.print(table)


def _record(plan: Plan, results: Mapping[str, Result], rows: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters used and numbers found; no times, so that equal seeds give equal files."""
    return {
        "about": plan.about,
        "settings": asdict(plan.settings),
        "doses": plan.doses,
        "constraints": str(plan.constraints),
        "metrics": {name: list(values) for name, values in rows.items()},
        "errors": {name: list(result.errors) for name, result in results.items()},
    }
