"""Tables of the command, as rich renderables.

Cells are plain text: the console that prints them has markup switched off, so that brackets in file
names stay brackets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from arraycon.blocks import SCHEDULE, describe_schedule
from arraycon.cli.comparing import Differences
from arraycon.cli.doctor import Fact, Report
from arraycon.cli.job import Outcome, Ran
from arraycon.cli.looking import Contents
from arraycon.cli.rehearsing import Rehearsal
from arraycon.params import ConstraintParams
from arraycon.plain import number

_STYLES = {True: "green", False: "yellow", None: "dim"}


def outcome(done: Outcome) -> RenderableType:
    """Table of what ran, and what did not and why."""
    table = _table("constraint", "runs", "target", "what it did (the first → the last run)")
    table.columns[0].style = "bold"
    table.columns[1].justify = "right"
    for name, ran in done.ran.items():
        first = (name, str(ran.times))
        for row in _by_target(ran):
            table.add_row(*first, *row)
            first = ("", "")
    lines = [
        _line("skipped", item.name, f"on by default, but the file holds no {_and(item.missing)}")
        for item in done.skipped
    ]
    for name, due in done.waiting.items():
        when = f"next at iteration {due}" if due else "never again"
        lines.append(_line("not due", name, when))
    head: RenderableType = table if done.ran else Text("nothing was due", style="yellow")
    return Group(head, *lines)


def rehearsal(plan: Rehearsal) -> RenderableType:
    """Table of what would run."""
    table = _table("constraint", "runs")
    table.columns[1].justify = "right"
    for name, times in plan.due.items():
        table.add_row(name, str(times))
    lines = [
        _line("skipped", item.name, f"on by default, but the file holds no {_and(item.missing)}")
        for item in plan.skipped
    ]
    head: RenderableType = table if plan.due else Text("nothing would be due", style="yellow")
    return Group(head, *lines)


def contents(found: Contents) -> RenderableType:
    """Table of what a reconstruction holds."""
    table = _table("field", "shape", "type", "least", "mean", "largest", "unit")
    for column in table.columns[3:6]:
        column.justify = "right"
    for field, one in found.arrays.items():
        shape = "×".join(map(str, one.shape))
        numbers = (number(value) for value in (one.least, one.mean, one.largest))
        table.add_row(field, shape, one.dtype, *numbers, one.unit)
    lines = [Text(f"{name}: {text}") for name, text in found.facts.items()]
    return Group(table, *lines)


def differences(found: Differences) -> RenderableType:
    """Table of where two files differ."""
    lines = [Text(text) for text in found.facts]
    if not found.arrays:
        return Group(*lines)
    table = _table("field", "relative difference", "largest", "")
    for column in table.columns[1:3]:
        column.justify = "right"
    for field, one in found.arrays.items():
        shown = ("" if x is None else number(x) for x in (one.relative, one.largest))
        table.add_row(field, *shown, one.note)
    return Group(table, *lines)


def schedule(params: ConstraintParams) -> RenderableType:
    """Table of what is active, when, and whether the file says so."""
    table = _table("constraint", "state", "when", "set by", "settings")
    table.columns[0].style = "bold"
    for name, block in params.blocks().items():
        settings = block.model_dump(exclude=set(SCHEDULE))
        active = block.enabled
        table.add_row(
            name,
            Text("active" if active else "off", style=_STYLES[active or None]),
            describe_schedule(block) if active else "",
            "the file" if name in params.given else "default",
            ", ".join(f"{key} {_setting(value)}" for key, value in settings.items())
            if active
            else "",
        )
    return table


def doctor(report: Report) -> RenderableType:
    """Tables of versions, array libraries and fast paths."""
    versions = _table("package", "version")
    for name, version in report.versions.items():
        versions.add_row(name, Text(version or "not installed", style="" if version else "dim"))
    return Group(
        versions,
        _facts("array library", report.libraries, ("answers", "fails", "absent")),
        _facts("fast path", report.fast_paths, ("on", "off", "none")),
    )


def seconds(measured: Mapping[str, float]) -> RenderableType:
    """Table of how long each constraint took."""
    table = _table("constraint", "seconds")
    table.columns[1].justify = "right"
    for name, value in {**measured, "all": sum(measured.values())}.items():
        table.add_row(name, f"{value:.2f}")
    return table


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=index == 0)
    return table


def _facts(heading: str, facts: Iterable[Fact], words: tuple[str, str, str]) -> Table:
    names = dict(zip((True, False, None), words, strict=True))
    table = _table(heading, "state", "details")
    for fact in facts:
        detail = Text(fact.detail)
        if fact.remedy:
            detail.append(f"\n→ {fact.remedy}", style="cyan")
        table.add_row(fact.name, Text(names[fact.good], style=_STYLES[fact.good]), detail)
    return table


def _by_target(ran: Ran) -> list[tuple[str, str]]:
    """Rows of target and metrics; metrics are named ``target: quantity``, or just ``quantity``."""
    texts: dict[str, list[str]] = {target: [] for target in ran.last.targets}
    for key, value in ran.last.metrics.items():
        target, colon, quantity = key.partition(": ")
        known = colon and target in texts
        before = "" if ran.times == 1 else f"{number(ran.first.metrics[key])} → "
        text = f"{quantity if known else key} {before}{number(value)}"
        texts.setdefault(target if known else "", []).append(text)
    return [(target, "; ".join(parts)) for target, parts in texts.items()]


def _setting(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_setting(item) for item in value)}]"
    return "null" if value is None else str(value)


def _line(word: str, name: str, detail: str) -> Text:
    return Text.assemble((f"{word}: ", "yellow"), (name, "bold"), f", {detail}")


def _and(names: Iterable[str]) -> str:
    return " and no ".join(names)
