"""What only a fresh process shows: import time, first call, peak of the whole process's memory.

The parent asks by running this module with a request as JSON; the child answers in JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import arraycon.version
from arraycon.bench.cases import Case, Size

IMPORTS, FIRST_CALLS = 7, 3
_TIMEOUT = 600  # s
_TINY = Size("tiny", (1, 4, 32, 32), (2, 32, 32), (8, 8))
_STATUS, _PEAK_RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# what is freed goes back to the system, so that a second use of memory counts like a first one
_EXACT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def import_seconds(*, times: int = IMPORTS) -> float:
    """Median time of ``import arraycon`` in fresh processes."""
    code = "import time; t = time.perf_counter(); import arraycon; print(time.perf_counter() - t)"
    return statistics.median(float(_python("-c", code)) for _ in range(times))


def first_call_seconds(case: Case, *, threads: int, times: int = FIRST_CALLS) -> float:
    """Median time of the first call of the pipeline in fresh processes, the cache warm.

    Arrays and parameters are there when the clock starts; what the constraint itself imports,
    Numba among others, counts.
    """
    sample: list[float] = [_ask(case, "first_call", threads)["seconds"] for _ in range(times + 1)]
    return statistics.median(sample[1:])  # the first one may have had to compile


def peak_memory(case: Case, *, threads: int, contender: str = "fast") -> float | None:
    """Rise of a fresh process's peak memory during one call, as a fraction of `Case.unit`.

    It sees native buffers, which tracemalloc does not; None where the system does not tell.
    """
    answer = _ask(case, "memory", threads, contender=contender, more=_EXACT)
    return None if answer["bytes"] is None else answer["bytes"] / case.unit_bytes


def answer(request: Mapping[str, Any]) -> dict[str, float | None]:
    """Answer a request in this process, which should be a fresh one."""
    case = Case(request["name"], _size(request["size"]), request["dtype"], request["form"])
    if request["task"] == "first_call":
        return {"seconds": _first_call(case)}
    return {"bytes": _peak_rise(case, request["contender"], request["threads"])}


def _first_call(case: Case) -> float:
    from arraycon.state import State

    constraints, state = case.constraints, State(**case.fields())
    start = time.perf_counter()
    constraints.apply(state, 1, measure=False)
    return time.perf_counter() - start


def _peak_rise(case: Case, contender: str, threads: int) -> int | None:
    from arraycon.bench import peers

    def only(one: Case) -> peers.Contender:
        field = peers.gather(one, threads=threads, names=(contender,))
        if not field.contenders:
            raise SystemExit(field.absent[contender])
        return field.contenders[0]

    # code, compiled kernels and thread pools are not what a call costs
    only(replace(case, size=_TINY)).run()
    ready = only(case)
    ready.restore()
    try:
        _PEAK_RESET.write_text("5")  # the peak becomes what is held now
        before = _status("VmRSS")
        ready.run()
        return max(0, _status("VmHWM") - before)
    except (OSError, KeyError):
        return None


def _status(key: str) -> int:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[key].split()[0]) * 1024


def _size(shapes: Mapping[str, Any]) -> Size:
    name, *rest = (shapes[key] for key in ("name", "object", "probe", "scan"))
    return Size(name, *(tuple(shape) for shape in rest))


def _ask(
    case: Case,
    task: str,
    threads: int,
    *,
    contender: str = "fast",
    more: Mapping[str, str] | None = None,
) -> Any:
    request = {
        "task": task,
        "name": case.name,
        "size": vars(case.size),
        "dtype": case.dtype,
        "form": case.form,
        "contender": contender,
        "threads": threads,
    }
    settings = {"ARRAYCON_THREADS": str(threads), **(more or {})}
    return json.loads(_python("-m", "arraycon.bench.fresh", json.dumps(request), **settings))


def _python(*arguments: str, **settings: str) -> str:
    """Run this Python where it finds this very package, and return what it prints."""
    root = str(Path(arraycon.version.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True, text=True, timeout=_TIMEOUT, check=False,
        env=os.environ | {"PYTHONPATH": path} | settings,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"a fresh process failed with exit code {done.returncode}: {last}")
    return done.stdout


if __name__ == "__main__":
    print(json.dumps(answer(json.loads(sys.argv[1]))))
