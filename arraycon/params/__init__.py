"""What and when: validated parameters of the constraints.

A block that is left out takes its defaults, and five constraints are on by default. A block that is
`None` is off, and so is one that is `False`: YAML reads an unquoted `off` so, and TOML has no null.
"""

from arraycon.params.block import Block, OnBlock, describe_schedule
from arraycon.params.constraint_params import (
    ConstraintParams,
    nullable,
    register_model,
    unregister_model,
)
from arraycon.params.models import (
    ORDER,
    ComplexRatio,
    FixProbeInt,
    KrFilter,
    KrThresh,
    KzFilter,
    MirroredAmp,
    ObjaThresh,
    ObjpPostiv,
    ObjRblur,
    ObjZblur,
    ObjZRecenter,
    OrthoPmode,
    PosRecenter,
    ProbeMaskK,
    ProbeMaskR,
    TiltSmooth,
)
from arraycon.params.registry import MODELS, REGISTERED
from arraycon.params.wording import (
    SECTIONS,
    DeprecatedParameterWarning,
    ParameterError,
    ParameterWarning,
    allowed,
)

__all__ = [
    "MODELS",
    "ORDER",
    "REGISTERED",
    "SECTIONS",
    "Block",
    "ComplexRatio",
    "ConstraintParams",
    "DeprecatedParameterWarning",
    "FixProbeInt",
    "KrFilter",
    "KrThresh",
    "KzFilter",
    "MirroredAmp",
    "ObjRblur",
    "ObjZRecenter",
    "ObjZblur",
    "ObjaThresh",
    "ObjpPostiv",
    "OnBlock",
    "OrthoPmode",
    "ParameterError",
    "ParameterWarning",
    "PosRecenter",
    "ProbeMaskK",
    "ProbeMaskR",
    "TiltSmooth",
    "allowed",
    "describe_schedule",
    "nullable",
    "register_model",
    "unregister_model",
]
