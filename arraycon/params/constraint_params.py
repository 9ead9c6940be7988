"""ConstraintParams: the blocks of all constraints, made from their declarations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pydantic
from pydantic import BaseModel, ConfigDict, ValidationError

from arraycon.blocks import Block, Place, schedule_table
from arraycon.blocks.wording import HINTS, detail, not_text, show, unknown, warn
from arraycon.constraints import declared, repeats, reserve
from arraycon.params import advice
from arraycon.showing import public

if TYPE_CHECKING:
    from pydantic_core import CoreSchema, InitErrorDetails
    from typing_extensions import Self

PARTS = ("init", "model", "loss", "constraint", "recon", "hypertune")
SECTIONS = tuple(f"{part}_params" for part in PARTS)
"""Sections of PtyRAD's whole parameter file."""


class _AllBlocks(BaseModel):
    """Parameters of all constraints; a block left out has its defaults, a null one is off.

    A list of ``{name: block}``, one constraint in each, may hold a constraint several times: from
    the second time on it is named ``name#2``, ``name#3`` and so on, here and in a mapping, too.
    `model_dump` has the blocks that were given, so that what is read from it again is the same;
    `blocks` has all of them.

    Raises
    ------
    pydantic.ValidationError
        A block, a field or a value is not allowed; it names all of them.

    Examples
    --------
    >>> import arraycon
    >>> params = arraycon.ConstraintParams(
    ...     kz_filter={"start_iter": 1, "beta": 0.5}, obj_zblur=None
    ... )
    >>> params.kz_filter.is_due(7), params.obj_zblur.is_due(7)
    (True, False)
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).model_fields:
            raise AttributeError(
                f"{name}: parameters do not change; params.replace({name}={{...}}) returns others"
            )
        super().__setattr__(name, value)

    @property
    def given(self) -> frozenset[str]:
        """Names of the blocks that were given, null ones included, as opposed to left out."""
        return frozenset(self.model_fields_set)

    def blocks(self) -> dict[str, Block]:
        """All blocks by name, in order of execution."""
        known = declared()
        return {
            name: self._block(name, known[repeats.kind(name)].model)
            for name in repeats.in_order(self.given)
        }

    def replace(self, **blocks: Any) -> Self:
        """Return a copy with other values, validated: for sweeps over a parameter.

        Parameters
        ----------
        **blocks : mapping, Block or None
            By constraint: fields that change, the others staying; a whole block; or None for off.

        Raises
        ------
        pydantic.ValidationError
            A block, a field or a value is not allowed.

        Examples
        --------
        >>> import arraycon
        >>> params = arraycon.ConstraintParams(kz_filter={"start_iter": 5, "beta": 0.5})
        >>> params.replace(kz_filter={"beta": 0.25}).kz_filter.start_iter
        5
        """
        data: dict[str, Any] = {name: getattr(self, name) for name in self.given}
        for name, value in blocks.items():
            old = data.get(name)
            if isinstance(value, Mapping) and isinstance(old, Block):
                value = {**{key: getattr(old, key) for key in old.model_fields_set}, **value}
            data[name] = value
        return type(self).model_validate(data)

    def only_given(self) -> Self:
        """Return a copy in which every block that was not given is off."""
        known = declared()
        off = {name: known[name].model(start_iter=None) for name in known.keys() - self.given}
        copied = self.model_copy(update=off)
        copied.__pydantic_fields_set__.intersection_update(self.given)
        return copied

    def is_valid(self) -> bool:
        """Whether the blocks that were given are what validation would have made of them."""
        known = declared()
        for name in self.given:
            block, kind = getattr(self, name), repeats.kind(name)
            if kind not in known or type(block) is not known[kind].model:
                return False
            try:
                if known[kind].model.model_validate(block) != block:
                    return False
            except ValidationError:
                return False
        return True

    @pydantic.model_serializer(mode="wrap")
    def _dump(self, handler: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        # a block that was left out stays left out: read again, its default would be asked for
        return {name: block for name, block in handler(self).items() if name in self.given}

    def notes(self) -> list[str]:
        """Advice on parameters that are valid but probably not meant so; warned of on creation."""
        return advice.about(self.blocks(), self.given)

    def _repr_html_(self) -> str:
        return schedule_table("ConstraintParams", self.blocks(), self.given)

    def __dir__(self) -> list[str]:
        return public({*super().__dir__()} - {*dir(BaseModel)} | {"model_dump", *self.blocks()})

    def _block(self, name: str, model: type[Block]) -> Block:
        # a user's constraint may have been declared after this was made
        block = getattr(self, name, None)
        return model() if block is None else block

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _read(cls, data: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        problems: list[InitErrorDetails] = []
        if isinstance(data, list | tuple):
            data, problems = _by_name(data)
        if not isinstance(data, Mapping):
            return handler(data)
        known, blocks, above = declared(), {}, ""
        for name, value in data.items():
            if not isinstance(name, str):
                shown, text = not_text(name)
                problems.append(detail((shown,), text, value))
                continue
            kind = repeats.kind(name)
            if kind in known:
                above = kind if value is None else ""
            elif above and name in known[above].model.model_fields:
                text = f"a setting of {above}: it belongs below that, indented"
                problems.append(detail((name,), text, value))
                continue
            else:
                near = len(problems) < HINTS
                text = _unknown(name, list(known)) if near else "unknown key"
                problems.append(detail((name,), text, value))
                continue
            try:
                place = Place(name, frozenset(known))
                blocks[name] = known[kind].model.model_validate(value, context=place)
            except ValidationError as error:
                for item in error.errors(include_url=False):
                    text = str(item.get("ctx", {}).get("error") or item["msg"])
                    problems.append(detail((name, *item["loc"]), text, item["input"]))
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        params = handler(blocks)
        # what is only on by default may not run at all: that is for whoever runs it to say
        for note in params.only_given().notes():
            warn(note)
        return params

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        schema["additionalProperties"] = False
        schema["description"] = schema["description"].partition("\n")[0]
        if handler.mode == "validation":
            schema["properties"] = {k: nullable(v) for k, v in schema["properties"].items()}
        return reference


def _made() -> type[_AllBlocks]:
    """Give the class the constraints of this package as fields."""
    fields: dict[str, Any] = {
        name: (one.model, one.model()) for name, one in declared().items() if one.built_in
    }
    return pydantic.create_model(
        "ConstraintParams",
        __base__=_AllBlocks,
        __module__=__name__,
        __doc__=_AllBlocks.__doc__,
        **fields,
    )


if TYPE_CHECKING:
    ConstraintParams = _AllBlocks
else:
    ConstraintParams = _made()

reserve([*SECTIONS, *(name for name in vars(_AllBlocks) if not name.startswith("_"))])


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """JSON schema of a block that may also be null or false."""
    block = {key: schema[key] for key in schema if key not in ("default", "description")}
    rest = {key: schema[key] for key in schema if key not in block}
    return {"anyOf": [block, {"type": "null"}, {"const": False}], **rest}


def _by_name(
    entries: Sequence[Any],
) -> tuple[dict[Any, Any], list[InitErrorDetails]]:
    """Name the entries of a list, and say which are no constraint with its settings."""
    counts: Counter[Any] = Counter()
    blocks: dict[Any, Any] = {}
    problems = []
    for position, entry in enumerate(entries):
        place = f"[{position}]"
        if not isinstance(entry, Mapping) or len(entry) != 1:
            text = f"got {show(entry)}, allowed: one constraint, with its settings below it"
            problems.append(detail((place,), text, entry))
            continue
        name, value = next(iter(entry.items()))
        counts[name] += 1
        if isinstance(name, str) and repeats.kind(name) != name:
            text = "in a list, constraints are numbered as they come"
            problems.append(detail((place, name), text, value))
        elif counts[name] > repeats.MOST:
            text = f"more than {repeats.MOST} times the same constraint"
            problems.append(detail((place, str(name)), text, value))
        else:
            key = repeats.numbered(name, counts[name]) if isinstance(name, str) else name
            blocks[key] = value
    return blocks, problems


def _unknown(key: str, names: list[str]) -> str:
    if key in SECTIONS:
        return "a section of PtyRAD's file: it belongs at the top level, not among constraints"
    return unknown(key, names, SECTIONS)
