"""Filters of the object in reciprocal space, laterally and in depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from arraycon.kernels.agnostic.tools import optics as agnostic
from arraycon.kernels.common import scratch
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools import elementary, lateral, optics, transfer, volume
from arraycon.kernels.cpu.tools.transfer import Transfer, frequencies

# Keeps the depth filter finite on the axis kx = ky = 0, in (cycles per pixel)².
_AXIS = 1e-3


def kr_filter(
    obj: Array, *, radius: float, width: float, sums: Array | None = None
) -> Iterator[None]:
    """Soft circular low-pass filter of each slice."""
    mask = scratch.table(
        (obj.shape[-2:], obj.dtype, radius, width), lambda: _mask(obj, radius=radius, width=width)
    )
    yield from lateral.by_mask(obj, mask, sums)


def kz_filter(
    obj: Array,
    *,
    beta: float,
    alpha: float,
    obj_type: str,
    boundary: str,
    sums: Array | None = None,
) -> Iterator[None]:
    """Missing-wedge filter over the last three axes."""
    ny, nx = obj.shape[-2:]
    mirror, scale = boundary == "mirror", 0.9 if obj_type == "amplitude" else 1.0
    table = wedge(obj.shape, obj.dtype, beta=beta, alpha=alpha, mirror=mirror, scale=scale)
    offset = (1 - scale) * ny * nx  # 1 + 0.9 (F - 1) of an amplitude
    yield from volume.filtered(obj, table, mirror=mirror, offset=offset, sums=sums)


def wedge(
    shape: tuple[int, ...],
    dtype: Any,
    *,
    beta: float,
    alpha: float,
    mirror: bool,
    scale: float = 1.0,
) -> Transfer:
    """Return the transfer function of `kz_filter`, of a real object of a shape."""
    nz, ny, nx = shape[-3:]
    return Transfer(
        frequencies(ny) ** 2,
        frequencies(nx)[: nx // 2 + 1] ** 2,
        (transfer.without_repetition(nz, mirror=mirror) ** 2).astype(dtype),
        transfer.WEDGE,
        0.0,
        scale,
        elementary.tables(dtype),
        beta=beta,
        alpha=alpha,
        floor=_AXIS,
    )


def _mask(obj: Array, *, radius: float, width: float) -> Array:
    """M(f) for the non-negative frequencies."""
    ny, nx = obj.shape[-2:]
    ky, kx = frequencies(ny)[: ny // 2 + 1], frequencies(nx)[: nx // 2 + 1]
    mask = np.empty((ky.size, kx.size), obj.real.dtype)
    for i in range(0, ky.size, 32):  # all at once, the float64 temporaries would be two slices
        rows = agnostic.low_pass(ky[i : i + 32], kx, radius=radius, width=width, xp=xp)
        mask[i : i + 32] = optics.without_tail(rows, mask.dtype)
    return mask
