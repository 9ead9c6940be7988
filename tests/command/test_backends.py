"""`--backend cupy`, by a stand-in that is NumPy under another name."""

from __future__ import annotations

import re
import sys
import types
from typing import Any

import numpy as np
import pytest
from command import apply, names

from arraycon import io
from arraycon.cli import backends

pytestmark = pytest.mark.usefixtures("plain", "folder")


def stand_in(devices: int | Exception) -> types.ModuleType:
    module = types.ModuleType("cupy")

    def count() -> int:
        if isinstance(devices, Exception):
            raise devices
        return devices

    runtime = types.SimpleNamespace(getDeviceCount=count)
    module.cuda = types.SimpleNamespace(runtime=runtime)  # type: ignore[attr-defined]
    module.asarray = lambda x: x.copy()  # type: ignore[attr-defined]
    module.asnumpy = lambda x: x.copy()  # type: ignore[attr-defined]
    return module


def test_cupy_gives_its_results_back() -> None:
    state = io.read("model.hdf5").state
    phase = state.object_phase
    before = phase.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", stand_in(1))
        with backends.on_backend(state, "cupy") as working:
            working.object_phase[...] += 1
            assert working.dx == state.dx
            np.testing.assert_array_equal(phase, before)
    np.testing.assert_array_equal(phase, before + 1)
    assert state.object_phase is phase


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (None, "CuPy cannot be imported.*arraycon doctor"),
        (stand_in(0), "no GPU answers"),
        (stand_in(RuntimeError("driver too old")), "no GPU answers: driver too old"),
    ],
)
def test_cupy_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, module: Any, message: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", module)
    code, output = apply("-o", "out.hdf5", "--backend", "cupy")
    assert code == 2
    assert re.search(f"^error: --backend cupy: {message}", output, re.MULTILINE)
    assert names() == ["model.hdf5", "params.yaml"]


def test_unknown_backend() -> None:
    code, output = apply("-o", "out.hdf5", "--backend", "torch")
    assert code == 2
    assert "Traceback" not in output
