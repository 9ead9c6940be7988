"""Probe masks in reciprocal and in real space."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from arraycon.blocks import Block
from arraycon.blocks.kinds import Pair
from arraycon.constraints.advising import beyond_nyquist
from arraycon.constraints.declare import register
from arraycon.kernels import probe_masks
from arraycon.kernels.common import limits

PowerThresh = Annotated[
    float,
    Field(ge=0, le=1, description="mask the strongest modes until they hold this power fraction"),
]


@register(probe_masks.probe_mask_k, on="probe", advice=beyond_nyquist)
class ProbeMaskK(Block):
    """Limit the strongest probe modes to a soft disc in k-space."""

    radius: float = Field(0.22, ge=0, description="radius of the disc, fraction of Nyquist")
    width: float = Field(0.05, ge=0, description="soft edge, fraction of Nyquist; 0: hard edge")
    power_thresh: PowerThresh = 0.95


@register(probe_masks.probe_mask_r, on="probe", scalars=["dx", "wavelength"], centred=True)
class ProbeMaskR(Block):
    """Limit the strongest probe modes in real space, at the focus."""

    radius: float = Field(0.95, ge=0, description="radius, fraction of half the window")
    order: int = Field(
        6, ge=1, le=limits.ORDER, description="steepness: order of the super-Gaussian edge"
    )
    power_thresh: PowerThresh = 0.95
    z_range: Pair = Field((-500.0, 500.0), description="defocus searched for the focus, Å")
    z_steps: int = Field(
        101, ge=1, le=limits.PLANES, description="number of defocus values tried in z_range"
    )
