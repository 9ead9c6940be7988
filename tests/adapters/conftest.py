"""Foreign codes that seem to be installed."""

from __future__ import annotations

import importlib.metadata
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def versions(monkeypatch):
    """Let the codes seem to be installed, at these versions."""
    installed = {
        "ptyrad": "1.0.0",
        "py4DSTEM": "0.14.18",
        "ptylab": "0.3.7",
        "ptychi": "2.2.0",
        "phaserEM": "0.3.1",
        "quantem": "0.1.10",
        "cdtools-py": "0.3.2",
        "tike": "0.26.0",
        "ptypy": "0.9.0",
    }
    own = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: installed.get(name) or own(name)
    )
    return installed


class Parameter(np.ndarray):
    """As much of PyTorch's as adapters ask for; detached, it is a plain array."""

    device = "cpu"

    def detach(self):
        return self.view(np.ndarray)

    def is_complex(self):
        return np.iscomplexobj(self)


def _stand_in(monkeypatch):
    module = ModuleType("torch")
    module.Tensor = type("Tensor", (), {})  # of which there are none
    module.view_as_complex = lambda pairs: pairs.view(f"c{2 * pairs.itemsize}")[..., 0]
    monkeypatch.setitem(sys.modules, "torch", module)
    return SimpleNamespace(
        parameter=lambda array: np.array(array).view(Parameter),
        tensor=np.array,
        numpy=lambda tensor: np.asarray(tensor),
    )


@pytest.fixture(params=["stand-in", "torch"])
def torch_like(request, monkeypatch):
    """Makers of parameters and tensors: PyTorch's, where it is installed, and a stand-in's."""
    if request.param == "stand-in":
        return _stand_in(monkeypatch)
    torch = pytest.importorskip("torch")
    return SimpleNamespace(
        parameter=lambda array: torch.nn.Parameter(torch.tensor(array)),
        tensor=torch.tensor,
        numpy=lambda tensor: tensor.detach().numpy(),
    )


@pytest.fixture
def bindings(monkeypatch):
    """Schedules that are bound, each time that they are."""
    from arraycon.pipeline import Bound

    found, bind = [], Bound._bind
    monkeypatch.setattr(Bound, "_bind", lambda self: found.append(self) or bind(self))
    return found
