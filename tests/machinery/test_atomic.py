"""A constraint is done or not begun: after a lack of memory, and when a signal comes."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading

import numpy as np
import processes
import pytest
from libraries import NUMPY, Library
from schedules import IDS, OPTIONS, VARIANTS, assert_equal, fitting, make_state, only, snapshot

import arraycon
from arraycon.kernels.common import threads
from arraycon.pipeline.signals import Held

# Beyond some depth there are transforms along z instead of products with matrices.
DEEP = 100
ALLOCATING = ("empty", "empty_like", "zeros", "zeros_like", "ones", "full")
EVERY = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
SMALL = 512
"""Bytes that count as nothing: a few numbers, as the interpreter itself needs all the time."""


class Allocations:
    """Lets one of the allocations that NumPy is asked for fail."""

    def __init__(self, monkeypatch, module=np):
        self._count, self._failing = itertools.count(1), 0
        self.failed = False
        for name in ALLOCATING:
            monkeypatch.setattr(module, name, self._wrapped(getattr(module, name)))

    def _wrapped(self, function):
        def allocate(*args, **kwargs):
            made = function(*args, **kwargs)
            if made.nbytes > SMALL and next(self._count) == self._failing:
                self.failed = True
                raise MemoryError
            return made

        return allocate

    @contextlib.contextmanager
    def failing(self, number):
        """Fail at this allocation from now on; none fails after the block."""
        self._count, self._failing, self.failed = itertools.count(1), number, False
        try:
            yield
        except MemoryError:
            assert self.failed
        finally:
            self._failing = 0


def state_of(name, nz, *, as_object):
    rng = np.random.default_rng(2)
    shape = fitting(name, (2, nz, 34, 32))
    amplitude, phase = rng.normal(1, 0.05, shape), rng.normal(0.1, 0.2, shape)
    phase *= np.linspace(2, 0.1, shape[1])[:, None, None]
    if as_object:
        fields = {"object": amplitude * np.exp(1j * phase)}
        fields |= {"object_amplitude": None, "object_phase": None}
    else:
        fields = {"object_amplitude": amplitude, "object_phase": phase}
    return make_state("float64", **fields)


def applied(constraints, state):
    constraints.apply(state, 1)


def measured(constraints, state):
    constraints.apply(state, 1, measure=True)


def bound(constraints, state):
    constraints.bind(state).apply(1)


def failures(name, options, apply, monkeypatch, *, nz=6, as_object=False, library=NUMPY):
    """Let one allocation after the other fail, until there are no more; return how many did."""
    constraints = only(**{name: options})
    before = snapshot(state_of(name, nz, as_object=as_object))

    def new():
        state = state_of(name, nz, as_object=as_object)
        for field in before:
            setattr(state, field, library.array(before[field]))
        return state

    with threads.use_threads(2):
        apply(constraints, new())  # compiles, and fills caches
        allocations = Allocations(monkeypatch, library.module)
        for number in itertools.count(1):
            state = new()
            with allocations.failing(number):
                apply(constraints, state)
            if not allocations.failed:
                return number - 1
            assert_equal(before, {k: library.numpy(getattr(state, k)) for k in before})
    return 0


@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize("apply", [applied, measured, bound])
@EVERY
def test_what_lacks_memory_has_not_begun(name, options, apply, monkeypatch):
    failures(name, options, apply, monkeypatch)


@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize("measure", [applied, measured])
@pytest.mark.parametrize("name", ["kz_filter", "obj_z_recenter"])
def test_transforms_in_depth(name, measure, monkeypatch):
    assert failures(name, {}, measure, monkeypatch, nz=DEEP) > 0


@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize("name", ["obj_rblur", "kr_filter", "kz_filter", "obja_thresh"])
def test_complex_objects(name, monkeypatch):
    assert failures(name, {}, applied, monkeypatch, as_object=True) > 0


@pytest.mark.usefixtures("engine")
@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize("name", ["kr_filter", "kz_filter", "kr_thresh", "obj_rblur"])
def test_both_parts_or_none(name, engine, monkeypatch):
    # what both need, in common and by itself, is had before the first is changed
    assert failures(name, OPTIONS.get(name, {}), applied, monkeypatch) >= 1, engine


@pytest.mark.parametrize("library", ["cupy"])
@pytest.mark.parametrize("apply", [applied, measured])
@EVERY
def test_what_lacks_memory_on_a_gpu_has_not_begun(name, options, apply, library, monkeypatch):
    library = Library(library)
    if reason := library.available():
        pytest.skip(reason)
    failures(name, options, apply, monkeypatch, nz=3, library=library)


def test_the_reference(monkeypatch):
    with arraycon.use_agnostic():
        assert failures("obj_rblur", {}, applied, monkeypatch) > 0


# Signals.

CHILD = """
import os, signal, sys, threading, time
import numpy as np
import arraycon
from arraycon.kernels.common import threads
from schedules import make_state, only, snapshot

