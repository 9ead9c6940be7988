"""Linear filters of the object: one multiplication of spectra where all axes are periodic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import cupy
import numpy as np

from arraycon.kernels.agnostic.tools import notch
from arraycon.kernels.agnostic.tools.transfer import HIGHEST
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.dispatch import serving
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.gpu.tools import spectra, transforms
from arraycon.kernels.gpu.tools.batches import at_a_time
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device
from arraycon.kernels.gpu.tools.sums import MOST, add_up, of_blocks

# As the kernel numbers them.
_EDGES = {"butterworth": 0, "gaussian": 1, "hard": 2}


def _periodic(options: dict[str, Any]) -> bool:
    return bool(options["boundary"] == "periodic")


# in depth alone, where sigma is 0, columns must not touch each other
@serving(lambda options: _periodic(options) and options["sigma"] > 0)
@on_device
def obj_gaussian(
    obj: Array,
    *,
    dx: float,
    sigma: float,
    sigma_z: float,
    slice_thickness: float,
    boundary: str,  # noqa: ARG001  `serving` has seen it
    relax: float,
) -> Iterator[None]:
    """Gaussian blur of widths in Å."""
    shape = _item(obj, 3 if sigma_z > 0 else 2)
    numbers: list[float] = []
    for n, spacing, width in zip(
        shape, (slice_thickness, dx, dx), (sigma_z, sigma, sigma), strict=True
    ):
        scale = math.pi * width
        numbers += [_step(n, spacing), 40 / scale if scale > 0 else 0.0, scale]
    yield from _by_transfer(obj, "gaussian", shape, relax, *numbers)


@serving(_periodic)
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
    boundary: str,  # noqa: ARG001  `serving` has seen it
    relax: float,
) -> Iterator[None]:
    """Low-pass, high-pass or both, laterally or over the volume."""
    item = _item(obj, 3 if dims == "volume" else 2)
    steps = map(_step, item, (slice_thickness, dx, dx))
    cutoffs = q_lowpass or 0.0, q_highpass or 0.0
    yield from _by_transfer(obj, "band", item, relax, *steps, *cutoffs, _EDGES[shape], order)


@serving(_periodic)
@on_device
def obj_wedge(
    obj: Array,
    *,
    dx: float,
    slice_thickness: float,
    semiangle: float,
    q_floor: float,
    boundary: str,  # noqa: ARG001  `serving` has seen it
    relax: float,
) -> Iterator[None]:
    """Damp depth frequencies outside the cone that the data reach."""
    item = _item(obj, 3)
    steps = map(_step, item, (slice_thickness, dx, dx))
    numbers = math.tan(semiangle / 1000) ** 2, min(q_floor, HIGHEST) ** 2
    yield from _by_transfer(obj, "damp_depth", item, relax, *steps, *numbers)


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

    halves = _multiplied(obj, 2, multiply)
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


def _item(obj: Array, axes: int) -> tuple[int, int, int]:
    """Sizes (nz, ny, nx) of what is filtered at a time; nz is 1 for slices."""
    ny, nx = obj.shape[-2:]
    return (obj.shape[-3] if axes == 3 else 1), ny, nx


def _step(n: int, spacing: float) -> float:
    """Distance between frequencies, 1/Å."""
    return 1 / max(n * spacing, n / HIGHEST)


def _by_transfer(
    obj: Array, name: str, item: tuple[int, int, int], relax: float, *numbers: float
) -> Iterator[None]:
    """Filter items by relax + (1 - relax)·T, of which a kernel knows T by some numbers."""
    norm = 1 / math.prod(item)
    given = relax * norm, (1 - relax) * norm, *numbers

    def multiply(x: Array) -> None:
        launch("linear", name, x, blocks(x[0].size), x, len(x), *item, x.shape[-1], *given)

    axes = 2 if item[0] == 1 else 3
    return _multiplied(obj, axes, multiply)


def _multiplied(obj: Array, axes: int, multiply: Callable[[Array], None]) -> Iterator[None]:
    """Multiply spectra over the last axes; complex arrays are transformed in place."""
    items = obj.reshape(-1, *obj.shape[-axes:])
    number = spectra.at_a_time(items)
    batches = [items[i : i + number] for i in range(0, len(items), number)]
    if obj.dtype.kind == "c":
        for x in (batches[0], batches[-1]):
            transforms.prepare_complex(x, axes=axes)
        yield
        for x in batches:
            transforms.fft(x, axes=axes)
            multiply(x)
            transforms.fft(x, axes=axes, inverse=True)
        return
    memory, spare = spectra.memory(items[:number]), spectra.spare(batches)
    for x in (batches[0], batches[-1]):
        transforms.prepare(x, memory[: len(x)], axes=axes)
    yield
    for x in batches:
        some = memory[: len(x)]
        spectra.forward(x, some, spare)
        multiply(some)
        spectra.inverse(some, x, spare)
