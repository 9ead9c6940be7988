"""Values of the object: its level, and what fills regions, in steps."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.kernels import values as doors
from arraycon.kernels.agnostic import values as agnostic
from arraycon.kernels.blocks.tools import placed, selection, whole
from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace
from arraycon.kernels.common.steps import Blocks, Like, Region, Shared, Step


def obj_fill(
    obj: Like,
    mask: Like | None = None,
    *,
    slices: tuple[int, ...] | None = None,
    **options: Any,
) -> list[Step]:
    """Fill regions, of slices that are counted in the whole object."""
    reads = ("obj",) if mask is None else ("obj", "mask")
    if slices is None:
        return [whole.step(doors.obj_fill, "any", reads, ("obj",), options)]
    nz = obj.shape[-3]
    chosen = frozenset(z % nz for z in slices)
    return [Step("slices", reads, ("obj",), work=_Fill(chosen, options))]


@dataclass(frozen=True)
class _Fill:
    chosen: frozenset[int]
    options: dict[str, Any]

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        own = range(region.z.start, region.z.stop)
        here = tuple(z - region.z.start for z in own if z in self.chosen)
        obj = blocks["obj"]
        given = {**self.options, "slices": here, "out": obj}
        return {"obj": doors.obj_fill(obj, blocks.get("mask"), **given) if here else obj}


def obj_baseline(
    obj: Like,
    mask: Like | None = None,
    *,
    obj_type: str = "phase",
    statistic: str = "mean",
    percentile: float = 10.0,
    scope: str = "slice",
    factor: float = 1.0,
    relax: float = 0.0,
) -> list[Step]:
    """Find the level of everything, then take it away; slice by slice both at once."""
    reads = ("obj",) if mask is None else ("obj", "mask")
    given = {"obj_type": obj_type, "factor": factor, "relax": relax}
    if scope == "slice":
        also = {"statistic": statistic, "percentile": percentile, "scope": scope}
        return [whole.step(doors.obj_baseline, "slices", reads, ("obj",), {**given, **also})]
    if statistic == "mean":
        find = [Step("slices", reads, part=_sums, conclude=_mean, scratch=0.5)]
    else:
        ranks = functools.partial(_ranks, percentile)
        find = selection.steps(reads, _counted, ranks, single=obj.single)
    level = _mean_level if statistic == "mean" else functools.partial(_percentile, percentile)
    return [*find, Step("any", ("obj",), ("obj",), work=_Level(level, given))]


def _sums(blocks: Blocks, shared: Shared, region: Region) -> np.ndarray:
    """Sum up weighted values and weights, plane by plane."""
    obj, xp = blocks["obj"], arrays.namespace(obj=blocks["obj"])
    weights = _weights(blocks, xp)

    def both(x: Array) -> Array:
        return xp.stack(agnostic.weighted_sum(x, next(weights), xp=xp))

    return placed.by_plane(both, obj, region)


def _mean(total: np.ndarray, shared: Shared) -> dict[str, Any]:
    values, weights = np.sum(total.reshape(-1, 2), axis=0)
    known = bool(weights != 0)
    return {"level": values / weights if known else 0.0, "known": known}


def _mean_level(shared: Shared) -> tuple[float, bool]:
    return float(shared["level"]), shared["known"]


def _weights(blocks: Blocks, xp: Namespace) -> Iterator[Array | None]:
    """Go through the weights of the object's planes."""
    obj, mask = blocks["obj"], blocks.get("mask")
    if mask is None:
        return iter([None] * math.prod(obj.shape[:-2]))
    return placed.planes(xp.broadcast_to(mask, obj.shape))


def _counted(blocks: Blocks, region: Region) -> Iterator[Array]:
    xp = arrays.namespace(obj=blocks["obj"])
    for x, weight in zip(placed.planes(blocks["obj"]), _weights(blocks, xp), strict=True):
        yield xp.reshape(x, (-1,)) if weight is None else x[agnostic.counting(weight, xp=xp)]


def _ends(percentile: float, count: int) -> tuple[float, int, int]:
    """Where a percentile is among so many values, and its neighbours."""
    position = percentile / 100 * (count - 1)
    low = math.floor(position)
    return position, low, min(low + 1, count - 1)


def _ranks(percentile: float, count: int) -> tuple[int, int]:
    return _ends(percentile, count)[1:]


def _percentile(percentile: float, shared: Shared) -> tuple[float, bool]:
    if not shared["count"]:
        return 0.0, False
    position, low, _ = _ends(percentile, shared["count"])
    below, above = (float(x) for x in shared["selected"])
    if position == low:  # no difference of infinities where it does not count
        return below, True
    return below + (position - low) * (above - below), True


@dataclass(frozen=True)
class _Level:
    find: Any
    options: dict[str, Any]

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        obj = blocks["obj"]
        xp = arrays.namespace(obj=obj)
        level, known = self.find(shared)
        device, dtype = arrays.device(obj), arrays.wide(obj, xp=xp)
        found = xp.asarray(level, dtype=dtype, device=device), xp.asarray(known, device=device)
        for plane in placed.planes(obj):
            plane[...] = agnostic.levelled(plane, *found, **self.options, xp=xp)
        return {"obj": obj}
