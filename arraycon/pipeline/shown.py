"""Reports as tables, pictures and data."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from arraycon.pipeline.record import Record, Skipped
from arraycon.showing import Markup, on_host, pair, table
from arraycon.state import State

if TYPE_CHECKING:
    from arraycon.figure import Snapshot

States: TypeAlias = "State | Mapping[str, Any]"
"""A state, or some of its fields by name."""


def report_table(records: Sequence[Record], skipped: Sequence[Skipped]) -> Markup:
    """Make a table of what ran, on what, and what it did; figures on a GPU are waited for."""
    rows = [
        (record.name, target, quantity, _number(value), record.note)
        for record in records
        for target, quantity, value in _figures(record)
    ]
    iterations = sorted({record.iteration for record in records})
    title = f"Report of iteration {', '.join(map(str, iterations))}" if rows else "Report"
    notes = [f"skipped: {each.name}, no {', '.join(each.missing)}" for each in skipped]
    if not rows:
        notes.insert(0, "nothing was due")
    headings = ("constraint", "target", "figure", "value", "note")
    columns = len(headings) if any(note for *_, note in rows) else len(headings) - 1
    shown = [row[:columns] for row in rows]
    return table(title, headings[:columns], shown, right=(3,), notes=notes)


def report_page(
    records: Sequence[Record], skipped: Sequence[Skipped], before: States, after: States
) -> Markup:
    """Return the table, and pictures of what two states have in common."""
    from arraycon.figure.snapshot import snapshot

    one = snapshot(_on_host("before", before))
    other = snapshot(_on_host("after", after), row=one.row)
    pictures = "".join(
        pair(b, a, title=title, unit=unit)
        for (title, unit, b), (_, _, a) in zip(_planes(one), _planes(other), strict=True)
        if b is not None and a is not None
    )
    return Markup(f"{report_table(records, skipped)}{pictures}")


def as_dict(records: Sequence[Record], skipped: Sequence[Skipped]) -> dict[str, Any]:
    """Return what a report holds but for by-products, which are arrays."""
    return {
        "records": [
            {
                "iteration": record.iteration,
                "name": record.name,
                "targets": list(record.targets),
                "metrics": {
                    key: list(value) if isinstance(value, tuple) else value
                    for key, value in record.metrics.items()
                },
                "note": record.note,
            }
            for record in records
        ],
        "skipped": [{"name": each.name, "missing": list(each.missing)} for each in skipped],
    }


def as_json(records: Sequence[Record], skipped: Sequence[Skipped]) -> str:
    """Return `as_dict` as a text; JSON has no number for what is not finite."""
    return json.dumps(_finite(as_dict(records, skipped)), ensure_ascii=False, allow_nan=False)


def as_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a row for each figure, and for each entry of those that have several."""
    rows = []
    for record in records:
        for target, quantity, value in _figures(record):
            several = isinstance(value, tuple)
            rows += [
                {
                    "iteration": record.iteration,
                    "constraint": record.name,
                    "target": target,
                    "figure": quantity,
                    "index": index if several else None,
                    "value": each,
                }
                for index, each in enumerate(value if several else (value,))
            ]
    return rows


def _figures(record: Record) -> Iterator[tuple[str, str, Any]]:
    """Metrics are named ``target: quantity``, or just ``quantity``; one that ran has a row."""
    every = ", ".join(record.targets)
    for key, value in record.metrics.items():
        target, colon, quantity = key.partition(": ")
        known = bool(colon) and target in record.targets
        yield (target, quantity, value) if known else (every, key, value)
    if not record.metrics:
        yield every, "", None


def _number(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(f"{each:.3g}" for each in (value if isinstance(value, tuple) else (value,)))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _planes(shot: Snapshot) -> tuple[tuple[str, str, Any], ...]:
    section = None if shot.section is None or len(shot.section) == 1 else shot.section
    modes = None if shot.modes is None else abs(shot.modes[0])
    return (
        ("object's phase, summed over depth", "rad", shot.phase),
        ("object's amplitude, mean over depth", "", shot.amplitude),
        (f"object's phase in row {shot.row}, z downwards", "rad", section),
        ("probe's first mode, modulus", "", modes),
    )


def _on_host(argument: str, given: Any) -> State:
    """Return a state whose arrays to be shown are NumPy's."""
    from arraycon.figure import FIELDS

    if not isinstance(given, State | Mapping):
        kind = type(given).__name__
        raise TypeError(f"{argument}: expected a State or a mapping of its fields, got {kind}")
    # a copy warns of nothing that the state's maker was warned of
    state = copy.copy(given) if isinstance(given, State) else State(**given)
    shown = [name for name in FIELDS if getattr(state, name) is not None]
    if not shown:
        raise ValueError(f"{argument}: expected one of {', '.join(FIELDS)}, got none of them")
    for name in shown:
        setattr(state, name, on_host(getattr(state, name)))
    return state
