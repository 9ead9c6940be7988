"""Ranges of the object's amplitude and phase, in steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.kernels import clamp as doors
from arraycon.kernels.agnostic import clamp as agnostic
from arraycon.kernels.blocks.tools import placed, whole
from arraycon.kernels.common import arrays
from arraycon.kernels.common.steps import Blocks, Like, Region, Shared, Step


def objp_postiv(phase: Like, *, relax: float = 0.0, mode: str = "clip_neg") -> list[Step]:
    """Clip; or look for the minimum, then subtract it."""
    if mode == "clip_neg":
        options = {"relax": relax, "mode": mode}
        return [whole.step(doors.objp_postiv, "any", ("phase",), ("phase",), options)]
    return [
        Step("any", ("phase",), part=_lowest, combine=np.minimum, conclude=_minimum, scratch=0.0),
        Step("any", ("phase",), ("phase",), work=_Subtract(relax)),
    ]


def _lowest(blocks: Blocks, shared: Shared, region: Region) -> np.ndarray:
    xp = arrays.namespace(phase=blocks["phase"])
    return placed.here(xp.min(blocks["phase"]))


def _minimum(total: np.ndarray, shared: Shared) -> dict[str, Any]:
    return {"minimum": total[()]}


@dataclass(frozen=True)
class _Subtract:
    relax: float

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        for plane in placed.planes(blocks["phase"]):
            plane[...] = agnostic.above_minimum(plane, shared["minimum"], relax=self.relax)
        return {"phase": blocks["phase"]}
