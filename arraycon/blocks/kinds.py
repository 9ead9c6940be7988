"""Kinds of fields that several constraints have, with their ranges."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

__all__ = ["AnyObjType", "ObjType", "Pair", "Region", "Relax", "Taps", "Threshold"]


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
AnyObjType = Annotated[
    Literal["amplitude", "phase", "both", "complex"],
    Field(description="part of the object it changes; complex: the object A·exp(iφ) as a whole"),
]
Relax = Annotated[
    float, Field(ge=0, le=1, description="share of the old value kept: 0 full effect, 1 none")
]
Region = Annotated[
    Literal["vacuum", "outside", "all"],
    Field(description="where: vacuum_mask, where there is little illumination, or everywhere"),
]
Threshold = Annotated[
    float, Field(ge=0, le=1, description="illumination that counts, share of its maximum")
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
