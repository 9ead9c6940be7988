"""The bench at a tiny size; no timing decides anything."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console
from typer.testing import CliRunner

from arraycon import bench
from arraycon.bench import Case, machine, peers, places, reporting
from arraycon.bench.measuring import Spread
from arraycon.cli import app


def ticking(clock):
    """Time by a clock that the test moves on."""
    return places.cpu(clock).seconds


TINY = bench.Size("tiny", (1, 4, 24, 20), (3, 24, 20), (5, 6))
WITHOUT_PTYRAD = tuple(name for name in peers.CONTENDERS if name != peers.PTYRAD)


def contender(name: str, log: list[str] | None = None) -> peers.Contender:
    log = [] if log is None else log
    return peers.Contender(
        name, lambda: log.append(f"restore {name}"), lambda: log.append(f"run {name}"), dict
    )


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app.app, ["bench", *arguments], prog_name="arraycon")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def made(name: str, ratios: dict[str, float], **more: Any) -> bench.Measurement:
    spreads = {peer: Spread(value, value, value) for peer, value in ratios.items()}
    values: dict[str, Any] = {
        "case": Case(name, TINY), "floor": "copy", "rounds": 1, "seconds": spreads,
        "ratios": spreads, "differences": {}, "change": 0.1, "allocated": 0.25, "absent": {},
    }  # fmt: skip
    return bench.Measurement(**values | more)


def results(*measurements: bench.Measurement, **more: Any) -> bench.Bench:
    found = {one.case.name: one for one in measurements}
    return bench.Bench(TINY, "float32", machine.describe(2), found, **more)


def printed(done: bench.Bench) -> str:
    stream = io.StringIO()
    Console(file=stream, width=reporting.WIDTH).print(reporting.table(done))
    return stream.getvalue()
