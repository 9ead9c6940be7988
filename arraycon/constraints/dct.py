"""Sparsity of the object in the discrete cosine transform."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from arraycon.blocks import Block
from arraycon.blocks.kinds import AnyObjType
from arraycon.constraints.declare import register
from arraycon.kernels import dct


@register(dct.kr_thresh, on="object", layout=["slices", "slices"])
class KrThresh(Block):
    """Keep only the largest cosine coefficients of each slice."""

    obj_type: AnyObjType = "both"
    thresh: float = Field(0.05, gt=0, le=1, description="fraction of the coefficients kept")
    scope: Literal["global", "slice"] = Field(
        "global", description="count the fraction over the whole object or over each slice"
    )
