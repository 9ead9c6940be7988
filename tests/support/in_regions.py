"""A tiny runner: a schedule on arrays in memory, pass by pass and region by region."""

from __future__ import annotations

import functools
import tracemalloc

import numpy as np

from arraycon.blockwise import lowering, planning, working
from arraycon.state import ARRAYS


def lowered(constraints, state, iteration=1):
    """Return the steps of what is due, on the arrays of a state."""
    present = state.present
    due = [
        (one, *one.fitted(constraints[one.name], present))
        for one in constraints.due_constraints(iteration)
    ]
    arrays = {name: getattr(state, name) for name in ARRAYS if getattr(state, name) is not None}
    inputs = {name: getattr(state, name) for name in present if name not in lowering.OBJECTS}
    return lowering.lower(due, lowering.likes(arrays), inputs), arrays


def planned(constraints, state, memory, workers=1, iteration=1):
    """Return the plan of what is due."""
    steps, _ = lowered(constraints, state, iteration)
    return planning.plan(steps, memory=memory, workers=workers)


def run(constraints, state, memory, workers=1, iteration=1, library=None):
    """Run what is due; the state gets new arrays. Returns the plan and what was shared.

    Blocks are arrays of a library, if one is given.
    """
    steps, arrays = lowered(constraints, state, iteration)
    plan = planning.plan(steps, memory=memory, workers=workers)
    store = {**arrays, **steps.planes}
    shared = {}
    for each in plan.passes:
        run_pass(each, steps.likes, store, shared, library=library)
    for name in arrays:
        setattr(state, name, store[name])
    return plan, shared


def peak_of_pass(each, likes, store, shared):
    """Run one pass; return the most memory that a region took beside the store."""
    peaks = [0]

    def watch(work):
        tracemalloc.start()
        try:
            return work()
        finally:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    run_pass(each, likes, store, shared, watch)
    return max(peaks)


def run_pass(each, likes, store, shared, watch=lambda work: work(), library=None):
    """Run one pass on a store of arrays, which gets new versions of those that it writes."""
    steps = [placed.step for placed in each.steps]
    new = {name: np.full(likes[name].shape, np.nan, likes[name].dtype) for name in each.writes}
    seen, totals = set(), None
    for region in each.regions:

        def read(name, region=region):
            assert name in each.reads
            seen.add(name)
            block = np.array(store[name][region.of(store[name].shape)])
            return block if library is None else library.array(block)

        work = functools.partial(working.run_steps, steps, each.writes, read, shared, region)
        blocks, parts = watch(work)
        assert blocks.keys() == new.keys()
        for name, made in blocks.items():
            block = made if library is None else library.numpy(made)
            target = new[name][region.without_halo().of(new[name].shape)]
            assert block.dtype == target.dtype
            assert block.shape == target.shape
            target[...] = block
        combine = functools.partial(working.combined, steps)
        totals = parts if totals is None else combine(totals, parts)
    assert seen == set(each.reads)
    store.update(new)
    shared.update(working.concluded(steps, totals or [], shared))
    for placed in each.locals:
        made = placed.step.local({name: store[name] for name in placed.step.small}, shared)
        for name, value in made.items():
            (store if name in placed.step.small else shared)[name] = value
    for name in each.drops:
        del store[name]
