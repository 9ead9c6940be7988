"""Draw what constraints are for and when they hurt, on small phantoms, with numbers.

``python docs/make_gallery.py`` writes `docs/gallery.md` and a picture for each example of
`docs/gallery`; with names, only their pictures.
"""

from __future__ import annotations

import importlib
import inspect
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from arraycon.constraints import declared

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from gallery.cases import Case, Example  # noqa: E402

FAMILIES = (
    "probe_masks", "modes", "blur", "fourier", "linear", "dct", "variation", "gauge", "values",
    "coupling", "recenter", "clamp",
)  # fmt: skip
HEAD = """\
# What constraints are for, and when they hurt

Made by `python docs/make_gallery.py` from the examples in `docs/gallery`: phantoms of 96² pixels
whose truth is known. Above the use that a constraint is for, below one that it is not for; the
number is the root mean square difference from the truth, before and after. A row has one scale.
"""
DPI = 90
COLORS = 96


def main(*names: str) -> None:
    """Draw all examples, or those that are named."""
    made = examples()
    for name in names or made:
        draw(name, made[name](), ROOT / "gallery" / f"{name}.png")
    if not names:
        text = "\n".join([HEAD, *(line for name in made for line in page(name, made[name]()))])
        (ROOT / "gallery.md").write_text(text + "\n", encoding="utf-8")


def examples() -> dict[str, Callable[[], Example]]:
    """Return the examples by the constraint's name, in the order in which constraints run."""
    found = {
        name: function
        for family in FAMILIES
        for name, function in vars(importlib.import_module(f"gallery.{family}")).items()
        if inspect.isfunction(function) and name in declared()
    }
    return {name: found[name] for name in declared() if name in found}


def page(name: str, example: Example) -> Iterator[str]:
    """Lines about one example."""
    one = declared()[name]
    yield f"## `{name}`\n\n{one.meaning.rstrip('.')}.\n"
    yield f"![{name}: truth, before and after](gallery/{name}.png)\n"
    yield "| | | before | after |\n|---|---|--:|--:|"
    for title, case in (("for", example.helps), ("hurts", example.hurts)):
        before, after = (f"{error:.3f}" for error in case.error)
        yield f"| {title} | {case.story} ({case.measure}) | {before} | {after} |"
    yield ""


def draw(name: str, example: Example, path: Path) -> None:
    """Draw both cases of an example."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.4), dpi=DPI, layout="constrained")
    figure.suptitle(name)
    rows = figure.subfigures(2, 1)
    for row, case, title in zip(
        rows, (example.helps, example.hurts), ("for", "hurts"), strict=True
    ):
        draw_case(row, case, title)
    drawn = io.BytesIO()
    figure.savefig(drawn)
    # a third of the size, and nothing to be seen of it
    Image.open(drawn).convert("RGB").quantize(COLORS).save(path, optimize=True)


def draw_case(figure: object, case: Case, title: str) -> None:
    """Draw truth, before and after with the truth's scale."""
    low, high = float(case.truth.min()), float(case.truth.max())
    if high - low < 1e-6 * abs(high):  # flat but for its rounding
        low, high = sorted((0.0, high))
    margin = 0.1 * (high - low)
    figure.suptitle(f"{title}: {case.story}", fontsize=8, x=0.01, ha="left")
    titles = ("truth", f"before: {case.error[0]:.3f}", f"after: {case.error[1]:.3f}")
    for axes, image, label in zip(
        figure.subplots(1, 3), (case.truth, case.before, case.after), titles, strict=True
    ):
        shown = axes.imshow(
            image, cmap="viridis", vmin=low - margin, vmax=high + margin, aspect=case.aspect
        )
        axes.set_title(label, fontsize=8)
        axes.set_axis_off()
    bar = figure.colorbar(shown, ax=axes, shrink=0.8)
    bar.ax.tick_params(labelsize=6)
    bar.set_label(case.measure.removeprefix("rms error").strip(" /of"), fontsize=7)


if __name__ == "__main__":
    main(*sys.argv[1:])
