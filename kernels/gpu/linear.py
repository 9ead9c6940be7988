"""Linear filters of the object: all but two are cases of one multiplication of spectra."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cupy
import numpy as np

from arraycon.kernels.agnostic.tools import notch
from arraycon.kernels.agnostic.tools.transfer import HIGHEST
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.gpu.tools import transfer
from arraycon.kernels.gpu.tools.batches import at_a_time
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device
from arraycon.kernels.gpu.tools.sums import MOST, add_up, of_blocks

# As the kernel numbers them.
_EVERYWHERE = {"mirror": transfer.LATERALLY | transfer.IN_DEPTH, "periodic": 0}
_EDGES = {"butterworth": 0, "gaussian": 1, "hard": 2}


@on_device
def obj_gaussian(
    obj: Array,
    *,
    dx: float,
    sigma: float,
    sigma_z: float,
    slice_thickness: float,
    boundary: str,
    relax: float,
) -> Iterator[None]:
    """Gaussian blur of widths in Å."""
    item = _item(obj, 3 if sigma_z > 0 else 2)
    mirrored = _EVERYWHERE[boundary]
    numbers: list[float] = []
    steps = _steps(item, (slice_thickness, dx, dx), mirrored)
    for step, width in zip(steps, (sigma_z, sigma, sigma), strict=True):
        scale = math.pi * width
        numbers += [step, 40 / scale if scale > 0 else 0.0, scale]
    if sigma > 0:
        yield from transfer.filtered(obj, "gaussian", item, *numbers, keep=relax, mirrored=mirrored)
        return
    depth, none = numbers[:3], (0.0,) * 6
    yield from transfer.filtered_depth(
        obj, "gaussian", *none, *depth, keep=relax, mirrored=mirrored > 0
    )


@on_device
def obj_bandpass(
    obj: Array,
    *,
    dx: float,
    q_lowpass: float | None,
    q_highpass: float | None,
    shape: str,
    order: float,
    dims: str,
    slice_thickness: float,
    boundary: str,
    relax: float,
) -> Iterator[None]:
    """Low-pass, high-pass or both, laterally or over the volume."""
    item, mirrored = _item(obj, 3 if dims == "volume" else 2), _EVERYWHERE[boundary]
    steps = _steps(item, (slice_thickness, dx, dx), mirrored)
    numbers = *steps, q_lowpass or 0.0, q_highpass or 0.0, _EDGES[shape], order
    yield from transfer.filtered(obj, "band", item, *numbers, keep=relax, mirrored=mirrored)


@on_device
def obj_wedge(
    obj: Array,
    *,
    dx: float,
    slice_thickness: float,
    semiangle: float,
    q_floor: float,
    boundary: str,
    relax: float,
) -> Iterator[None]:
    """Damp depth frequencies outside the cone that the data reach."""
    item, mirrored = _item(obj, 3), transfer.IN_DEPTH if boundary == "mirror" else 0
    steps = _steps(item, (slice_thickness, dx, dx), mirrored)
    numbers = *steps, math.tan(semiangle / 1000) ** 2, min(q_floor, HIGHEST) ** 2
    yield from transfer.filtered(obj, "damp_depth", item, *numbers, keep=relax, mirrored=mirrored)


@on_device
def grid_notch(
    obj: Array,
    *,
    dx: float,
    period: tuple[float, float],
    window: float,
    direction: str,
    rotation: float,
    relax: float,
) -> Iterator[None]:
    """Remove windows of each slice's spectrum, which the device finds: no mask has to be sent."""
    ny, nx = obj.shape[-2:]
    stop = scratch_memory(cupy.empty, (ny, nx // 2 + 1), np.uint8, where=obj.device)
    most_y, most_x = notch.limits(period, dx)
    orders = 0 if direction == "x" else most_y, 0 if direction == "y" else most_x
    number = notch.harmonics(period, dx, direction)
    if direction == "axes":
        number += 1  # the kernel comes by the mean on either axis
    angle = math.radians(rotation)
    harmonics = number, *orders, int(direction == "axes"), dx, *period, window
    numbers = relax, 1 / (ny * nx)

    def multiply(x: Array) -> None:
        grid, columns = blocks(x[0].size), x.shape[-1]
        launch("linear", "stop_windows", x, grid, x, len(x), ny, nx, columns, stop, *numbers)

    halves = transfer.multiplied(obj, 2, multiply)
    next(halves)
    yield
    stop[...] = 0
    grid = blocks(number, threads=1)
    turn = math.cos(angle), math.sin(angle)
    launch("linear", "mark_windows", obj, grid, stop, ny, nx, *harmonics, *turn)
    yield from halves


@on_device
def identical_slices(obj: Array, *, relax: float, sums: Array | None = None) -> Iterator[None]:
    """Mean over depth in every slice."""
    real = obj.real.dtype
    nz, plane = obj.shape[-3], obj.shape[-2] * obj.shape[-1] * (obj.itemsize // real.itemsize)
    volumes = obj.view(real).reshape(-1, nz, plane)
    columns = len(volumes) * plane
    given = volumes, *volumes.shape, relax, (1 - relax) / nz
    grid = blocks(columns) if sums is None else blocks(columns, most=MOST)
    partial = None if sums is None else of_blocks(grid)
    yield
    if sums is None or partial is None:
        launch("linear", "equal_slices", volumes, grid, *given)
        return
    launch("linear", "equal_slices_measured", volumes, grid, *given, *partial[0])
    add_up(volumes, partial, sums)


@on_device
def obj_smooth(
    obj: Array, *, alpha: float, relax: float, sums: Array | None = None
) -> Iterator[None]:
    """Mix each pixel with its neighbours, beside a copy of as many slices as the L2 cache holds."""
    real = obj.real.dtype
    parts = obj.itemsize // real.itemsize
    ny, nx = obj.shape[-2], obj.shape[-1] * parts
    slices = obj.view(real).reshape(-1, ny, nx)
    number = at_a_time(len(slices), slices[0].nbytes, of=slices[0].nbytes)
    old = scratch_memory(cupy.empty, (number, ny, nx), real, where=obj.device)
    batches = [slices[i : i + number] for i in range(0, len(slices), number)]
    share = (1 - relax) * alpha
    given = ny, nx, parts, 1 - 9 * share, share
    grid = blocks(old.size) if sums is None else blocks(old.size, most=MOST)
    partial = None if sums is None else of_blocks(len(batches) * grid)
    yield
    for i, x in enumerate(batches):
        old[: len(x)] = x
        if sums is None or partial is None:
            launch("linear", "smooth", slices, grid, x, old, len(x), *given)
        else:
            rows = partial[0][:, i * grid : (i + 1) * grid]
            launch("linear", "smooth_measured", slices, grid, x, old, len(x), *given, *rows)
    if sums is not None and partial is not None:
        add_up(slices, partial, sums)


def _item(obj: Array, axes: int) -> transfer.Item:
    ny, nx = obj.shape[-2:]
    return (obj.shape[-3] if axes == 3 else 1), ny, nx


def _steps(
    item: transfer.Item, spacing: tuple[float, float, float], mirrored: int
) -> tuple[float, ...]:
    """Distances between frequencies along each axis, 1/Å."""
    axes = transfer.IN_DEPTH, transfer.LATERALLY, transfer.LATERALLY
    numbers = (
        (n, d, 2 if mirrored & axis else 1) for n, d, axis in zip(item, spacing, axes, strict=True)
    )
    return tuple(1 / max(times * n * d, n / HIGHEST) for n, d, times in numbers)
