"""Removal of drifts that the diffraction patterns cannot fix: depth and scan origin."""

from __future__ import annotations

from pydantic import Field

from arraycon.blocks import Block, OnBlock, RampedBlock
from arraycon.blocks.kinds import Relax
from arraycon.constraints.declare import register
from arraycon.kernels import recenter


@register(
    recenter.obj_z_recenter,
    on=["object_amplitude", "object_phase", "probe"],
    scalars=["dx", "wavelength", "slice_thickness"],
    returns=["shift"],
    figures={"shift": "shift (slices)"},
    layout=["any", "columns"],
    reduces=True,
)
class ObjZRecenter(Block):
    """Shift the object along z so that its phase is centred in depth."""

    thresh: float | None = Field(
        95.0, ge=0, le=100, description="ignore phase below this percentile; null: ignore none"
    )
    scale: float = Field(1.0, ge=0, le=1, description="fraction of the offset corrected at once")
    max_shift: float | None = Field(
        10.0, ge=0, description="largest shift at once, slices; null: no limit"
    )


@register(recenter.pos_recenter, on="position_shifts")
class PosRecenter(OnBlock, RampedBlock):
    """Remove the mean of the probe position shifts."""

    relax: Relax = 0.0
