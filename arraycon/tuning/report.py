"""What a tuning leaves behind: a table, a figure, the numbers, the suggested parameters."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from arraycon import figure
from arraycon.io import atomic
from arraycon.params import ConstraintParams
from arraycon.plain import number, plain
from arraycon.tuning import figures
from arraycon.tuning.judging import Trial, Tuning

FILES = ("table.txt", "figure.png", "trials.json", "suggested.yaml")
DOUBT = "no ground: "
"""How a line of `words` begins that speaks against the suggestion."""
_WIDTH = 110


def table(tuning: Tuning, correlations: Mapping[str, float] | None = None) -> Table:
    """Table of all trials, with both scores, and the rank by each.

    Parameters
    ----------
    tuning : Tuning
        What was tried.
    correlations : mapping, optional
        Correlation with a truth by candidate, where there is one.
    """
    made = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    made.add_column("candidate", overflow="fold")
    headings = ("Q", "held-out deviance", "rank", "halves", "rank")
    for heading in (*headings, *(("truth",) if correlations else ()), ""):
        made.add_column(heading, justify="right")
    for trial in tuning.trials:
        scores = (
            number(trial.misfit), f"{trial.held_out:.6g}", str(tuning.rank(trial, "held-out")),
            f"{trial.agreement:.4f}", str(tuning.rank(trial, "halves")),
        )  # fmt: skip
        truth = (f"{correlations[trial.name]:.3f}",) if correlations else ()
        mark = "suggested" if trial is tuning.suggested else ""
        made.add_row(trial.name, *scores, *truth, mark)
    return made


def words(tuning: Tuning) -> list[str]:
    """Say in lines what is suggested, why, and what speaks against it."""
    because = {
        "held-out": "noise limits (Q < 1 without constraints): held-out counts decide",
        "halves": "the model limits (Q ≥ 1 without constraints): the agreement of two halves "
        "decides, among candidates with Q up to 1.1 times the smallest",
    }
    lines = [because[tuning.judge]]
    if tuning.suggested is not None:
        lines.append(f"suggested: {tuning.suggested.name}")
    return [*lines, *(f"{DOUBT}{doubt}" for doubt in tuning.doubts)]


def parameters(trial: Trial | None) -> str:
    """Parameter file of a trial; it says itself which constraints are off."""
    import yaml

    if trial is None:
        return "# nothing could be suggested: every reconstruction diverged\n"
    given: dict[str, Any] = {}
    if trial.constraints is not None:
        params = trial.constraints.params
        blocks = params.blocks()
        given = {name: blocks[name].model_dump(mode="json", exclude_unset=True)
                 for name in blocks if name in params.given and blocks[name].enabled}  # fmt: skip
    # in a file, what is left out may be on
    off = {name: None for name, block in ConstraintParams().blocks().items()
           if block.enabled and name not in given}  # fmt: skip
    return f"# suggested: {trial.name}\n" + str(yaml.safe_dump(given | off, sort_keys=False))


def numbers(tuning: Tuning, correlations: Mapping[str, float] | None = None) -> dict[str, Any]:
    """All numbers for a file in JSON; null where a reconstruction diverged."""
    suggested = tuning.suggested
    return {
        "judge": tuning.judge,
        "suggested": None if suggested is None else suggested.name,
        "doubts": list(tuning.doubts),
        "trials": [
            {
                "name": trial.name,
                "constraints": str(trial.constraints or "none"),
                "Q": _finite(trial.misfit),
                "held_out_deviance": _finite(trial.held_out),
                "halves": _finite(trial.agreement),
                "rank_held_out": tuning.rank(trial, "held-out"),
                "rank_halves": tuning.rank(trial, "halves"),
                "truth": correlations.get(trial.name) if correlations else None,
            }
            for trial in tuning.trials
        ],
    }


def write(
    tuning: Tuning, folder: Path, *, title: str = "",
    correlations: Mapping[str, float] | None = None, replace: bool = True,
) -> None:  # fmt: skip
    """Write `FILES` into a folder that exists.

    Raises
    ------
    OutputError, WriteError
        The files cannot be written.
    """
    text, picture, record, suggested = (folder / name for name in FILES)
    with figure.saved(figures.draw(tuning, title=title), picture, replace=replace):
        pass
    lines = "".join(f"{line}\n" for line in words(tuning))
    content = plain(table(tuning, correlations), _WIDTH) + lines
    atomic.write_text(text, content, replace=replace)
    found = json.dumps(numbers(tuning, correlations), indent=1, allow_nan=False, ensure_ascii=False)
    atomic.write_text(record, found + "\n", replace=replace)
    atomic.write_text(suggested, parameters(tuning.suggested), replace=replace)


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
