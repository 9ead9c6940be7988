"""What text in the place of a number was probably meant to be."""

from __future__ import annotations

import re

_COMMA = re.compile(r"\s*([-+]?\d+),(\d+)\s*")
_OCTAL = re.compile(r"[-+]?0[0-9_]*[0-7][0-9_]*")
_SIXTIES = re.compile(r"[-+]?\d[\d_]*(:[0-5]?\d)+(\.\d*)?")
_NOTHING = ("none", "nil", "nan", "n/a", "")


def about(value: object) -> str:
    """Say how to write what text, or a list that commas have made, may mean; mostly nothing."""
    if isinstance(value, list | tuple) and len(value) == 4:
        return " (four numbers: decimals are written with a point, 0.96)"
    if not isinstance(value, str):
        return ""
    if found := _COMMA.fullmatch(value):
        return f" (decimals are written with a point, {found[1]}.{found[2]})"
    if is_ambiguous(value):
        return f" (to YAML this is {_as_yaml(value):g}: write the number that is meant plainly)"
    return " (nothing is written null)" if value.lower() in _NOTHING else ""


def is_ambiguous(text: str) -> bool:
    """Whether YAML 1.1 takes a number for another one than everybody else: 010 is 8, 1:30 is 90."""
    return bool(_OCTAL.fullmatch(text) or _SIXTIES.fullmatch(text))


def comma(before: object, key: object) -> str:
    """Say what ``{beta: 0,5}`` was meant to be, of which YAML makes ``beta: 0`` and a key 5."""
    if isinstance(before, int) and not isinstance(before, bool) and isinstance(key, int):
        return f", decimals are written with a point, {before}.{key}"
    return ""


def _as_yaml(text: str) -> float:
    sign, digits = (-1 if text[0] == "-" else 1), text.lstrip("+-").replace("_", "")
    if ":" not in digits:
        try:
            return sign * int(digits, 8)
        except ValueError:  # 09 is 9 to YAML, for it is no octal number
            return sign * int(digits)
    total = 0.0
    for part in digits.split(":"):
        total = 60 * total + float(part)
    return sign * total
