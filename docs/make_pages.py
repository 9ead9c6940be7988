"""Make the site's pages that follow from the package: one per constraint, and the benchmarks.

What they are made of: declarations (parameters), docstrings (equation, errors, source, example),
the gallery (pictures and numbers), the study, the results of benches, and `other_codes.yaml`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import make_gallery  # noqa: E402
import make_tables  # noqa: E402

from arraycon.bench.reporting import DISTURBED  # noqa: E402
from arraycon.constraints import Constraint  # noqa: E402

ROOT = HERE.parent
MADE = HERE / "made"
RESULTS = ROOT / "bench" / "results"
STUDY = ROOT / "bench" / "study.md"
CODES = HERE / "other_codes.yaml"
_COLUMNS = "| time | × PtyRAD | × plain NumPy | extra memory |\n|---|--:|--:|--:|--:|"


def main() -> None:
    """Write all pages; those of constraints that are gone are removed."""
    folder = MADE / "constraints"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f"{name}.md": "\n".join(page(one)) for name, one in make_tables.own().items()}
    pages["index.md"] = "\n".join(index())
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        _write(folder / name, text)
    _write(MADE / "benchmarks.md", "\n".join(benchmarks()))


def _write(path: Path, text: str) -> None:
    """Leave a page alone that has not changed, which need not be built again then."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def index() -> Iterator[str]:
    """Lines of the overview."""
    yield "# The constraints\n\nIn the order in which they run within one iteration.\n"
    yield "| | constraint | what it does | |\n|---|---|---|---|"
    for name, one in make_tables.own().items():
        on = "on by default in files" if one.default_on else ""
        changes = _changes(one)
        yield f"| {changes} | [`{name}`]({name}.md) | {one.meaning.rstrip('.')} | {on} |"
    yield "\n```{toctree}\n:hidden:\n"
    yield from make_tables.own()
    yield "```"


def _changes(one: Constraint) -> str:
    written = {name.partition("_")[0] for name in one.writes(one.model())}
    return ", ".join(sorted(written))


def page(one: Constraint) -> Iterator[str]:
    """Lines of one constraint's page."""
    yield f"# `{one.name}`\n\n{one.meaning}\n"
    yield from seen(one.name)
    yield "## As a function\n"
    yield f"```{{eval-rst}}\n.. autofunction:: arraycon.{one.name}\n```\n"
    yield "## In a schedule or a parameter file\n"
    yield from declared(one)
    yield from elsewhere(one.name)
    yield from studied(one.name)
    yield from cost(one.name)


def declared(one: Constraint) -> Iterator[str]:
    """Lines about a constraint's block of parameters."""
    block = one.model()
    yield f"Takes {make_tables.names(one.needs(block))} of the state; changes "
    yield f"{make_tables.names(one.writes(block))}."
    facts = {
        "On by default where a file does not mention it, as in PtyRAD.": one.default_on,
        "Needs the probe in the middle of its array.": one.centred,
        "Keeps arrays from one iteration to the next.": one.memory,
        f"Leaves {make_tables.names(one.returns)} in `record.returned`.": one.returns,
        "Takes objects of one slice only.": one.flat,
    }
    yield " ".join(fact for fact, holds in facts.items() if holds)
    yield from make_tables.rows(one)
    yield "\nAlso `start_iter`, `step`, `end_iter` and `start_when`, as every block.\n"
    options = {key: _plain(value) for key, value in one.typical.items()}
    text = yaml.safe_dump({one.name: {"start_iter": 1, **options}}, default_flow_style=None)
    yield f"```yaml\n{text.strip()}\n```\n"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def seen(name: str) -> Iterator[str]:
    """Lines about what it is for and when it hurts, by its example in the gallery."""
    example = make_gallery.examples()[name]()
    yield f"![{name}: truth, before and after](../../gallery/{name}.png)\n"
    yield "| | | before | after |\n|---|---|--:|--:|"
    for title, case in (("for", example.helps), ("hurts", example.hurts)):
        before, after = (f"{error:.3f}" for error in case.error)
        measure = case.measure.replace("|", "\\|")
        story = case.story.replace("|", "\\|")
        yield f"| **{title}** | {story} ({measure}) | {before} | {after} |"
    yield ""


