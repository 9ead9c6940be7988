"""Complex objects in schedules: parts of them, global phases, memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from cases import FAMILIES, family
from complex_waves import PRECISIONS, large, make, parts
from libraries import (
    COMPLEX,
    FLOAT32,
    FLOAT64,
    NUMPY,
    Library,
    relative_error,
)
from schedules import make_state, only

import arraycon
from arraycon.bench import names_for
from arraycon.constraints import declared
from arraycon.kernels import polar
from arraycon.kernels.common import threads
from arraycon.pipeline.fields import PARTS

FREE = {
    "obj_rblur": {},
    "obj_zblur": {"kernel_size": 7},
    # other filters' gain at frequency 0 is 1 to single precision only
    "kr_filter": {"radius": 0.5, "width": 0.05},
    "kz_filter": {},
    "kz_filter mirrored": {"boundary": "mirror"},
    "obja_thresh": {"relax": 0.3},
    "kr_filter of the amplitude": {"obj_type": "amplitude"},
    "kr_thresh of the amplitude": {"obj_type": "amplitude", "thresh": 0.3},
}
"""What a global phase passes through."""


def applied(obj, name, options, *, measure=False):
    state = arraycon.State(object=obj.copy())
    own = state.object
    only(**{name.partition(" ")[0]: options}).apply(state, 1, measure=measure)
    assert state.object is own
    return own


@pytest.mark.parametrize("measure", [False, True])
@pytest.mark.parametrize("theta", [0.4, np.pi, -2.5, 100.0])
@pytest.mark.parametrize("name", FREE)
def test_a_global_phase_is_free(name, theta, measure):
    obj = make((2, 6, 16, 18), offset=0.3, spread=0.3)
    expected = applied(obj, name, FREE[name], measure=measure) * np.exp(1j * theta)
    assert relative_error(expected, obj * np.exp(1j * theta)) > 1e-4  # something happened
    turned = applied(obj * np.exp(1j * theta), name, FREE[name], measure=measure)
    assert relative_error(turned, expected) < FLOAT64


@pytest.mark.parametrize("name", FREE)
def test_noise_about_a_global_phase_of_half_a_turn(name):
    """The cut of the angle would lie right in the noise."""
    phase = np.random.default_rng(0).uniform(-0.16, 0.16, (1, 4, 16, 18))
    amplitude = parts(phase.shape)[0]
    expected = applied(amplitude * np.exp(1j * phase), name, FREE[name])
    turned = applied(amplitude * np.exp(1j * (phase + np.pi)), name, FREE[name])
    assert relative_error(-turned, expected) < FLOAT64


@PRECISIONS
@pytest.mark.parametrize("name", ["obj_rblur", "obj_zblur", "kz_filter"])
def test_a_smooth_bump_of_three_rad(name, dtype):
    axis = np.linspace(-2, 2, 32)
    lateral = np.exp(-(axis[:, None] ** 2) - axis**2)
    phase = np.stack([lateral * strength for strength in (1.0, 3.0, 2.0)])[None].astype(dtype)
    amplitude = parts(phase.shape)[0].astype(dtype)
    options = {"kernel_size": 7} if name == "obj_zblur" else {}
    obj = (amplitude * np.exp(1j * phase.astype(float))).astype(COMPLEX[dtype])
    found = applied(obj, name, options)
    state = arraycon.State(object_amplitude=amplitude, object_phase=phase)
    only(**{name: options}).apply(state, 1)
    expected = amplitude.astype(float) * np.exp(1j * phase.astype(float))
    assert relative_error(found, expected) < (FLOAT32 if dtype == "float32" else FLOAT64)


def test_a_phase_that_drifts_with_depth_is_filtered_as_it_is():
    amplitude, phase = parts((1, 12, 14, 16), offset=0.8, spread=0.2)
    found = applied(amplitude * np.exp(1j * phase), "obj_zblur", {"kernel_size": 7})
    state = arraycon.State(object_amplitude=amplitude, object_phase=phase)
    only(obj_zblur={"kernel_size": 7}).apply(state, 1)
    assert relative_error(found, amplitude * np.exp(1j * phase)) < FLOAT64


@pytest.mark.filterwarnings("ignore:invalid:RuntimeWarning")
def test_what_nothing_changed_is_not_touched():
    obj = make((1, 3, 6, 7), "float32")
    obj[0, 0, 0, :4] = complex(-0.0, -0.0), complex(np.nan, 1), complex(np.inf, 1), 1e-42
    state = make_state(object_amplitude=None, object_phase=None, object=obj)
    before = obj.tobytes()
    only(fix_probe_int={}, pos_recenter={}, ortho_pmode={}).apply(state, 1)

    class Failing(arraycon.Block):
        pass

    @arraycon.register("fails_after_a_look", model=Failing, needs=["object_phase"])
    def fails_after_a_look(inputs, _):
        raise RuntimeError(str(inputs["object_phase"].shape))

    try:
        with pytest.raises(RuntimeError, match=r"\(1, 3, 6, 7\)"):
            only(fails_after_a_look={}).apply(state, 1)
    finally:
        arraycon.unregister("fails_after_a_look")
    assert obj.tobytes() == before


@pytest.mark.parametrize("library", ["jax", "torch", "cupy"])
def test_whose_memory_it_is(library):
    library = Library(library)
    if reason := library.available():
        pytest.skip(reason)
    obj = make((1, 4, 9, 10), "float32")
    state = arraycon.State(object=library.array(obj))
    own = state.object
    with library.without_waiting():
        only(obja_thresh={}).apply(state, 1, measure=False)
    assert (state.object is own) == (library.name != "jax")
    assert relative_error(library.numpy(state.object), applied(obj, "obja_thresh", {})) < FLOAT32


LIMITS = {
    name: limit
    for one in FAMILIES
    for name, limit in family(one).LIMITS.items()
    if name in names_for("complex")
}


@pytest.mark.quick(when=lambda name, layout: (name, layout) == ("obja_thresh", "contiguous"))
@pytest.mark.parametrize("layout", ["contiguous", "strided"])
@pytest.mark.parametrize("name", LIMITS)
def test_extra_memory(name, layout):
    """The parts that it needs, and what the constraint itself takes; blocks are next to nothing."""
    pytest.importorskip("numba", reason="numba is not installed")
    if layout == "strided" and name != "obja_thresh":
        pytest.skip("one is enough")
    obj = NUMPY.array(large(), layout)
    state = make_state(object_amplitude=None, object_phase=None, object=obj)
    limit = LIMITS[name]
    fields = declared()[name].model.model_fields
    # the others are optics, which the state has
    options = {key: value for key, value in limit.options.items() if key in fields}
    constraints = only(**{name: {"kernel_size": 7} if name == "obj_zblur" else options})
    with threads.use_threads(2):
        # compiling and caches are not counted
        constraints.apply(state, 1, measure=False)
        tracemalloc.start()
        try:
            constraints.apply(state, 1, measure=False)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    step, block = next(each for each in constraints.steps if each[0].name == name)
    parts_needed = len(PARTS.intersection(step.needs(block)))
    blocks = 0.12 if layout == "strided" else 0.01
    # both parts have their scratch memory in common
    assert peak <= (parts_needed + blocks + limit.fraction) * obj.size * 4
    assert peak >= parts_needed * obj.size * 4  # the parts were made


def test_every_object_constraint_has_a_limit():
    assert set(LIMITS) == set(names_for("complex"))


def test_constraints_that_follow_each_other_share_the_parts(monkeypatch):
    calls = []
    for name in ("split", "join"):
        kernel = getattr(polar, name)
        monkeypatch.setattr(
            polar, name, lambda *a, _k=kernel, _n=name, **b: calls.append(_n) or _k(*a, **b)
        )
    obj = make((1, 4, 9, 10))
    only(obj_rblur={}, obja_thresh={}, objp_postiv={}).apply(arraycon.State(object=obj), 1)
    assert calls == ["split", "join"]


SINGLE = {
    "obja_thresh": ({}, ["amplitude", "with_amplitude"]),
    "objp_postiv": ({}, ["phase", "with_phase"]),
    "mirrored_amp": ({}, ["split", "with_amplitude"]),
    "complex_ratio": ({}, ["split", "join"]),
    "obj_rblur": ({"obj_type": "phase"}, ["phase", "with_phase"]),
}


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("name", SINGLE)
def test_only_what_is_needed_is_made(name, bound, monkeypatch):
    calls = []
    for function in polar.__all__:
        kernel = getattr(polar, function)
        monkeypatch.setattr(
            polar, function, lambda *a, _k=kernel, _n=function, **b: calls.append(_n) or _k(*a, **b)
        )
    options, expected = SINGLE[name]
    state = arraycon.State(object=make((1, 4, 9, 10)))
    constraints = only(**{name: options})
    if bound:
        constraints.bind(state).apply(1)
    else:
        constraints.apply(state, 1)
    assert calls == expected


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize(
    "blocks",
    [
        {"obja_thresh": {"thresh": [0.9, 1.0]}, "objp_postiv": {}},
        {"obj_rblur": {"obj_type": "phase"}, "obja_thresh": {"relax": 0.5}},
        {"obj_rblur": {"obj_type": "amplitude"}, "mirrored_amp": {"relax": 0.5}},
        {"kr_filter": {"obj_type": "amplitude"}, "obja_thresh": {}, "complex_ratio": {}},
    ],
)
def test_parts_one_after_the_other_are_as_both_at_once(blocks, bound):
    obj = make((1, 5, 12, 14), offset=0.3)
    amplitude, phase = polar.split(obj)
    apart = arraycon.State(object_amplitude=amplitude, object_phase=phase)
    state, constraints = arraycon.State(object=obj), only(**blocks)
    if bound:
        constraints.bind(state).apply(1)
    else:
        constraints.apply(state, 1)
    constraints.apply(apart, 1)
    assert relative_error(state.object, polar.join(amplitude, phase)) < FLOAT64


@pytest.mark.parametrize("bound", [False, True])
def test_the_object_itself_between_its_parts(bound):
    """What a constraint of one's own sees and changes, and what comes after it."""

    class Turn(arraycon.Block):
        pass

    @arraycon.register("turn", model=Turn, needs=["object"], after="obja_thresh")
    def turn(inputs, _):
        seen.append(abs(inputs["object"]).max())
        return {"object": inputs["object"] * 1j}

    try:
        seen = []
        obj = make((1, 3, 6, 7), offset=0.1, spread=0.2)
        amplitude, phase = polar.split(obj)
        state = arraycon.State(object=obj)
        constraints = only(obja_thresh={}, turn={}, objp_postiv={})
        if bound:
            constraints.bind(state).apply(1)
        else:
            constraints.apply(state, 1)
    finally:
        arraycon.unregister("turn")
    np.testing.assert_allclose(seen, 1.04)
    expected = np.clip(amplitude, 0.96, 1.04) * np.exp(1j * np.maximum(phase + np.pi / 2, 0))
    assert relative_error(state.object, expected) < FLOAT64
