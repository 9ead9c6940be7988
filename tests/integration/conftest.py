"""Figures that the tests find, in one table at the end."""

from __future__ import annotations

import pytest

_figures: list[tuple[str, float]] = []


@pytest.fixture
def record_figure():
    return lambda name, value: _figures.append((name, float(value)))


def pytest_terminal_summary(terminalreporter):
    if _figures:
        terminalreporter.section("figures")
    for name, value in _figures:
        terminalreporter.write_line(f"{value:10.3g}  {name}")
