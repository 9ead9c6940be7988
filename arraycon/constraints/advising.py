"""Advice that several families give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CORNER = 2**0.5  # of a square array, the farthest frequency there is
_ANGLES = 2.0  # from here on nobody means a fraction


def beyond_nyquist(name: str, blocks: Mapping[str, Any], given: frozenset[str]) -> list[str]:
    """Warn of a radius that is no fraction of Nyquist, or one that lets everything through."""
    block = blocks[name]
    if name not in given or not block.enabled or block.radius < 1:
        return []
    if block.radius >= _ANGLES:
        hint = "an angle in mrad is radius·1000·wavelength/(2·dx)"
    else:
        hint = "it passes everything" if block.radius >= _CORNER else "it cuts the corners alone"
    return [f"{name}: radius {block.radius:g} is a fraction of Nyquist; {hint}"]
