"""The demo's figures; only matplotlib's object interface is used."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from arraycon.demo.dataset import Dataset
from arraycon.demo.reconstruct import Result
from arraycon.demo.scores import correlation
from arraycon.demo.with_truth import NAMES, Aligned, Watch
from arraycon.demo.without_truth import Rings, field, key
from arraycon.figure.panels import phase_hue

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {"without": "#d9822b", "with": "#3b6fb6"}
_TITLES = {"truth": "truth", "without": "without constraints", "with": "with constraints"}
_SMALL, _NORMAL = 8, 9
_MODES_SHOWN = 4
_NEAR = 0.05  # of the height of the axes: less than the height of a label
_MISFIT = "misfit Q (1: fits to the noise)"


def with_truth(
    aligned: Aligned,
    results: Mapping[str, Result],
    data: Dataset,
    watch: Watch,
    *,
    began: Mapping[str, int | None] | None = None,
    title: str = "",
) -> Figure:
    """Truth and both reconstructions: projection, layers, depth section; probe modes; curves.

    Parameters
    ----------
    aligned, results, data, watch
        As of `arraycon.demo.with_truth`.
    began : mapping, optional
        Iteration at which constraints began that waited for the error.
    title : str
        Heading, taken literally.
    """
    images = {"truth": aligned.truth, **{name: aligned.found[name] for name in NAMES}}
    rows = [("summed over depth", {n: phase.sum(axis=0) for n, phase in images.items()})]
    several = len(aligned.truth) > 1
    if several:
        rows += [
            (f"slice {z + 1}", {n: phase[z] for n, phase in images.items()}) for z in aligned.layers
        ]
    heights = [2.9] * len(rows) + [1.9] * several + [2.9, 2.6]
    figure = _new(10, sum(heights), title)
    parts = _parts(figure, heights)
    dx = data.dx or 1.0
    for part, (label, maps) in zip(parts, rows, strict=False):
        if label.startswith("slice") and data.slice_thickness:
            z = int(label.split()[1]) - 1
            label += f", z = {z * data.slice_thickness:g} to {(z + 1) * data.slice_thickness:g} Å"
        _maps(part, f"phase, {label} (rad)", maps, dx, "Å" if data.dx else "px")
    if several:
        _sections(parts[-3], images, data)
    left, right = parts[-2].subfigures(1, 2, width_ratios=(1.5, 1))
    _modes(left, {name: results[name].state.probe for name in NAMES})
    _slices(right, aligned)
    curves: dict[str, Mapping[str, Mapping[str, Any]]] = {
        "intensity error": {name: {"": results[name].errors} for name in NAMES},
        _MISFIT: {name: {"": results[name].misfits} for name in NAMES},
        "correlation with truth, summed over depth": {n: {"": watch.curves[n]} for n in NAMES},
    }
    for part, (what, drawn) in zip(parts[-1].subfigures(1, 3), curves.items(), strict=True):
        _beginnings(_progress(part, what, drawn), began or {})
    return figure


def without_truth(
    curves: Mapping[float, Rings], results: Mapping[str, Result], data: Dataset, *, title: str = ""
) -> Figure:
    """Both reconstructions and their ring correlations at each dose; modes and error curves."""
    doses = list(curves)
    figure = _new(11, 3.1 * len(doses) + 3.6, title)
    parts = _parts(figure, [3.1] * len(doses) + [3.6])
    scale, unit = (data.dx, "Å") if data.dx else (1.0, "px")
    for part, dose in zip(parts, doses, strict=False):
        left, right = part.subfigures(1, 2, width_ratios=(2.1, 1))
        images = {n: field(results[key(dose, n, "A")], data) for n in NAMES}
        phases = {n: np.angle(o * np.exp(-1j * np.angle(o.mean()))) for n, o in images.items()}
        share = 50 * dose
        _maps(left, f"phase (rad) from {share:g} % of the counts", phases, scale, unit)
        _rings(right, curves[dose])
    left, middle, right = parts[-1].subfigures(1, 3, width_ratios=(1.1, 1, 1))
    last = doses[-1]
    probes = {n: results[key(last, n, "A")].state.probe for n in NAMES}
    _modes(left, probes, f" ({50 * last:g} % of the counts)")
    at = {f"{50 * d:g} %": {n: results[key(d, n, "A")] for n in NAMES} for d in doses}
    errors = {n: {label: pair[n].errors for label, pair in at.items()} for n in NAMES}
    misfits = {n: {label: pair[n].misfits for label, pair in at.items()} for n in NAMES}
    _progress(middle, "intensity error", errors)
    _progress(right, _MISFIT, misfits)
    return figure


def _new(width: float, height: float, title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, fontweight="bold", parse_math=False)
    return figure


def _parts(figure: Figure, heights: list[float]) -> Any:
    """One part of the figure below the other."""
    return figure.subfigures(len(heights), 1, height_ratios=heights, hspace=0.02)


def _limits(images: Mapping[str, Any]) -> tuple[float, float]:
    """Colour limits without the few brightest pixels, one pair for all, the truth's if known.

    What is spread over several slices is weak in each, and is to look so.
    """
    shown = [images["truth"]] if "truth" in images else list(images.values())
    low, high = (float(v) for v in np.percentile(np.stack(shown), (0.5, 99.7)))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _bar(part: Any, drawn: Any, axes: Any) -> None:
    """One bar for a row, whose panels have one scale."""
    bar = part.colorbar(drawn, ax=list(axes), shrink=0.9, aspect=22, pad=0.01)
    bar.ax.tick_params(labelsize=_SMALL)


def _maps(part: Any, label: str, images: Mapping[str, Any], scale: float, unit: str) -> None:
    limits = _limits(images)
    axes = part.subplots(1, len(images), squeeze=False)[0]
    for ax, (name, image) in zip(axes, images.items(), strict=True):
        extent = (0, image.shape[1] * scale, image.shape[0] * scale, 0)
        drawn = ax.imshow(image, cmap="magma", clim=limits, extent=extent)
        score = ""
        if "truth" in images and name != "truth":
            score = f", r = {correlation(image, images['truth']):.3f}"
        ax.set_title(_TITLES[name] + score, fontsize=_NORMAL)
        ax.tick_params(labelsize=_SMALL)
        ax.set_xlabel(f"x ({unit})", fontsize=_SMALL)
    axes[0].set_ylabel(f"y ({unit})", fontsize=_SMALL)
    _bar(part, drawn, axes)
    part.suptitle(label, fontsize=10, x=0.01, ha="left")


def _sections(part: Any, images: Mapping[str, Any], data: Dataset) -> None:
    """Phase along the row with most contrast in truth, slice by slice."""
    truth = images["truth"]
    row = int(truth.std(axis=2).sum(axis=0).argmax())
    cut = {name: phase[:, row] for name, phase in images.items()}
    limits = _limits(cut)
    dx, thickness = data.dx or 1.0, data.slice_thickness or 1.0
    axes = part.subplots(1, len(images))
    for ax, (name, section) in zip(axes, cut.items(), strict=True):
        extent = (0, section.shape[1] * dx, section.shape[0] * thickness, 0)
        drawn = ax.imshow(
            section, cmap="magma", clim=limits, extent=extent, aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
        ax.set_title(_TITLES[name], fontsize=_NORMAL)
        ax.tick_params(labelsize=_SMALL)
        ax.set_xlabel("x (Å)", fontsize=_SMALL)
    axes[0].set_ylabel("z (Å)", fontsize=_SMALL)
    _bar(part, drawn, axes)
    part.suptitle(f"phase per slice (rad) at y = {row * dx:.3g} Å", fontsize=10, x=0.01, ha="left")


def _modes(part: Any, probes: Mapping[str, Any], of: str = "") -> None:
    every = min(len(probe) for probe in probes.values())
    shown = min(_MODES_SHOWN, every)
    panels = part.subplots(len(probes), shown, squeeze=False)
    for row, (name, probe) in zip(panels, probes.items(), strict=True):
        powers = np.sum(np.abs(probe) ** 2, axis=(1, 2), dtype=np.float64)
        powers /= powers.sum()
        for ax, mode, power in zip(row, probe, powers, strict=False):
            ax.imshow(phase_hue(mode), interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{100 * power:.3g} %", fontsize=_SMALL)
        row[0].set_ylabel(name, fontsize=_NORMAL)
    of = f", {shown} of {every}{of}" if shown < every else of
    text = f"probe modes{of}\nbrightness amplitude, hue phase"
    part.suptitle(text, fontsize=10, x=0.01, ha="left")


def _progress(part: Any, what: str, curves: Mapping[str, Mapping[str, Any]]) -> Any:
    """Draw curves by reconstruction, and by a label that is written at their end."""
    axes = part.subplots()
    for name, labelled in curves.items():
        for curve in labelled.values():
            line = _iterations(
                axes, name, curve, _TITLES[name] if curve is _first(labelled) else None
            )
            if name == "with":
                line.set_linestyle("--")  # it often hides the other one
    if what == _MISFIT:
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


def _beginnings(axes: Any, began: Mapping[str, int | None]) -> None:
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
        range(1, len(curve) + 1), curve, "o-", ms=3, lw=1.2, color=_COLOURS[name], label=label
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    return line


def _legend(axes: Any, along: str, **where: Any) -> None:
    axes.set_xlabel(along, fontsize=_SMALL)
    axes.legend(fontsize=_SMALL, frameon=False, **where)
    axes.tick_params(labelsize=_SMALL, which="both")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _slices(part: Any, aligned: Aligned) -> None:
    """Contrast of each slice that agrees with the truth's, and that does not."""
    axes = part.subplots()
    z = np.arange(len(aligned.truth)) + 1
    axes.plot(z, aligned.truth.std(axis=(1, 2)), "k:o", ms=3, lw=1.2, label="truth")
    for name in NAMES:
        axes.plot(
            z, aligned.found[name].std(axis=(1, 2)), "o-", ms=3, lw=1.2, color=_COLOURS[name],
            label=_TITLES[name],
        )  # fmt: skip
    if aligned.visible is not None:
        axes.plot(z, aligned.visible.std(axis=(1, 2)), "--", lw=1.2, color="0.5",
                  label="what single scattering can show")  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_xticks(z[:: max(1, len(z) // 8)])
    _legend(axes, "slice", loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0)
    part.suptitle("phase contrast, rms (rad)", fontsize=10, x=0.01, ha="left")


def _rings(part: Any, rings: Rings) -> None:
    axes = part.subplots()
    for name in NAMES:
        axes.plot(rings.frequency, rings.halves[name], lw=1.4, color=_COLOURS[name],
                  label=f"halves, {name}")  # fmt: skip
        if rings.reference:
            axes.plot(rings.frequency, rings.reference[name], "--", lw=1.1, color=_COLOURS[name],
                      label=f"unseen counts, {name}")  # fmt: skip
    axes.axhline(0.5, color="0.6", lw=0.8)
    axes.set(xlim=(0, 1))
    axes.set_ylim(top=1.02)
    _legend(axes, "spatial frequency (Nyquist)")
    part.suptitle("Fourier ring correlation", fontsize=10, x=0.01, ha="left")
