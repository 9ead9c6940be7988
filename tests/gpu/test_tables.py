"""`bench/on_gpu.py` runs to its end; what it measures without a GPU means nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import processes
import pytest
from on_cpu import NEEDS_COMPILER, TESTS, environment

from arraycon.bench import NAMES

pytestmark = [pytest.mark.slow, NEEDS_COMPILER]

SCHEDULES = ("on by default", "multislice", "all")


def test_tables_of_whole_schedules(tmp_path: Path) -> None:
    command = [sys.executable, TESTS.parent / "bench" / "on_gpu.py", "--quick", "--out", tmp_path]
    command += ["--sizes", "tiny", "--only", "doctor,schedules", "--rounds", "1"]
    processes.run(command, env=environment(), limit=300, check=True, capture_output=True)
    (figures,) = (json.loads(path.read_text("utf-8")) for path in tmp_path.glob("*.json"))
    assert [step["status"] for step in figures["steps"]] == ["passed", "passed"]
    found = figures["schedules"]["tiny"]
    rows = {(row["name"], row["object"], row["way"]): row for row in found["schedules"]}
    for name in SCHEDULES:
        for kind in ("parts", "complex"):
            row = rows[name, kind, "apply"]
            assert row["wall"] >= row["host"] > 0
            assert row["device"] > 0
            assert {(name, kind, way) for way in ("apply, measuring", "bound")} <= rows.keys()
        assert rows[name, "parts", "floor"]["device"] > 0
        assert "wall" in rows[name, "parts", "PtyRAD"] or rows[name, "parts", "PtyRAD"]["absent"]
    assert {row["name"] for row in found["constraints"]} == set(NAMES)
    (text,) = (path.read_text("utf-8") for path in tmp_path.glob("*.md"))
    for name in SCHEDULES:
        assert f"| {name} | complex | apply |" in text
