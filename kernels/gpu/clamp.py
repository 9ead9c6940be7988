"""Ranges of the object's amplitude and phase."""

from __future__ import annotations

import math
from typing import Any

import cupy

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device
from arraycon.kernels.gpu.tools.sums import MOST, add_up, of_blocks

# Blocks whose minima one last block compares.
_MINIMA = 1024
# Elements that a thread changes at a time, of four bytes; fewer, of eight, only go round once more.
_PIECE = 4


@on_device
def obja_thresh(
    amplitude: Array, *, relax: float, thresh: tuple[float, float], sums: Array | None = None
) -> None:
    """Relax the amplitude into a range."""
    _clip(amplitude, sums, relax, *thresh)


@on_device
def objp_thresh(
    phase: Array, *, relax: float, thresh: tuple[float, float], sums: Array | None = None
) -> None:
    """Relax the phase into a range."""
    _clip(phase, sums, relax, *thresh)


@on_device
def objp_postiv(phase: Array, *, relax: float, mode: str, sums: Array | None = None) -> None:
    """Relax the phase towards non-negative values."""
    if mode == "clip_neg":
        _clip(phase, sums, relax, 0.0, math.inf)
        return
    grid = blocks(phase.size, most=_MINIMA)
    minima = cupy.empty(grid, phase.dtype)
    least = cupy.empty(1, phase.dtype)
    launch("clamp", "block_minima", phase, grid, phase, phase.size, minima)
    launch("clamp", "block_minima", phase, 1, minima, grid, least)
    numbers = float(relax), float(1 - relax), least
    _change(phase, sums, "subtract_minimum", "subtract_measured", *numbers)


def _clip(x: Array, sums: Array | None, relax: float, low: float, high: float) -> None:
    _change(x, sums, "clip", "clip_measured", relax, 1 - relax, low, high)


def _change(x: Array, sums: Array | None, plain: str, measured: str, *numbers: Any) -> None:
    pieces = -(-x.size // _PIECE)
    if sums is None:
        launch("clamp", plain, x, blocks(pieces), x, x.size, *numbers)
        return
    grid = blocks(pieces, most=MOST)
    parts = of_blocks(grid)
    launch("clamp", measured, x, grid, x, x.size, *numbers, *parts[0])
    add_up(x, parts, sums)
