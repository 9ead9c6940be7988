"""Scores of all candidates in one figure; only matplotlib's object interface is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from arraycon.tuning.judging import Tuning

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOUR, _CHOSEN, _PALE = "#3b6fb6", "#d9822b", "#b9c4d4"


def draw(tuning: Tuning, *, title: str = "") -> Figure:
    """Held-out deviance, agreement of the halves, and Q; the suggestion is marked.

    Parameters
    ----------
    tuning : Tuning
        What was tried.
    title : str
        Heading, taken literally.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    trials = tuning.trials
    figure = Figure(figsize=(11, 1.8 + 0.36 * len(trials)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, fontweight="bold", parse_math=False)
    least = min(trial.held_out for trial in trials)
    columns = {
        "held-out": ("held-out deviance per pattern,\nabove the least (less is better)",
                     [trial.held_out - least for trial in trials]),
        "halves": ("correlation of two halves\n(more is better)",
                   [trial.agreement for trial in trials]),
        "Q": ("misfit Q", [trial.misfit for trial in trials]),
    }  # fmt: skip
    panels = figure.subplots(1, len(columns), sharey=True)
    for axes, (judge, (label, values)) in zip(panels, columns.items(), strict=True):
        _points(axes, tuning, values, believed=judge == tuning.judge)
        axes.set_xlabel(label + (" · decides" if judge == tuning.judge else ""), fontsize=9)
    panels[-1].axvline(1, color="0.6", lw=0.8)
    panels[0].set_yticks(range(len(trials)), [trial.name for trial in trials], fontsize=8)
    panels[0].invert_yaxis()
    return figure


def _points(axes: Any, tuning: Tuning, values: list[float], *, believed: bool) -> None:
    rows = np.arange(len(values))
    finite = np.isfinite(values)
    shown = np.where(finite, values, np.nan)
    axes.plot(shown, rows, "o", color=_COLOUR if believed else _PALE, ms=6)
    for row in rows[~finite]:
        axes.text(0.5, row, "diverged", transform=axes.get_yaxis_transform(), fontsize=8,
                  ha="center", va="center")  # fmt: skip
    if tuning.suggested is not None:
        row = tuning.trials.index(tuning.suggested)
        axes.plot(shown[row], row, "o", mfc="none", mec=_CHOSEN, mew=2, ms=12)
    axes.grid(axis="y", color="0.92")
    axes.tick_params(labelsize=8)
