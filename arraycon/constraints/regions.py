"""Regions of the object: where a constraint looks or acts, as its block's `region` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arraycon.kernels.common import arrays

_FIELDS: dict[str, tuple[str, ...]] = {
    "vacuum": ("vacuum_mask",),
    "illumination": ("illumination",),
    "outside": ("illumination",),
    "inside": ("illumination",),
    "all": (),
}


def needs(block: Any) -> tuple[str, ...]:
    """Return the fields of the state that the weights are made of."""
    return _FIELDS[block.region]


def are_fields(block: Any) -> bool:
    """Whether the weights are a field themselves, and no new array that has to follow it."""
    return block.region not in ("outside", "inside")


def weights(block: Any, inputs: Mapping[str, Any]) -> Any:
    """Return weights per pixel; None is 1 everywhere.

    ``outside`` is where the illumination is below `threshold` times its maximum, ``inside`` its
    complement.
    """
    if block.region == "all":
        return None
    if are_fields(block):
        return inputs[_FIELDS[block.region][0]]
    illumination = inputs["illumination"]
    xp = arrays.namespace(illumination=illumination)
    outside = illumination < block.threshold * xp.max(illumination)
    return outside if block.region == "outside" else ~outside
