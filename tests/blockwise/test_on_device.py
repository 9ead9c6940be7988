"""Blocks as CuPy's arrays, on the stand-in: every constraint, and a worker with a device."""

from __future__ import annotations

import sys
from pathlib import Path

import processes
import pytest
from on_cpu import NEEDS_COMPILER, environment

EVERY = """
import cupy
import numpy as np
from schedules import IDS, VARIANTS, fitting, make_state, only, snapshot

counted = []
for (name, options), title in zip(VARIANTS, IDS, strict=True):
    constraints = only(**{name: options})
    shape = fitting(name, (1, 9, 24, 26))
    states = [make_state(shape=shape) for _ in range(2)]
    constraints.apply(states[0], 1)
    moved = []
    there = cupy.asarray
    cupy.asarray = lambda *given, **named: moved.append(0) or there(*given, **named)
    size = states[1].object_phase.nbytes
    constraints.apply(states[1], 1, executor="serial", memory=20 * size, backend="cupy")
    cupy.asarray = there
    counted.append(len(moved))
    expected, found = map(snapshot, states)
    for field, values in expected.items():
        error = np.linalg.norm(found[field] - values) / max(np.linalg.norm(values), 1e-30)
        assert error <= 2e-6, (title, field, error)
assert sum(map(bool, counted)) > 30, counted
print("all", len(VARIANTS))
"""
WORKER = """
import tempfile
import numpy as np
from distributed import Client
from schedules import make_state, only, snapshot

constraints = only(obj_rblur={}, kz_filter={}, objp_postiv={})
states = [make_state(shape=(1, 9, 24, 26)) for _ in range(2)]
constraints.apply(states[0], 1)
with tempfile.TemporaryDirectory() as folder, Client(
    processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0",
    local_directory=folder,
) as client:
    constraints.apply(states[1], 1, executor=client, memory="100kB", backend="cupy")
for field, values in snapshot(states[0]).items():
    np.testing.assert_allclose(getattr(states[1], field), values, atol=1e-6)
print("all")
"""


@NEEDS_COMPILER
@pytest.mark.slow
@pytest.mark.parametrize("script", [EVERY, WORKER], ids=["every constraint", "a worker"])
def test_blocks_on_a_device(tmp_path: Path, script: str):
    (tmp_path / "script.py").write_text(script)
    command = [sys.executable, "-W", "ignore", tmp_path / "script.py"]
    done = processes.run(command, limit=600, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("all")
