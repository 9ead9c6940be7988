"""The sixteen constraints' own parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from arraycon.params.block import Block, OnBlock
from arraycon.params.registry import MODELS


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise PydanticCustomError("even", "even")
    return size


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] < pair[1]:
        raise PydanticCustomError("not_ascending", "not ascending")
    return pair


ObjType = Annotated[
    Literal["amplitude", "phase", "both"], Field(description="part of the object it changes")
]
Relax = Annotated[
    float, Field(ge=0, le=1, description="share of the old value kept: 0 full effect, 1 none")
]
PowerThresh = Annotated[
    float,
    Field(ge=0, le=1, description="mask the strongest modes until they hold this power fraction"),
]
Taps = Annotated[
    int,
    Field(ge=1, json_schema_extra={"not": {"multipleOf": 2}}),
    AfterValidator(_odd),
]
Pair = Annotated[
    tuple[float, float],
    Field(json_schema_extra={"$comment": "an ascending pair of numbers"}),
    AfterValidator(_ascending),
]


class ProbeMaskK(Block):
    """Limit the strongest probe modes to a soft disc in k-space."""

    radius: float = Field(0.22, ge=0, description="radius of the disc, fraction of Nyquist")
    width: float = Field(0.05, ge=0, description="soft edge, fraction of Nyquist; 0: hard edge")
    power_thresh: PowerThresh = 0.95


class ProbeMaskR(Block):
    """Limit the strongest probe modes in real space, at the focus."""

    radius: float = Field(0.95, ge=0, description="radius, fraction of half the window")
    order: int = Field(6, ge=1, description="steepness: order of the super-Gaussian edge")
    power_thresh: PowerThresh = 0.95
    z_range: Pair = Field((-500.0, 500.0), description="defocus searched for the focus, Å")
    z_steps: int = Field(101, ge=1, description="number of defocus values tried in z_range")


class OrthoPmode(OnBlock):
    """Make the probe modes orthogonal and sort them by power."""


class FixProbeInt(OnBlock):
    """Restore the probe's total intensity."""


class ObjRblur(OnBlock):
    """Blur each slice of the object laterally with a Gaussian."""

    obj_type: ObjType = "both"
    kernel_size: Taps = Field(5, description="length of the kernel, px")
    std: float = Field(0.4, ge=0, description="standard deviation, px; 0: no blur")


class ObjZblur(OnBlock):
    """Blur the object along z with a Gaussian."""

    obj_type: ObjType = "both"
    kernel_size: Taps = Field(5, description="length of the kernel, slices")
    std: float = Field(1.0, ge=0, description="standard deviation, slices; 0: no blur")


class KrFilter(Block):
    """Low-pass each slice of the object in lateral frequency."""

    obj_type: ObjType = "both"
    radius: float = Field(0.15, ge=0, description="highest frequency kept, fraction of Nyquist")
    width: float = Field(0.05, ge=0, description="soft edge, fraction of Nyquist; 0: hard edge")


class KzFilter(Block):
    """Remove the missing wedge of depth frequencies from the object."""

    obj_type: ObjType = "both"
    beta: float = Field(1.0, ge=0, description="strength along z; 0: none")
    alpha: float = Field(1.0, ge=0, description="strength of the lateral low-pass, px²; 0: none")
    boundary: Literal["periodic", "mirror"] = Field(
        "periodic", description="mirror keeps the top slice from leaking into the bottom one"
    )


class KrThresh(Block):
    """Keep only the largest cosine coefficients of each slice."""

    obj_type: ObjType = "both"
    thresh: float = Field(0.05, gt=0, le=1, description="fraction of the coefficients kept")
    scope: Literal["global", "slice"] = Field(
        "global", description="count the fraction over the whole object or over each slice"
    )


class ComplexRatio(Block):
    """Couple amplitude and phase by one ratio of absorption to phase shift."""

    obj_type: ObjType = "both"
    alpha1: float = Field(1.0, description="share of the log amplitude taken from the phase")
    alpha2: float = Field(0.0, description="share of the phase taken from the log amplitude")


class MirroredAmp(Block):
    """Pull the amplitude towards a mirror image of the phase."""

    relax: Relax = 0.1
    scale: float = Field(0.03, ge=0, description="amplitude lost at a phase of 1 rad")
    power: float = Field(4.0, ge=0, description="exponent of the phase")


class ObjZRecenter(Block):
    """Shift the object along z so that its phase is centred in depth."""

    thresh: float | None = Field(
        95.0, ge=0, le=100, description="ignore phase below this percentile; null: ignore none"
    )
    scale: float = Field(1.0, ge=0, le=1, description="fraction of the offset corrected at once")
    max_shift: float | None = Field(
        10.0, ge=0, description="largest shift at once, slices; null: no limit"
    )


class ObjaThresh(Block):
    """Clip the object's amplitude."""

    relax: Relax = 0.0
    thresh: Pair = Field((0.96, 1.04), description="lowest and highest amplitude")


class ObjpPostiv(Block):
    """Make the object's phase positive."""

    relax: Relax = 0.0
    mode: Literal["clip_neg", "subtract_min"] = Field(
        "clip_neg", description="set negative phase to 0, or subtract the minimum everywhere"
    )


class PosRecenter(OnBlock):
    """Remove the mean of the probe position shifts."""

    relax: Relax = 0.0


class TiltSmooth(Block):
    """Smooth the object tilts over the scan."""

    std: float = Field(2.0, ge=0, description="standard deviation, scan steps; 0: no smoothing")


MODELS.update(
    {
        "probe_mask_k": ProbeMaskK,
        "probe_mask_r": ProbeMaskR,
        "ortho_pmode": OrthoPmode,
        "fix_probe_int": FixProbeInt,
        "obj_rblur": ObjRblur,
        "obj_zblur": ObjZblur,
        "kr_filter": KrFilter,
        "kz_filter": KzFilter,
        "kr_thresh": KrThresh,
        "complex_ratio": ComplexRatio,
        "mirrored_amp": MirroredAmp,
        "obj_z_recenter": ObjZRecenter,
        "obja_thresh": ObjaThresh,
        "objp_postiv": ObjpPostiv,
        "pos_recenter": PosRecenter,
        "tilt_smooth": TiltSmooth,
    }
)
ORDER: tuple[str, ...] = tuple(MODELS)
"""Names of the built-in constraints in order of execution."""
