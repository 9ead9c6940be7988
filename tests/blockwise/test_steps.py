"""Steps of every constraint, region by region, against the constraint in memory."""

from __future__ import annotations

import pickle
import warnings

import in_regions
import numpy as np
import pytest
from libraries import Library
from schedules import fitting, make_state, only, snapshot

import arraycon
from arraycon.constraints import declared

SHAPE = 2, 7, 15, 18
# memory in arrays of the object: everything at once, some slices or rows, next to nothing
MEMORIES = 1000.0, 4.0, None

VOLUME = (1.0, 1.0, 1.0)
CALLS = [
    ("phase_ramp", {}),
    ("phase_ramp", {"method": "gradient", "region": "all", "counter_probe": False, "relax": 0.2}),
    ("phase_ramp", {"terms": "offset"}),
    ("obj_probe_scale", {}),
    ("obj_probe_scale", {"region": "all", "target": 2.0, "relax": 0.3}),
    ("obj_rblur", {"std": 1.5, "kernel_size": 11}),
    ("obj_zblur", {"kernel_size": 7}),
    ("obj_gaussian", {}),
    ("obj_gaussian", {"sigma_z": 5.0}),
    ("obj_gaussian", {"sigma_z": 5.0, "relax": 0.3, "boundary": "periodic"}),
    ("obj_gaussian", {"sigma_z": 5.0, "sigma": 0.0}),
    ("obj_gaussian", {"sigma_z": 5.0, "obj_type": "complex"}),
    ("obj_gaussian", {"sigma_z": 5.0, "obj_type": "complex", "boundary": "periodic"}),
    ("obj_smooth", {}),
    ("kr_filter", {"obj_type": "both"}),
    ("kr_filter", {"obj_type": "complex"}),
    ("obj_bandpass", {}),
    ("obj_bandpass", {"dims": "volume"}),
    ("obj_bandpass", {"dims": "volume", "shape": "hard", "q_lowpass": None, "q_highpass": 0.3}),
    ("obj_bandpass", {"dims": "volume", "boundary": "mirror", "relax": 0.1}),
    ("obj_bandpass", {"dims": "volume", "obj_type": "complex"}),
    ("grid_notch", {}),
    ("kz_filter", {}),
    ("kz_filter", {"boundary": "mirror"}),
    ("kz_filter", {"obj_type": "amplitude", "beta": 0.3}),
    ("obj_wedge", {}),
    ("obj_wedge", {"boundary": "periodic", "q_floor": 0.1, "relax": 0.3}),
    ("obj_wedge", {"obj_type": "complex"}),
    ("identical_slices", {"relax": 0.1}),
    ("kr_thresh", {"thresh": 0.3}),
    ("kr_thresh", {"thresh": 0.3, "obj_type": "complex"}),
    ("kr_thresh", {"thresh": 0.3, "scope": "slice"}),
    ("kr_thresh", {"thresh": 1.0}),
    ("obj_tv", {"n_iter": 9}),
    ("obj_tv", {"axes_weight": VOLUME, "n_iter": 2}),
    ("obj_tv", {"axes_weight": VOLUME, "n_iter": 2, "solver": "chambolle", "norm": "layered"}),
    ("obj_tv", {"axes_weight": (1.0, 1.0, 0.0), "n_iter": 2, "obj_type": "complex"}),
    ("obj_tv", {"axes_weight": (1.0, 0.0, 1.0), "n_iter": 9, "obj_type": "both"}),
    ("ortho_omode", {}),
    ("obj_baseline", {}),
    ("obj_baseline", {"scope": "global", "obj_type": "both"}),
    ("obj_baseline", {"scope": "global", "region": "outside", "relax": 0.2}),
    ("obj_baseline", {"scope": "global", "statistic": "percentile", "obj_type": "both"}),
    ("obj_baseline", {"scope": "global", "statistic": "percentile", "region": "all"}),
    ("obj_baseline", {"statistic": "percentile", "region": "outside"}),
    ("obj_shrink", {}),
    ("obj_shrink", {"obj_type": "complex", "rule": "hard"}),
    ("complex_ratio", {"alpha2": 0.3}),
    ("complex_ratio", {"obj_type": "amplitude"}),
    ("complex_ratio", {"obj_type": "phase", "alpha2": 0.4}),
    ("mirrored_amp", {"scale": 0.5, "power": 2.5}),
    ("obj_z_recenter", {}),
    ("obj_z_recenter", {"thresh": None, "max_shift": 0.5}),
    ("obj_z_recenter", {"scale": 0.0}),
    ("obj_fill", {}),
    ("obj_fill", {"slices": (0, -1)}),
    ("obj_fill", {"slices": (1,), "region": "outside", "relax": 0.2}),
    ("obja_thresh", {}),
    ("objp_thresh", {}),
    ("objp_postiv", {}),
    ("objp_postiv", {"mode": "subtract_min", "relax": 0.2}),
]
IDS = ["-".join([name, *map(str, options.values())]) for name, options in CALLS]


