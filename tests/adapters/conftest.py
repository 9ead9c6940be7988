"""Foreign codes that seem to be installed."""

from __future__ import annotations

import importlib.metadata

import pytest


@pytest.fixture
def versions(monkeypatch):
    """Let the codes seem to be installed, at these versions."""
    installed = {"ptyrad": "1.0.0", "py4DSTEM": "0.14.18", "ptylab": "0.3.7"}
    own = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: installed.get(name) or own(name)
    )
    return installed
