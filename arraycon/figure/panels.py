"""The panels of the before/after figure: maps, probe modes, depth profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

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


def _draw_modes(part: Any, before: Snapshot, after: Snapshot) -> None:
    shown, total = len(before.modes), len(before.powers)
    panels = part.subplots(2, shown, squeeze=False)
    for row, (heading, state) in zip(panels, (("before", before), ("after", after)), strict=True):
        for index, (axes, mode) in enumerate(zip(row, state.modes, strict=True)):
            axes.imshow(phase_hue(mode), interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(f"{100 * state.powers[index]:.3g} %", fontsize=_SMALL)
        row[0].set_ylabel(heading, fontsize=_NORMAL)
    some = f"first {shown} of {total}" if total > shown else f"{total}"
    width = before.modes.shape[-1]
    across = f"{width * before.dx:.3g} Å" if before.dx else f"{width} px"
    part.suptitle(
        f"probe modes ({some}), {across} wide: brightness = amplitude, % = share of the intensity",
        fontsize=10, x=0.01, ha="left",
    )  # fmt: skip
    _draw_hue_bar(part, panels)


def _draw_hue_bar(part: Any, panels: Sequence[Any]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = part.colorbar(
        ScalarMappable(Normalize(-np.pi, np.pi), "hsv"), ax=panels, shrink=0.8, aspect=28, pad=0.02
    )
    bar.set_ticks([-np.pi, 0, np.pi], labels=["−π", "0", "π"])
    bar.set_label("phase (rad)", fontsize=_SMALL)
    bar.ax.tick_params(labelsize=_SMALL)


def phase_hue(mode: Any) -> Any:
    """RGB image of a complex mode: brightness is the amplitude, hue the phase.

    Parameters
    ----------
    mode : array, shape (py, px), complex

    Returns
    -------
    array, shape (py, px, 3)
        Values in [0, 1].
    """
    from matplotlib import colormaps

    amplitude = np.abs(mode).astype(np.float64)
    peak = float(amplitude.max()) or 1.0
    hue = colormaps["hsv"]((np.angle(mode) + np.pi) / (2 * np.pi))[..., :3]
    return hue * (amplitude / peak)[..., None]


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
