"""Tables of HTML; every text is escaped."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence

_CELL = "padding:0.15em 0.7em;vertical-align:top;white-space:normal;text-align:"
_LINE = "border-bottom:1px solid rgba(128,128,128,0.5);"


class Markup(str):
    """HTML that is ready to be shown; any other text is escaped."""

    __slots__ = ()


def escaped(value: object) -> str:
    """Return a text as HTML that shows it literally."""
    return value if isinstance(value, Markup) else html.escape(str(value))


def table(
    title: object,
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[int] = (),
    notes: Iterable[object] = (),
) -> Markup:
    """Make a table with a title above and lines of text below.

    Parameters
    ----------
    title : object
        Text, as are cells and notes; a `Markup` is taken as it is.
    headings : sequence of str
    rows : iterable of sequences
        Without any there are no headings.
    right : collection of int
        Columns that are aligned to the right.
    notes : iterable
    """
    sides = ["right" if column in right else "left" for column in range(len(headings))]
    # styles in place: sheets are stripped where notebooks are shown by others
    head = "".join(
        f'<th style="{_CELL}{side};{_LINE}">{escaped(heading)}</th>'
        for heading, side in zip(headings, sides, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL}{side}">{escaped(cell)}</td>'
            for cell, side in zip(row, sides, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    grid = (
        f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
        if body
        else ""
    )
    below = "".join(f'<div style="opacity:0.75">{escaped(note)}</div>' for note in notes)
    return Markup(
        f'<div style="overflow-x:auto"><div><b>{escaped(title)}</b></div>{grid}{below}</div>'
    )
