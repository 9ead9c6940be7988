"""Measure one size: ``python -m gpu_tables --size medium --out FOLDER``, from this folder's parent.

Writes ``schedules.json`` and ``schedules.md``.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cupy

from arraycon.bench import NAMES, SIZES, Size, machine, places
from arraycon.state import State
from gpu_tables import contents, tables
from gpu_tables.contents import SCHEDULES, Inputs, Schedule
from gpu_tables.timing import Clock

_SIZES = {**SIZES, "tiny": Size("tiny", (1, 4, 16, 12), (2, 16, 16), (4, 4))}


def main() -> None:
    parser = argparse.ArgumentParser(prog="gpu_tables", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=_SIZES, default="medium")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    size, clock = _SIZES[options.size], Clock()
    found = {
        "size": asdict(size),
        "machine": machine.describe(1, on="gpu"),
        "schedules": [
            row
            for name, names in SCHEDULES.items()
            for as_object in (False, True)
            for row in schedule(name, Schedule(names, size), as_object, clock, options.rounds)
        ],
        "constraints": [
            row
            for name in NAMES
            for row in schedule(name, Schedule((name,), size), False, clock, options.rounds)
        ],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    figures = json.dumps(found, indent=1)
    (options.out / "schedules.json").write_text(figures + "\n", encoding="utf-8")
    (options.out / "schedules.md").write_text(tables.markdown(found), encoding="utf-8")


def schedule(
    name: str, what: Schedule, as_object: bool, clock: Clock, rounds: int
) -> list[dict[str, Any]]:
    """Measure a schedule in every way; return a row for each."""
    common = {"name": name, "object": "complex" if as_object else "parts"}
    inputs, place = Inputs(what, as_object=as_object), places.gpu()
    rows = []
    for way, run in contents.ways(what.constraints, State(**inputs.work)):
        times = clock.times(run, inputs.restore, rounds)
        inputs.restore()
        extra = place.allocated(run)
        rows.append(common | {"way": way, **asdict(times), "extra_bytes": extra})
    if not as_object:
        bare = contents.floor(what, inputs, place)
        rows.append(common | {"way": "floor", **asdict(clock.times(bare, _nothing, rounds))})
        rows.append(common | {"way": "PtyRAD", **_peer(what, inputs, clock, rounds)})
    del inputs
    cupy.get_default_memory_pool().free_all_blocks()
    unit = 4 * math.prod(what.size.object)
    return [row | {"object_bytes": unit} for row in rows]


def _peer(what: Schedule, inputs: Inputs, clock: Clock, rounds: int) -> dict[str, Any]:
    peer = contents.ptyrad(what, inputs)
    return {"absent": peer} if isinstance(peer, str) else asdict(clock.times(*peer, rounds))


def _nothing() -> None:
    """Floors leave their inputs as they are."""


if __name__ == "__main__":
    main()
