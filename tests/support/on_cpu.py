"""`standin/cuda_on_cpu`, for tests outside of the stand-in.

The folder itself must not stay on the path: the whole suite would find its `cupy`.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
STANDIN = TESTS / "standin"
SUPPORT = TESTS / "support"

sys.path.append(str(STANDIN))
try:
    import cuda_on_cpu
finally:
    sys.path.remove(str(STANDIN))

__all__ = ["NEEDS_COMPILER", "STANDIN", "TESTS", "cuda_on_cpu", "environment"]

NEEDS_COMPILER = pytest.mark.skipif(
    shutil.which("g++") is None or not sys.platform.startswith("linux"),
    reason="there is no g++ that could compile CUDA sources for the CPU",
)


def environment(order: int = 0) -> dict[str, str]:
    """Environment of a process with the stand-in and the sanitizers.

    Parameters
    ----------
    order : int
        In which order the threads of a block run: 0 as numbered, 1 reversed, others shuffled.
    """
    path = [str(STANDIN), str(SUPPORT), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        **cuda_on_cpu.environment(),
        "ARRAYCON_TEST_FIBERS": str(order),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONWARNINGS": "error",
    }
