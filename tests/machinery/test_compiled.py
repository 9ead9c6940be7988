"""Compiled kernels: where they are kept, and what happens where they cannot be."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest

import arraycon
from arraycon.kernels.common import arrays, dispatch
from arraycon.params import ORDER

pytest.importorskip("numba", reason="numba is not installed")

BLUR = """
import sys, numpy, arraycon
result = arraycon.obj_rblur(numpy.ones((2, 8, 8), "float32"))
sys.exit(0 if numpy.allclose(result, 1) else "wrong result")
"""


def process(code: str, cache: Path) -> dict[str, Any]:
    """Return the arguments of a process whose machine code is kept in a folder of its own."""
    return {
        "command": [sys.executable, "-c", code],
        "env": {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONWARNINGS": "error"},
        "text": True,
    }


def run(code: str, cache: Path) -> str:
    """Return what the code writes to stderr, as the log does."""
    return processes.run(**process(code, cache), capture_output=True, check=True).stderr


def test_several_first_runs_at_once(tmp_path):
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(processes.start(**process(BLUR, tmp_path), stderr=processes.PIPE))
            for _ in range(4)
        ]
        for child in children:
            _, errors = processes.finished(child)
            assert child.returncode == 0, errors
    assert list(tmp_path.rglob("*.nbi"))


def test_without_a_place_for_the_cache(tmp_path):
    code = "import numba.core.caching as c; c.CacheImpl._locator_classes = []\n" + BLUR
    run(code, tmp_path)
    assert not list(tmp_path.rglob("*.nb?"))


@pytest.mark.parametrize("ending", ["*.nbi", "*.nbc"])
def test_a_damaged_cache(tmp_path, ending):
    run(BLUR, tmp_path)
    for file in tmp_path.rglob(ending):
        file.write_bytes(file.read_bytes()[:20])
    run(BLUR, tmp_path)


def test_warmup_runs_every_constraint():
    seconds = arraycon.warmup()
    assert tuple(seconds) == ORDER
    assert all(value > 0 for value in seconds.values())


def test_without_numba_the_reference_computes(monkeypatch):
    obj = np.random.default_rng(0).random((3, 9, 9))
    expected = arraycon.obj_rblur(obj)
    monkeypatch.setattr(dispatch, "_numba_works", lambda: False)
    assert dispatch.fast("blur", arrays.namespace(obj=obj)) is None
    np.testing.assert_allclose(arraycon.obj_rblur(obj), expected, atol=1e-14)


def test_a_numba_that_cannot_be_imported_is_logged(monkeypatch, caplog):
    dispatch._numba_works.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    with caplog.at_level("INFO", "arraycon"):
        assert not dispatch._numba_works()
    dispatch._numba_works.cache_clear()
    assert "Numba cannot be imported" in caplog.text
