"""Compiled kernels: where they are kept, and what happens where they cannot be."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import processes
import pytest

import arraycon
from arraycon.bench import NAMES as ORDER
from arraycon.kernels.common import arrays, dispatch

pytest.importorskip("numba", reason="numba is not installed")

import numba
from numba.core import event as events

from arraycon.kernels.cpu.tools import compiled

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


@pytest.mark.slow
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


NO_PLACE = "import numba.core.caching as c; c.CacheImpl._locator_classes = []\n"


@pytest.mark.slow
def test_without_a_place_for_the_cache(tmp_path):
    run(NO_PLACE + BLUR, tmp_path)
    assert not list(tmp_path.rglob("*.nb?"))


LOG = 'import logging; logging.basicConfig(level="INFO", format="%(name)s: %(message)s")\n'


@pytest.mark.slow
def test_without_a_place_for_the_cache_a_library_transforms(tmp_path):
    code = """
import numpy, arraycon
arraycon.kr_filter(numpy.ones((64, 64), "float32"))
from arraycon.kernels.cpu.fft import library, slices
assert slices.engine(64, 64) is library.LIBRARY
"""
    errors = run(LOG + NO_PLACE + code, tmp_path)
    assert errors.count("machine code is not kept on disk") == 1
    assert errors.count("a library transforms, not vector kernels") == 1


@pytest.mark.slow
def test_a_numba_whose_cache_has_changed_inside(tmp_path):
    """Without its stamp there would be stale machine code, so that there is no cache then."""
    code = """
import numba.core.caching as c

class Other(c.IndexDataCacheFile):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        del self._source_stamp

c.IndexDataCacheFile = Other
"""
    errors = run(LOG + code + BLUR, tmp_path)
    lines = [line for line in errors.splitlines() if "not kept on disk" in line]
    assert lines == [
        "arraycon: machine code is not kept on disk, but made in each process: "
        "Numba's cache has no _source_stamp any more"
    ]
    assert not list(tmp_path.rglob("*.nb?"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Machine code of a process that found none."""
    folder = tmp_path_factory.mktemp("kept")
    run(BLUR, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["*.nbi", "*.nbc"])
def test_a_damaged_cache(tmp_path, kept, ending):
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    assert list(tmp_path.rglob(ending))
    for file in tmp_path.rglob(ending):
        file.write_bytes(file.read_bytes()[:20])
    run(BLUR, tmp_path)


def test_warmup_runs_every_constraint():
    seconds = arraycon.warmup()
    assert tuple(seconds) == ORDER
    assert all(value > 0 for value in seconds.values())


def test_warmup_compiles_what_complex_objects_take(monkeypatch):
    from arraycon.kernels.cpu import polar

    called = set()

    def spied(name, kernel):
        return lambda *a: called.add((name, a[0].dtype.name)) or kernel(*a)

    names = ("_take", "_turn", "_join")
    for name in names:
        monkeypatch.setattr(polar, name, spied(name, getattr(polar, name)))
    arraycon.warmup()
    assert called == set(itertools.product(names, ("float32", "float64")))


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


def test_a_change_in_any_file_of_the_layer_changes_the_stamp(tmp_path, monkeypatch):
    layer = tmp_path / "cpu"
    shutil.copytree(compiled._LAYER, layer, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiled, "_LAYER", layer)
    stamp = compiled._stamp.__wrapped__
    files = list(layer.rglob("*.py"))
    assert {file.parent.name for file in files} >= {"cpu", "fft", "tools"}
    for file in files:
        before, when = stamp(), file.stat().st_mtime_ns
        file.write_text(file.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        os.utime(file, ns=(when, when))
        assert stamp() != before, file  # by its size
        before = stamp()
        os.utime(file, ns=(before[0] + 1, before[0] + 1))
        assert stamp() != before, file  # by its age
    before = stamp()
    assert stamp() == before


class Clock:
    """Time that passes only when told to."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(compiled, "time", made)
    return made


def event(module, *, start):
    """One of Numba's events: the compilation of a function starts or ends."""
    function = SimpleNamespace(__module__=module)
    return SimpleNamespace(is_start=start, data={"dispatcher": SimpleNamespace(py_func=function)})


def compile_for(announcer, clock, *seconds, module="arraycon.kernels.cpu.blur"):
    """Compile functions within each other, each a while after the last one has begun."""
    for duration in seconds:
        announcer.notify(event(module, start=True))
        clock.now += duration
    for _ in seconds:
        announcer.notify(event(module, start=False))


@pytest.mark.parametrize("kept", [True, False])
def test_long_compilation_is_announced_once(clock, caplog, monkeypatch, kept):
    monkeypatch.setattr(compiled, "_reasons", [] if kept else ["no locator available"])
    announcer = compiled._Announcer()
    compile_for(announcer, clock, 0.5)
    clock.now += 1000  # s of something else
    compile_for(announcer, clock, 0.3, 0.1)
    assert not caplog.messages
    compile_for(announcer, clock, 0.2)
    compile_for(announcer, clock, 5.0)
    how = "once for this installation" if kept else "in this process only"
    assert caplog.messages == [
        f"compiling kernels for this processor, {how}; `arraycon warmup` does it ahead"
    ]


@pytest.mark.parametrize("module", ["scipy.kernels", "arraycontrary.cpu", "__main__", None])
def test_foreign_compilation_is_not_announced(clock, caplog, module):
    announcer = compiled._Announcer()
    compile_for(announcer, clock, 50.0, 50.0, module=module)
    announcer.notify(SimpleNamespace(is_start=True, data={}))
    assert not caplog.messages


def test_numba_still_sends_what_is_announced():
    """The events of a real compilation, and the functions that they are about."""
    seen = []

    class Recorder(events.Listener):
        def on_start(self, event):
            seen.append(event)

        on_end = on_start

    with events.install_listener("numba:compile", Recorder()):
        numba.njit(lambda x: x + 1)(1.0)
    assert [one.is_start for one in seen] == [True, False]
    assert all(one.data["dispatcher"].py_func.__module__ == __name__ for one in seen)
