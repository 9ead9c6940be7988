"""What and when: the validated parameters of all constraints, and the files that hold them.

A block that is left out takes its defaults, and five constraints are on by default. A block that is
`None` is off, and so is one that is `False`: YAML reads an unquoted `off` so, and TOML has no null.
The constraints' own models, such as `KzFilter`, can be had from here, too.
"""

from __future__ import annotations

from typing import Any

from arraycon.blocks import (
    Block,
    DeprecatedParameterWarning,
    OnBlock,
    ParameterError,
    ParameterWarning,
    allowed,
    describe_schedule,
)
from arraycon.constraints import declared
from arraycon.params.constraint_params import SECTIONS, ConstraintParams, nullable

__all__ = [
    "SECTIONS",
    "Block",
    "ConstraintParams",
    "DeprecatedParameterWarning",
    "OnBlock",
    "ParameterError",
    "ParameterWarning",
    "allowed",
    "describe_schedule",
    "nullable",
]


def __getattr__(name: str) -> Any:
    for one in declared().values():
        if one.model.__name__ == name:
            return one.model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
