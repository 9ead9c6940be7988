"""Rich renderables as text for files."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType


def plain(renderable: RenderableType, width: int) -> str:
    """Lines without colours and without trailing blanks, however the terminal looks."""
    file = io.StringIO()
    console = Console(
        file=file, width=width, no_color=True, markup=False, emoji=False, force_terminal=False
    )
    console.print(renderable)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())
