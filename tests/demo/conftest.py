"""Data for the tests of the demo, and figures that are drawn fast."""

from __future__ import annotations

import pytest
from demo_data import made

from arraycon.demo.dataset import Dataset, Truth


@pytest.fixture(autouse=True)
def coarse_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arraycon.figure._DPI", 20)


@pytest.fixture(scope="module")
def small() -> tuple[Dataset, Truth]:
    return made()
