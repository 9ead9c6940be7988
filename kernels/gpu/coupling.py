"""Constraints that couple the object's amplitude to its phase."""

from __future__ import annotations

import cupy
import numpy as np

from arraycon.kernels.agnostic.coupling import GUARD, SMALLEST_AMPLITUDE
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device

# Blocks whose sums one last block adds up.
_SUMS = 1024
# Elements for each thread at least: the sums stay below 1 % of the object.
_PER_THREAD = 4


@on_device
def complex_ratio(amplitude: Array, phase: Array, *, alpha1: float, alpha2: float) -> None:
    """Pull ln(amplitude) and phase towards one common ratio."""
    size, floor = amplitude.size, float(SMALLEST_AMPLITUDE)
    grid = blocks(-(-size // _PER_THREAD), most=_SUMS)
    sums = cupy.empty((2, grid), np.float64)
    weights = cupy.empty(2, amplitude.dtype)
    launch("coupling", "sum_moduli", amplitude, grid, amplitude, phase, size, floor, *sums)
    numbers = alpha1, alpha2, GUARD
    launch("coupling", "find_weights", amplitude, 1, *sums, grid, *numbers, weights)
    keep = float(1 - alpha1), float(1 - alpha2)
    launch(
        "coupling", "mix", amplitude, blocks(size), amplitude, phase, size, floor, *keep, weights
    )


@on_device
def mirrored_amp(
    amplitude: Array, phase: Array, *, relax: float, scale: float, power: float
) -> None:
    """Relax the amplitude towards what the positive phase predicts."""
    size = amplitude.size
    squarings = {1.0: 0, 2.0: 1, 4.0: 2}.get(power, -1)
    numbers = relax, 1 - relax, scale, power
    launch(
        "coupling", "absorb", amplitude, blocks(size), amplitude, phase, size, *numbers, squarings
    )
