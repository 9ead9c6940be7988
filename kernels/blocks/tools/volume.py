"""Filters over the volume: lateral spectra, then along z times a transfer function, then back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import array_api_compat

from arraycon.kernels.agnostic.tools import parts
from arraycon.kernels.blocks.tools import lateral, placed
from arraycon.kernels.blocks.tools.lateral import Kind
from arraycon.kernels.common import arrays, fft
from arraycon.kernels.common.arrays import Array, Namespace
from arraycon.kernels.common.steps import Blocks, Like, Region, Shared, Step


class Factors(Protocol):
    """What a spectrum is multiplied by."""

    def __call__(self, like: Array, rows: slice, *, xp: Namespace) -> Array:
        """Return the factors (kz, ky, kx) of some rows ky, in the precision of `like`."""

    def table(self) -> Any:
        """Return them as the kernels for NumPy make them, for all rows."""


def steps(
    obj: Like,
    kind: Kind,
    factors: Factors,
    *,
    mirror: bool,
    settle: Callable[[Array], Array] | None = None,
) -> list[Step]:
    """Return the steps of a filter of an array "obj".

    Parameters
    ----------
    obj : Like
    kind : {"half", "full", "cosine"}
        Of its lateral spectrum.
    factors : callable
        The transfer function, all axes together.
    mirror : bool
        Whether it is the half-sample even extension that is filtered along z.
    settle : callable, optional
        From a plane of what is filtered to what becomes of the object's.
    """
    spectrum, nx = "obj.spectrum", obj.shape[-1]
    return [
        Step(
            "slices",
            ("obj",),
            (spectrum,),
            {spectrum: lateral.like(obj, kind)},
            work=_Forward(kind),
            spectrum={"obj": spectrum},
        ),
        Step("columns", (spectrum,), (spectrum,), work=_Depth(factors, mirror), scratch=0.5),
        Step("slices", (spectrum,), ("obj",), work=_Back(kind, nx, settle)),
    ]


@dataclass(frozen=True)
class _Forward:
    kind: Kind

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        xp = arrays.namespace(obj=blocks["obj"])
        return {"obj.spectrum": lateral.forward(blocks["obj"], self.kind, xp=xp)}


@dataclass(frozen=True)
class _Back:
    kind: Kind
    nx: int
    settle: Callable[[Array], Array] | None

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        spectrum = blocks["obj.spectrum"]
        xp = arrays.namespace(spectrum=spectrum)
        obj = lateral.inverse(spectrum, self.kind, self.nx, xp=xp)
        if self.settle is not None:
            for plane in placed.planes(obj):
                plane[...] = self.settle(plane)
        return {"obj": obj}


@dataclass(frozen=True)
class _Depth:
    factors: Factors
    mirror: bool

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        spectrum = blocks["obj.spectrum"]
        xp = arrays.namespace(spectrum=spectrum)
        if lateral.own(xp):
            from arraycon.kernels.cpu.tools import volume  # Numba may be missing

            spectrum = arrays.contiguous(spectrum)
            volume.filter_rows(spectrum, self.factors.table(), region.y, mirror=self.mirror)
            return {"obj.spectrum": spectrum}
        rows = spectrum.shape[-2]
        # Row by row they stay in the cache, and come out the same whatever else is in the block:
        # libraries take some columns of a call together and the rest one by one, rounded otherwise.
        many = 1 if array_api_compat.is_numpy_namespace(xp) else rows
        for i in range(0, rows, many):
            part = spectrum[..., i : i + many, :]
            where = slice(region.y.start + i, region.y.start + i + many)
            part[...] = self._filtered(part, self.factors(part, where, xp=xp), xp)
        return {"obj.spectrum": spectrum}

    def _filtered(self, x: Array, factors: Array, xp: Namespace) -> Array:
        if self.mirror:

            def work(part: Array) -> Array:
                along = fft.dctn(part, axes=(-3,), xp=xp) * factors
                return fft.idctn(along, axes=(-3,), xp=xp)

            return parts.each(work, x, xp=xp)
        return fft.ifftn(fft.fftn(x, axes=(-3,), xp=xp) * factors, axes=(-3,), xp=xp)
