"""Freedoms of the model that the intensities do not fix: phase ramps, object modes, scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from arraycon.blocks import Block, RampedBlock
from arraycon.blocks.kinds import Relax, Threshold
from arraycon.constraints.declare import register
from arraycon.kernels import gauge


@register(
    gauge.phase_ramp,
    on={"phase": "object_phase", "probe": "probe"},
    uses=["counter_probe"],
    region="weight",
    spares=lambda block: () if block.counter_probe else ("probe",),
    without={"illumination": {"region": "all"}, "probe": {"counter_probe": False}},
    returns=["slope"],
    layout="slices",
    reduces=lambda block: block.counter_probe,  # the probe takes the ramps of all slices
    idle=lambda block: block.relax == 1,
)
class PhaseRamp(RampedBlock):
    """Remove a phase ramp from each slice, and turn the probe the other way."""

    terms: Literal["ramp", "offset"] = Field("ramp", description="a plane, or a constant alone")
    method: Literal["plane", "gradient"] = Field(
        "plane", description="least squares, or angles between neighbours, which may be wrapped"
    )
    region: Literal["inside", "all"] = Field(
        "inside", description="where it is fitted: where there is illumination, or everywhere"
    )
    threshold: Threshold = 0.25
    counter_probe: bool = Field(True, description="turn the probe, which keeps the intensities")
    relax: Relax = 0.0


@register(
    gauge.ortho_omode,
    on=["object"],
    returns=["rotation"],
    layout=["any", "any"],
    reduces=True,
    flat=True,
)
class OrthoOmode(Block):
    """Make the object modes orthogonal and sort them by power; one slice only."""


def _rescaled(name: str, blocks: Mapping[str, Any], given: frozenset[str]) -> list[str]:
    """Warn of a power of the probe that is restored behind its change."""
    restored = blocks.get("fix_probe_int")
    if name not in given or not blocks[name].enabled or restored is None or not restored.enabled:
        return []
    return [f"{name}: fix_probe_int undoes what it does to the probe; fix_probe_int: null is off"]


@register(
    gauge.obj_probe_scale,
    on=["object_amplitude", "probe"],
    region="weight",
    without={"illumination": {"region": "all"}},
    returns=["factor"],
    layout="slices",
    reduces=True,  # the probe takes the factors of all slices
    advice=_rescaled,
    idle=lambda block: block.relax == 1,
)
class ObjProbeScale(RampedBlock):
    """Fix the scale that object and probe share."""

    target: float = Field(1.0, gt=0, description="rms amplitude that each slice gets")
    region: Literal["illumination", "all"] = Field(
        "illumination", description="weights of the pixels: the illumination, or all alike"
    )
    relax: Relax = 0.0