rng = np.random.default_rng(0)
fields = {f"object_{part}": rng.normal(1, 0.1, (1, 8, 512, 512)) for part in ("amplitude", "phase")}
before, filtered, clipped = (make_state("float64", **{k: v.copy() for k, v in fields.items()})
                             for _ in range(3))
constraints = only(kz_filter={}, objp_postiv={})
for state, iterations in ((filtered, only(kz_filter={})), (clipped, constraints)):
    iterations.apply(state, 1)
known = {name: [getattr(one, name).tobytes() for one in (before, filtered, clipped)]
         for name in fields}

def arrived(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, arrived)
interrupted = set()
for turn in range(40):
    state = make_state("float64", **{k: v.copy() for k, v in fields.items()})
    call = constraints.bind(state).apply if turn % 2 else lambda i: constraints.apply(state, i)
    number = (signal.SIGINT, signal.SIGTERM)[turn // 2 % 2]
    timer = threading.Timer(0.0005 * turn, os.kill, (os.getpid(), number))
    try:
        timer.start()
        call(1)
        timer.join()
        time.sleep(0.001)
    except KeyboardInterrupt:
        pass
    reached = {known[name].index(getattr(state, name).tobytes()) for name in fields}
    # the phase alone is clipped
    assert reached in ({0}, {1}, {2}, {1, 2}), reached
    interrupted |= {min(reached)}
    assert signal.getsignal(signal.SIGTERM) is arrived
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print(sorted(interrupted))
"""


@pytest.mark.slow
def test_a_signal_waits_for_the_end_of_the_constraint():
    support = [str(path) for path in sys.path if path.endswith("support")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(support), "ARRAYCON_THREADS": "2"}
    done = processes.run(
        [sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("[0, 1]", "[0]", "[1]")


@pytest.fixture
def handled():
    """What a handler for SIGINT has been called with."""
    seen = []
    old = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    yield seen
    signal.signal(signal.SIGINT, old)


def test_handlers_are_called_in_between_and_afterwards(handled):
    with Held() as held:
        signal.raise_signal(signal.SIGINT)
        assert not handled
        held.deliver()
        assert len(handled) == 1
        with held.let_through():
            signal.raise_signal(signal.SIGINT)
            assert len(handled) == 2
        with Held():  # a schedule within a user's constraint
            signal.raise_signal(signal.SIGINT)
        assert len(handled) == 2
    assert len(handled) == 3
    signal.raise_signal(signal.SIGINT)
    assert len(handled) == 4


def test_a_handler_that_somebody_installs_meanwhile_stays(handled):
    calls = []
    with Held():
        signal.signal(signal.SIGINT, lambda *_: calls.append(1))
        signal.raise_signal(signal.SIGINT)
        assert calls == [1]
    signal.raise_signal(signal.SIGINT)
    assert calls == [1, 1]
    assert not handled


def test_what_the_system_does_by_default_is_left_alone():
    old = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with Held():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, old)


@pytest.mark.usefixtures("handled")
def test_other_threads_hold_nothing():
    found = []

    def work():
        with Held() as held:
            held.deliver()
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]


def test_an_error_and_a_signal_at_once(handled):
    def fail():
        with Held():
            signal.raise_signal(signal.SIGINT)
            raise MemoryError

    with pytest.raises(MemoryError):
        fail()
    assert handled == [signal.SIGINT]


@pytest.mark.parametrize("as_kernel", [False, True])
def test_users_constraints_are_interrupted_at_once(as_kernel):
    reached = []

    def interrupted(phase, *, out=None):
        assert out is None, "what it writes could not be taken back"
        signal.raise_signal(signal.SIGINT)
        reached.append(1)
        return phase

    class Mine(arraycon.Block):
        """Interrupt."""

    if as_kernel:
        arraycon.register(interrupted, on="object_phase")(Mine)
    else:
        arraycon.register("interrupted", model=Mine, needs=["object_phase"])(
            lambda inputs, _: {"object_phase": interrupted(inputs["object_phase"])}
        )
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        state = make_state()
        constraints = arraycon.Constraints({"interrupted": {"start_iter": 1}})
        for apply in (applied, measured, bound):
            with pytest.raises(KeyboardInterrupt):
                apply(constraints, state)
    finally:
        signal.signal(signal.SIGINT, old)
        arraycon.unregister("interrupted")
    assert not reached
