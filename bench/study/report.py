"""The study as a table for the screen, as JSON and as a Markdown page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from arraycon.io.atomic import write_text
from arraycon.plain import plain
from study import scenes
from study.finding import Finding, Trial

FORMAT = 1
FILES = ("study.txt", "study.json", "study.md")
_WIDTH = 110
_STYLES = {"better": "green", "worse": "red", "same": "dim"}
_ARROWS = {"lower": "↓", "higher": "↑"}
_LEGEND = "↓ lower is better, ↑ higher is better; same: less than 3 % apart"
_INTRODUCTION = """\
# What each constraint is for, and when it hurts

Made by `python bench/make_study.py --seed {seed}`. Each experiment makes a small situation from a
seed, applies one constraint by its public function and measures one quantity without and with it.
The situations hold one defect each, so the numbers show what a constraint does and not what a
reconstruction gains. The first line of a constraint is the case that it is made for. The others are
limits: settings that do not fit, assumptions that do not hold, and defaults that cost something.

200 kV, a probe of {probe:.0f} mrad on a detector of {detector:.0f} mrad, pixels of {dx:g} Å, slices
of {slice_thickness:g} Å. Noise of a dose is 1/(2√N) rad for N electrons in a pixel. “defaults” are
the constraint's own. The missing wedge is idealised: it depends on the detector's angle alone.

{legend}.
"""


def table(findings: Sequence[Finding]) -> RenderableType:
    """Rich table of all trials, with a legend."""
    head = _grid()
    head.add_row("situation [settings]", "measure", "without", "with", "", style="bold")
    parts: list[RenderableType] = [head, Rule(style="dim")]
    for finding in findings:
        parts.append(Text.assemble((finding.constraint, "bold"), f": {finding.shows}"))
        rows = _grid()
        for trial in (finding.helps, *finding.limits):
            situation = Text(trial.when).append(f" [{trial.settings}]", style="cyan")
            verdict = Text(trial.verdict, style=_STYLES[trial.verdict])
            rows.add_row(situation, _measure(trial), *_values(trial), verdict)
        parts.append(rows)
    return Group(*parts, Rule(style="dim"), Text(_LEGEND))


def as_json(findings: Sequence[Finding], *, seed: int) -> dict[str, Any]:
    """All findings in what JSON can hold."""
    return {
        "format": FORMAT,
        "seed": seed,
        "findings": [
            {
                "constraint": finding.constraint,
                "shows": finding.shows,
                "helps": _entry(finding.helps),
                "limits": [_entry(trial) for trial in finding.limits],
            }
            for finding in findings
        ],
    }


def markdown(findings: Sequence[Finding], *, seed: int) -> str:
    """Page with an introduction and the table."""
    introduction = _INTRODUCTION.format(
        seed=seed,
        probe=1e3 * scenes.SEMI_ANGLE,
        detector=1e3 * scenes.DETECTOR_ANGLE,
        dx=scenes.DX,
        slice_thickness=scenes.SLICE_THICKNESS,
        legend=_LEGEND,
    )
    return "\n".join([introduction, *_rows(findings), ""])


def write(findings: Sequence[Finding], to: Path, *, seed: int) -> None:
    """Write `FILES` into a folder.

    Parameters
    ----------
    findings : sequence of Finding
        As `study.run` returned them.
    to : Path
        Folder that exists; files of these names in it are replaced.
    seed : int
        With which the study was run.

    Raises
    ------
    OutputError, WriteError
        The files cannot be written.
    """
    texts = (
        plain(table(findings), _WIDTH),
        json.dumps(as_json(findings, seed=seed), indent=2, ensure_ascii=False) + "\n",
        markdown(findings, seed=seed),
    )
    for name, text in zip(FILES, texts, strict=True):
        write_text(to / name, text)


def _grid() -> Table:
    """Columns that are alike in all tables: each finding is one, below a line that spans it."""
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    for ratio in (3, 2):
        grid.add_column(ratio=ratio, overflow="fold")
    for width in (8, 8, 6):
        grid.add_column(width=width, justify="left" if width == 6 else "right", no_wrap=True)
    return grid


def _rows(findings: Sequence[Finding]) -> Iterator[str]:
    yield "| constraint | situation | settings | measure | without | with | |"
    yield "|---|---|---|---|--:|--:|---|"
    for finding in findings:
        yield f"| **`{finding.constraint}`** | **{finding.shows}** | | | | | |"
        for trial in (finding.helps, *finding.limits):
            cells = (trial.when, trial.settings, _measure(trial), *_values(trial), trial.verdict)
            # a bar ends a cell in Markdown, code or not
            yield f"| | {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _measure(trial: Trial) -> str:
    measure = trial.measure
    unit = f" ({measure.unit})" if measure.unit else ""
    return f"{_ARROWS[measure.better]} {measure.name}{unit}"


def _values(trial: Trial) -> tuple[str, str]:
    return _number(trial.before), _number(trial.after)


def _number(value: float) -> str:
    """Three significant digits; below 10⁻⁴ of its unit a number says no more than that."""
    return "< 0.0001" if 0 < abs(value) < 1e-4 else f"{value:.3g}"


def _entry(trial: Trial) -> dict[str, Any]:
    return {
        "when": trial.when,
        "options": {k: list(v) if isinstance(v, tuple) else v for k, v in trial.options.items()},
        "against": trial.against or None,
        "measure": trial.measure.name,
        "unit": trial.measure.unit,
        "better": trial.measure.better,
        "before": trial.before,
        "after": trial.after,
        "verdict": trial.verdict,
    }
