"""Constraints that couple the object's amplitude to its phase."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from arraycon.kernels.agnostic.coupling import GUARD, SMALLEST_AMPLITUDE
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device
from arraycon.kernels.gpu.tools.sums import MOST, add_up, of_blocks

# Blocks whose sums one last block adds up.
_SUMS = 1024
# Elements for each thread at least: the sums stay below 1 % of the object.
_PER_THREAD = 4


@on_device
def complex_ratio(
    amplitude: Array,
    phase: Array,
    *,
    alpha1: float,
    alpha2: float,
    sums: Array | None = None,
) -> None:
    """Pull ln(amplitude) and phase towards one common ratio."""
    size, floor = amplitude.size, float(SMALLEST_AMPLITUDE)
    grid = blocks(-(-size // _PER_THREAD), most=_SUMS)
    moduli = cupy.empty((2, grid), np.float64)
    weights = cupy.empty(2, amplitude.dtype)
    launch("coupling", "sum_moduli", amplitude, grid, amplitude, phase, size, floor, *moduli)
    numbers = alpha1, alpha2, GUARD
    launch("coupling", "find_weights", amplitude, 1, *moduli, grid, *numbers, weights)
    keep = float(1 - alpha1), float(1 - alpha2)
    given = size, floor, *keep, weights
    _change(amplitude, (amplitude, phase), sums, "mix", "mix_measured", *given)


@on_device
def mirrored_amp(
    amplitude: Array,
    phase: Array,
    *,
    relax: float,
    scale: float,
    power: float,
    sums: Array | None = None,
) -> None:
    """Relax the amplitude towards what the positive phase predicts."""
    size = amplitude.size
    squarings = {1.0: 0, 2.0: 1, 4.0: 2}.get(power, -1)
    numbers = size, relax, 1 - relax, scale, power, squarings
    _change(amplitude, (amplitude, phase), sums, "absorb", "absorb_measured", *numbers)


def _change(
    like: Array,
    both: tuple[Array, Array],
    sums: Array | None,
    plain: str,
    measured: str,
    *numbers: Any,
) -> None:
    if sums is None:
        launch("coupling", plain, like, blocks(like.size), *both, *numbers)
        return
    grid = blocks(-(-like.size // _PER_THREAD), most=MOST)
    parts = of_blocks(grid, len(sums))
    pointers = (row for part in parts for row in part)
    launch("coupling", measured, like, grid, *both, *numbers, *pointers)
    add_up(like, parts, sums)
