"""Gaussian blurs of the object, laterally and in depth, and of the tilts over the scan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from arraycon.blocks import Block, OnBlock
from arraycon.blocks.kinds import AnyObjType, Taps
from arraycon.constraints.declare import register
from arraycon.kernels import blur
from arraycon.kernels.common import limits


def _truncation(name: str, blocks: Mapping[str, Any], given: frozenset[str]) -> list[str]:
    """Warn of a Gaussian that does not fit into its kernel."""
    size, std = blocks[name].kernel_size, blocks[name].std
    if name not in given or not blocks[name].enabled or size >= 6 * std + 1:
        return []
    taps = [(j * j, math.exp(-((j / std) ** 2) / 2)) for j in range(-(size // 2), size // 2 + 1)]
    actual = math.sqrt(sum(jj * tap for jj, tap in taps) / sum(tap for _, tap in taps))
    whole = 2 * math.ceil(min(3 * std, limits.TAPS)) + 1
    needed = f"needs kernel_size {whole}" if whole <= limits.TAPS else "fits into no kernel"
    return [
        f"{name}: kernel_size {size} cuts off the Gaussian of std {std:g}, which acts as "
        f"std {actual:.3g}; all of it {needed}"
    ]


def _idle(block: Any) -> bool:
    return bool(block.std == 0)  # of a single tap `_truncation` speaks


@register(
    blur.obj_rblur,
    on="object",
    layout="slices",
    advice=_truncation,
    smooths=lambda _: ("laterally",),
    idle=_idle,
)
class ObjRblur(OnBlock):
    """Blur each slice of the object laterally with a Gaussian."""

    obj_type: AnyObjType = "both"
    kernel_size: Taps = Field(5, le=limits.TAPS, description="length of the kernel, px")
    std: float = Field(0.4, ge=0, description="standard deviation, px; 0: no blur")


@register(
    blur.obj_zblur,
    on="object",
    layout="columns",
    advice=_truncation,
    smooths=lambda _: ("z",),
    idle=_idle,
)
class ObjZblur(OnBlock):
    """Blur the object along z with a Gaussian."""

    obj_type: AnyObjType = "both"
    kernel_size: Taps = Field(5, le=limits.TAPS, description="length of the kernel, slices")
    std: float = Field(1.0, ge=0, description="standard deviation, slices; 0: no blur")


@register(blur.tilt_smooth, on="tilts", scalars=["scan_shape"])
class TiltSmooth(Block):
    """Smooth the object tilts over the scan."""

    std: float = Field(2.0, ge=0, description="standard deviation, scan steps; 0: no smoothing")
