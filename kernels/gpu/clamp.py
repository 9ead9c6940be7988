"""Ranges of the object's amplitude and phase."""

from __future__ import annotations

import math

import cupy

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device

# Blocks whose minima one last block compares.
_MINIMA = 1024
# Elements that a thread changes at a time, of four bytes; fewer, of eight, only go round once more.
_PIECE = 4


@on_device
def obja_thresh(amplitude: Array, *, relax: float, thresh: tuple[float, float]) -> None:
    """Relax the amplitude into a range."""
    _clip(amplitude, relax, *thresh)


@on_device
def objp_postiv(phase: Array, *, relax: float, mode: str) -> None:
    """Relax the phase towards non-negative values."""
    if mode == "clip_neg":
        _clip(phase, relax, 0.0, math.inf)
        return
    grid = blocks(phase.size, most=_MINIMA)
    minima = cupy.empty(grid, phase.dtype)
    least = cupy.empty(1, phase.dtype)
    launch("clamp", "block_minima", phase, grid, phase, phase.size, minima)
    launch("clamp", "block_minima", phase, 1, minima, grid, least)
    weights = float(relax), float(1 - relax)
    grid = blocks(-(-phase.size // _PIECE))
    launch("clamp", "subtract_minimum", phase, grid, phase, phase.size, *weights, least)


def _clip(x: Array, relax: float, low: float, high: float) -> None:
    numbers = relax, 1 - relax, low, high
    launch("clamp", "clip", x, blocks(-(-x.size // _PIECE)), x, x.size, *numbers)
