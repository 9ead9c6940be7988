"""Results as JSON and as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from arraycon.bench.measuring import Measurement, geometric_mean
from arraycon.bench.peers import AGNOSTIC, FLOOR, PLAIN, PTYRAD, UNEQUAL
from arraycon.bench.session import Bench

FORMAT = 1
DISTURBED = 0.1  # cores; a quiet machine stays below
RATIOS = (PTYRAD, PLAIN, AGNOSTIC, FLOOR)
WIDTH = 116
"""Columns that the table takes; on less, cells would be cut off."""

_HEADINGS = {PTYRAD: "×\nPtyRAD", PLAIN: "×\nplain", AGNOSTIC: "×\nagnostic", FLOOR: "÷\nfloor"}


def as_json(bench: Bench) -> dict[str, Any]:
    """Everything that was measured, in what JSON can hold."""
    result: dict[str, Any] = {
        "format": FORMAT,
        "machine": bench.machine,
        "size": {
            "name": bench.size.name,
            "object": list(bench.size.object),
            "probe": list(bench.size.probe),
            "scan": list(bench.size.scan),
            "dtype": bench.dtype,
            "form": bench.form,
        },
        "absent": bench.absent,
        "cores_used_by_others": bench.others,
        "constraints": {name: _entry(bench, one) for name, one in bench.measurements.items()},
        "geometric_means": geometric_means(bench),
    }
    if bench.import_seconds is not None:
        result["import_seconds"] = bench.import_seconds
    return result


def geometric_means(bench: Bench) -> dict[str, float]:
    """Geometric mean over the constraints of each ratio that there is."""
    found = {}
    for peer in RATIOS:
        values = [m.ratios[peer].median for m in bench.measurements.values() if peer in m.ratios]
        if values:
            found[peer] = geometric_mean(values)
    return found


def extra_memory(bench: Bench, name: str) -> float:
    """Peak extra memory of the fast path: the larger of what was allocated and the process's rise.

    The second sees native buffers, the first is exact for the others; neither is the sum.
    """
    return max(bench.measurements[name].allocated, bench.peak_memory.get(name) or 0.0)


def table(bench: Bench) -> RenderableType:
    """Table of ratios, and what has to be known to read them."""
    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    shown.add_column("constraint", style="bold", no_wrap=True)
    for heading in (*_HEADINGS.values(), "extra\nmemory", "Δ\nagnostic", "Δ\nPtyRAD"):
        shown.add_column(heading, justify="right", no_wrap=True)
    if bench.first_calls:
        shown.add_column("first\ncall", justify="right", no_wrap=True)
    shown.add_column("floor", no_wrap=True)
    for one in bench.measurements.values():
        shown.add_row(*_row(bench, one))
    means = geometric_means(bench)
    shown.add_section()
    shown.add_row("geometric mean", *(factor(means.get(peer)) for peer in RATIOS))
    return Group(Text(title(bench)), shown, *(Text(line) for line in notes(bench)))


def title(bench: Bench) -> str:
    """One line saying what was measured, and on what."""
    held = ", complex object" if bench.form == "complex" else ""
    return f"{bench.size.name}: {bench.size}, {bench.dtype}{held}; {processor(bench)}"


def processor(bench: Bench) -> str:
    """Return what computed: the card, or the number of threads and the processor."""
    machine = bench.machine
    card = machine.get("gpu")
    return str(card) if card else f"{machine['threads']} threads, {machine['cpu']}"


def notes(bench: Bench) -> Iterator[str]:
    """Lines below the table."""
    yield "× how many times faster than; ÷ how many times slower than; Δ relative difference"
    memory = "allocated by CuPy" if "gpu" in bench.machine else "allocated by NumPy"
    memory = "allocated, or rise of the process" if bench.peak_memory else memory
    array = "one array" if bench.form == "parts" else "the complex object"
    yield f"extra memory: peak during a call ({memory}), as a fraction of {array}"
    if is_disturbed(bench):
        yield f"disturbed: other processes kept {bench.others:.1f} cores busy; do not quote ratios"
    for name, reason in bench.absent.items():
        yield f"no {name}: {reason}"
    for one in bench.measurements.values():
        for name, reason in one.absent.items():
            if name not in bench.absent:
                yield f"{one.case.name}: no {name}: {reason}"
        if PTYRAD in one.differences and one.case.name in UNEQUAL:
            yield f"* {one.case.name}: {UNEQUAL[one.case.name]}"
    if bench.import_seconds is not None:
        yield f"import arraycon: {bench.import_seconds:.2f} s; first calls at the small size"


def is_disturbed(bench: Bench) -> bool:
    """Whether other processes kept the machine so busy that ratios are not to be quoted."""
    return bench.others is not None and bench.others > DISTURBED


def factor(value: float | None) -> str:
    """Write a ratio with two significant digits, a missing one as a dash."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _row(bench: Bench, one: Measurement) -> list[str]:
    name = one.case.name
    ratios = (one.ratios[peer].median if peer in one.ratios else None for peer in RATIOS)
    row = [name, *(factor(value) for value in ratios)]
    row.append(f"{extra_memory(bench, name):.3f}")
    row += [_difference(one, AGNOSTIC), _difference(one, PTYRAD)]
    if bench.first_calls:
        row.append(f"{bench.first_calls[name]:.2f} s")
    return [*row, one.floor]


def _difference(one: Measurement, peer: str) -> str:
    if peer not in one.differences:
        return "–"
    mark = "*" if peer == PTYRAD and one.case.name in UNEQUAL else ""
    value = one.differences[peer]
    return f"{value:.0e}{mark}" if value else f"0{mark}"


def _entry(bench: Bench, one: Measurement) -> dict[str, Any]:
    name = one.case.name
    entry: dict[str, Any] = {
        "parameters": {k: _plain(v) for k, v in one.case.parameters.items()},
        "rounds": one.rounds,
        "seconds": {peer: asdict(spread) for peer, spread in one.seconds.items()},
        "ratios": {peer: asdict(spread) for peer, spread in one.ratios.items()},
        "floor": one.floor,
        "difference": one.differences,
        "change": one.change,
        "extra_memory": {"fraction_of": one.case.unit, "allocated": one.allocated},
    }
    if name in bench.peak_memory:
        entry["extra_memory"]["process"] = bench.peak_memory[name]
    if name in bench.first_calls:
        entry["first_call_seconds"] = bench.first_calls[name]
    if one.absent:
        entry["absent"] = one.absent
    if PTYRAD in one.differences and name in UNEQUAL:
        entry["unequal"] = UNEQUAL[name]
    return entry


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
