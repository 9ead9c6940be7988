"""The panels of the before/after figure: maps, probe modes, depth profile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from arraycon.figure import probes

if TYPE_CHECKING:
    from arraycon.figure.snapshot import Snapshot

_BLUE, _ORANGE = "#3b6fb6", "#d9822b"
_SMALL, _NORMAL = 8, 9
_EXTEND = {
    (False, False): "neither",
    (True, False): "min",
    (False, True): "max",
    (True, True): "both",
}

Row = tuple[Callable[[Any], None], float]
"""Draws one row into a subfigure; height divided by width of its maps."""


def map_rows(before: Snapshot, after: Snapshot) -> list[Row]:
    """Drawing function and height/width of each row of maps."""
    rows: list[Row] = []
    unit, scale = ("Å", before.dx) if before.dx else ("px", 1.0)

    def lateral(label: str, b: Any, a: Any, cmap: str) -> Row:
        extent = (0.0, b.shape[1] * scale, b.shape[0] * scale, 0.0)
        axes = (f"x ({unit})", f"y ({unit})")
        aspect = float(np.clip(b.shape[0] / b.shape[1], 0.2, 1.6))
        return (lambda part: _compare(part, label, b, a, cmap, extent, axes, None)), aspect

    if before.phase is not None:
        rows.append(lateral("phase summed over depth (rad)", before.phase, after.phase, "magma"))
    if before.amplitude is not None:
        rows.append(
            lateral("amplitude, mean over depth", before.amplitude, after.amplitude, "gray")
        )
    if before.section is not None and before.section.shape[0] > 1:
        rows.append(_section_row(before, after, unit, scale))
    return rows


def _section_row(before: Snapshot, after: Snapshot, unit: str, scale: float) -> Row:
    nz, nx = before.section.shape
    z_unit, z_scale = ("Å", before.slice_thickness) if before.slice_thickness else ("slice", 1.0)
    width, depth = nx * scale, nz * z_scale
    extent = (0.0, width, depth, 0.0)
    # thin specimens would be a line and thick ones a column; outside these bounds z is stretched
    aspect = float(np.clip(depth / width, 0.4, 0.75)) if z_unit == unit else 0.5
    stretch = aspect * width / depth
    note = ""
    if z_unit == unit and not 0.98 < stretch < 1.02:
        note = f", z drawn × {stretch:.2g}"
    label = f"phase per slice (rad) at y = {(before.row + 0.5) * scale:.3g} {unit}{note}"
    axes = (f"x ({unit})", f"z ({z_unit})")
    b, a = before.section, after.section
    return (lambda part: _compare(part, label, b, a, "magma", extent, axes, aspect)), aspect


def _compare(
    part: Any,
    label: str,
    before: Any,
    after: Any,
    cmap: str,
    extent: tuple[float, float, float, float],
    axis_labels: tuple[str, str],
    box: float | None,
) -> None:
    """Three maps: before and after with the same colours, and what changed."""
    panels = part.subplots(1, 3)
    change = after - before
    limits = _limits(np.stack([before, after]))
    span = max(abs(limit) for limit in _limits(change))
    rows = (
        ("before", before, cmap, limits),
        ("after", after, cmap, limits),
        ("after − before", change, "RdBu_r", (-span, span)),
    )
    for axes, (heading, values, colours, (low, high)) in zip(panels, rows, strict=True):
        image = axes.imshow(
            values, cmap=colours, vmin=low, vmax=high, extent=extent, interpolation="nearest",
            aspect="equal" if box is None else "auto",
        )  # fmt: skip
        if box is not None:
            axes.set_box_aspect(box)
        axes.set_title(heading, fontsize=_NORMAL)
        axes.set_xlabel(axis_labels[0], fontsize=_SMALL)
        axes.tick_params(labelsize=_SMALL)
        clipped = _EXTEND[bool(values.min() < low), bool(values.max() > high)]
        bar = part.colorbar(image, ax=axes, shrink=0.9, aspect=22, pad=0.02, extend=clipped)
        bar.ax.tick_params(labelsize=_SMALL)
        bar.formatter.set_powerlimits((-3, 4))
        bar.ax.yaxis.get_offset_text().set_fontsize(_SMALL)
    panels[0].set_ylabel(axis_labels[1], fontsize=_SMALL)
    part.suptitle(label, fontsize=10, x=0.01, ha="left")


def _limits(values: Any) -> tuple[float, float]:
    """Colour limits that a few bright pixels do not decide; never equal."""
    low, high = (float(limit) for limit in np.percentile(values, (0.1, 99.9)))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    if high <= low:
        margin = abs(low) * 1e-3 or 1e-3
        return low - margin, high + margin
    return low, high


def draw_foot(part: Any, before: Snapshot, after: Snapshot) -> None:
    """Draw the probe modes, and beside them the depth profile."""
    if before.modes is None:
        _draw_profile(part.subplots(1, 1), before, after)
        return
    if before.profile is None:
        _draw_modes(part, before, after)
        return
    left, right = part.subfigures(1, 2, width_ratios=(1.9, 1.0))
    _draw_modes(left, before, after)
    _draw_profile(right.subplots(1, 1), before, after)


def draw_alone(figure: Any, seen: Snapshot) -> None:
    """Draw what there is of one state: maps beside each other, and probe modes below."""
    unit, scale = ("Å", seen.dx) if seen.dx else ("px", 1.0)
    depth, step = ("Å", seen.slice_thickness) if seen.slice_thickness else ("slice", 1.0)
    maps = [
        ("phase summed over depth (rad)", seen.phase, "magma", f"y ({unit})", scale),
        ("amplitude, mean over depth", seen.amplitude, "gray", f"y ({unit})", scale),
        ("phase per slice (rad)", seen.section, "magma", f"z ({depth})", step),
    ]
    maps = [each for each in maps if each[1] is not None]
    heights = [1.0] * bool(maps) + [1.0] * (seen.modes is not None)
    parts = figure.subfigures(len(heights), 1, squeeze=False).ravel()
    if maps:
        for axes, (title, image, colours, label, height) in zip(
            parts[0].subplots(1, len(maps), squeeze=False)[0], maps, strict=True
        ):
            low, high = _limits(image)
            extent = (0.0, image.shape[1] * scale, image.shape[0] * height, 0.0)
            drawn = axes.imshow(
                image, cmap=colours, vmin=low, vmax=high, extent=extent, interpolation="nearest",
                aspect="equal" if image is not seen.section else "auto",
            )  # fmt: skip
            axes.set_title(title, fontsize=_NORMAL)
            axes.set_xlabel(f"x ({unit})", fontsize=_SMALL)
            axes.set_ylabel(label, fontsize=_SMALL)
            axes.tick_params(labelsize=_SMALL)
            parts[0].colorbar(drawn, ax=axes, shrink=0.8).ax.tick_params(labelsize=_SMALL)
    if seen.modes is not None:
        shown = {"": (seen.modes, seen.powers)}
        probes.draw(parts[-1], shown, "probe modes: brightness = amplitude, % = share of the "
                    "intensity", dx=seen.dx)  # fmt: skip


def _draw_modes(part: Any, before: Snapshot, after: Snapshot) -> None:
    shown, total = len(before.modes), len(before.powers)
    some = f"first {shown} of {total}" if total > shown else f"{total}"
    states = (("before", before), ("after", after))
    probes.draw(
        part,
        {heading: (state.modes, state.powers) for heading, state in states},
        f"probe modes ({some}): brightness = amplitude, % = share of the intensity",
        dx=before.dx,
    )


def _draw_profile(axes: Any, before: Snapshot, after: Snapshot) -> None:
    thickness = before.slice_thickness or 1.0
    z = (np.arange(len(before.profile)) + 0.5) * thickness
    axes.plot(z, before.profile, "o-", color=_BLUE, ms=4, lw=1.2, label="before")
    axes.plot(z, after.profile, "s-", color=_ORANGE, ms=4, lw=1.2, label="after")
    axes.set_xlabel("z (Å)" if before.slice_thickness else "z (slice)", fontsize=_SMALL)
    axes.set_ylabel("mean phase (rad)", fontsize=_SMALL)
    axes.set_title("depth profile: mean phase per slice", fontsize=10, loc="left")
    axes.tick_params(labelsize=_SMALL)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=_SMALL, frameon=False)
