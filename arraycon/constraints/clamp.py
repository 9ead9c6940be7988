"""Ranges of the object's amplitude and phase."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from arraycon.blocks import RampedBlock
from arraycon.blocks.kinds import Pair, Relax
from arraycon.constraints.declare import register
from arraycon.kernels import clamp


@register(clamp.obja_thresh, on="object_amplitude", layout="any")
class ObjaThresh(RampedBlock):
    """Clip the object's amplitude."""

    relax: Relax = 0.0
    thresh: Pair = Field((0.96, 1.04), description="lowest and highest amplitude")


def _by_minimum(block: Any) -> bool:
    return bool(block.mode == "subtract_min" and block.relax < 1)


@register(
    clamp.objp_postiv,
    on="object_phase",
    layout=lambda block: ("any", "any") if _by_minimum(block) else "any",
    reduces=_by_minimum,
)
class ObjpPostiv(RampedBlock):
    """Make the object's phase positive."""

    relax: Relax = 0.0
    mode: Literal["clip_neg", "subtract_min"] = Field(
        "clip_neg", description="set negative phase to 0, or subtract the minimum everywhere"
    )


@register(
    clamp.objp_thresh,
    on="object_phase",
    layout="any",
    typical={"thresh": (-0.05, 0.05)},
    idle=lambda block: block.relax == 1,
)
class ObjpThresh(RampedBlock):
    """Clip the object's phase."""

    relax: Relax = 0.0
    thresh: Pair = Field((-math.pi, math.pi), description="lowest and highest phase, rad")
