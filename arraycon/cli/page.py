"""The report of ``arraycon apply``: one HTML file that needs no network.

A table of what ran, before and after with a slider, a section through the depth, the parameters,
and where all of it came from.
"""

from __future__ import annotations

import base64
import datetime
import io as memory
import platform
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from arraycon import figure
from arraycon.cli.as_json import parameters, plain
from arraycon.cli.doctor import version
from arraycon.plain import number
from arraycon.version import __version__

if TYPE_CHECKING:
    from arraycon.cli.job import Job, Outcome
    from arraycon.figure import Snapshot

_PACKAGES = ("numpy", "numba", "scipy", "pydantic", "h5py", "cupy")
_WIDTH = 720  # px, of pictures


def html(
    todo: Job, done: Outcome, before: Snapshot | None, after: Snapshot | None, *, command: str
) -> str:
    """Return the page.

    Parameters
    ----------
    todo, done
        A job and its outcome.
    before, after : Snapshot
        What is drawn.
    command : str
        As it was typed.
    """
    pictures = "".join(_pictures(before, after)) if before and after else ""
    return Template(_template()).substitute(
        title=escape(todo.source.name),
        when=escape(_iterations(done)),
        ran=_table(("constraint", "runs", "figure", "first", "last"), _ran(done)),
        rest=_table(("constraint", "did not run because"), _rest(done)) if _rest(done) else "",
        pictures=pictures or "<p>There was nothing to draw.</p>",
        depth=_depth(before, after) if before and after else "",
        parameters=escape(_parameters(done)),
        provenance=_table(("", ""), _provenance(todo, done, command)),
    )


def _template() -> str:
    return files("arraycon.cli").joinpath("page.html").read_text(encoding="utf-8")


def _iterations(done: Outcome) -> str:
    first, last = done.iterations[0], done.iterations[-1]
    return f"iteration {first}" if first == last else f"iterations {first} to {last}"


def _ran(done: Outcome) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, one in done.ran.items():
        first, last = (
            {key: number(x) for key, x in r.metrics.items()} for r in (one.first, one.last)
        )
        for i, key in enumerate(last or [""]):
            head = (name, str(one.times)) if i == 0 else ("", "")
            rows.append((*head, key, first.get(key, ""), last.get(key, "")))
    return rows


def _rest(done: Outcome) -> list[tuple[str, ...]]:
    skipped = [(s.name, f"the file holds no {' and no '.join(s.missing)}") for s in done.skipped]
    waiting = [
        (name, f"next due at iteration {due}" if due else "it is never due again")
        for name, due in done.waiting.items()
    ]
    return [*skipped, *waiting]


def _parameters(done: Outcome) -> str:
    """Return what is on as a parameter file would have it, a line each."""
    lines = []
    for name, block in plain(parameters(done.constraints.params)).items():
        told = {key: value for key, value in block.items() if value is not None}
        text = yaml.safe_dump(told, default_flow_style=True, sort_keys=False, width=10_000)
        lines.append(f"{name}: {text.strip()}")
    return "\n".join(lines)


def _provenance(todo: Job, done: Outcome, command: str) -> list[tuple[str, str]]:
    source = todo.source.stat()
    changed = datetime.datetime.fromtimestamp(source.st_mtime).astimezone()
    found = {name: version(name) for name in _PACKAGES}
    versions = ", ".join(f"{name} {one}" for name, one in found.items() if one)
    return [
        ("command", command),
        ("reconstruction", f"{todo.source}, {source.st_size:,} bytes, of {changed:%Y-%m-%d %H:%M}"),
        ("parameters", str(todo.params or f"those that {todo.source.name} was made with")),
        ("changed by --set, --only", " ".join((*todo.changes, *todo.only)) or "nothing"),
        ("result", f"{todo.target}; changed: {', '.join(done.changed) or 'nothing'}"),
        ("made", f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}, on {todo.backend}"),
        (
            "by",
            f"arraycon {__version__}, Python {platform.python_version()}, {versions}",
        ),
    ]


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in headings)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    # a table may be wider than a telephone: it scrolls by itself
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _pictures(before: Snapshot, after: Snapshot) -> Iterable[str]:
    shown = (
        ("phase summed over depth", "rad", before.phase, after.phase, "magma"),
        ("amplitude, mean over depth", "", before.amplitude, after.amplitude, "gray"),
    )
    for title, unit, old, new, colours in shown:
        if old is not None and new is not None:
            yield _compared(title, unit, old, new, colours, before.dx)
    if before.modes is not None and after.modes is not None:
        modes = [figure.phase_hue(x.modes[0]) for x in (before, after)]
        title = "first probe mode: brightness = amplitude, hue = phase"
        yield _slider(title, [_png(mode) for mode in modes], "", modes[0].shape)


