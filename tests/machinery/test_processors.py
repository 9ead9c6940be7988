"""Threads of one job begin on different processors, where the system lets them."""

from __future__ import annotations

import os
import threading

import pytest

from arraycon.kernels.common import processors, threads

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system moves no threads"
)


class System:
    """A system of some processors, on which all threads are woken on the first one."""

    def __init__(self, monkeypatch, allowed, *, refuses=False):
        self.allowed, self.here, self.asked = frozenset(allowed), min(allowed), []
        self._refuses = refuses
        monkeypatch.setattr(processors, "_current", lambda: lambda: self.here)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(self.allowed))
        monkeypatch.setattr(os, "sched_setaffinity", self.move)

    def move(self, _, allowed):
        if self._refuses:
            raise PermissionError(1, "Operation not permitted")
        self.asked.append(set(allowed))
        if self.here not in allowed:
            self.here = min(allowed)


def begun(system, number):
    taken = []
    for _ in range(number):
        system.here = min(system.allowed)
        processors.keep_apart(taken)
    return taken


def test_each_thread_begins_where_no_other_is(monkeypatch):
    system = System(monkeypatch, {2, 3, 5})
    assert begun(system, 3) == [2, 3, 5]
    # behind each move it may run where it could before
    assert system.asked == [{3, 5}, {2, 3, 5}, {5}, {2, 3, 5}]


def test_more_threads_than_processors_stay_where_they_are(monkeypatch):
    system = System(monkeypatch, {0, 1})
    assert begun(system, 4) == [0, 1, 0, 0]
    assert len(system.asked) == 2


def test_a_refusal_is_no_error(monkeypatch):
    assert begun(System(monkeypatch, {0, 1}, refuses=True), 2) == [0, 0]


def test_where_nothing_tells_the_processor_nothing_is_done(monkeypatch):
    monkeypatch.setattr(processors, "_current", lambda: None)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: pytest.fail("moved"))
    taken = []
    processors.keep_apart(taken)
    assert taken == []


def test_threads_may_run_afterwards_where_they_could_before():
    allowed, found = os.sched_getaffinity(0), []
    meeting = threading.Barrier(2, timeout=20)

    def work(*_):
        meeting.wait()  # so that both take part
        found.append(os.sched_getaffinity(0))

    with threads.use_threads(2):
        for _ in range(5):
            threads.run(work, 2)
    assert found == [allowed] * 10
