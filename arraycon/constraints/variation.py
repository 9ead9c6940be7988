"""Total variation of the object."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from arraycon.blocks import RampedBlock
from arraycon.blocks.kinds import AnyObjType, Relax
from arraycon.constraints.declare import register
from arraycon.constraints.registry import Layout
from arraycon.kernels import variation
from arraycon.kernels.common import limits

_Weight = Annotated[float, Field(ge=0)]


def _changes_nothing(block: Any) -> bool:
    return block.relax == 1 or not (block.weight and block.n_iter and any(block.axes_weight))


def _cut(block: Any) -> Layout:
    """All differences are coupled along the axes that have a weight."""
    z, y, x = block.axes_weight
    if z == 0:
        return "slices"
    return "whole" if y or x else "columns"


@register(variation.obj_tv, on="object", layout=_cut, idle=_changes_nothing)
class ObjTv(RampedBlock):
    """Reduce the object's total variation: flatten noise and keep edges."""

    obj_type: AnyObjType = "phase"
    weight: float = Field(0.005, ge=0, description="strength, in units of the part; 0: none")
    axes_weight: tuple[_Weight, _Weight, _Weight] = Field(
        (0.0, 1.0, 1.0),
        description="weights of the differences along (z, y, x); without z slice by slice",
        json_schema_extra={"$comment": "three numbers ≥ 0"},
    )
    norm: Literal["isotropic", "layered", "anisotropic"] = Field(
        "isotropic", description="modulus of all differences, z apart, or each apart"
    )
    solver: Literal["fgp", "chambolle"] = Field(
        "fgp", description="fast gradient projection, or the fixed point of other codes"
    )
    n_iter: int = Field(50, ge=0, le=limits.UPDATES, description="updates, all of which are made")
    relax: Relax = 0.0
