"""Candidates: a base and a few values of its fields."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from arraycon.blocks import ParameterError
from arraycon.params import ConstraintParams
from arraycon.pipeline import Constraints


def vary(
    base: ConstraintParams | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    fields: Mapping[str, Sequence[Any]],
) -> dict[str, Constraints]:
    """Make a candidate of each combination of values.

    Parameters
    ----------
    base : ConstraintParams, mapping or list
        What all have in common; a constraint that is varied may be missing there, and starts at
        iteration 1 then.
    fields : mapping
        Values by ``"constraint.field"``, as ``"kz_filter.beta"`` or, of one that the base holds
        twice, ``"kz_filter#2.beta"``; a value None of the field `start_iter` is off.

    Returns
    -------
    dict of Constraints
        By name, as ``"kz_filter.beta=0.1"``.

    Raises
    ------
    ParameterError
        There are no values, or a name or a value is not allowed.

    Examples
    --------
    >>> import arraycon
    >>> list(arraycon.vary({"kz_filter": {"start_iter": 3}}, {"kz_filter.beta": [0.1, 0.3]}))
    ['kz_filter.beta=0.1', 'kz_filter.beta=0.3']
    """
    params = Constraints(base).params if base else ConstraintParams().only_given()
    if not fields or not all(len(values) for values in fields.values()):
        raise ParameterError("vary: expected at least one field, each with at least one value")
    found = {}
    for values in itertools.product(*fields.values()):
        name = ", ".join(f"{key}={value}" for key, value in zip(fields, values, strict=True))
        found[name] = Constraints(_changed(params, dict(zip(fields, values, strict=True)), name))
    return found


def _changed(params: ConstraintParams, values: Mapping[str, Any], name: str) -> ConstraintParams:
    blocks: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        constraint, dot, field = key.partition(".")
        if not dot:
            raise ParameterError(
                f"vary: {key!r}: expected CONSTRAINT.FIELD, as in CONSTRAINT.start_iter"
            )
        blocks.setdefault(constraint, {})[field] = value
    for constraint, block in blocks.items():
        if constraint not in params.given:
            block.setdefault("start_iter", 1)
    try:
        return params.replace(**blocks)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ParameterError(f"vary: {name}: {where}: {first['msg']}") from None
