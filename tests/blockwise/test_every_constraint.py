"""Every constraint, block by block and as a whole, in its variants and both precisions."""

from __future__ import annotations

import numpy as np
import pytest
from schedules import IDS, VARIANTS, fitting, make_state, only, snapshot

from arraycon.blockwise.executors import Threads
from arraycon.constraints import declared

SHAPE = 2, 9, 24, 26
OBJECTS = ("object_amplitude", "object_phase", "object")
# one of each kind; `test_steps` has all of them without files and threads
FEW = ("kz_filter", "kr_thresh", "complex_ratio", "obj_z_recenter", "phase_ramp", "obja_thresh")
QUICK = (True, "float32", "parts")
LIMITS = {"float32": 1e-6, "float64": 1e-12}


def complex_object(state):
    """The same state with a complex object."""
    parts = state.object_amplitude, state.object_phase
    whole = parts[0] * np.exp(1j * parts[1])
    state.object_amplitude = state.object_phase = None
    state.object = whole.astype("complex64" if parts[0].dtype == "float32" else "complex128")
    return state


def made(name, dtype, how):
    state = make_state(dtype, shape=fitting(name, SHAPE))
    return complex_object(state) if how == "complex" else state


@pytest.mark.quick(when=lambda name, dtype, how, **_: (name in FEW, dtype, how) == QUICK)
@pytest.mark.parametrize("how", ["parts", "complex"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_blocks_give_what_the_whole_does(name, options, dtype, how):
    constraints = only(**{name: options})
    whole, blocks = (made(name, dtype, how) for _ in range(2))
    size = sum(getattr(whole, each).nbytes for each in OBJECTS if getattr(whole, each) is not None)
    # rows that two of the iterations of a total variation need are most of an object as small
    options = {"executor": Threads(2), "memory": (9 if name == "obj_tv" else 6) * size}
    plan = constraints.plan(blocks, 1, **options)
    cut = [len(each.regions) for each in plan.passes if each.regions]
    # what takes one slice is cut into rows where a slice is too large, which none is here
    assert not cut or max(cut) > 1 or declared()[name].flat
    reports = [constraints.apply(whole, 1), constraints.apply(blocks, 1, **options)]
    expected, found = snapshot(whole), snapshot(blocks)
    for field, values in expected.items():
        error = np.linalg.norm(found[field] - values) / max(np.linalg.norm(values), 1e-30)
        assert error <= LIMITS[dtype], field
    for key, value in reports[0][0].returned.items():
        np.testing.assert_allclose(
            reports[1][0].returned[key], value, rtol=10 * LIMITS[dtype], atol=10 * LIMITS[dtype]
        )
    assert reports[0][0].targets == reports[1][0].targets
    assert reports[0][0].metrics.keys() == reports[1][0].metrics.keys()
