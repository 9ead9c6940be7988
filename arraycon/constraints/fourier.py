"""Filters of the object in reciprocal space, laterally and in depth."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from arraycon.blocks import Block
from arraycon.blocks.kinds import AnyObjType, ObjType
from arraycon.constraints.advising import beyond_nyquist
from arraycon.constraints.declare import register
from arraycon.constraints.registry import Layout
from arraycon.kernels import fourier


@register(
    fourier.kr_filter,
    on="object",
    layout="slices",
    advice=beyond_nyquist,
    smooths=lambda _: ("laterally",),
)
class KrFilter(Block):
    """Low-pass each slice of the object in lateral frequency."""

    obj_type: AnyObjType = "both"
    radius: float = Field(0.15, ge=0, description="highest frequency kept, fraction of Nyquist")
    width: float = Field(0.05, ge=0, description="soft edge, fraction of Nyquist; 0: hard edge")


def _cut(block: Any) -> tuple[Layout, ...]:
    if block.beta > 0:
        return "slices", "columns", "slices"
    return ("slices",) if block.alpha > 0 else ("any",)


@register(
    fourier.kz_filter,
    on="object",
    layout=_cut,
    smooths=lambda block: ("z",) if block.beta > 0 else (),
    idle=lambda block: block.beta == block.alpha == 0 and block.obj_type == "phase",
)
class KzFilter(Block):
    """Remove the missing wedge of depth frequencies from the object."""

    obj_type: ObjType = "both"
    beta: float = Field(1.0, ge=0, description="strength along z; 0: none")
    alpha: float = Field(1.0, ge=0, description="strength of the lateral low-pass, px²; 0: none")
    boundary: Literal["periodic", "mirror"] = Field(
        "periodic", description="mirror keeps the top slice from leaking into the bottom one"
    )
