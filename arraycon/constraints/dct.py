"""Sparsity of the object in the discrete cosine transform."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from arraycon.blocks import Block
from arraycon.blocks.kinds import AnyObjType
from arraycon.constraints.declare import register
from arraycon.constraints.registry import Layout
from arraycon.kernels import dct


def _of_all(block: Any) -> bool:
    """Whether coefficients of all slices are compared."""
    return bool(block.scope == "global" and block.thresh < 1)


def _cut(block: Any) -> tuple[Layout, ...]:
    if block.thresh == 1:  # all are kept
        return ("any",)
    return ("slices", "slices") if block.scope == "global" else ("slices",)


@register(
    dct.kr_thresh,
    on="object",
    layout=_cut,
    reduces=_of_all,
)
class KrThresh(Block):
    """Keep only the largest cosine coefficients of each slice."""

    obj_type: AnyObjType = "both"
    thresh: float = Field(0.05, gt=0, le=1, description="fraction of the coefficients kept")
    scope: Literal["global", "slice"] = Field(
        "global", description="count the fraction over the whole object or over each slice"
    )
