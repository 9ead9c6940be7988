"""ConstraintParams: the blocks of all constraints, the users' own included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pydantic
from pydantic import BaseModel, ConfigDict, ValidationError

from arraycon.params import notes
from arraycon.params.block import Block
from arraycon.params.models import (
    ORDER,
    ComplexRatio,
    FixProbeInt,
    KrFilter,
    KrThresh,
    KzFilter,
    MirroredAmp,
    ObjaThresh,
    ObjpPostiv,
    ObjRblur,
    ObjZblur,
    ObjZRecenter,
    OrthoPmode,
    PosRecenter,
    ProbeMaskK,
    ProbeMaskR,
    TiltSmooth,
)
from arraycon.params.registry import MODELS, REGISTERED
from arraycon.params.wording import SECTIONS, detail, not_text, unknown_block, warn

if TYPE_CHECKING:
    from pydantic_core import CoreSchema
    from typing_extensions import Self


class ConstraintParams(BaseModel):
    """Parameters of all constraints; a block left out has its defaults, a null one is off.

    Raises
    ------
    pydantic.ValidationError
        A block, a field or a value is not allowed; it names all of them.

    Examples
    --------
    >>> params = ConstraintParams(kz_filter={"start_iter": 1, "beta": 0.5}, obj_zblur=None)
    >>> params.kz_filter.is_due(7), params.obj_zblur.is_due(7)
    (True, False)
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    probe_mask_k: ProbeMaskK = ProbeMaskK()
    probe_mask_r: ProbeMaskR = ProbeMaskR()
    ortho_pmode: OrthoPmode = OrthoPmode()
    fix_probe_int: FixProbeInt = FixProbeInt()
    obj_rblur: ObjRblur = ObjRblur()
    obj_zblur: ObjZblur = ObjZblur()
    kr_filter: KrFilter = KrFilter()
    kz_filter: KzFilter = KzFilter()
    kr_thresh: KrThresh = KrThresh()
    complex_ratio: ComplexRatio = ComplexRatio()
    mirrored_amp: MirroredAmp = MirroredAmp()
    obj_z_recenter: ObjZRecenter = ObjZRecenter()
    obja_thresh: ObjaThresh = ObjaThresh()
    objp_postiv: ObjpPostiv = ObjpPostiv()
    pos_recenter: PosRecenter = PosRecenter()
    tilt_smooth: TiltSmooth = TiltSmooth()

    @property
    def given(self) -> frozenset[str]:
        """Names of the blocks that were given, null ones included, as opposed to left out."""
        return frozenset(self.model_fields_set)

    def blocks(self) -> dict[str, Block]:
        """All blocks by name: the built-in ones in order of execution, then registered ones."""
        built_in: dict[str, Block] = {name: getattr(self, name) for name in ORDER}
        registered = {name: model() for name, model in REGISTERED.items()}
        return built_in | registered | (self.model_extra or {})

    def notes(self) -> list[str]:
        """Advice on parameters that are valid but probably not meant so; warned of on creation."""
        return notes.about(self.blocks(), self.given)

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _read(cls, data: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        models, blocks, problems = MODELS | REGISTERED, {}, []
        for name, value in data.items():
            if not isinstance(name, str):
                shown, text = not_text(name)
                problems.append(detail((shown,), text, value))
                continue
            if name not in models:
                problems.append(detail((name,), unknown_block(name), value))
                continue
            try:
                blocks[name] = models[name].model_validate(value)
            except ValidationError as error:
                for item in error.errors(include_url=False):
                    text = str(item.get("ctx", {}).get("error") or item["msg"])
                    problems.append(detail((name, *item["loc"]), text, item["input"]))
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        params = handler(blocks)
        for note in params.notes():
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


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """JSON schema of a block that may also be null or false."""
    block = {key: schema[key] for key in schema if key not in ("default", "description")}
    rest = {key: schema[key] for key in schema if key not in block}
    return {"anyOf": [block, {"type": "null"}, {"const": False}], **rest}


def register_model(name: str, model: type[Block]) -> None:
    """Let parameters hold a block for a user's own constraint.

    Parameters
    ----------
    name : str
        Name of the block.
    model : type of Block
        Its parameters, each with a default.

    Raises
    ------
    TypeError
        `model` is not a subclass of Block.
    ValueError
        The name is taken or impossible, or a field has no default.
    """
    if not (isinstance(model, type) and issubclass(model, Block)):
        raise TypeError(f"model must be a subclass of Block, got {model!r}")
    if not (isinstance(name, str) and name.isidentifier()):
        raise ValueError(f"name must be an identifier, got {name!r}")
    if name in MODELS or name in SECTIONS or hasattr(ConstraintParams, name):
        raise ValueError(f"name {name!r} is taken")
    # a notebook cell that is run again makes the class anew
    old = REGISTERED.get(name, model)
    if (old.__module__, old.__qualname__) != (model.__module__, model.__qualname__):
        raise ValueError(
            f"name {name!r} is registered already; unregister_model({name!r}) frees it"
        )
    if required := [key for key, field in model.model_fields.items() if field.is_required()]:
        raise ValueError(f"every field needs a default, {required[0]} of {model.__name__} has none")
    REGISTERED[name] = model


def unregister_model(name: str) -> None:
    """Undo `register_model`; a KeyError if there is nothing to undo."""
    if name not in REGISTERED:
        raise KeyError(f"no constraint is registered as {name!r}")
    del REGISTERED[name]
