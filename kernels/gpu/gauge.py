"""Freedoms of the model that the intensities do not fix: object modes, scale."""

from __future__ import annotations

from collections.abc import Callable, Generator

import cupy
import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu import modes
from arraycon.kernels.gpu.tools import levels
from arraycon.kernels.gpu.tools.launch import launch, on_device
from arraycon.kernels.gpu.tools.sums import add_up, of_blocks, planes_grid


@on_device
def ortho_omode(obj: Array) -> Array:
    """Make the object modes orthogonal, strongest first; return the unitary that does it."""
    return modes.ortho_pmode(obj[:, 0])


@on_device
def obj_probe_scale(
    amplitude: Array,
    probe: Array,
    weight: Array | None = None,
    *,
    target: float,
    relax: float,
    sums: Array | None = None,
) -> Generator[None, None, Array]:
    """Scale every slice to an rms amplitude, and the probe by what they lose; return by what."""
    nz, plane = amplitude.shape[-3], amplitude.shape[-2] * amplitude.shape[-1]
    planes = amplitude.reshape(-1, plane)
    weights = levels.weights_of(weight, amplitude)
    powers, add = levels.plane_sums(planes, weights, squares=True)
    factors, inverse, product = (cupy.empty(n, np.float64) for n in (nz, nz, 1))
    numbers = probe.view(probe.real.dtype).reshape(1, -1)
    scale_object = _scaling(planes, inverse, None if sums is None else sums[:1])
    scale_probe = _scaling(numbers, product, None if sums is None else sums[1:])
    yield
    add()
    given = powers, len(planes) // nz, nz, powers.shape[1], target, 1 - relax
    launch("gauge", "scale_factors", planes, 1, *given, factors, inverse, product)
    scale_object()
    scale_probe()
    return factors


def _scaling(planes: Array, factors: Array, sums: Array | None) -> Callable[[], None]:
    """Return what multiplies planes by their factors, which begin again behind the last one."""
    grid = planes_grid(*planes.shape, measured=sums is not None)
    parts = None if sums is None else of_blocks(grid[0] * grid[1])
    given = planes, *planes.shape, factors, len(factors)

    def work() -> None:
        if sums is None or parts is None:
            launch("gauge", "scale", planes, grid, *given)
            return
        launch("gauge", "scale_measured", planes, grid, *given, *parts[0])
        add_up(planes, parts, sums)

    return work
