"""Options of `pytest bench`, and the lines that it prints at its end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from arraycon.bench import FORMS, NAMES, SIZES, Case, names_for
from arraycon.kernels.common import threads as pool

_LINES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("arraycon")
    group.addoption("--sizes", default="small,medium,awkward", help=f"out of {', '.join(SIZES)}")
    group.addoption("--dtypes", default="float32,float64", help="float32, float64")
    group.addoption("--forms", default=",".join(FORMS), help="of the object: parts, complex")
    group.addoption("--only", default=",".join(NAMES), help="constraints to measure")
    group.addoption("--rounds", type=int, default=7, help="timed calls of each contender")
    group.addoption("--threads", type=int, default=None, help="threads of every contender")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LINES] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a case of every constraint, size and dtype that was asked for."""
    if "case" in metafunc.fixturenames:
        options = "only", "sizes", "dtypes", "forms"
        only, *others = (metafunc.config.getoption(name).split(",") for name in options)
        cases = [
            Case(name, SIZES[size], dtype, form)
            for name in only
            for size, dtype, form in itertools.product(*others)
            if name in names_for(form)
        ]
        metafunc.parametrize("case", cases, ids=_id)
    elif "form" in metafunc.fixturenames:
        only, forms = (metafunc.config.getoption(name).split(",") for name in ("only", "forms"))
        pairs = [(name, form) for name in only for form in forms if name in names_for(form)]
        metafunc.parametrize(("name", "form"), pairs)


def _id(case: Case) -> str:
    return f"{case.name}-{case.size.name}-{case.dtype}-{case.form}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = terminalreporter.config.stash[_LINES]
    if lines:
        terminalreporter.section("fresh processes")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> list[str]:
    """Return lines to print at the end."""
    return request.config.stash[_LINES]


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("rounds")


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    number = request.config.getoption("threads") or pool.count()
    with pool.use_threads(number):
        yield number
