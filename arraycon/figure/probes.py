"""Probe modes: brightness is the amplitude, hue the phase, with a wheel of hues and a scale bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_SMALL, _NORMAL = 8, 9
# of the height of a panel: the wheel beside the last one
_WHEEL = 0.42


def draw(part: Any, probes: Mapping[str, tuple[Any, Any]], title: str, *, dx: float | None) -> None:
    """Draw modes in a row for each heading, each mode's share of the intensity above it.

    Parameters
    ----------
    part : SubFigure
        Where they go.
    probes : mapping of str to pair of arrays
        By heading: modes (number, ny, nx), complex, and their shares of the intensity.
    title : str
        Above all.
    dx : float or None
        Pixel size in Å; None for a scale bar in px.
    """
    shown = min(len(modes) for modes, _ in probes.values())
    # a narrow column for the wheel
    ratios = (*[1.0] * shown, 0.6)
    panels = part.subplots(len(probes), shown + 1, squeeze=False, width_ratios=ratios)
    for row, (heading, (modes, shares)) in zip(panels, probes.items(), strict=True):
        for axes, mode, share in zip(row, modes, shares, strict=False):
            axes.imshow(phase_hue(mode), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"{100 * share:.3g} %", fontsize=_SMALL)
        row[0].set_ylabel(heading, fontsize=_NORMAL)
        row[-1].set_axis_off()
    first = next(iter(probes.values()))[0]
    scale_bar(panels[-1][0], first.shape[-1], dx)
    hue_wheel(panels[-1][-1])
    part.suptitle(title, fontsize=10, x=0.01, ha="left")


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


def hue_wheel(axes: Any) -> None:
    """Draw what the colours of `phase_hue` mean: angle is the phase, radius the amplitude."""
    axis = np.linspace(-1, 1, 65)
    disc = axis[None, :] - 1j * axis[:, None]  # rows count downwards
    inside = np.abs(disc) <= 1
    image = np.where(inside[..., None], phase_hue(np.where(inside, disc, 0)), 1.0)
    wheel = axes.inset_axes((0.1, 0.5 - _WHEEL / 2, 0.8, _WHEEL))
    wheel.imshow(image, extent=(-1, 1, -1, 1), interpolation="bilinear")
    wheel.set_axis_off()
    for text, x, y in (
        ("0", 1.3, 0.0),
        ("π/2", 0.0, 1.35),
        ("±π", -1.45, 0.0),
        ("−π/2", 0.0, -1.4),
    ):
        wheel.text(x, y, text, ha="center", va="center", fontsize=_SMALL - 1, clip_on=False)


def scale_bar(axes: Any, width: int, dx: float | None) -> None:
    """Draw a bar of a round length into an image that is `width` pixels wide."""
    length, unit = round_length(width * (dx or 1.0) / 3), "Å" if dx else "px"
    pixels = length / (dx or 1.0)
    low, high = axes.get_ylim()
    y, x = low + 0.08 * (high - low), 0.06 * width
    axes.plot([x, x + pixels], [y, y], color="white", lw=2, solid_capstyle="butt")
    axes.text(
        x + pixels / 2, y + 0.03 * (high - low), f"{length:g} {unit}",
        color="white", fontsize=_SMALL - 1, ha="center", va="bottom",
    )  # fmt: skip


def round_length(most: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is no longer."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(digit * power for digit in (5, 2, 1) if digit * power <= most * (1 + 1e-9))
