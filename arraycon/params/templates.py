"""Commented parameter files to start from, and the JSON schema, both made from the models.

A test loads every template without a warning. Where a constraint's own defaults would bring one
(`obj_zblur`: five taps cut off a Gaussian of one slice), `full` holds the block as comments, so
that the file still equals the defaults (whoever runs it is told that the block runs by default);
`minimal` has the kernel size that the Gaussian needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from arraycon.blocks import SCHEDULE, Block, allowed
from arraycon.constraints import Constraint, declared
from arraycon.params import permissive
from arraycon.params.constraint_params import ConstraintParams, nullable

COMMENT_AT = 28

HEADERS = {
    "minimal": "What runs even if a parameter file never mentions it, written out.",
    "recommended": "A start for electron multislice ptychography, to be tuned to the data.",
    "full": "All constraints with all their parameters, at their defaults.",
}
HELP = """\
# The constraints run in this order. A block left out has its defaults; null switches it off."""

# constraint: why, and what differs from the defaults beside start_iter; None is off
Choice = tuple[str, dict[str, Any] | None]
MINIMAL: dict[str, Choice] = {
    "obj_zblur": ("Its default kernel_size, 5, cuts the Gaussian off.", {"kernel_size": 7}),
}
RECOMMENDED: dict[str, Choice] = {
    "ortho_pmode": ("", {}),
    "fix_probe_int": ("Otherwise probe and object can trade a factor.", {}),
    "obj_rblur": ("Less than a pixel, against noise.", {}),
    "obj_zblur": ("Off, because kz_filter smooths z already.", None),
    "kz_filter": ("A smaller beta keeps more depth resolution, and more noise.", {"beta": 0.5}),
    "obja_thresh": ("A thin specimen absorbs next to nothing.", {}),
    "objp_postiv": ("Atoms only advance the phase of fast electrons.", {}),
    "pos_recenter": ("A common shift of all positions only moves the object.", {}),
}


def template(kind: Literal["minimal", "recommended", "full"]) -> str:
    """Write a commented parameter file in YAML.

    Parameters
    ----------
    kind : {'minimal', 'recommended', 'full'}
        What runs by default; a set for electron multislice ptychography; or every field of every
        constraint at its default.

    Returns
    -------
    str
        The file's text, which loads without a warning.

    Raises
    ------
    ValueError
        There is no such template.
    """
    if kind not in HEADERS:
        raise ValueError(f"kind must be one of {', '.join(HEADERS)}, got {kind!r}")
    if kind == "full":
        blocks = _full()
    elif kind == "minimal":
        blocks = _chosen({name: ("", {}) for name, one in _own() if one.default_on} | MINIMAL)
    else:
        blocks = _chosen(RECOMMENDED)
    return "\n\n".join([f"# {HEADERS[kind]}\n{HELP}", *blocks]) + "\n"


def _full() -> Iterator[str]:
    for name, one in _own():
        model = one.model
        values = model().model_dump()
        lines = [f"{name}:", *(_field(model, key, values[key], True) for key in values)]
        # as if it had been written out, without the warnings of creating it
        written: dict[str, Any] = {name: model(**values)}
        if notes := ConstraintParams.model_construct({name}, **written).notes():
            lines = [
                "# On with these defaults; a comment, because written out it brings a warning:",
                *(f"# {note.removeprefix(name + ': ')}." for note in notes),
                *(f"# {line}" for line in lines),
            ]
        yield "\n".join([f"# {one.meaning}", *lines])


def _chosen(choices: dict[str, Choice]) -> Iterator[str]:
    for name, one in _own():
        if name not in choices:
            continue
        model = one.model
        why, changes = choices[name]
        comment = f"# {one.meaning}" + (f"\n# {why}" if why else "")
        if changes is None:
            yield f"{comment}\n{name}: null"
            continue
        values = model(start_iter=1, **changes).model_dump(exclude=set(SCHEDULE - {"start_iter"}))
        fields = (_field(model, key, value, False) for key, value in values.items())
        yield "\n".join([comment, f"{name}:", *fields])


def _own() -> list[tuple[str, Constraint]]:
    return [(name, one) for name, one in declared().items() if one.built_in]


def _field(model: type[Block], key: str, value: Any, with_allowed: bool) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    comment = model.model_fields[key].description or ""
    if with_allowed:
        comment += f" [{allowed(model, key)}]"
    return f"  {key}: {text}".ljust(COMMENT_AT) + f" # {comment}"


def schema() -> dict[str, Any]:
    """Write the JSON schema of a parameter file: of constraint blocks, or PtyRAD's whole file.

    It takes what the loader takes, and more only where a schema cannot say it: the order of a
    pair's numbers, the range of numbers written as text, and misspelt names beside PtyRAD's
    sections.

    Returns
    -------
    dict
        JSON schema, draft 2020-12, with the users' own constraints that are registered now.
    """
    registered = {name: one.model for name, one in declared().items() if not one.built_in}
    models: list[type[BaseModel]] = [ConstraintParams, *registered.values()]
    references, shared = models_json_schema([(model, "validation") for model in models])
    definitions = shared["$defs"]
    root = definitions.pop(references[ConstraintParams, "validation"]["$ref"].rpartition("/")[2])
    for name, model in registered.items():
        root["properties"][name] = nullable(references[model, "validation"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **permissive.whole(root),
        "$defs": {name: permissive.block(one) for name, one in definitions.items()},
    }
