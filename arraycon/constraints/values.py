"""Values of the object: shrinkage towards vacuum, its level, and what fills regions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from arraycon.blocks import RampedBlock
from arraycon.blocks.kinds import AnyObjType, ObjType, Region, Relax, Threshold
from arraycon.constraints.declare import register
from arraycon.kernels import values

_VACUUM = {"amplitude": 1.0, "phase": 0.0, "object": 1.0}


@register(
    values.obj_baseline,
    on="object",
    region="mask",
    layout=lambda block: ("any", "any") if block.scope == "global" else "slices",
    reduces=lambda block: block.scope == "global",
    idle=lambda block: block.relax == 1 or block.factor == 0,
)
class ObjBaseline(RampedBlock):
    """Bring the level of vacuum in the object to its value."""

    obj_type: ObjType = "phase"
    statistic: Literal["mean", "percentile"] = Field("mean", description="what the level is")
    percentile: float = Field(10.0, ge=0, le=100, description="which one, if it is a percentile")
    scope: Literal["slice", "global"] = Field(
        "slice", description="one level for each slice, or one for all"
    )
    factor: float = Field(1.0, ge=0, le=2, description="share of the level that is taken away")
    region: Region = "vacuum"
    threshold: Threshold = 0.25
    relax: Relax = 0.0


def _towards(block: Any, part: str) -> dict[str, float]:
    return {"target": _VACUUM[part] if block.target is None else block.target}


@register(
    values.obj_shrink,
    on="object",
    given=_towards,
    layout="any",
    idle=lambda block: block.relax == 1 or (block.amount == 0 and block.rule != "positive"),
)
class ObjShrink(RampedBlock):
    """Shrink what distinguishes the object from vacuum."""

    obj_type: AnyObjType = "phase"
    amount: float = Field(0.01, ge=0, description="amount, rad of a phase; 0: none")
    rule: Literal["soft", "positive", "hard", "ridge"] = Field(
        "soft", description="L1, L1 of a phase that is positive, all below the amount, or L2"
    )
    target: float | None = Field(
        None, description="value shrunk towards; null: vacuum, 0 for phase, 1 otherwise"
    )
    relax: Relax = 0.0

    @field_validator("rule")
    @classmethod
    def _real_if_positive(cls, value: str, info: ValidationInfo) -> str:
        if value == "positive" and info.data.get("obj_type") == "complex":
            raise ValueError("allowed with obj_type complex: soft, hard or ridge")
        return value


@register(
    values.obj_fill,
    on="object",
    region="mask",
    uses=["amplitude", "phase"],
    given=lambda block, part: {"value": getattr(block, part)},
    # slices are numbered from the top of the whole object
    layout=lambda block: "any" if block.slices is None else "columns",
    idle=lambda block: block.relax == 1 or block.slices == (),
)
class ObjFill(RampedBlock):
    """Fill a region of the object with vacuum or another value."""

    obj_type: ObjType = "both"
    amplitude: float = Field(1.0, description="amplitude there")
    phase: float = Field(0.0, description="phase there, rad")
    region: Region = "vacuum"
    threshold: Threshold = 0.25
    slices: tuple[int, ...] | None = Field(
        None,
        description="slices that are filled, negative ones from the end; null: all",
        json_schema_extra={"$comment": "a list of integers or null"},
    )
    relax: Relax = 0.0
