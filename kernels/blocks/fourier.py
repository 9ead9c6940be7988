"""Filters of the object in reciprocal space, in steps."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.kernels import fourier as doors
from arraycon.kernels.agnostic import fourier as agnostic
from arraycon.kernels.blocks.tools import volume, whole
from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace
from arraycon.kernels.common.steps import Like, Step


def kr_filter(obj: Like, **options: Any) -> list[Step]:
    """Filter each slice."""
    return [whole.lateral(doors.kr_filter, options)]


def kz_filter(
    obj: Like,
    *,
    beta: float = 1.0,
    alpha: float = 1.0,
    obj_type: str = "phase",
    boundary: str = "periodic",
) -> list[Step]:
    """Filter the volume."""
    mirror = boundary == "mirror"
    amplitude = obj_type == "amplitude"
    settle = functools.partial(agnostic.settled, obj_type=obj_type) if amplitude else None
    wedge = _Wedge(obj, beta, alpha, mirror)
    return volume.steps(obj, "half", wedge, mirror=mirror, settle=settle)


@dataclass(frozen=True)
class _Wedge:
    obj: Like
    beta: float
    alpha: float
    mirror: bool

    def __call__(self, like: Array, rows: slice, *, xp: Namespace) -> Array:
        nz = self.obj.shape[-3]
        kz = arrays.frequencies(2 * nz if self.mirror else nz, like, xp=xp)
        ky, kx = agnostic.lateral(self.obj.shape, like, xp=xp)
        dtype = arrays.real_dtype(like, xp=xp)
        where = kz[:nz], ky[rows], kx
        return agnostic.wedge(*where, self.beta, self.alpha, dtype=dtype, xp=xp)

    def table(self) -> Any:
        from arraycon.kernels.cpu import fourier

        shape, dtype = self.obj.shape, np.dtype(self.obj.dtype)
        return fourier.wedge(shape, dtype, beta=self.beta, alpha=self.alpha, mirror=self.mirror)
