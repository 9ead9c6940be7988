"""The JSON schema of what the loader reads: old spellings, numbers as text and whole files too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arraycon.constraints import repeats
from arraycon.params.constraint_params import SECTIONS

# What float() takes and YAML does not read as another number; 1e-3 is text to YAML 1.1.
_NUMBER = r"^\s*[-+]?([1-9](_?\d)*|0|(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+|\d+\.\d*|\.\d+)\s*$"
_FREQ = {
    "anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}],
    "description": "old spelling of start_iter: 1, step: n; null: off",
    "deprecated": True,
}


def block(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Widen the schema of a block: it also takes `freq`, and numbers written as text."""
    fields = {name: _lenient(field) for name, field in schema["properties"].items()}
    if "freq" in fields:  # a user's own
        return {**schema, "properties": fields}
    both = {"anyOf": [{"required": ["start_iter"]}, {"required": ["step"]}]}
    return {
        **schema,
        "properties": {**fields, "freq": _FREQ},
        # beside the new spelling an old one counts only where it is null
        "if": {"allOf": [{"required": ["freq"]}, both]},
        "then": {"properties": {"freq": {"type": "null"}}},
    }


def whole(blocks: Mapping[str, Any]) -> dict[str, Any]:
    """Widen the schema of all blocks to a file of them or of PtyRAD's sections."""
    properties = blocks["properties"]
    once = {"type": "object", "properties": properties, "additionalProperties": False}
    repeated = {f"^{name}{repeats.PATTERN}$": block for name, block in properties.items()}
    inside = {**once, "patternProperties": repeated}
    entry = {**once, "minProperties": 1, "maxProperties": 1}
    listed = {"type": "array", "items": entry, "minItems": 1}
    names = f"^({'|'.join(properties)})({repeats.PATTERN})?$"
    sections = {
        "properties": {"constraint_params": {"anyOf": [inside, listed, {"type": "null"}]}},
        "propertyNames": {"not": {"pattern": names}},
    }
    kept = {name: part for name, part in blocks.items() if name != "additionalProperties"}
    return {
        **kept,
        "if": {"anyOf": [{"required": [section]} for section in SECTIONS]},
        "then": sections,
        "else": inside,
    }


def _lenient(field: Mapping[str, Any]) -> dict[str, Any]:
    if field.get("type") in ("number", "integer"):
        about = {key: field[key] for key in ("default", "description", "title") if key in field}
        number = {key: value for key, value in field.items() if key not in about}
        return {"anyOf": [number, {"type": "string", "pattern": _NUMBER}], **about}
    if "anyOf" in field:
        return {**field, "anyOf": [_lenient(option) for option in field["anyOf"]]}
    if "prefixItems" in field:
        return {**field, "prefixItems": [_lenient(item) for item in field["prefixItems"]]}
    return dict(field)
