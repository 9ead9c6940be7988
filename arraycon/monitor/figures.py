"""Misfit, changes and shares over the iterations; only matplotlib's object interface is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from arraycon.monitor.history import Effect, Monitored
from arraycon.monitor.judging import RISE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, brown for yellow; more constraints than these get the next line style
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C564B")
_STYLES = ("-", "--", ":")


def draw(history: Sequence[Monitored], *, title: str = "") -> Figure:
    """Q before and after the constraints, its change by each, and what each takes back.

    Parameters
    ----------
    history : sequence of Monitored
        What is drawn.
    title : str
        Heading, taken literally.
    """
    if not history:
        raise ValueError("figure: expected iterations that were monitored, got none yet")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold", parse_math=False)
    misfit, change, share = figure.subplots(1, 3, sharex=True)
    _misfits(misfit, history)
    _lines(change, history, lambda effect: effect.change)
    change.axhline(RISE, color="0.4", lw=0.8, ls="--")
    change.set_title(f"change of Q by each constraint\n(above {RISE} twice: does not agree yet)",
                     fontsize=10)  # fmt: skip
    _lines(share, history, lambda effect: effect.share)
    _all_shares(share, history)
    share.set_title("share of the data step taken back\n(by all and by each)", fontsize=10)
    for axes in (misfit, change, share):
        axes.set_xlabel("iteration", fontsize=9)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8)
    handles, labels = change.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(7, max(1, len(labels))),
                  fontsize=8, frameon=False)  # fmt: skip
    return figure


def _misfits(axes: Any, history: Sequence[Monitored]) -> None:
    iterations = [entry.iteration for entry in history]
    after = [entry.effects[-1].misfit if entry.effects else entry.misfit for entry in history]
    axes.plot(iterations, after, ".-", color="0.55", label="after the constraints")
    axes.plot(iterations, [entry.misfit for entry in history], ".-", color="black",
              label="before the constraints")  # fmt: skip
    axes.axhline(1, color="0.4", lw=0.8, ls="--")
    axes.set_title("misfit Q\n(1: fits to the noise)", fontsize=10)
    axes.legend(fontsize=8, frameon=False)


def _lines(
    axes: Any, history: Sequence[Monitored], value: Callable[[Effect], float | None]
) -> None:
    names = dict.fromkeys(effect.constraint for entry in history for effect in entry.effects)
    for i, name in enumerate(names):
        ran = [(entry.iteration, effect) for entry in history if (effect := entry.of(name))]
        heights = [np.nan if (v := value(effect)) is None else v for _, effect in ran]
        style, colour = _STYLES[i // len(_COLOURS) % len(_STYLES)], _COLOURS[i % len(_COLOURS)]
        axes.plot([at for at, _ in ran], heights, color=colour, ls=style, marker=".", label=name)


def _all_shares(axes: Any, history: Sequence[Monitored]) -> None:
    shares = [np.nan if (v := entry.taken_back) is None else v for entry in history]
    axes.plot([entry.iteration for entry in history], shares, color="0.75", lw=3, zorder=0,
              label="all")  # fmt: skip
    axes.legend(*[[each[-1]] for each in axes.get_legend_handles_labels()], fontsize=8,
                frameon=False)  # fmt: skip
