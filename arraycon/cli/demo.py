"""``arraycon demo``: reconstruct without and with constraints, and compare."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from arraycon.cli import signals
from arraycon.cli.backends import Backend, require_gpu
from arraycon.cli.errors import console, reported, shown_warnings, warn
from arraycon.cli.job import existing
from arraycon.io import atomic, ptyrad
from arraycon.params.files import READERS
from arraycon.pipeline import Constraints

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
            "use. Without --truth several, 1,0.01; the two results that are written are of all.",
        ),
    ] = None,
    scan: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=4, max=64, help="Simulated positions per side; by default 24."),
    ] = None,
    slices: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1,
            max=36,
            help="Object slices; by default 6, or the nearest number that the truth allows; "
            "of .npz data 1.",
        ),
    ] = None,
    step: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            min=0.01,
            max=100,
            help="Step of the object; without it 1, for strong crystals up to 3, the thicker the "
            "longer, of .npz data 0.9.",
        ),
    ] = None,
    source_size: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            min=0,
            max=10,
            help="Standard deviation of the source's image in Å; by default what the file says "
            "(source_size_sigma_A). 0: unknown.",
        ),
    ] = None,
    modes: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1,
            max=20,
            help="Probe modes; by default 3, of .h5 data 4, where the source is known 6.",
        ),
    ] = None,
    iterations: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1,
            help="Passes over the data; by default 18, of .h5 data 24, strong crystals 28, few "
            "counts 12, of .npz data 12.",
        ),
    ] = None,
    halves: Annotated[
        Optional[Halves],  # noqa: UP045
        typer.Option(help="What of the data is halved without a truth; by default the counts."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    backend: Annotated[
        Backend, typer.Option(help="Array library that computes; cupy needs an NVIDIA GPU.")
    ] = Backend.numpy,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there already.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails.")
    ] = False,
) -> None:
    """Reconstruct a data set twice, without and with constraints, and compare.

    Simulated 4D-STEM data by default. A figure, a table, both results and the parameters go to a
    folder.
    """
    from arraycon import presets as kinds
    from arraycon.demo import plan as plans
    from arraycon.demo import report

    with reported(debug=debug):
        _refuse("--data", data, {"--scan": scan})
        _refuse("no --data", data is None, {"--truth": truth, "--halves": halves})
        _refuse("--truth", truth, {"--halves": halves})
        xp = require_gpu("--backend cupy") if backend is Backend.cupy else np
        given = None if params is None else _text(params)
        with shown_warnings():
            constraints = Constraints.from_file(params) if params else None
        asked = {"modes": modes, "iterations": iterations, "seed": seed, "source_size": source_size}
        chosen = {name: value for name, value in asked.items() if value is not None}
        wanted = plans.Wanted(chosen, slices, step, constraints)
        inputs = [path for path in (data, truth, params) if path is not None]
        atomic.check_folder(out, report.FILES, keep=inputs, replace=force)
        with console(stderr=True).status("data, and a first pass"):
            if data is None:
                plan = plans.simulated(wanted, scan=scan or 24, dose=_electrons(dose), xp=xp)
            elif truth is None:
                split = (halves or Halves.counts).value
                plan = plans.measured(wanted, data, doses=_fractions(dose), split=split, xp=xp)
            else:
                plan = plans.known(wanted, data, truth, dose=_fraction(dose), xp=xp)
        given = kinds.text(plan.chosen.kind) if given is None else given
        # not to the output, which may be closed: results come first
        console(stderr=True).print(plan.chosen.why, soft_wrap=True)
        textual = params is not None and params.suffix.lower() in READERS
        used = f"used_params{params.suffix.lower() if params and textual else '.yaml'}"
        # the parameters may be the file that was given: it then stays as it is
        written = (*report.FILES, used) if _differs(out / used, given) else report.FILES
        atomic.output_folder(out, written, keep=inputs, replace=force)
        plan, results, judged, seconds = _done(plan, xp, shorten=step is None)
        with console(stderr=True).status("figure and files"):
            signals.hold()
            with shown_warnings():
                report.write(judged, plan, results, out, replace=force)
                if used in written:
                    atomic.write_text(out / used, given, replace=force)
        console().print(report.table(judged))
        if plan.idle:
            idle = f"{', '.join(plan.idle)}: not due within {plan.settings.iterations} iterations"
            console().print(idle, soft_wrap=True)
        for line in report.beginnings(judged, plan):
            console().print(line, soft_wrap=True)
        console().print(f"{len(results)} reconstructions in {seconds:.1f} s", soft_wrap=True)
        for name in written:
            console().print(f"wrote {out / name}", soft_wrap=True)


def _refuse(what: str, there: object, options: Mapping[str, object]) -> None:
    """Refuse options that would be ignored beside another one."""
    unused = [name for name, value in options.items() if value is not None]
    if there and unused:
        raise ValueError(f"{', '.join(unused)}: expected none with {what}")


def _text(path: Path) -> str:
    """Parameter file, of which a copy is left beside the results."""
    if ptyrad.recognises(existing(path)):
        import yaml

        return str(yaml.safe_dump(ptyrad.parameters(path), sort_keys=False))
    return path.read_bytes().decode("utf-8", "replace")


def _differs(path: Path, text: str) -> bool:
    """Whether a file is not there, or holds something else."""
    return not path.is_file() or path.read_bytes() != text.encode("utf-8", "replace")


def _fractions(text: str | None) -> tuple[float, ...] | None:
    """Read fractions of the counts, largest first."""
    if text is None:
        return None
    found = sorted({_number(part) for part in text.split(",")}, reverse=True)
    if not all(0 < value <= 1 for value in found):
        raise ValueError(f"--dose: expected fractions of the counts, above 0 to 1, got {text!r}")
    if len({f"{value:g}" for value in found}) < len(found):
        raise ValueError(f"--dose: expected fractions that differ in six digits, got {text!r}")
    return tuple(found)


def _fraction(text: str | None) -> float:
    found = _fractions(text) or (1.0,)
    if len(found) > 1:
        raise ValueError(f"--dose: expected one fraction of the counts with --truth, got {text!r}")
    return found[0]


def _electrons(text: str | None) -> float | None:
    if text is None:
        return None
    value = _number(text)
    if not 0 < value < 1e9:
        raise ValueError(f"--dose: expected electrons per Å², above 0 and below 1e9, got {text!r}")
    return value


def _number(text: str) -> float:
    """Read a number; NaN, which is in no interval, where there is none."""
    try:
        return float(text)
    except ValueError:
        return np.nan


def _done(plan: Plan, xp: Any, *, shorten: bool) -> tuple[Plan, dict[str, Result], Report, float]:
    """Reconstruct, where it diverges with shorter steps if that is allowed."""
    try:
        return plan, *_reconstruct(plan, xp)
    except FloatingPointError as error:
        gentler = plan.gentler() if shorten else None
        if gentler is None:
            raise
        warn(f"{error}; now with a step of {gentler.settings.object_step:g}")
    return _done(gentler, xp, shorten=shorten)


def _reconstruct(plan: Plan, xp: Any) -> tuple[dict[str, Result], Report, float]:
    """Do what is planned, with bars that show the running error, and judge it; with the seconds."""
    from arraycon.demo import report, runs, with_truth

    watch = with_truth.Watch(plan.data, plan.truth) if plan.truth is not None else None
    told: Counter[str] = Counter()
    with _progress(plan) as show:

        def tell(name: str, going: Reconstruction) -> None:
            signals.look()
            show(name, going)
            for text in going.warnings[told[name] :]:
                warn(f"{name}: {text}")
                told[name] += 1
            if watch is not None:
                watch(name, going)

        begun = time.perf_counter()
        results = runs.run(plan.tasks, xp=xp, tell=tell)
        seconds = time.perf_counter() - begun
    if watch is None:
        return results, report.of_halves(plan, results), seconds
    return results, report.against_truth(plan, results, watch), seconds


@contextlib.contextmanager
def _progress(plan: Plan) -> Iterator[Tell]:
    """Bars with the running error; what is given back is to be told of each iteration."""
    bar = console(stderr=True)
    if not bar.is_terminal:
        yield lambda *_: None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[error]:12}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=bar, transient=True) as progress:
        names, each = list(plan.tasks), plan.settings.iterations
        alone = len(names) <= _BARS
        if alone:
            bars = {name: progress.add_task(name, total=each, error="") for name in names}
        else:
            one = progress.add_task("reconstructions", total=each * len(names), error="")
            bars = dict.fromkeys(names, one)

        def show(name: str, going: Reconstruction) -> None:
            # the errors of several doses have nothing in common
            error = f"error {going.errors[-1]:.4f}" if alone else ""
            progress.update(bars[name], advance=1, error=error)

        yield show
