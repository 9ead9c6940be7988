"""Random valid parameters of any constraint, from what its model says of each field."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
from pydantic.fields import FieldInfo

from arraycon.blocks import Block

Rng = np.random.Generator

# where nothing bounds a number; the edges are tried as well
WHOLE = (1, 2, 3, 5, 7, 21, 101)
REAL = (0.0, 1e-12, 0.05, 0.3, 0.5, 1.0, 1.7, 4.0, 20.0, 1e4)


def draw(rng: Rng, model: type[Block]) -> dict[str, Any]:
    """Return values of a model's own fields; about a third of them stay as they are."""
    own = {key: field for key, field in model.model_fields.items() if key not in Block.model_fields}
    while True:
        drawn = {
            key: _valid(rng, model, key, field) for key, field in own.items() if rng.random() < 0.7
        }
        try:
            model(**drawn)
        except ValueError:  # two that do not go together
            continue
        return drawn


def _valid(rng: Rng, model: type[Block], key: str, field: FieldInfo) -> Any:
    while True:
        value = _value(rng, field.annotation, _bounds(field))
        try:
            return getattr(model(**{key: value}), key)
        except ValueError:  # an even number of taps, a pair that does not ascend
            continue


def _value(rng: Rng, annotation: Any, bounds: tuple[float | None, float | None]) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return arguments[rng.integers(len(arguments))]
    if origin in (Union, types.UnionType):
        return _value(rng, arguments[rng.integers(len(arguments))], bounds)
    if annotation is type(None):
        return None
    if origin is tuple and arguments[-1] is ...:
        return tuple(int(i) for i in rng.integers(-2, 2, rng.integers(3)))
    if origin is tuple:
        return tuple(_value(rng, argument, bounds) for argument in arguments)
    if annotation is int:
        return int(rng.choice(WHOLE))
    low, high = bounds
    numbers = [*REAL, *(edge for edge in bounds if edge is not None)]
    if low is None:
        numbers += [-x for x in REAL]
    if high is not None:
        numbers += list(rng.uniform(low or 0.0, high, 4))
    return float(rng.choice(numbers))


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    low = high = None
    for limit in field.metadata:
        low = getattr(limit, "ge", getattr(limit, "gt", low))
        high = getattr(limit, "le", getattr(limit, "lt", high))
    return low, high
