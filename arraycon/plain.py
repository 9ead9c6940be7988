"""Numbers and rich renderables as text, alike in all programs."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console, RenderableType

_SHOWN = 6


def plain(renderable: RenderableType, width: int) -> str:
    """Lines without colours and without trailing blanks, however the terminal looks."""
    file = io.StringIO()
    console = Console(
        file=file, width=width, no_color=True, markup=False, emoji=False, force_terminal=False
    )
    console.print(renderable)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def number(value: float | Iterable[float]) -> str:
    """Write a number, or several, with three significant digits."""
    if isinstance(value, Iterable):
        values = list(value)
        shown = ", ".join(f"{v:.3g}" for v in values[:_SHOWN])
        return f"{shown}, … ({len(values)} in all)" if len(values) > _SHOWN else shown
    return f"{value:.3g}"
