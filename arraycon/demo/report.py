"""What a plan leaves behind: a table, a figure, both results, and the parameters used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from arraycon import figure, io
from arraycon.demo import figures, with_truth, without_truth
from arraycon.demo.plan import Plan
from arraycon.demo.reconstruct import Result
from arraycon.io import atomic
from arraycon.plain import number, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILES = ("figure.png", "table.txt", "unconstrained.npz", "constrained.npz", "demo.json")
_WIDTH = 120
_SAME = 0.005  # another order of the positions changes correlations by as much
_PERFECT = {
    "mean FRC": 1.0, "FRC > 0.5 up to": 1.0, "largest mode overlap": 0.0,
    "misfit Q over that of noise": 1.0,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Report:
    """The judgement of a plan's results.

    Parameters
    ----------
    rows : dict
        Values of each quantity, as many as `headings`; None where there is none.
    headings : tuple of str
        Above the values.
    drawn : Figure
        The figure.
    kept : tuple of str
        Names of the two results that are written, without and with constraints.
    began : dict
        Iteration at which each constraint that waits for the error began in the second of them;
        None: not at all.
    """

    rows: with_truth.Rows
    headings: tuple[str, ...]
    drawn: Figure
    kept: tuple[str, ...]
    began: dict[str, int | None]


def against_truth(plan: Plan, results: Mapping[str, Result], watch: with_truth.Watch) -> Report:
    """Judge by the truth; `watch` was told of every iteration."""
    aligned = with_truth.align(results, plan.data, watch.truth)
    rows = with_truth.judge(results, plan.data, watch.truth, aligned, watch)
    kept = with_truth.NAMES
    began = plan.begun(results[kept[1]].errors)
    drawn = figures.with_truth(aligned, results, plan.data, watch, began=began, title=plan.about)
    return Report(rows, with_truth.HEADINGS, drawn, kept, began)


def of_halves(plan: Plan, results: Mapping[str, Result]) -> Report:
    """Judge by how well halves of the data agree."""
    curves = without_truth.rings(results, plan.data, plan.doses)
    rows = without_truth.judge(results, curves)
    drawn = figures.without_truth(curves, results, plan.data, title=plan.about)
    kept = tuple(without_truth.WHOLE.values())
    began = plan.begun(results[kept[1]].errors)
    return Report(rows, without_truth.HEADINGS, drawn, kept, began)


def beginnings(report: Report, plan: Plan) -> list[str]:
    """Say when constraints that wait for the error began, or that they did not."""
    late = f"did not begin within {plan.settings.iterations} iterations: the error still fell"
    return [
        f"{name}: " + (late if iteration is None else f"began at iteration {iteration}")
        for name, iteration in report.began.items()
    ]


def mark(name: str, values: tuple[float | None, ...]) -> str:
    """Say whether constraints made a quantity better: nearer to truth, or to what is perfect."""
    without, with_ = values[:2]
    best = values[2] if len(values) > 2 else _PERFECT.get(_quantity(name))
    if without is None or with_ is None or best is None:
        return ""
    gain = abs(without - best) - abs(with_ - best)
    if abs(gain) <= _SAME * max(abs(without), abs(with_)):
        return "same"
    return "better" if gain > 0 else "worse"


def _quantity(name: str) -> str:
    """Part of a row's name that says what is measured, without dose and half."""
    return name.partition(": ")[2].partition(",")[0]


def table(report: Report) -> Table:
    """Table of all quantities; the last column says what constraints made of them."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("quantity", overflow="fold")
    for heading in report.headings:
        # in two lines, so that within 80 columns names need not be folded
        table.add_column(heading.replace(" ", "\n"), justify="right", no_wrap=True)
    table.add_column("")
    for name, values in report.rows.items():
        numbers = ("" if value is None else number(value) for value in values)
        table.add_row(name, *numbers, mark(name, values))
    return table


def write(
    report: Report,
    plan: Plan,
    results: Mapping[str, Result],
    folder: Path,
    *,
    replace: bool = True,
) -> None:
    """Write `FILES` into a folder that exists; `replace` allows them to be there already.

    Raises
    ------
    OutputError, WriteError
        The files cannot be written.
    """
    picture, text, without, constrained, record = (folder / name for name in FILES)
    with figure.saved(report.drawn, picture, replace=replace):
        pass
    atomic.write_text(text, plain(table(report), _WIDTH), replace=replace)
    for path, name in zip((without, constrained), report.kept, strict=True):
        io.save(path, results[name].state, replace=replace)
    # no times, and no digits that depend on the number of BLAS threads: equal seeds, equal files
    numbers = {
        "about": plan.about,
        "chosen": plan.chosen.why,
        "settings": asdict(plan.settings),
        "doses": plan.doses,
        "constraints": str(plan.constraints),
        "metrics": {name: [_six(v) for v in values] for name, values in report.rows.items()},
        "began": report.began,
        "errors": {name: list(result.errors) for name, result in results.items()},
        "misfits": {name: list(result.misfits) for name, result in results.items()},
    }
    content = json.dumps(numbers, indent=1, allow_nan=False) + "\n"
    atomic.write_text(record, content, replace=replace)


def _six(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
