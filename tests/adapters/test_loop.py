"""Schedules that adapters bind to what a foreign code keeps, and let go of otherwise."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from schedules import EVERY, assert_equal, make_state, only, snapshot

import arraycon
from arraycon.adapters._loop import Loop, kept
from arraycon.pipeline import Bound
from arraycon.state import FIELDS


def views(state):
    """Fields of a state, the arrays as views that are made anew."""
    return {
        name: value[:] if isinstance(value, np.ndarray) else value
        for name, value in vars(state).items()
        if name in FIELDS and value is not None
    }


def test_arrays_that_stay_are_bound_once(monkeypatch):
    loop, constraints = Loop(), arraycon.Constraints(EVERY)
    state, expected = make_state(), make_state()
    bindings, bind = [], Bound._bind
    monkeypatch.setattr(Bound, "_bind", lambda self: bindings.append(self) or bind(self))
    for iteration in range(1, 6):
        loop.apply(constraints, views(state), iteration, measure=False)
        constraints.apply(expected, iteration)
        assert_equal(snapshot(state), snapshot(expected))
    assert len(bindings) == 1


def test_arrays_that_do_not_come_again_are_let_go():
    loop, constraints = Loop(), only(objp_postiv={})
    for iteration in range(1, 8):
        phase = np.full((1, 3, 8, 8), -1.0)
        loop.apply(constraints, {"object_phase": phase}, iteration, measure=False)
        np.testing.assert_array_equal(phase, 0)
    gone = weakref.ref(phase)
    del phase
    assert gone() is None


def test_fields_that_are_there_no_more():
    loop, constraints, state = Loop(), only(probe_mask_r={}), make_state()
    loop.apply(constraints, views(state), 1, measure=False)
    fields = views(state)
    del fields["dx"]
    with pytest.raises(arraycon.MissingInputError, match="probe_mask_r: needs dx"):
        loop.apply(constraints, fields, 2, measure=False)


@pytest.mark.parametrize("measure", [True, False])
def test_other_constraints_and_measuring(measure):
    loop, state = Loop(), make_state()
    loop.apply(only(objp_postiv={"relax": 1.0}), views(state), 1, measure=False)
    assert state.object_phase.min() < 0
    report = loop.apply(only(objp_postiv={}), views(state), 1, measure=measure)
    assert state.object_phase.min() == 0
    assert bool(len(report[0].metrics)) == measure


def test_memory_is_kept_where_it_will_do():
    first = np.arange(4.0)
    memory = kept(None, first)
    assert not np.shares_memory(memory, first)
    assert kept(memory, first + 1) is memory
    np.testing.assert_array_equal(memory, first + 1)
    for other in (np.arange(3.0), np.arange(4), np.arange(4.0)[None]):
        copy = kept(memory, other)
        np.testing.assert_array_equal(copy, other)
        assert copy.dtype == other.dtype
        assert not np.shares_memory(copy, memory)
