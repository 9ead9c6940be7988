"""The demo's figures; only matplotlib's object interface is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from arraycon.demo import curves
from arraycon.demo.dataset import Dataset
from arraycon.demo.reconstruct import Result
from arraycon.demo.scores import correlation
from arraycon.demo.with_truth import NAMES, Aligned, Watch
from arraycon.demo.without_truth import Rings, field, key
from arraycon.figure import probes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SMALL, _NORMAL = 8, 9
_MODES_SHOWN = 4


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
    heights = [2.9] * len(rows) + [1.9] * several + [2.9, 2.9, 2.6]
    figure = _new(10, sum(heights), title)
    parts = _parts(figure, heights)
    dx = data.dx or 1.0
    for part, (label, maps) in zip(parts, rows, strict=False):
        if label.startswith("slice") and data.slice_thickness:
            z = int(label.split()[1]) - 1
            label += f", z = {z * data.slice_thickness:g} to {(z + 1) * data.slice_thickness:g} Å"
        _maps(part, f"phase, {label} (rad)", maps, dx, "Å" if data.dx else "px")
    if several:
        _sections(parts[-4], images, data)
    left, right = parts[-3].subfigures(1, 2, width_ratios=(1.8, 1))
    _differences(left, rows[0][1], dx, "Å" if data.dx else "px")
    curves.against_truth(right, rows[0][1])
    left, right = parts[-2].subfigures(1, 2, width_ratios=(1.5, 1))
    _modes(left, {name: results[name].state.probe for name in NAMES}, data.dx)
    curves.slices(right, aligned)
    drawn: dict[str, Mapping[str, Mapping[str, Any]]] = {
        "intensity error": {name: {"": results[name].errors} for name in NAMES},
        curves.MISFIT: {name: {"": results[name].misfits} for name in NAMES},
        "correlation with truth, summed over depth": {n: {"": watch.curves[n]} for n in NAMES},
    }
    for part, (what, each) in zip(parts[-1].subfigures(1, 3), drawn.items(), strict=True):
        curves.beginnings(curves.progress(part, what, each), began or {})
    return figure


def without_truth(
    rings: Mapping[float, Rings], results: Mapping[str, Result], data: Dataset, *, title: str = ""
) -> Figure:
    """Both reconstructions and their ring correlations at each dose; modes and error curves."""
    doses = list(rings)
    figure = _new(11, 3.1 * len(doses) + 3.6, title)
    parts = _parts(figure, [3.1] * len(doses) + [3.6])
    scale, unit = (data.dx, "Å") if data.dx else (1.0, "px")
    for part, dose in zip(parts, doses, strict=False):
        left, right = part.subfigures(1, 2, width_ratios=(2.1, 1))
        images = {n: field(results[key(dose, n, "A")], data) for n in NAMES}
        phases = {n: np.angle(o * np.exp(-1j * np.angle(o.mean()))) for n, o in images.items()}
        share = 50 * dose
        _maps(left, f"phase (rad) from {share:g} % of the counts", phases, scale, unit)
        curves.rings(right, rings[dose])
    left, middle, right = parts[-1].subfigures(1, 3, width_ratios=(1.1, 1, 1))
    last = doses[-1]
    found = {n: results[key(last, n, "A")].state.probe for n in NAMES}
    _modes(left, found, data.dx, f" ({50 * last:g} % of the counts)")
    at = {f"{50 * d:g} %": {n: results[key(d, n, "A")] for n in NAMES} for d in doses}
    errors = {n: {label: pair[n].errors for label, pair in at.items()} for n in NAMES}
    misfits = {n: {label: pair[n].misfits for label, pair in at.items()} for n in NAMES}
    curves.progress(middle, "intensity error", errors)
    curves.progress(right, curves.MISFIT, misfits)
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
        ax.set_title(curves.TITLES[name] + score, fontsize=_NORMAL)
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
        ax.set_title(curves.TITLES[name], fontsize=_NORMAL)
        ax.tick_params(labelsize=_SMALL)
        ax.set_xlabel("x (Å)", fontsize=_SMALL)
    axes[0].set_ylabel("z (Å)", fontsize=_SMALL)
    _bar(part, drawn, axes)
    part.suptitle(f"phase per slice (rad) at y = {row * dx:.3g} Å", fontsize=10, x=0.01, ha="left")


def _modes(part: Any, found: Mapping[str, Any], dx: float | None, of: str = "") -> None:
    every = min(len(probe) for probe in found.values())
    shown = min(_MODES_SHOWN, every)
    drawn = {}
    for name, probe in found.items():
        powers = np.asarray(np.sum(np.abs(probe) ** 2, axis=(1, 2), dtype=np.float64))
        drawn[name] = probe[:shown], powers[:shown] / powers.sum()
    of = f", {shown} of {every}{of}" if shown < every else of
    probes.draw(part, drawn, f"probe modes{of}\nbrightness amplitude, hue phase", dx=dx)


def _differences(part: Any, images: Mapping[str, Any], dx: float, unit: str) -> None:
    """Draw what is found minus the truth, on one scale."""
    left = {name: images[name] - images["truth"] for name in NAMES}
    span = float(np.percentile(np.abs(np.stack(list(left.values()))), 99.7)) or 1.0
    axes = part.subplots(1, len(left))
    for ax, (name, image) in zip(axes, left.items(), strict=True):
        extent = (0, image.shape[1] * dx, image.shape[0] * dx, 0)
        drawn = ax.imshow(image, cmap="RdBu_r", clim=(-span, span), extent=extent)
        rms = float(np.sqrt(np.mean(image**2)))
        ax.set_title(f"{name}, rms {rms:.3f}", fontsize=_NORMAL)
        ax.tick_params(labelsize=_SMALL)
        ax.set_xlabel(f"x ({unit})", fontsize=_SMALL)
    axes[0].set_ylabel(f"y ({unit})", fontsize=_SMALL)
    _bar(part, drawn, axes)
    part.suptitle("difference from the truth (rad)", fontsize=10, x=0.01, ha="left")
