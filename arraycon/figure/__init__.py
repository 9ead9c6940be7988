"""Before/after figure of a reconstruction.

`snapshot` reduces a state to what is drawn, so that no second copy of the object is held while
constraints run; `draw` puts two snapshots side by side. Only matplotlib's object interface is used:
no pyplot, no backend chosen for the caller.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arraycon.figure import panels
from arraycon.figure.probes import phase_hue
from arraycon.figure.snapshot import Snapshot, snapshot
from arraycon.io.atomic import OutputError, check_output, replacing
from arraycon.state import State

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "FIELDS",
    "Snapshot",
    "check_figure",
    "check_output",
    "draw",
    "draw_one",
    "phase_hue",
    "save",
    "saved",
    "snapshot",
]

FIELDS = ("object_amplitude", "object_phase", "object", "probe")
"""Fields of a state that are drawn."""
_DPI = 150


def check_figure(
    path: Path, state: State, *, keep: Sequence[Path] = (), replace: bool = True
) -> None:
    """Refuse a figure that `save` could not write, or that would overwrite a file to keep.

    Raises
    ------
    OutputError
        The suffix is no image format, the path cannot be written, is there already although
        `replace` is False, or the state holds neither an object nor a probe.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    formats = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lower().lstrip(".") not in formats:
        names = ", ".join(f".{name}" for name in sorted(formats))
        raise OutputError(f"{path}: unknown image format; expected one of {names}")
    if not state.present & set(FIELDS):
        raise OutputError(f"{path}: there is neither an object nor a probe to draw")
    for other in keep:
        check_output(path, keep=other)
    check_output(path, replace=replace)


def draw(before: Snapshot, after: Snapshot, *, title: str = "") -> Figure:
    """Draw before, after and difference.

    Parameters
    ----------
    before, after : Snapshot
        Two states of the same reconstruction.
    title : str
        Heading, taken literally.

    Raises
    ------
    ValueError
        There is nothing to draw.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    maps = panels.map_rows(before, after)
    has_probe = before.modes is not None
    if not maps and not has_probe:
        raise ValueError("figure: there is neither an object nor a probe to draw")
    heights = [aspect * 3.4 + 0.75 for _, aspect in maps]
    foot = max(3.9 if has_probe else 0.0, 2.6 if before.profile is not None else 0.0)
    if foot:
        heights.append(foot)
    figure = Figure(figsize=(12.5, sum(heights) + 0.6), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, fontweight="bold", parse_math=False)
    parts = figure.subfigures(
        len(heights), 1, squeeze=False, height_ratios=heights, hspace=0.03
    ).ravel()
    for part, (fill, _) in zip(parts, maps, strict=False):
        fill(part)
    if foot:
        panels.draw_foot(parts[-1], before, after)
    return figure


def draw_one(seen: Snapshot, *, title: str = "") -> Figure:
    """Draw one state: object, depth section, probe modes.

    Parameters
    ----------
    seen : Snapshot
        A state.
    title : str
        Heading, taken literally.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.5 if seen.modes is not None else 4.2), dpi=_DPI,
                    layout="constrained")  # fmt: skip
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, fontweight="bold", parse_math=False)
    panels.draw_alone(figure, seen)
    return figure


@contextlib.contextmanager
def saved(
    figure: Figure, path: Path | str, *, like: Path | None = None, replace: bool = True
) -> Iterator[None]:
    """Render a figure now, and give it its name when the block ends well.

    Two files can so appear together or not at all. The suffix names the format.

    Parameters
    ----------
    figure : Figure
        As `draw` has made it.
    path : Path or str
        Where it goes.
    like : Path, optional
        File that it shows: the figure may be read by nobody who may not read that.
    replace : bool
        Allow `path` to be there already.

    Raises
    ------
    OutputError, WriteError
        As `arraycon.io.write`.
    """
    path = Path(path)
    with replacing(path, like=like, replace=replace) as draft:
        with warnings.catch_warnings():
            # a heading in a script that the font lacks is drawn as boxes: not worth a warning
            warnings.filterwarnings("ignore", message="Glyph")
            figure.savefig(draft, format=path.suffix.lower().lstrip("."), dpi=_DPI)
        yield


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure atomically; see `saved`."""
    with saved(figure, path):
        pass
