"""Filters of the object in reciprocal space, laterally and in depth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from arraycon.blocks import Block
from arraycon.blocks.kinds import ObjType
from arraycon.constraints.advising import beyond_nyquist
from arraycon.constraints.declare import register
from arraycon.kernels import fourier


def _z_twice(name: str, blocks: Mapping[str, Any], given: frozenset[str]) -> list[str]:
    """Warn of a depth filter on top of a depth blur."""
    one, other = blocks[name], blocks["obj_zblur"]
    same_part = one.obj_type == other.obj_type or "both" in (one.obj_type, other.obj_type)
    if not (same_part and _overlap(one, other)):
        return []
    by_default = "" if "obj_zblur" in given else ", the latter only by default"
    return [f"{name} and obj_zblur both smooth z{by_default}; obj_zblur: null switches it off"]


def _overlap(one: Block, other: Block) -> bool:
    if one.start_iter is None or other.start_iter is None:
        return False
    ends = [block.end_iter for block in (one, other) if block.end_iter is not None]
    return max(one.start_iter, other.start_iter) < min(ends, default=math.inf)


@register(fourier.kr_filter, on="object", layout="slices", advice=beyond_nyquist)
class KrFilter(Block):
    """Low-pass each slice of the object in lateral frequency."""

    obj_type: ObjType = "both"
    radius: float = Field(0.15, ge=0, description="highest frequency kept, fraction of Nyquist")
    width: float = Field(0.05, ge=0, description="soft edge, fraction of Nyquist; 0: hard edge")


@register(fourier.kz_filter, on="object", layout=["slices", "columns", "slices"], advice=_z_twice)
class KzFilter(Block):
    """Remove the missing wedge of depth frequencies from the object."""

    obj_type: ObjType = "both"
    beta: float = Field(1.0, ge=0, description="strength along z; 0: none")
    alpha: float = Field(1.0, ge=0, description="strength of the lateral low-pass, px²; 0: none")
    boundary: Literal["periodic", "mirror"] = Field(
        "periodic", description="mirror keeps the top slice from leaking into the bottom one"
    )
