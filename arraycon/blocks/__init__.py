"""Blocks: how the parameters of one constraint are read, refused and put into words.

Nothing here knows a constraint.
"""

from arraycon.blocks.block import (
    SCHEDULE,
    Block,
    OnBlock,
    Place,
    RampedBlock,
    describe_schedule,
    schedule_table,
)
from arraycon.blocks.starting import StartWhen
from arraycon.blocks.wording import (
    DeprecatedParameterWarning,
    ParameterError,
    ParameterWarning,
    allowed,
)

__all__ = [
    "SCHEDULE",
    "Block",
    "DeprecatedParameterWarning",
    "OnBlock",
    "ParameterError",
    "ParameterWarning",
    "Place",
    "RampedBlock",
    "StartWhen",
    "allowed",
    "describe_schedule",
    "schedule_table",
]
