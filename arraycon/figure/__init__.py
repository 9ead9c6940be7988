"""Before/after figure of a reconstruction.

`snapshot` reduces a state to what is drawn, so that no second copy of the object is held while
constraints run; `draw` puts two snapshots side by side. Only matplotlib's object interface is used:
no pyplot, no backend chosen for the caller.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from arraycon.figure import panels
from arraycon.io.atomic import OutputError, check_output, replacing
from arraycon.state import State

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODES_SHOWN = 6
_DPI = 150


@dataclass(frozen=True)
class Snapshot:
    """What the figure shows of one state; None where the state has no such field.

    Parameters
    ----------
    phase, amplitude : array, shape (ny, nx)
        Phase summed over depth (rad) and amplitude averaged over depth, mean of the object modes.
    section : array, shape (nz, nx)
        Phase (rad) along `row`.
    profile : array, shape (nz,)
        Mean phase of each slice (rad).
    row : int
        Row of the section.
    modes : array, shape (at most 6, py, px)
        The first probe modes.
    powers : array, shape (pmode,)
        Fraction of the intensity in each mode.
    dx, slice_thickness : float
        Pixel size and slice distance in Å.
    """

    phase: Any = None
    amplitude: Any = None
    section: Any = None
    profile: Any = None
    row: int = 0
    modes: Any = None
    powers: Any = None
    dx: float | None = None
    slice_thickness: float | None = None


def snapshot(state: State, *, row: int | None = None) -> Snapshot:
    """Reduce a state of NumPy arrays to what the figure shows.

    Parameters
    ----------
    state : State
        Its arrays are not kept.
    row : int, optional
        Row of the depth section; by default the one with most phase in the middle half, because
        the rim of a scan is often badly reconstructed and bright.
    """
    shown: dict[str, Any] = {"dx": state.dx, "slice_thickness": state.slice_thickness}
    amplitude, phase = _parts(state)
    if phase is not None and phase.size:
        phase = _merge_modes(phase)
        shown["phase"] = phase.sum(axis=0, dtype=np.float64)
        shown["row"] = _row_of_most_phase(shown["phase"]) if row is None else row
        shown["section"] = phase[:, shown["row"]].astype(np.float64)
        shown["profile"] = phase.mean(axis=(1, 2), dtype=np.float64)
    if amplitude is not None and amplitude.size:
        shown["amplitude"] = _merge_modes(amplitude).mean(axis=0, dtype=np.float64)
    if state.probe is not None and state.probe.size:
        power = np.sum(np.abs(state.probe) ** 2, axis=(1, 2), dtype=np.float64)
        shown["powers"] = power / max(float(power.sum()), np.finfo(float).tiny)
        shown["modes"] = state.probe[:MODES_SHOWN].copy()
    return Snapshot(**shown)


def check_figure(path: Path, state: State, *, keep: Sequence[Path] = ()) -> None:
    """Refuse a figure that `save` could not write, or that would overwrite a file to keep.

    Raises
    ------
    OutputError
        The suffix is no image format, the path cannot be written, or the state holds neither an
        object nor a probe.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    formats = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lower().lstrip(".") not in formats:
        names = ", ".join(f".{name}" for name in sorted(formats))
        raise OutputError(f"{path}: unknown image format; expected one of {names}")
    if not state.present & {"object_amplitude", "object_phase", "probe"}:
        raise OutputError(f"{path}: there is neither an object nor a probe to draw")
    check_output(path)
    for other in keep:
        check_output(path, keep=other)


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


@contextlib.contextmanager
def saved(figure: Figure, path: Path | str) -> Iterator[None]:
    """Render a figure now, and give it its name when the block ends well.

    Two files can so appear together or not at all. The suffix names the format.

    Raises
    ------
    OutputError, WriteError
        As `arraycon.io.write`.
    """
    path = Path(path)
    with replacing(path) as draft:
        with warnings.catch_warnings():
            # a heading in a script that the font lacks is drawn as boxes: not worth a warning
            warnings.filterwarnings("ignore", message="Glyph")
            figure.savefig(draft, format=path.suffix.lower().lstrip("."), dpi=_DPI)
        yield


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure atomically; see `saved`."""
    with saved(figure, path):
        pass


def _parts(state: State) -> tuple[Any, Any]:
    if state.object is not None:
        return np.abs(state.object), np.angle(state.object)
    return state.object_amplitude, state.object_phase


def _merge_modes(x: Any) -> Any:
    """Mean over all axes before the depth axis: (..., nz, ny, nx) to (nz, ny, nx)."""
    if x.ndim == 3:
        return x
    return x.reshape(-1, *x.shape[-3:]).mean(axis=0, dtype=np.float64)


def _row_of_most_phase(phase: Any) -> int:
    margin = int(phase.shape[0]) // 4
    rows = phase[margin : phase.shape[0] - margin].sum(axis=1)
    return margin + int(rows.argmax())
