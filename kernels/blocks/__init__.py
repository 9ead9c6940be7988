"""Constraints as steps, for arrays that are too large to be held at once.

A function here has the name of a door and its arguments, with what is known of arrays in the place
of arrays, and returns steps whose arrays have the names of the door's arguments. A door without one
is run on each region as it is.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from arraycon.kernels.common import dispatch
from arraycon.kernels.common.steps import Step

InSteps: TypeAlias = Callable[..., Sequence[Step]]
"""From what a door takes, with what is known of arrays in their places, to steps."""


def of(door: Any) -> InSteps | None:
    """Return the function that has a door's steps, None where the door itself is the only one."""
    if not dispatch.is_door(door):
        return None
    family = f"{__name__}.{door.__module__.rpartition('.')[2]}"
    if importlib.util.find_spec(family) is None:
        return None
    found: InSteps | None = getattr(importlib.import_module(family), door.__name__, None)
    return found