def _compared(title: str, unit: str, old: Any, new: Any, colours: str, dx: float | None) -> str:
    """Two images of one scale, one above the other."""
    low, high = (float(x) for x in np.percentile(np.stack([old, new]), (0.1, 99.9)))
    if high <= low:
        low, high = low - 0.5, low + 0.5
    size = f"; {old.shape[1] * dx:.4g} Å wide" if dx else f"; {old.shape[1]} px wide"
    scale = f"{low:.3g} to {high:.3g} {unit}".strip() + size
    return _slider(title, [_png(_coloured(x, low, high, colours)) for x in (old, new)], scale,
                   old.shape)  # fmt: skip


def _slider(title: str, images: list[str], scale: str, shape: tuple[int, ...]) -> str:
    width = min(_WIDTH, max(240, 3 * shape[1]))
    old, new = images
    name = escape(title)
    return f"""<figure style="max-width:{width}px"><figcaption>{name} <small>{escape(scale)}</small>
</figcaption><div class="pair" style="aspect-ratio:{shape[1]}/{shape[0]}">
<img alt="{name}, after" src="{new}"><img class="old" alt="{name}, before" src="{old}">
<span class="left">before</span><span class="right">after</span></div>
<input type="range" min="0" max="100" value="50" aria-label="{name}: before and after"></figure>"""


def _depth(before: Snapshot, after: Snapshot) -> str:
    """Return a section through the depth, before above after."""
    if before.section is None or after.section is None or before.section.shape[0] < 2:
        return ""
    both = np.stack([before.section, after.section])
    low, high = (float(x) for x in np.percentile(both, (0.1, 99.9)))
    nz, nx = before.section.shape
    true = nz / nx
    if before.dx and before.slice_thickness:
        true *= before.slice_thickness / before.dx
    # thin specimens would be a line, thick ones a column
    shown = min(max(true, 0.25), 0.75)
    stretched = "" if abs(shown / true - 1) < 0.02 else f", z drawn × {shown / true:.2g}"
    row = f"{before.row * before.dx:.4g} Å" if before.dx else f"row {before.row}"
    shape = f'class="section" style="aspect-ratio:1/{shown:.4g}"'
    images = "".join(
        f'<figure><figcaption>{name}</figcaption><img {shape} alt="section, {name}" '
        f'src="{_png(_coloured(section, low, high, "magma"))}"></figure>'
        for name, section in zip(("before", "after"), both, strict=True)
    )
    about = f"Phase of each slice at y = {row}, {low:.3g} to {high:.3g} rad{stretched}."
    return f'<h2>Section through the depth</h2><p>{about}</p><div class="two">{images}</div>'


def _coloured(image: Any, low: float, high: float, colours: str) -> Any:
    from matplotlib import colormaps

    scaled = np.clip((image - low) / (high - low if high > low else 1.0), 0, 1)
    return colormaps[colours](scaled)[..., :3]


def _png(rgb: Any) -> str:
    """Return an image as the text that a page can hold."""
    from matplotlib.image import imsave

    file = memory.BytesIO()
    imsave(file, np.clip(rgb, 0, 1), format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
