"""What the compiled modes do beyond the formulas: blocks, threads, modes that are settled."""

from __future__ import annotations

import numpy as np
import pytest

import arraycon

pytest.importorskip("numba", reason="numba is not installed")

# what holds for both, by the names in CALLS
from probes_cpu import *
from probes_cpu import Call, probe

from arraycon.kernels.cpu import modes

CALLS = [Call("ortho_pmode"), Call("fix_probe_int", {"intensity": 3.0})]


def test_orthogonal_modes_are_not_touched(monkeypatch):
    settled = arraycon.ortho_pmode(probe(4, 32, 32, dtype="complex128")).astype("complex64")
    monkeypatch.setattr(modes, "_rotate", lambda *_: pytest.fail("modes were rotated"))
    result, rotation = arraycon.ortho_pmode(settled, return_rotation=True)
    np.testing.assert_array_equal(result, settled)
    np.testing.assert_array_equal(rotation, np.eye(4, dtype="complex64"))
