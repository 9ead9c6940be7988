"""The kernels' own text computes on the CPU what the suite asks of CuPy arrays.

g++ compiles the sources behind a header that stands in for CUDA's built-ins, with AddressSanitizer
and UndefinedBehaviorSanitizer; a stand-in for CuPy launches them with the grids, blocks and
arguments that a device would get. The threads of a block run in two orders, in which a missing
barrier shows. `test_gpu_harness` shows that such mistakes are found.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from on_cpu import NEEDS_COMPILER, STANDIN, TESTS, cuda_on_cpu, environment

from arraycon.kernels.common import threads
from arraycon.kernels.gpu.tools import source

SELECTIONS = {
    0: ("cupy", "test_constraints.py", "test_pipeline.py", "test_demo.py"),
    1: (
        "test_gpu or cupy and contiguous or cupy and options",
        "test_constraints.py",
        "test_gpu.py",
    ),
}
"""Tests for each order of the threads: 0 as numbered, 1 the other way round."""

pytestmark = [
    NEEDS_COMPILER,
    pytest.mark.skipif(
        str(STANDIN) in str(getattr(importlib.util.find_spec("cupy"), "origin", "")),
        reason="this is the run on the CPU",
    ),
]


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[int, subprocess.Popen[str]]]:
    """One process for each order, both at work at once."""
    # both would compile every source; 64-bit indices are tested in single precision only
    variants = [
        *itertools.product(source.families(), ("float32", "float64"), ("int",)),
        *itertools.product(source.families(), ("float32",), ("long long",)),
    ]
    with ThreadPoolExecutor(threads.cores()) as pool:
        programs = itertools.starmap(source.program, variants)
        list(pool.map(lambda code: cuda_on_cpu.built(code, sanitize=True), programs))
    started = {order: _start(order, *selection) for order, selection in SELECTIONS.items()}
    yield started
    for run in started.values():
        run.kill()
        run.communicate()


def _start(order: int, selection: str, *files: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        # what the sanitizers say before they end the process must not be captured
        [sys.executable, "-m", "pytest", "-q", "--capture=sys", "-k", selection, *files],
        cwd=TESTS,
        env=environment(order),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("order", SELECTIONS)
def test_kernels_compute_on_the_cpu(runs: dict[int, subprocess.Popen[str]], order: int) -> None:
    output, _ = runs[order].communicate(timeout=900)
    assert runs[order].returncode == 0, output[-20000:]
    passed = re.search(r"(\d+) passed", output)
    assert passed
    assert int(passed[1]) > 100
    assert "cupy is not installed" not in output
