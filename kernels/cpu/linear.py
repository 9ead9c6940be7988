"""Linear filters of the object: all but two are cases of one multiplication of spectra."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from arraycon.kernels.agnostic.tools import notch
from arraycon.kernels.agnostic.tools.transfer import HIGHEST
from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools import alone, elementary, lateral, transfer, volume
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.sums import as_real, keep_values, squares
from arraycon.kernels.cpu.tools.transfer import Transfer

_EDGES = {
    "butterworth": transfer.BUTTERWORTH,
    "gaussian": transfer.GAUSSIAN_EDGE,
    "hard": transfer.HARD,
}
# Fewer numbers than this are averaged in depth, or smoothed, before a second thread has woken up.
_SMALL = 1 << 17
# Numbers of a row of columns that are averaged together: their sums stay in the first-level cache.
_COLUMNS = 1 << 10


def obj_gaussian(
    obj: Array,
    *,
    dx: float,
    sigma: float,
    sigma_z: float,
    slice_thickness: float,
    boundary: str,
    relax: float,
    sums: Array | None = None,
) -> Iterator[None]:
    """Gaussian blur along the axes that have a width."""
    mirror, (ny, nx) = boundary == "mirror", obj.shape[-2:]
    table = gaussian(
        obj,
        dx=dx,
        sigma=sigma,
        sigma_z=sigma_z,
        slice_thickness=slice_thickness,
        boundary=boundary,
        relax=relax,
    )
    depth = table._replace(ky2=np.ones(ny), kx2=np.ones(nx + 1))
    plane = table._replace(kz2=np.ones(1))
    if sigma == 0:
        yield from volume.filtered_depth(obj, depth, mirror=mirror, sums=sums)
    elif sigma_z == 0 and mirror:
        yield from lateral.by_cosines(obj, plane, sums)
    elif sigma_z == 0:
        yield from lateral.by_mask(obj, _half_mask(plane, obj), sums)
    else:
        yield from volume.filtered(obj, table, mirror=mirror, lateral_mirror=mirror, sums=sums)


def gaussian(
    obj: Array,
    *,
    dx: float,
    sigma: float,
    sigma_z: float,
    slice_thickness: float,
    boundary: str,
    relax: float,
) -> Transfer:
    """Return the transfer function of `obj_gaussian`, of which the object's values are no part."""
    mirror = boundary == "mirror"
    nz, (ny, nx) = obj.shape[-3] if sigma_z > 0 else 1, obj.shape[-2:]
    y, x = (_exponentials(n, dx, sigma, mirror=mirror) for n in (ny, nx))
    z = _exponentials(nz, slice_thickness, sigma_z, mirror=mirror)
    if not mirror:
        z = z[: nz // 2 + 1]
        x = x if obj.dtype.kind == "c" else x[: nx // 2 + 1]
    return _table(obj, y, x, z, transfer.GAUSSIAN, relax)


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
    sums: Array | None = None,
) -> Iterator[None]:
    """Low-pass, high-pass or both, laterally or over the volume."""
    mirror = boundary == "mirror"
    table = band(
        obj,
        dx=dx,
        q_lowpass=q_lowpass,
        q_highpass=q_highpass,
        shape=shape,
        order=order,
        dims=dims,
        slice_thickness=slice_thickness,
        boundary=boundary,
        relax=relax,
    )
    if dims == "volume":
        yield from volume.filtered(obj, table, mirror=mirror, lateral_mirror=mirror, sums=sums)
    elif mirror:
        yield from lateral.by_cosines(obj, table, sums)
    else:
        yield from lateral.by_mask(obj, _half_mask(table, obj), sums)


def band(
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
) -> Transfer:
    """Return the transfer function of `obj_bandpass`."""
    mirror = boundary == "mirror"
    ny, nx = obj.shape[-2:]
    nz = obj.shape[-3] if dims == "volume" else 1
    y, x = (_squares(n, dx, mirror=mirror) for n in (ny, nx))
    z = _squares(nz, slice_thickness, mirror=mirror)[: nz if mirror else nz // 2 + 1]
    if not (mirror or obj.dtype.kind == "c"):
        x = x[: nx // 2 + 1]
    return _table(obj, y, x, z, transfer.BAND, relax)._replace(
        low=q_lowpass or 0.0, high=q_highpass or 0.0, edge=_EDGES[shape], order=order
    )


def obj_wedge(
    obj: Array,
    *,
    dx: float,
    slice_thickness: float,
    semiangle: float,
    q_floor: float,
    boundary: str,
    relax: float,
    sums: Array | None = None,
) -> Iterator[None]:
    """Damp depth frequencies: in cycles per sample it is the wedge of `kz_filter`."""
    mirror = boundary == "mirror"
    table = wedge(
        obj,
        dx=dx,
        slice_thickness=slice_thickness,
        semiangle=semiangle,
        q_floor=q_floor,
        boundary=boundary,
        relax=relax,
    )
    yield from volume.filtered(obj, table, mirror=mirror, sums=sums)


def wedge(
    obj: Array,
    *,
    dx: float,
    slice_thickness: float,
    semiangle: float,
    q_floor: float,
    boundary: str,
    relax: float,
) -> Transfer:
    """Return the transfer function of `obj_wedge`."""
    nz, ny, nx = obj.shape[-3:]
    mirror = boundary == "mirror"
    y, x = (transfer.frequencies(n) ** 2 for n in (ny, nx))
    z = transfer.without_repetition(nz, mirror=mirror) ** 2
    x = x if obj.dtype.kind == "c" else x[: nx // 2 + 1]
    # beyond these the limits are reached, and products of them would be NaN
    tangent, floor = max(math.tan(semiangle / 1000), 1e-150), min(q_floor * dx, HIGHEST)
    return _table(obj, y, x, z, transfer.WEDGE, relax)._replace(
        beta=min(dx / slice_thickness, HIGHEST) / tangent, floor=floor * floor
    )


def grid_notch(
    obj: Array,
    *,
    dx: float,
    period: tuple[float, float],
    window: float,
    direction: str,
    rotation: float,
    relax: float,
    sums: Array | None = None,
) -> Iterator[None]:
    """Remove windows of each slice's spectrum."""
    planes = obj.reshape(-1, *obj.shape[-2:])
    _, ny, nx = planes.shape
    stop = notch.stopped(
        ny, nx, dx=dx, period=period, window=window, direction=direction, rotation=rotation
    )
    keep = planes.real.dtype.type(relax)
    if obj.dtype.kind == "f" and alone.are_few(planes):
        mask = np.where(stop, keep, planes.dtype.type(1))
        if (one_by_one := alone.filter_of(planes, mask)) is not None:
            yield from lateral.in_place(one_by_one, planes, sums)
            return

    def work(engine: Any, x: Array, spectrum: Array) -> None:
        engine.rfft2_into(x, spectrum)
        _stop(spectrum, nx // 2 + 1, stop, keep)
        engine.irfft2_into(spectrum, x)

    def work_complex(engine: Any, x: Array, _: Any) -> None:
        engine.fft2_inplace(x)
        _stop(x, nx, stop, keep)
        engine.fft2_inplace(x, inverse=True)

    def buffer(engine: Any) -> Array:
        return engine.spectrum_buffer(ny, nx, planes.dtype)

    if obj.dtype.kind == "c":
        yield from lateral.each(planes, work_complex, sums)
    else:
        yield from lateral.each(planes, work, sums, buffer)


def identical_slices(obj: Array, *, relax: float, sums: Array | None = None) -> Iterator[None]:
    """Mean over depth in every slice, some columns at a time."""
    volumes = as_real(obj).reshape(-1, obj.shape[-3], _numbers_of_a_slice(obj))
    number, nz, columns = volumes.shape
    blocks = -(-columns // _COLUMNS)
    changes = np.zeros((blocks, 2))
    measured = sums is not None

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            for each in volumes:
                changes[i] += _average(each, i * _COLUMNS, relax, measured)

    yield
    threads.run(work, blocks, grain=max(1, _SMALL // (number * nz * _COLUMNS)))
    if sums is not None:
        np.sum(changes, axis=0, out=sums[0])


def obj_smooth(
    obj: Array, *, alpha: float, relax: float, sums: Array | None = None
) -> Iterator[None]:
    """Mix each pixel with its eight neighbours, three rows at a time."""
    parts = 2 if obj.dtype.kind == "c" else 1
    ny, nx = obj.shape[-2:]
    planes = as_real(obj).reshape(-1, ny, nx * parts)
    share = planes.dtype.type((1 - relax) * alpha)
    changes = np.empty((len(planes), 2))
    measured = sums is not None
    grain = max(1, _SMALL // (ny * nx * parts))
    memory = threads.memory(
        lambda: np.empty((4, nx * parts), planes.dtype), len(planes), grain=grain
    )

    def work(start: int, stop: int, rows: Array) -> None:
        for i in range(start, stop):
            changes[i] = _smooth(planes[i], rows, share, parts, measured)

    yield
    threads.run(work, len(planes), grain=grain, memory=memory)
    if sums is not None:
        np.sum(changes, axis=0, out=sums[0])


def _numbers_of_a_slice(obj: Array) -> int:
    ny, nx = obj.shape[-2:]
    return int(ny * nx) * (2 if obj.dtype.kind == "c" else 1)


def _table(obj: Array, y: Array, x: Array, z: Array, kind: int, relax: float) -> Transfer:
    dtype = obj.real.dtype
    return Transfer(y, x, z, kind, relax, 1 - relax, elementary.tables(dtype))


def _half_mask(table: Transfer, obj: Array) -> Array:
    """Return the mask of the frequencies ky, kx ≥ 0."""
    ny, nx = obj.shape[-2:]
    half = table._replace(ky2=table.ky2[: ny // 2 + 1], kx2=table.kx2[: nx // 2 + 1])
    return transfer.mask(half, obj.real.dtype)


def _squares(n: int, spacing: float, *, mirror: bool) -> Array:
    """Squares of frequencies in 1/Å."""
    return (transfer.frequencies(n, mirror=mirror) / max(spacing, 1 / HIGHEST)) ** 2


def _exponentials(n: int, spacing: float, sigma: float, *, mirror: bool) -> Array:
    """exp(-2(πσq)²) of each frequency: 1 where there is no blur."""
    if sigma == 0:
        return np.ones(n)
    q, scale = np.sqrt(_squares(n, spacing, mirror=mirror)), math.pi * sigma
    return np.exp(-2 * (np.minimum(q, 40 / scale) * scale) ** 2)


@kernel
def _stop(spectrum, columns, stop, keep):
    """Keep a share of what lies in a window; those at negative kx are given by those opposite."""
    ny = len(stop)
    for y in range(ny):
        for x in range(columns):
            inside = stop[y, x] if x < stop.shape[1] else stop[(ny - y) % ny, columns - x]
            if inside:
                spectrum[y, x] *= keep


@kernel
def _average(x, first, keep, measured):
    """Average columns (nz, columns) from `first` on; return the sums of the change."""
    nz, stop = len(x), min(first + _COLUMNS, x.shape[1])
    total = np.zeros(stop - first, np.float64)
    for z in range(nz):
        line = x[z, first:stop]
        for j in range(total.size):
            total[j] += np.float64(line[j])
    mean, share = np.empty(total.size, x.dtype), x.dtype.type(keep)
    for j in range(total.size):
        mean[j] = (1 - keep) / nz * total[j]
    old = np.empty(total.size, x.dtype)
    changed = before = 0.0
    for z in range(nz):
        line = x[z, first:stop]
        if measured:
            keep_values(line, old)
        for j in range(mean.size):
            line[j] = share * line[j] + mean[j]
        if measured:
            more, size = squares(line, old)
            changed += more
            before += size
    return changed, before


@kernel
def _smooth(x, rows, share, parts, measured):
    """Smooth a slice (ny, numbers) by way of sums over three columns of the rows around each."""
    ny, width = x.shape
    old = rows[3]
    centre = x.dtype.type(1) - x.dtype.type(9) * share
    _threes(x[0], rows[0], parts)
    keep_values(rows[0], rows[2])  # above the first row there is the first row
    changed = before = 0.0
    for y in range(ny):
        above, here, below = rows[(y + 2) % 3], rows[y % 3], rows[(y + 1) % 3]
        if y + 1 < ny:
            _threes(x[y + 1], below, parts)
        else:
            keep_values(here, below)
        line = x[y]
        if measured:
            keep_values(line, old)
        for j in range(width):
            line[j] = centre * line[j] + share * (above[j] + here[j] + below[j])
        if measured:
            more, size = squares(line, old)
            changed += more
            before += size
    return changed, before


@kernel
def _threes(line, sums, parts):
    """Write sums of each number and its neighbours in a row, of complex ones part by part."""
    last = line.size - parts
    for j in range(parts):
        right = line[j + parts] if last > 0 else line[j]
        sums[j] = line[j] + line[j] + right
        left = line[last + j - parts] if last > 0 else line[j]
        end = line[last + j]
        if last > 0:
            sums[last + j] = left + end + end
    for j in range(parts, last):
        sums[j] = line[j - parts] + line[j] + line[j + parts]
