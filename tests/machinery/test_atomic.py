"""A constraint is done or not begun: after a lack of memory, and when a signal comes."""

from __future__ import annotations

import contextlib
import itertools

import numpy as np
import pytest
from schedules import IDS, OPTIONS, VARIANTS, assert_equal, make_state, only, snapshot

import arraycon
from arraycon.kernels.common import threads

# Beyond some depth there are transforms along z instead of products with matrices.
DEEP = 100
ALLOCATING = ("empty", "empty_like", "zeros", "zeros_like", "ones", "full")
EVERY = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
SMALL = 512
"""Bytes that count as nothing: a few numbers, as the interpreter itself needs all the time."""


class Allocations:
    """Lets one of the allocations that NumPy is asked for fail."""

    def __init__(self, monkeypatch):
        self._count, self._failing = itertools.count(1), 0
        self.failed = False
        for name in ALLOCATING:
            monkeypatch.setattr(np, name, self._wrapped(getattr(np, name)))

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


def state_of(nz, *, as_object):
    rng = np.random.default_rng(2)
    shape = 2, nz, 34, 32
    amplitude, phase = rng.normal(1, 0.05, shape), rng.normal(0.1, 0.2, shape)
    phase *= np.linspace(2, 0.1, nz)[:, None, None]
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


def failures(name, options, apply, monkeypatch, *, nz=6, as_object=False):
    """Let one allocation after the other fail, until there are no more; return how many did."""
    constraints = only(**{name: options})
    before = snapshot(state_of(nz, as_object=as_object))
    with threads.use_threads(2):
        apply(constraints, state_of(nz, as_object=as_object))  # compiles, and fills caches
        allocations = Allocations(monkeypatch)
        for number in itertools.count(1):
            state = state_of(nz, as_object=as_object)
            with allocations.failing(number):
                apply(constraints, state)
            if not allocations.failed:
                return number - 1
            assert_equal(before, snapshot(state))
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
    # what one of the parts needs is had twice, before the first is changed
    assert failures(name, OPTIONS.get(name, {}), applied, monkeypatch) >= 2, engine


def test_the_reference(monkeypatch):
    with arraycon.use_agnostic():
        assert failures("obj_rblur", {}, applied, monkeypatch) > 0