def elsewhere(name: str) -> Iterator[str]:
    """Lines about its names in other codes."""
    others = yaml.safe_load(CODES.read_text(encoding="utf-8"))[name]
    yield "## In other codes\n\n| code | there |\n|---|---|"
    for code, there in others.items():
        yield f"| {code} | {f'`{name}`' if there == 'same' else there} |"
    yield ""


def studied(name: str) -> Iterator[str]:
    """Lines of the study about it: one defect at a time, by numbers."""
    rows: list[list[str]] = []
    inside = False
    for line in STUDY.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| **`"):
            inside = cells[0] == f"**`{name}`**"
        elif inside and line.startswith("| |"):
            rows.append(cells[1:])
        elif not line.startswith("|"):
            inside = False
    if rows:
        yield "## When it helps and when it hurts, by numbers\n"
        yield "One defect at a time, in simulated situations (`bench/study.md`); ↓ lower is better."
        yield ""
        yield "| situation | settings | measure | without | with | |\n|---|---|---|--:|--:|---|"
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""


def cost(name: str) -> Iterator[str]:
    """Lines about the time and memory that it takes."""
    lines = []
    for path in sorted(RESULTS.glob("*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        if name in run.get("constraints", {}):
            lines.append(_row(path.stem, run, run["constraints"][name]))
    if lines:
        yield "## Cost\n"
        yield f"| run {_COLUMNS}"
        yield from lines
        yield "\nMachines and sizes of the runs: [Benchmarks](../benchmarks.md).\n"


def _row(title: str, run: dict[str, Any], one: dict[str, Any]) -> str:
    time = one["seconds"]["fast"]["median"] * 1e3
    ratios = [one["ratios"].get(peer, {}).get("median") for peer in ("PtyRAD", "plain")]
    shown = [f"{ratio:.1f}" if ratio else "–" for ratio in ratios]
    memory = one["extra_memory"]
    extra = f"{max(filter(None, (memory['allocated'], memory.get('process'))), default=0):.2f}"
    disturbed = " (disturbed)" if is_disturbed(run) else ""
    cells = f"{title}{disturbed}", f"{time:.3g} ms", *shown, f"{extra} of `{memory['fraction_of']}`"
    return f"| {' | '.join(cells)} |"


def is_disturbed(run: dict[str, Any]) -> bool:
    """Whether other processes took more of the machine than a quiet run allows."""
    return run["cores_used_by_others"] > DISTURBED


def benchmarks() -> Iterator[str]:
    """Lines of the page of benchmarks."""
    yield (HERE / "benchmarks_head.md").read_text(encoding="utf-8")
    for path in sorted(RESULTS.glob("*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        if "constraints" not in run:
            continue
        machine, size = run["machine"], run["size"]
        versions = ", ".join(f"{key} {value}" for key, value in machine["versions"].items())
        yield f"## {path.stem}\n"
        yield (
            f"{machine.get('gpu') or machine['cpu']}, {machine['cores']} cores, "
            f"{machine['threads']} threads, {machine['system']}, {machine['date']}; {versions}. "
            f"Object {'×'.join(map(str, size['object']))}, probe "
            f"{'×'.join(map(str, size['probe']))}, {size['dtype']}, held as {size['form']}."
        )
        if is_disturbed(run):
            yield f"\n**Disturbed**: other processes used {run['cores_used_by_others']:.1f} cores."
        yield f"\n| constraint {_COLUMNS}"
        for name, one in run["constraints"].items():
            yield _row(f"[`{name}`](constraints/{name}.md)", {"cores_used_by_others": 0}, one)
        yield ""


if __name__ == "__main__":
    main()
