"""Chart of the speed-ups, for the README."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from arraycon.bench import reporting
from arraycon.bench.peers import PLAIN, PTYRAD
from arraycon.bench.session import Bench

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {PTYRAD: "#3b6fb6", PLAIN: "#d9822b"}
_LABELS = {PTYRAD: "PtyRAD", PLAIN: "plain NumPy and SciPy"}
_DPI = 150
_BAR = 0.38


def save(bench: Bench, path: Path) -> None:
    """Write the chart as PNG."""
    draw(bench).savefig(path, format="png", dpi=_DPI)


def draw(bench: Bench) -> Figure:
    """Horizontal bars of the speed-up over PtyRAD and over plain NumPy, by constraint."""
    from matplotlib.figure import Figure

    names = list(bench.measurements)
    figure = Figure(figsize=(7.5, 1.6 + 0.38 * (len(names) + 1)), layout="constrained")
    axes = figure.add_subplot()
    means = reporting.geometric_means(bench)
    peers = [peer for peer in _COLOURS if peer in means]
    for index, peer in enumerate(peers):
        offset = (index - (len(peers) - 1) / 2) * _BAR
        _bars(axes, bench, peer, means[peer], offset)
    _finish(axes, [*names, "geometric mean"])
    axes.set_title("How many times faster arraycon is", loc="left", weight="bold")
    # two lines, because a processor's name can be long
    about = reporting.title(bench).replace("; ", "\n", 1)
    axes.set_xlabel(about, fontsize=8, loc="left")
    if reporting.is_disturbed(bench):
        axes.set_title("disturbed: not to be quoted", loc="right", color="#b03030", fontsize=9)
    if peers:
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9)
    return figure


def _bars(axes: Any, bench: Bench, peer: str, mean: float, offset: float) -> None:
    values = [
        one.ratios[peer].median if peer in one.ratios else None
        for one in bench.measurements.values()
    ]
    label = f"than {_LABELS[peer]}"
    for row, value in enumerate([*values, mean]):
        if value is None:
            continue
        y = row + offset
        axes.barh(y, value - 1, left=1, height=_BAR, color=_COLOURS[peer], label=label)
        label = "_nolegend_"
        # beside the bar's end on the side away from 1
        axes.annotate(
            f"{reporting.factor(value)}×",
            (max(value, 1), y), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7,
        )  # fmt: skip


def _finish(axes: Any, names: list[str]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.get_yticklabels()[-1].set_weight("bold")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axhline(len(names) - 1.5, color="0.8", linewidth=0.8)
    axes.axvline(1, color="0.3", linewidth=0.8)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}×"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
