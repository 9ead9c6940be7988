"""Constraints that couple the object's amplitude to its phase."""

from __future__ import annotations

from pydantic import Field

from arraycon.blocks import Block, RampedBlock
from arraycon.blocks.kinds import ObjType, Relax
from arraycon.constraints.declare import register
from arraycon.kernels import coupling


@register(
    coupling.complex_ratio,
    on=["object_amplitude", "object_phase"],
    layout=["any", "any"],
    reduces=True,
)
class ComplexRatio(Block):
    """Couple amplitude and phase by one ratio of absorption to phase shift."""

    obj_type: ObjType = "both"
    alpha1: float = Field(1.0, description="share of the log amplitude taken from the phase")
    alpha2: float = Field(0.0, description="share of the phase taken from the log amplitude")


@register(coupling.mirrored_amp, on="object_amplitude", reads=["object_phase"], layout="any")
class MirroredAmp(RampedBlock):
    """Pull the amplitude towards a mirror image of the phase."""

    relax: Relax = 0.1
    scale: float = Field(0.03, ge=0, description="amplitude lost at a phase of 1 rad")
    power: float = Field(4.0, ge=0, description="exponent of the phase")
