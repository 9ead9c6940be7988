"""Sparsity of the object in the discrete cosine transform, in steps."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator

from arraycon.kernels import dct as doors
from arraycon.kernels.agnostic import dct as agnostic
from arraycon.kernels.blocks.tools import lateral, placed, selection, whole
from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.steps import Blocks, Like, Region, Shared, Step


def kr_thresh(obj: Like, *, thresh: float = 0.05, scope: str = "global") -> list[Step]:
    """Transform, select, then drop and transform back; slice by slice all at once."""
    if scope == "slice":
        options = {"thresh": thresh, "scope": scope}
        return [whole.step(doors.kr_thresh, "slices", ("obj",), ("obj",), options)]
    size = math.prod(obj.shape)
    n_keep = agnostic.kept(thresh, size)
    if n_keep == size:
        return []
    ranks = functools.partial(_ranks, n_keep)
    first, *others = selection.steps(("obj",), _moduli, ranks, single=obj.single, layout="slices")
    return [
        dataclasses.replace(first, writes=("obj",), work=_transform, scratch=1.0),
        *others,
        Step("slices", ("obj",), ("obj",), work=_sparse),
    ]


def _ranks(n_keep: int, size: int) -> tuple[int]:
    return (size - n_keep,)


def _moduli(blocks: Blocks, region: Region) -> Iterator[Array]:
    xp = arrays.namespace(obj=blocks["obj"])
    for plane in placed.planes(blocks["obj"]):
        yield xp.reshape(xp.abs(plane), (-1,))


def _transform(blocks: Blocks, shared: Shared, region: Region) -> Blocks:
    xp = arrays.namespace(obj=blocks["obj"])
    return {"obj": lateral.forward(blocks["obj"], "cosine", xp=xp)}


def _sparse(blocks: Blocks, shared: Shared, region: Region) -> Blocks:
    obj = blocks["obj"]
    xp = arrays.namespace(obj=obj)
    limit = shared["selected"][0]
    for plane in placed.planes(obj):
        plane[...] = agnostic.without_smaller(plane, limit, xp=xp)
    return {"obj": lateral.inverse(obj, "cosine", obj.shape[-1], xp=xp)}
