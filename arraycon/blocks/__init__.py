"""Blocks: how the parameters of one constraint are read, refused and put into words.

Nothing here knows a constraint.
"""

from arraycon.blocks.block import Block, OnBlock, Place, describe_schedule
from arraycon.blocks.wording import (
    DeprecatedParameterWarning,
    ParameterError,
    ParameterWarning,
    allowed,
)

__all__ = [
    "Block",
    "DeprecatedParameterWarning",
    "OnBlock",
    "ParameterError",
    "ParameterWarning",
    "Place",
    "allowed",
    "describe_schedule",
]