def together(**blocks):
    """Return constraints of which some do the same twice, of which they warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", arraycon.ParameterWarning)
        return only(**blocks)


def state_of(name, dtype, form):
    """Make a state with its object in the form that is asked for."""
    state = make_state(dtype, shape=fitting(name, SHAPE))
    if form == "parts":
        return state
    fields = {key: value for key, value in vars(state).items() if key != "errors"}
    parts = fields.pop("object_amplitude"), fields.pop("object_phase")
    # a phase that drifts with depth, so that its reference phases go round
    drift = np.linspace(0, 9, SHAPE[1])[: parts[1].shape[-3], None, None].astype(dtype)
    dtype = np.result_type(parts[0], np.complex64)
    fields["object"] = (parts[0] * np.exp(1j * (parts[1] + drift))).astype(dtype)
    return arraycon.State(**fields)


def least(constraints, state, memory=1):
    """Return the least memory that a plan asks for, by way of its errors."""
    try:
        in_regions.planned(constraints, state, memory)
    except ValueError as error:
        told = str(error).partition("at least ")[2].partition(" MB")[0]
        assert float(told) * 1e6 > memory
        return least(constraints, state, int(float(told) * 1e6) + 1)
    return memory


def results(constraints, name, dtype, form):
    """Run with several block sizes; returns the arrays, by-products and numbers of regions."""
    size = state_of(name, dtype, form)
    one = sum(x.nbytes for key, x in snapshot(size).items() if key.startswith("object"))
    found = []
    for memory in MEMORIES:
        state = state_of(name, dtype, form)
        limit = int(memory * one) if memory else least(constraints, state)
        workers = 3 if memory == 4.0 else 1
        plan, shared = in_regions.run(constraints, state, limit * workers, workers)
        found.append((snapshot(state), shared, plan))
    return found


@pytest.mark.quick(when=lambda dtype, form, **_: (dtype == "float32") == (form == "parts"))
@pytest.mark.parametrize("form", ["parts", "complex"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CALLS, ids=IDS)
def test_regions_lead_to_what_the_constraint_does(name, options, dtype, form):
    constraints = only(**{name: options})
    expected = state_of(name, dtype, form)
    report = constraints.apply(expected, 1)
    expected = snapshot(expected)
    (first, shared, plan), *others = results(constraints, name, dtype, form)
    # eigenvectors are as exact as differences of the modes' powers let them be
    tolerance = {"float32": 1e-6, "float64": 1e-11 if name == "ortho_omode" else 1e-13}[dtype]
    for field, target in expected.items():
        error = np.linalg.norm(first[field] - target)
        assert error <= tolerance * np.linalg.norm(target), field
    (job,) = plan.lowered.jobs
    for key, value in report[0].returned.items():
        found = np.asarray(shared[job.returned[key]])
        np.testing.assert_allclose(found, value, rtol=20 * tolerance, atol=20 * tolerance)
    for other, other_shared, _ in others:
        for field, target in first.items():
            np.testing.assert_array_equal(other[field], target, err_msg=field)
        for key in job.returned.values():
            np.testing.assert_array_equal(other_shared[key], shared[key])
    assert all(len(each.regions) <= 1 for each in plan.passes)
    last = others[-1][2]
    assert not last.passes or max(len(each.regions) for each in last.passes) > 3


@pytest.mark.quick(when=lambda shape, **_: len(shape) == 3)
@pytest.mark.parametrize(
    "shape", [(5, 9, 8), (1, 1, 9, 8), (1, 6, 1, 7), (2, 4, 7, 1), (2, 2, 3, 6, 5)]
)
@pytest.mark.parametrize(("name", "options"), CALLS, ids=IDS)
def test_objects_of_any_shape(name, options, shape):
    if name == "ortho_omode":
        pytest.skip("takes one slice and one axis of modes")
    constraints = only(**{name: clipped(options, shape[-3])})
    expected, state = (make_state("float64", shape=shape) for _ in range(2))
    constraints.apply(expected, 1)
    in_regions.run(constraints, state, least(constraints, state))
    for field, target in snapshot(expected).items():
        np.testing.assert_allclose(getattr(state, field), target, rtol=1e-11, atol=1e-12)


def clipped(options, nz):
    """Return options for an object of so many slices."""
    if "slices" not in options:
        return options
    return {**options, "slices": tuple(z for z in options["slices"] if -nz <= z < nz)}


def test_every_constraint_of_the_object_is_tried():
    of_object = {
        name
        for name, one in declared().items()
        if one.built_in and any(field.startswith("object") for field in one.needs(one.model()))
    }
    assert of_object == {name for name, _ in CALLS}


@pytest.mark.parametrize("form", ["parts", "complex"])
def test_a_schedule_of_many_is_what_it_is_in_memory(form):
    chosen = {name: options for name, options in CALLS if options.get("obj_type") != "complex"}
    chosen.pop("ortho_omode")
    chosen["pos_recenter"] = chosen["ortho_pmode"] = chosen["fix_probe_int"] = {}
    constraints = together(**chosen)
    expected, state = (state_of("obj_rblur", "float64", form) for _ in range(2))
    constraints.apply(expected, 1)
    memory = 3 * least(constraints, state)
    in_regions.run(constraints, state, memory)
    for field, target in snapshot(expected).items():
        found = getattr(state, field)
        assert np.linalg.norm(found - target) <= 1e-10 * np.linalg.norm(target), field


def test_complex_and_parts_in_turn():
    """What works on the complex object goes between what works on its parts, in both forms."""
    blocks = {
        "obj_rblur": {"obj_type": "complex"},
        "kr_filter": {"obj_type": "phase"},
        "obj_shrink": {"obj_type": "complex"},
        "obja_thresh": {},
    }
    constraints = together(**blocks)
    for form in ("parts", "complex"):
        expected, state = (state_of("obj_rblur", "float64", form) for _ in range(2))
        constraints.apply(expected, 1)
        in_regions.run(constraints, state, least(constraints, state))
        for field, target in snapshot(expected).items():
            np.testing.assert_allclose(getattr(state, field), target, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"obj_type": "amplitude"}, {"obj_type": "phase"}])
def test_one_part_of_a_complex_object(options):
    constraints = only(obj_rblur=options)
    expected, state = (state_of("obj_rblur", "float32", "complex") for _ in range(2))
    constraints.apply(expected, 1)
    in_regions.run(constraints, state, least(constraints, state))
    np.testing.assert_allclose(state.object, expected.object, rtol=0, atol=2e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name", ["kr_thresh", "objp_postiv", "obj_baseline", "obj_z_recenter", "complex_ratio"]
)
def test_what_is_not_finite_stays_visible(name, bad):
    options = {
        "kr_thresh": {"thresh": 0.3},
        "objp_postiv": {"mode": "subtract_min"},
        "obj_baseline": {"scope": "global", "region": "all"},
    }
    constraints = only(**{name: options.get(name, {})})
    expected, state = (state_of(name, "float32", "parts") for _ in range(2))
    for each in (expected, state):
        each.object_phase[0, 2, 3, 4] = bad
    with np.errstate(all="ignore"):
        constraints.apply(expected, 1)
        in_regions.run(constraints, state, least(constraints, state))
    for field in ("object_amplitude", "object_phase"):
        target, found = getattr(expected, field), getattr(state, field)
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(target), err_msg=field)
        np.testing.assert_allclose(found, target, rtol=1e-4, atol=1e-5, equal_nan=True)


def test_ties_and_negative_zeros_are_selected_as_in_memory():
    constraints = only(kr_thresh={"thresh": 0.5, "obj_type": "phase"})
    expected, state = (state_of("kr_thresh", "float32", "parts") for _ in range(2))
    for each in (expected, state):
        each.object_phase[...] = 0
        each.object_phase[0, ::2, 3, 4] = -1.0
        each.object_phase[1, ::3] = -0.0
    constraints.apply(expected, 1)
    in_regions.run(constraints, state, least(constraints, state))
    np.testing.assert_array_equal(state.object_phase, expected.object_phase)


@pytest.mark.parametrize(("name", "options"), CALLS, ids=IDS)
def test_blocks_of_cupy(name, options):
    library = Library("cupy")
    if why := library.available():
        pytest.skip(why)
    constraints = only(**{name: options})
    for dtype, form, tolerance in (("float32", "parts", 2e-6), ("float64", "complex", 1e-11)):
        expected, state = (state_of(name, dtype, form) for _ in range(2))
        constraints.apply(expected, 1)
        in_regions.run(constraints, state, 2 * least(constraints, state), library=library)
        for field, target in snapshot(expected).items():
            error = np.linalg.norm(getattr(state, field) - target)
            assert error <= tolerance * np.linalg.norm(target), field


@pytest.mark.parametrize(("name", "options"), CALLS, ids=IDS)
def test_steps_travel(name, options):
    state = state_of(name, "float32", "complex")
    plan = in_regions.planned(only(**{name: options}), state, 10**9)
    again = pickle.loads(pickle.dumps(plan.passes))
    assert [each.reads for each in again] == [each.reads for each in plan.passes]


def test_a_users_kernel_runs_on_regions_if_it_says_how():
    def halved(phase, *, share=0.5):
        return phase * share

    def make(layout):
        class Halved(arraycon.Block):
            share: float = 0.5

        arraycon.register(halved, on="object_phase", layout=layout)(Halved)

    for layout in ("any", ()):
        make(layout)
        try:
            constraints = arraycon.Constraints({"halved": {"start_iter": 1}})
            state = state_of("obj_rblur", "float32", "parts")
            before = state.object_phase
            if layout:
                in_regions.run(constraints, state, 20_000)
                np.testing.assert_array_equal(state.object_phase, before * np.float32(0.5))
            else:
                with pytest.raises(ValueError, match="halved: expected a constraint that can be"):
                    in_regions.run(constraints, state, 20_000)
        finally:
            arraycon.unregister("halved")


def test_what_is_a_function_of_fields_or_has_a_memory_is_refused():
    class Odd(arraycon.Block):
        pass

    @arraycon.register("odd", model=Odd, needs=["object_phase"])
    def odd(inputs, _):
        return {"object_phase": inputs["object_phase"]}

    try:
        constraints = arraycon.Constraints({"odd": {"start_iter": 1}})
        with pytest.raises(ValueError, match=r"odd: .*it is a function of fields"):
            in_regions.planned(constraints, make_state(), 10**9)
    finally:
        arraycon.unregister("odd")
