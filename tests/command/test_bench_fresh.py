"""What the bench measures in processes of their own."""

from __future__ import annotations

import dataclasses
import json
import mmap
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_bench import TINY, contender

from arraycon import bench
from arraycon.bench import Case, fresh, peers

pytestmark = pytest.mark.usefixtures("tiny")


def test_full_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "import_seconds", lambda: 0.5)
    monkeypatch.setattr(fresh, "peak_memory", lambda *_, **__: None)
    monkeypatch.setattr(fresh, "first_call_seconds", lambda _, threads: 0.25 * threads)
    done = bench.run(TINY, names=["pos_recenter"], rounds=1, threads=2, full=True)
    assert done.import_seconds == 0.5
    assert done.peak_memory == {"pos_recenter": None}
    assert done.first_calls == {"pos_recenter": 0.5}


@pytest.mark.slow
def test_fresh_processes() -> None:
    case = Case("pos_recenter", TINY)
    assert fresh.import_seconds(times=1) > 0
    assert fresh.first_call_seconds(case, threads=1, times=1) > 0
    peak = fresh.peak_memory(case, threads=1)
    assert peak is None or peak >= 0


def test_fresh_process_sees_native_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's own arithmetic, in this process: 4 MiB more are seen as such."""
    held: list[Any] = []

    def run() -> None:
        # from the system: what other tests have freed would be used again unseen
        held.append(np.frombuffer(mmap.mmap(-1, 4 << 20), np.uint8))
        held[-1][:] = 1

    grow = dataclasses.replace(contender("fast"), run=run)
    monkeypatch.setattr(peers, "gather", lambda *_, **__: SimpleNamespace(contenders=[grow]))
    rise = fresh.answer({
        "task": "memory", "name": "pos_recenter", "size": vars(TINY), "dtype": "float32",
        "form": "parts", "contender": "fast", "threads": 1,
    })["bytes"]  # fmt: skip
    if rise is None:
        pytest.skip("this system does not tell")
    assert 3 << 20 < rise < 6 << 20


def test_fresh_process_is_told_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    gather = peers.gather
    monkeypatch.setattr(peers, "gather", lambda case, **o: asked.append(case) or gather(case, **o))
    monkeypatch.setattr(
        fresh, "_python", lambda *a, **_: json.dumps(fresh.answer(json.loads(a[-1])))
    )
    case = Case("obja_thresh", TINY, form="complex")
    rise = fresh.peak_memory(case, threads=1)
    assert [one.form for one in asked] == ["complex"] * 2
    assert asked[1] == case
    assert rise is None or rise >= 0
    assert fresh.first_call_seconds(case, threads=1, times=1) > 0


def test_fresh_process_has_the_imports_before_it() -> None:
    code = "import sys, arraycon.bench.fresh; print(*sys.modules)"
    loaded = set(fresh._python("-c", code).split())
    assert not loaded & {"scipy", "scipy.fft", "numba", "ducc0", "torch", "matplotlib"}


def test_fresh_process_that_fails() -> None:
    with pytest.raises(RuntimeError, match="exit code 3"):
        fresh._python("-c", "raise SystemExit(3)")
