"""Models of all constraints by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arraycon.params.block import Block

MODELS: dict[str, type[Block]] = {}
"""Model of each built-in constraint, in order of execution; `models` fills it."""

REGISTERED: dict[str, type[Block]] = {}
"""Models of the users' own constraints."""
