"""The kernels' own text computes on the CPU what the suite asks of CuPy arrays.

g++ compiles the sources behind a header that stands in for CUDA's built-ins, with AddressSanitizer
and UndefinedBehaviorSanitizer; a stand-in for CuPy launches them with the grids, blocks and
arguments that a device would get. The threads of a block run in two orders, in which a missing
barrier shows. `test_gpu_harness` shows that such mistakes are found.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import processes
import pytest
from cases import FAMILIES
from on_cpu import NEEDS_COMPILER, STANDIN, TESTS, cuda_on_cpu, environment

from arraycon.kernels.common import threads
from arraycon.kernels.gpu.tools import source

CONSTRAINTS = tuple(f"constraints/{name}.py" for name in (*FAMILIES, "polar", "polar_schedules"))
SELECTIONS = {
    0: (
        "cupy",
        *CONSTRAINTS,
        "machinery/test_pipeline.py",
        "machinery/test_measuring.py",
        "machinery/test_atomic.py",
        "demo/test_reconstruct.py",
    ),
    1: (
        "test_gpu or cupy and contiguous or cupy and options",
        *CONSTRAINTS,
        *sorted(f"gpu/{path.name}" for path in (TESTS / "gpu").glob("test_gpu*.py")),
    ),
}
"""Tests for each order of the threads: 0 as numbered, 1 the other way round."""
LIMIT = 900.0  # s

pytestmark = [
    pytest.mark.slow,
    NEEDS_COMPILER,
    pytest.mark.skipif(
        str(STANDIN) in str(getattr(importlib.util.find_spec("cupy"), "origin", "")),
        reason="this is the run on the CPU",
    ),
]


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[int, Any]]:
    """One process for each order, both at work at once."""
    # both would compile every source; 64-bit indices are tested in single precision only
    variants = [
        *itertools.product(source.families(), ("float32", "float64"), ("int",)),
        *itertools.product(source.families(), ("float32",), ("long long",)),
    ]
    with ThreadPoolExecutor(threads.cores()) as pool:
        programs = itertools.starmap(source.program, variants)
        list(pool.map(lambda code: cuda_on_cpu.built(code, sanitize=True), programs))
    with contextlib.ExitStack() as stack:
        yield {
            order: stack.enter_context(_started(order, *selection))
            for order, selection in SELECTIONS.items()
        }


def _started(order: int, selection: str, *files: str) -> contextlib.AbstractContextManager[Any]:
    return processes.start(
        # what the sanitizers say before they end the process must not be captured
        [sys.executable, "-m", "pytest", "-q", "--capture=sys", "-k", selection, *files],
        limit=LIMIT,
        cwd=TESTS,
        env=environment(order),
        stdout=processes.PIPE,
        stderr=processes.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("order", SELECTIONS)
def test_kernels_compute_on_the_cpu(runs: dict[int, Any], order: int) -> None:
    output, _ = processes.finished(runs[order], limit=LIMIT)
    assert runs[order].returncode == 0, output[-20000:]
    passed = re.search(r"(\d+) passed", output)
    assert passed
    assert int(passed[1]) > 100
    assert "cupy is not installed" not in output
