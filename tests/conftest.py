"""Settings for the whole suite, and what the files of the families are given."""

from __future__ import annotations

import collections
import gc
import os
import re
import signal
import sys

import hypothesis
import pytest

# before any of them is imported: their assertions are to say what failed. In the runs on the CPU
# one is imported already, where a plugin of pytest (zarr's) looks for CuPy and finds the stand-in
_ASSERTING = (
    "contract", "filters", "in_regions", "libraries", "probes_cpu", "processes", "properties",
)  # fmt: skip
pytest.register_assert_rewrite(*(name for name in _ASSERTING if name not in sys.modules))

from cases import first  # noqa: E402
from libraries import ENGINES  # noqa: E402

# cold imports of large libraries must not count as slow examples
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.load_profile("suite")

# a suite that a shell has put in the background, or `nohup`, inherits signals that are ignored, and
# so do the programs that it starts to see what they do about them
for _name, _handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    _number = getattr(signal, _name, None)
    if _number is not None and signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)

# of a test with more sets of parameters than this, one in so many is quick beyond the first ones
_SWEEP, _ONE_IN = 4, 10

# the programs that tests start would compile the package's text each time
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# for the workers that this process starts: with BLAS's own threads on top of them, they wait for
# each other's; what starts commands as users do takes it back
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

os.environ.pop("ARRAYCON_BACKEND", None)
os.environ.pop("ARRAYCON_FFT", None)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Part the suite among workers by halves, so that most fixtures of a file are made once.

    At the end the workers were 2 % apart then, and 14 % where tests are dealt out.
    """
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "worksteal"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Hand what a family's file declares to the tests that it has taken over."""

    def give(names, declared, ids):
        if set(names.split(",")) <= set(metafunc.fixturenames) and declared is not None:
            metafunc.parametrize(names, list(declared), ids=list(ids(declared)))

    module = metafunc.module
    cases, limits = (getattr(module, name, None) for name in ("CASES", "LIMITS"))
    give("case", cases, lambda cases: (case.id for case in cases))
    give("bad", getattr(module, "BAD", None), lambda bad: map(_name_of, bad))
    give("linear", getattr(module, "FILTERS", None), lambda filters: (one.id for one in filters))
    give("call", getattr(module, "CALLS", None), lambda calls: (call.name for call in calls))
    if cases is None:
        return
    firsts = first(cases)
    if "limit" not in metafunc.fixturenames:
        give("one", firsts.values(), lambda _: firsts)
    elif limits is not None:
        pairs = [(firsts[name], limit) for name, limit in limits.items()]
        give("one,limit", pairs, lambda _: limits)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what a test with the marker `quick` does beyond the parameters named there.

    And of a test with many sets of parameters all but one in so many: the whole suite has them all.
    """
    swept: collections.Counter[str] = collections.Counter()
    for item in items:
        quick, whole = (item.get_closest_marker(name) for name in ("quick", "whole"))
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if whole is not None and not whole.kwargs["when"](**parameters):
            item.add_marker("thorough")
            item.add_marker("slow")
        if quick is not None and not quick.kwargs["when"](**parameters):
            item.add_marker("slow")
        elif parameters and item.get_closest_marker("slow") is None:
            test = item.nodeid.partition("[")[0]
            if swept[test] >= _SWEEP and swept[test] % _ONE_IN:
                item.add_marker("slow")
            swept[test] += 1


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what stays: each full round took 0.1 to 0.4 s."""
    gc.collect()
    gc.freeze()


def _name_of(bad: tuple) -> str:
    """The constraint, and the argument that the message begins with."""
    name, *_, message = bad
    argument = re.match(r"\w+", message)
    return f"{name}-{argument[0]}"


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch):
    """Whose transforms the compiled kernels use, where there is a choice."""
    if request.param == "own":
        return request.param
    monkeypatch.setenv("ARRAYCON_FFT", "library")
    if request.param == "ducc0":
        pytest.importorskip("ducc0", reason="ducc0 is not installed")
    else:
        from arraycon.kernels.common import fft

        monkeypatch.setattr(fft, "_numpy_engine", fft._Scipy)
    return request.param


@pytest.fixture
def divided(monkeypatch):
    """Divide among the threads also what is too small to be worth it."""
    from arraycon.kernels.common import threads

    parts, ranges = threads._parts, threads._ranges
    monkeypatch.setattr(threads, "_parts", lambda size, _: parts(size, 1))
    monkeypatch.setattr(threads, "_ranges", lambda size, number, _: ranges(size, number, 1))
