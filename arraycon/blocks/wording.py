"""How problems with parameters are put into words."""

from __future__ import annotations

import difflib
import reprlib
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import InitErrorDetails, PydanticCustomError

if TYPE_CHECKING:
    from pydantic import BaseModel


HINTS = 20
"""Unknown keys for which a likely one is looked for: 20 000 of them took 20 s."""


class ParameterWarning(UserWarning):
    """Valid parameters that probably do not do what was meant.

    Examples
    --------
    Taps that end at one standard deviation are no Gaussian:

    >>> import arraycon, warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = arraycon.Constraints({"obj_zblur": {"start_iter": 1, "kernel_size": 3, "std": 1}})
    >>> caught[0].category.__name__, "kernel_size" in str(caught[0].message)
    ('ParameterWarning', True)
    """


class DeprecatedParameterWarning(ParameterWarning, FutureWarning):
    """An old spelling; a FutureWarning, because those who must see it are end users."""


class ParameterError(ValueError):
    """Parameters that cannot be used; the text lists all problems, one line per field.

    Examples
    --------
    >>> import arraycon
    >>> try:
    ...     arraycon.Constraints({"kz_filter": {"start_iter": 1, "betta": 0.5}})
    ... except arraycon.ParameterError as error:
    ...     print(error)
    parameters: 1 problem in the parameters
      kz_filter.betta: unknown key, did you mean beta?
    """


def warn(message: str, category: type[Warning] = ParameterWarning) -> None:
    """Warn at the first caller outside this package and pydantic."""
    level, frame, inside = 1, sys._getframe(), ("arraycon", "pydantic")
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in inside:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def show(value: object) -> str:
    """Write a value as a parameter file would, shortened."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    try:
        return reprlib.repr(list(value) if isinstance(value, tuple) else value)
    except ValueError:  # Python refuses to print integers of more than 4300 digits
        return "an enormous number"


def unknown(key: str, names: Iterable[str], also: Iterable[str] = ()) -> str:
    """Say what an unknown key may have been meant to be, out of `names` and `also`."""
    names = list(names)
    near = difflib.get_close_matches(key.lower(), [*names, *also], n=1)
    hint = f"did you mean {near[0]}?" if near else f"valid keys: {', '.join(names)}"
    return f"unknown key, {hint}"


def allowed(model: type[BaseModel], field: str) -> str:
    """Say what a field accepts, such as 'a number ≥ 0' or 'amplitude, phase or both'."""
    # the JSON schema states a bound in one way, wherever the annotation keeps it
    return _words(model.model_json_schema()["properties"][field])


def _words(schema: Mapping[str, Any]) -> str:
    if "$comment" in schema:
        return str(schema["$comment"])
    if "anyOf" in schema:
        return " or ".join(map(_words, schema["anyOf"]))
    if "enum" in schema:
        *first, last = map(str, schema["enum"])
        return f"{', '.join(first)} or {last}"
    if "const" in schema:
        return str(schema["const"])
    kind = _KINDS.get(schema.get("type", ""), "another value")
    if "not" in schema:  # only kernel sizes have it: no multiple of two
        kind = "an odd integer"
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        left, right = "(["["minimum" in schema], ")]"["maximum" in schema]
        return f"{kind} in {left}{_bound(low)}, {_bound(high)}{right}"
    if low is not None:
        return f"{kind} {'≥' if 'minimum' in schema else '>'} {_bound(low)}"
    return kind if high is None else f"{kind} {'≤' if 'maximum' in schema else '<'} {_bound(high)}"


def _bound(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


_KINDS = {"number": "a number", "integer": "an integer", "boolean": "true or false"}
_KINDS |= {"string": "text", "null": "null"}


def detail(loc: tuple[int | str, ...], text: str, value: object) -> InitErrorDetails:
    """Make a text into what pydantic's errors are made of."""
    # the text goes in as context: as a template it would trip over its own braces
    error = PydanticCustomError("parameter", "{text}", {"text": text})
    return InitErrorDetails(type=error, loc=loc, input=value)


def not_text(key: object) -> tuple[str, str]:
    """Name a key that is no text as the file does, and what is wrong with it."""
    name = show(key) if key is None or isinstance(key, bool) else str(key)
    return name, "unknown key, keys must be text"
