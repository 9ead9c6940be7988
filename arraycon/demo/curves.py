"""The demo's curves: over iterations, slices and spatial frequencies."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from arraycon.demo.scores import ring_correlation
from arraycon.demo.with_truth import NAMES, Aligned
from arraycon.demo.without_truth import Rings

COLOURS = {"without": "#d9822b", "with": "#3b6fb6"}
TITLES = {"truth": "truth", "without": "without constraints", "with": "with constraints"}
MISFIT = "misfit Q (1: fits to the noise)"
_SMALL = 8
_NEAR = 0.05  # of the height of the axes: less than the height of a label


def progress(part: Any, what: str, curves: Mapping[str, Mapping[str, Any]]) -> Any:
    """Draw curves by reconstruction, and by a label that is written at their end."""
    axes = part.subplots()
    for name, labelled in curves.items():
        for curve in labelled.values():
            line = _iterations(
                axes, name, curve, TITLES[name] if curve is _first(labelled) else None
            )
            if name == "with":
                line.set_linestyle("--")  # it often hides the other one
    if what == MISFIT:
        axes.axhline(1, color="0.6", lw=0.8)
    every = [
        value for labelled in curves.values() for curve in labelled.values() for value in curve
    ]
    if max(every) > 4 * min(every) > 0:
        axes.set_yscale("log", subs=())
        axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
        axes.yaxis.set_major_formatter("{x:g}")
    _ends(axes, curves["with"])
    _legend(axes, "iteration", loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0)
    part.suptitle(what, fontsize=10, x=0.01, ha="left")
    return axes


def _ends(axes: Any, labelled: Mapping[str, Any]) -> None:
    """Write labels at the ends of curves, those of two that end near each other apart."""
    low, high = axes.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    places = {
        label: (axes.transData.transform((len(c), c[-1]))[1] - low) / (high - low)
        for label, c in labelled.items()
    }
    order = sorted(places, key=lambda label: places[label])
    aligned = dict.fromkeys(order, "center")
    for lower, upper in itertools.pairwise(order):
        if places[upper] - places[lower] < _NEAR:
            aligned |= {lower: "top", upper: "bottom"}
    for label, curve in labelled.items():
        axes.annotate(
            label, (len(curve), curve[-1]), (4, 0), textcoords="offset points", fontsize=_SMALL,
            va=aligned[label], annotation_clip=False,
        )  # fmt: skip


def beginnings(axes: Any, began: Mapping[str, int | None]) -> None:
    """Say where curves may jump because a constraint has begun."""
    for name, iteration in began.items():
        if iteration is not None:
            axes.axvline(iteration, color="0.6", lw=0.8, ls=":")
            axes.annotate(
                f"{name} begins", (iteration, 0.55), (3, 0), fontsize=_SMALL, rotation=90,
                xycoords=axes.get_xaxis_transform(), textcoords="offset points", va="center",
                bbox={"fc": "white", "ec": "none", "pad": 0.5}, zorder=1,
            )  # fmt: skip


def _first(curves: Mapping[str, Any]) -> Any:
    return next(iter(curves.values()))


def _iterations(axes: Any, name: str, curve: Any, label: str | None) -> Any:
    (line,) = axes.plot(
        range(1, len(curve) + 1), curve, "o-", ms=3, lw=1.2, color=COLOURS[name], label=label
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    return line


def _legend(axes: Any, along: str, **where: Any) -> None:
    axes.set_xlabel(along, fontsize=_SMALL)
    axes.legend(fontsize=_SMALL, frameon=False, **where)
    axes.tick_params(labelsize=_SMALL, which="both")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def slices(part: Any, aligned: Aligned) -> None:
    """Contrast of each slice that agrees with the truth's, and that does not."""
    axes = part.subplots()
    z = np.arange(len(aligned.truth)) + 1
    axes.plot(z, aligned.truth.std(axis=(1, 2)), "k:o", ms=3, lw=1.2, label="truth")
    for name in NAMES:
        axes.plot(
            z, aligned.found[name].std(axis=(1, 2)), "o-", ms=3, lw=1.2, color=COLOURS[name],
            label=TITLES[name],
        )  # fmt: skip
    if aligned.visible is not None:
        axes.plot(z, aligned.visible.std(axis=(1, 2)), "--", lw=1.2, color="0.5",
                  label="what single scattering can show")  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_xticks(z[:: max(1, len(z) // 8)])
    _legend(axes, "slice", loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0)
    part.suptitle("phase contrast, rms (rad)", fontsize=10, x=0.01, ha="left")


def rings(part: Any, found: Rings) -> None:
    """Draw the ring correlations of halves of the counts, and with counts not used."""
    axes = part.subplots()
    for name in NAMES:
        axes.plot(found.frequency, found.halves[name], lw=1.4, color=COLOURS[name],
                  label=f"halves, {name}")  # fmt: skip
        if found.reference:
            axes.plot(found.frequency, found.reference[name], "--", lw=1.1, color=COLOURS[name],
                      label=f"unseen counts, {name}")  # fmt: skip
    axes.axhline(0.5, color="0.6", lw=0.8)
    axes.set(xlim=(0, 1))
    axes.set_ylim(top=1.02)
    _legend(axes, "spatial frequency (Nyquist)")
    part.suptitle("Fourier ring correlation", fontsize=10, x=0.01, ha="left")


def against_truth(part: Any, images: Mapping[str, Any]) -> None:
    """Ring correlation of the phase, summed over depth, with the truth's."""
    axes = part.subplots()
    for name in NAMES:
        frequency, frc = ring_correlation(images[name], images["truth"])
        axes.plot(frequency, frc, lw=1.4, color=COLOURS[name], label=TITLES[name])
    axes.axhline(0.5, color="0.6", lw=0.8)
    axes.set(xlim=(0, 1))
    axes.set_ylim(top=1.02)
    _legend(axes, "spatial frequency (Nyquist)", loc="lower left")
    part.suptitle("ring correlation with the truth", fontsize=10, x=0.01, ha="left")
