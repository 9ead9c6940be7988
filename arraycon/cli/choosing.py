"""Parameters that the command line changes, and constraints that it picks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import yaml
from pydantic import ValidationError

from arraycon.blocks import ParameterError
from arraycon.params import ConstraintParams


class Choice(Protocol):
    """What the command line says of the schedule."""

    @property
    def changes(self) -> tuple[str, ...]:
        """Parameters that differ from the file's, ``NAME.FIELD=VALUE``."""

    @property
    def only(self) -> tuple[str, ...]:
        """Constraints that run alone; empty: all."""


def chosen(params: ConstraintParams, choice: Choice) -> ConstraintParams:
    """Return parameters with what was changed, and off what was not asked for.

    Raises
    ------
    ParameterError
        A value is not allowed.
    ValueError
        A change has another form, a constraint is unknown, or it is off.
    """
    if choice.changes:
        blocks: dict[str, dict[str, Any]] = {}
        for text in choice.changes:
            name, field, value = _change(text, params)
            blocks.setdefault(name, {})[field] = value
        params = _replaced(params, blocks)
    if choice.only:
        _require_on(choice.only, params)
        on = (name for name, block in params.blocks().items() if block.enabled)
        params = _replaced(params, {name: None for name in on if name not in choice.only})
    return params


def _replaced(params: ConstraintParams, blocks: Mapping[str, Any]) -> ConstraintParams:
    try:
        return params.replace(**blocks)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ParameterError(f"--set {place}: {first['msg']}") from None


def _change(text: str, params: ConstraintParams) -> tuple[str, str, Any]:
    place, equals, value = text.partition("=")
    name, dot, field = place.strip().partition(".")
    if not (equals and dot and name and field and value.strip()):
        raise ValueError(f"--set {text}: expected NAME.FIELD=VALUE, as in kz_filter.beta=0.3")
    blocks = params.blocks()
    if name not in blocks:
        raise ValueError(f"--set {text}: expected a constraint, one of {', '.join(blocks)}")
    if field not in type(blocks[name]).model_fields:
        fields = ", ".join(type(blocks[name]).model_fields)
        raise ValueError(f"--set {text}: {name} has no {field}; expected one of {fields}")
    try:
        return name, field, yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError(f"--set {text}: expected a value as in YAML, got {value!r}") from None


def _require_on(names: Iterable[str], params: ConstraintParams) -> None:
    blocks = params.blocks()
    for name in names:
        if name not in blocks:
            raise ValueError(f"--only {name}: expected a constraint, one of {', '.join(blocks)}")
        if not blocks[name].enabled:
            raise ValueError(f"--only {name}: is off; --set {name}.start_iter=1 switches it on")
