"""Linear filters of the object: lateral and depth blurs, bands, wedge, notches, equal slices."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from arraycon.blocks import RampedBlock
from arraycon.blocks.kinds import AnyObjType, Relax
from arraycon.constraints.declare import register
from arraycon.constraints.registry import Layout
from arraycon.kernels import linear


def _with_depth(block: Any) -> tuple[str, ...]:
    return ("dx", "slice_thickness") if block.sigma_z > 0 else ("dx",)


def _blurred(block: Any) -> tuple[Literal["laterally", "z"], ...]:
    lateral: tuple[Literal["laterally"], ...] = ("laterally",) if block.sigma > 0 else ()
    return (*lateral, "z") if block.sigma_z > 0 else lateral


def _cut_by_sigmas(block: Any) -> tuple[Layout, ...]:
    depth: tuple[Layout, ...] = ("columns",) if block.sigma_z > 0 else ()
    return ("slices", *depth) if block.sigma > 0 else depth or ("any",)


def _cut_by_dims(block: Any) -> tuple[Layout, ...]:
    return ("slices", "columns", "slices") if block.dims == "volume" else ("slices",)


def _by_dims(block: Any) -> tuple[str, ...]:
    return ("dx", "slice_thickness") if block.dims == "volume" else ("dx",)


@register(
    linear.obj_gaussian,
    on="object",
    scalars=_with_depth,
    layout=_cut_by_sigmas,
    smooths=_blurred,
    idle=lambda block: block.relax == 1 or not _blurred(block),
)
class ObjGaussian(RampedBlock):
    """Blur the object with a Gaussian of a width in Å."""

    obj_type: AnyObjType = "both"
    sigma: float = Field(0.2, ge=0, description="lateral standard deviation, Å; 0: none")
    sigma_z: float = Field(0.0, ge=0, description="standard deviation in depth, Å; 0: none")
    boundary: Literal["mirror", "periodic"] = Field(
        "mirror", description="mirror keeps opposite edges from leaking into each other"
    )
    relax: Relax = 0.0


@register(
    linear.obj_smooth,
    on="object",
    layout="slices",
    smooths=lambda _: ("laterally",),
    idle=lambda block: block.relax == 1 or block.alpha == 0,
)
class ObjSmooth(RampedBlock):
    """Mix each pixel of the object with its eight neighbours."""

    obj_type: AnyObjType = "both"
    alpha: float = Field(0.02, ge=0, le=1 / 8, description="weight of each neighbour; 0: none")
    relax: Relax = 0.0


@register(
    linear.obj_bandpass,
    on="object",
    scalars=_by_dims,
    layout=_cut_by_dims,
    typical={"q_lowpass": 1.0},
    smooths=lambda block: ("laterally",) if block.q_lowpass is not None else (),
    idle=lambda block: block.relax == 1 or block.q_lowpass is block.q_highpass is None,
)
class ObjBandpass(RampedBlock):
    """Keep a band of the object's spatial frequencies."""

    obj_type: AnyObjType = "both"
    q_lowpass: float | None = Field(None, gt=0, description="upper cut-off, 1/Å; null: no low-pass")
    q_highpass: float | None = Field(
        None, gt=0, description="lower cut-off, 1/Å; null: no high-pass"
    )
    shape: Literal["butterworth", "gaussian", "hard"] = Field(
        "butterworth", description="shape of the edges; butterworth is ½ at the cut-off"
    )
    order: float = Field(2.0, gt=0, le=1e6, description="order of a butterworth")
    dims: Literal["lateral", "volume"] = Field(
        "lateral", description="each slice by itself, or with the depth frequencies"
    )
    boundary: Literal["periodic", "mirror"] = Field(
        "periodic", description="mirror keeps opposite edges from leaking into each other"
    )
    relax: Relax = 0.0


@register(
    linear.grid_notch,
    on="object",
    scalars=["dx"],
    layout="slices",
    typical={"period": 1.0},
    idle=lambda block: block.relax == 1,
)
class GridNotch(RampedBlock):
    """Remove the harmonics of a grid, such as the scan's, from each slice of the object."""

    obj_type: AnyObjType = "phase"
    period: float | tuple[float, float] | None = Field(
        None,
        validate_default=True,
        description="period of the grid, Å; must be given",
        json_schema_extra={"$comment": "a number > 0 or a pair (y, x) of them"},
    )
    window: float = Field(2.0, ge=0, description="half-width of the windows, bins of the spectrum")
    direction: Literal["xy", "x", "y", "axes"] = Field(
        "xy", description="harmonics removed: all, along one axis, or along both axes only"
    )
    rotation: float = Field(0.0, description="angle of the grid, degrees")
    relax: Relax = 0.0

    @field_validator("period")
    @classmethod
    def _given_and_positive(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.data.get("start_iter") is not None:
            raise ValueError("must be given: a number > 0 or a pair (y, x) of them")
        each = value if isinstance(value, tuple) else (value,)
        if any(part is not None and part <= 0 for part in each):
            raise ValueError("allowed: a number > 0 or a pair (y, x) of them")
        return value


@register(
    linear.obj_wedge,
    on="object",
    scalars=["dx", "slice_thickness"],
    layout=["slices", "columns", "slices"],
    smooths=lambda _: ("z",),
    idle=lambda block: block.relax == 1,
)
class ObjWedge(RampedBlock):
    """Damp depth frequencies of the object outside the cone that the data reach."""

    obj_type: AnyObjType = "both"
    semiangle: float = Field(25.0, gt=0, lt=1570, description="of the cone, mrad: the probe's")
    q_floor: float = Field(
        0.0, ge=0, description="lateral frequency below which nothing more is damped, 1/Å"
    )
    boundary: Literal["mirror", "periodic"] = Field(
        "mirror", description="mirror keeps the top slice from leaking into the bottom one"
    )
    relax: Relax = 0.0


@register(
    linear.identical_slices,
    on="object",
    layout="columns",
    idle=lambda block: block.relax == 1,
)
class IdenticalSlices(RampedBlock):
    """Make all slices of the object equal to their mean."""

    obj_type: AnyObjType = "both"
    relax: Relax = 0.0
