"""Blocks as tables: when they run, and what of them differs from the defaults."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

from arraycon.blocks.wording import allowed, show
from arraycon.showing import Markup, escaped, table


def block_table(block: BaseModel, when: str) -> Markup:
    """Make a table of all fields of a block, with those in bold that are not at their defaults."""
    model, changed = type(block), differing(block)
    rows: list[tuple[object, ...]] = []
    for name, field in model.model_fields.items():
        value = changed.get(name, _text(getattr(block, name)))
        shown = Markup(f"<b>{escaped(value)}</b>") if name in changed else value
        accepted, meaning = allowed(model, name), field.description or ""
        rows.append((name, shown, _text(_default(model, name)), accepted, meaning))
    headings = ("parameter", "value", "default", "allowed", "meaning")
    return table(f"{model.__name__}: {when}", headings, rows)


def schedule_table(
    title: str,
    blocks: Mapping[str, tuple[BaseModel, str]],
    given: Collection[str],
    settings: Collection[str],
) -> Markup:
    """Make a table of what is on, when, whether it was asked for, and with which parameters.

    Parameters
    ----------
    title : str
    blocks : mapping
        Blocks that are on, and when they run, by constraint, in order.
    given : collection of str
        Constraints that were asked for, on or off; the others are on by default.
    settings : collection of str
        Fields that say when, as opposed to what.
    """
    rows = []
    for name, (block, when) in blocks.items():
        changed = {key: text for key, text in differing(block).items() if key not in settings}
        words = ", ".join(f"{key} = {text}" for key, text in changed.items())
        rows.append((name, when, "given" if name in given else "default", words or "all defaults"))
    off = sorted(set(given) - set(blocks))
    notes = [f"off: {', '.join(off)}"] if off else []
    if not rows:
        notes.insert(0, "nothing is on")
    return table(title, ("constraint", "when", "set by", "parameters"), rows, notes=notes)


def differing(block: BaseModel) -> dict[str, str]:
    """Return the values that are not the model's defaults, as texts, by field."""
    model = type(block)
    values = ((name, getattr(block, name)) for name in model.model_fields)
    return {name: _text(value) for name, value in values if value != _default(model, name)}


def _default(model: type[BaseModel], name: str) -> Any:
    return model.model_fields[name].get_default(call_default_factory=True)


def _text(value: object) -> str:
    return str(value) if isinstance(value, BaseModel | str) else show(value)
