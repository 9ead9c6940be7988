"""Gaussian blurs of the object, in steps."""

from __future__ import annotations

from typing import Any

from arraycon.kernels import blur as doors
from arraycon.kernels.blocks.tools import whole
from arraycon.kernels.common.steps import Like, Step


def obj_rblur(obj: Like, **options: Any) -> list[Step]:
    """Blur each slice."""
    return [whole.lateral(doors.obj_rblur, options)]


def obj_zblur(obj: Like, **options: Any) -> list[Step]:
    """Blur each column."""
    return [whole.depth(doors.obj_zblur, options)]
