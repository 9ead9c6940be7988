"""Plans: what shares a pass, what is moved, how much memory is taken, and what is said of it."""

from __future__ import annotations

import warnings

import in_regions
import numpy as np
import pytest
from schedules import make_state, only, snapshot

import arraycon
from arraycon.blockwise import ordering, planning, regions
from arraycon.kernels.common.steps import Like, Region, Step

SHAPE = 1, 8, 32, 24


def plan(memory=10**9, workers=1, shape=SHAPE, **blocks):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", arraycon.ParameterWarning)  # of two depth filters
        constraints = only(**blocks)
    return in_regions.planned(constraints, make_state(shape=shape), memory, workers)


def as_complex(state):
    """Return the state with one complex object."""
    fields = {key: value for key, value in vars(state).items() if key != "errors"}
    parts = fields.pop("object_amplitude"), fields.pop("object_phase")
    fields["object"] = (parts[0] * np.exp(1j * parts[1])).astype("complex64")
    return arraycon.State(**fields)


def layouts(made):
    return [each.layout for each in made.passes]


def test_what_is_cut_alike_shares_a_pass():
    made = plan(obj_rblur={}, kr_filter={}, obja_thresh={}, objp_postiv={})
    assert layouts(made) == ["slices"]
    assert made.passes[0].titles == ("obj_rblur", "kr_filter", "obja_thresh", "objp_postiv")
    size = 2 * 4 * int(np.prod(SHAPE))
    assert (made.bytes_read, made.bytes_written) == (size, size)


def test_both_parts_of_the_object_go_through_a_filter_side_by_side():
    assert layouts(plan(kz_filter={})) == ["slices", "columns", "slices"]
    assert layouts(plan(kr_thresh={"thresh": 0.3})) == ["slices", "any", "slices"]


@pytest.mark.parametrize(
    ("blocks", "transposes"),
    [
        ({"obj_zblur": {}}, 0),
        ({"kz_filter": {}}, 2),
        ({"obj_zblur": {}, "kz_filter": {}}, 2),
        ({"obj_rblur": {}, "obj_zblur": {}, "kr_filter": {}, "kz_filter": {}}, 2),
        ({"obj_rblur": {}, "obj_zblur": {}, "kr_filter": {}}, 2),
        ({"kz_filter": {}, "obj_z_recenter": {}, "obja_thresh": {}, "objp_postiv": {}}, 3),
    ],
)
def test_transposes_of_schedules(blocks, transposes):
    assert plan(**blocks).transposes == transposes


def test_a_depth_filter_goes_behind_transforms_only_if_nothing_is_in_the_way():
    def order(names=None, **blocks):
        on = {name: {"start_iter": 1, **blocks.get(name, {})} for name in names or blocks}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", arraycon.ParameterWarning)
            constraints = arraycon.Constraints(on, order=names)
        lowered, _ = in_regions.lowered(constraints, make_state(shape=SHAPE))
        steps = ordering.behind_transforms(lowered.steps)
        return [(each.title, each.step.writes) for each in steps if each.title == "obj_zblur"]

    spectrum = "kz_filter.object_phase.spectrum"
    phase = {"obj_type": "phase"}
    moved = order(obj_zblur=phase, kr_filter=phase, kz_filter=phase)
    assert moved == [("obj_zblur", (spectrum,))]
    # what is no linear filter stays behind it
    kept = order(("obj_zblur", "objp_postiv", "kz_filter"), obj_zblur=phase, kz_filter=phase)
    assert kept == [("obj_zblur", ("object_phase",))]
    # and it moves nowhere where there is no transform
    assert order(obj_zblur=phase, kr_filter=phase) == [("obj_zblur", ("object_phase",))]


def test_what_moves_gives_the_same():
    blocks = {"obj_zblur": {}, "kr_filter": {"obj_type": "both"}, "kz_filter": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", arraycon.ParameterWarning)
        constraints = only(**blocks)
    expected, state = (make_state("float64", shape=SHAPE) for _ in range(2))
    constraints.apply(expected, 1)
    made, _ = in_regions.run(constraints, state, 10**9)
    assert layouts(made) == ["slices", "columns", "slices"]
    for name, target in snapshot(expected).items():
        np.testing.assert_allclose(getattr(state, name), target, rtol=1e-12, atol=1e-13)


def test_a_reduction_ends_a_pass_for_what_needs_it_alone():
    made = plan(complex_ratio={}, objp_thresh={})
    assert layouts(made) == ["slices", "any"]
    assert made.passes[1].titles == ("complex_ratio", "objp_thresh")


def test_rows_of_a_halo_begin_a_pass():
    tv = {"axes_weight": (1.0, 1.0, 1.0), "n_iter": 3, "obj_type": "phase"}
    made = plan(obj_zblur={"obj_type": "phase"}, obj_tv=tv, objp_postiv={})
    assert [each.titles for each in made.passes] == [("obj_zblur",), ("obj_tv", "objp_postiv")]
    small = plan(memory=made.memory // 2, obj_tv=tv)
    assert small.passes[0].bytes_read > small.passes[0].bytes_written


def test_small_arrays_take_their_turn_between_the_passes():
    made = plan(ortho_pmode={}, obj_probe_scale={}, fix_probe_int={}, obj_rblur={})
    assert len(made.passes) == 1
    # the power is restored behind the scale of the object, which is known behind the pass
    titles = [each.title for each in made.passes[0].locals]
    assert titles == ["ortho_pmode", "obj_probe_scale", "fix_probe_int"]
    alone = plan(pos_recenter={})
    assert (alone.passes[0].regions, alone.bytes_read, alone.memory) == ((), 0, 0)


def test_what_is_made_on_the_way_is_dropped_and_a_complex_object_costs_no_copy():
    state = make_state(shape=SHAPE)
    state = as_complex(state)
    made = in_regions.planned(only(obja_thresh={}), state, 10**9)
    assert [each.writes for each in made.passes] == [("object",)]
    made = in_regions.planned(only(kz_filter={}), state, 10**9)
    dropped = {name for each in made.passes for name in each.drops}
    stored = {name for each in made.passes for name in each.writes}
    assert dropped == stored - {"object"}


def test_the_text_of_a_plan():
    made = plan(60_000, obj_rblur={}, kz_filter={}, obj_z_recenter={}, objp_postiv={})
    assert str(made) == GOLDEN


GOLDEN = """\
pass  cut into  blocks     read     written  memory   what
1     slices    2 of 4x32  0.05 MB  0.05 MB  0.05 MB  obj_rblur, kz_filter
2     columns   2 of 8x16  0.05 MB  0.05 MB  0.03 MB  kz_filter
3     slices    2 of 4x32  0.05 MB  0.05 MB  0.05 MB  kz_filter, obj_z_recenter
4     any       1 of 8x32  0.02 MB  0.00 MB  0.04 MB  obj_z_recenter
5     slices    1 of 8x32  0.02 MB  0.00 MB  0.03 MB  obj_z_recenter
6     columns   2 of 8x16  0.05 MB  0.05 MB  0.05 MB  obj_z_recenter, objp_postiv
0.25 MB read, 0.20 MB written, 3 transposes; 1 worker of 0.06 MB, 0.05 MB needed"""


def test_workers_share_the_memory_and_get_two_regions_each():
    one, three = (plan(10**6, workers, obj_rblur={}, obja_thresh={}) for workers in (1, 3))
    assert three.limit == 10**6 // 3
    assert len(one.passes[0].regions) == 1
    assert len(three.passes[0].regions) >= 4
    flat = plan(10**6, 3, (1, 1, 32, 24), obja_thresh={})
    assert len(flat.passes[0].regions) >= 6


@pytest.mark.parametrize("layout", ["any", "slices", "columns"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 15, 18), (1, 30, 4), (20, 1, 9)])
@pytest.mark.parametrize("regions_at_least", [1, 8])
@pytest.mark.parametrize("held", [0, 500])
def test_regions_cover_everything_once(layout, shape, regions_at_least, held):
    seen = 0
    for limit in (10**7, 9000 + held, 1200 + held):
        whole = 60 * int(np.prod(shape))
        least = {"any": 60 * shape[2], "slices": whole // shape[0], "columns": whole // shape[1]}
        how = {"held": held, "least": regions_at_least}
        if limit < held + least[layout]:
            with pytest.raises(ValueError, match="memory: expected at least"):
                regions.cut(layout, shape, whole, limit, **how)
            continue
        cut = regions.cut(layout, shape, whole, limit, **how)
        count = np.zeros(shape, int)
        for region in cut.regions:
            count[region.of(shape)] += 1
            part = np.empty(shape)[region.of(shape)]
            assert held + part.size * 60 <= cut.memory <= limit
        assert (count == 1).all()
        seen += 1
    assert seen


def test_rows_of_a_halo_are_read_and_do_not_count():
    cut = regions.cut("columns", (5, 20, 10), 20 * 100, 1000, halo=2)
    count = np.zeros((5, 20, 10), int)
    for region in cut.regions:
        rows = range(*region.y.indices(20))
        inner = region.without_halo()
        count[inner.of(count.shape)] += 1
        assert rows.start == max(inner.y.start - 2, 0)
        assert rows.stop == min(inner.y.stop + 2, 20)
    assert (count == 1).all()
    assert cut.memory <= 1000
    assert cut.overlap > 1


def test_planes_and_axes_that_stand_for_others():
    region = Region((7, 15, 18), slice(2, 4), slice(3, 6))
    array = np.arange(7 * 15 * 18).reshape(7, 15, 18)
    np.testing.assert_array_equal(array[region.of(array.shape)], array[2:4, 3:6])
    assert array[0][region.of((15, 18))].shape == (3, 18)
    assert array[:1][region.of((1, 15, 18))].shape == (1, 3, 18)


@pytest.mark.parametrize(
    ("given", "size"),
    [("2GB", 2 * 10**9), ("500 MB", 5 * 10**8), ("1.5gib", 3 << 29), ("64k", 64000), (7, 7)],
)
def test_memory_as_people_write_it(given, size):
    assert regions.parse_memory(given) == size


@pytest.mark.parametrize("bad", ["", "much", "-1GB", "2 GB GB", 0, -1, float("nan")])
def test_memory_that_is_none(bad):
    with pytest.raises(ValueError, match="memory: expected a number of bytes or a text"):
        regions.parse_memory(bad)


@pytest.mark.parametrize("bad", [None, True, [1]])
def test_memory_of_another_type(bad):
    with pytest.raises(TypeError, match="memory: expected a number of bytes or a text"):
        regions.parse_memory(bad)


def test_a_working_set_counts_what_is_there_at_once():
    likes = {name: Like((1, 4, 5, 5), "float32") for name in "abc"} | {"m": Like((5, 5), "bool")}
    steps = [
        Step("any", ("a", "m"), ("b",), scratch=0.5),
        Step("any", ("b",), ("c",), scratch=1.0),
    ]
    size = 400
    # b, c, and one array more; then a, the plane for each slice, b, and half an array
    assert regions.working_set("slices", steps, ("c",), likes) == 3 * size
    assert regions.working_set("slices", steps[:1], ("b",), likes) == 2.5 * size + 100
    assert regions.working_set("columns", steps[:1], ("b",), likes) == 2.5 * size + 25
    # what is kept to the end is there too, but not what is written anew
    assert regions.working_set("slices", steps, ("b", "c"), likes) == 3 * size
    again = [*steps, Step("any", ("c",), ("b",), scratch=0.0)]
    assert regions.working_set("slices", [*again[1:]], ("b", "c"), likes) == 3 * size


MEASURED = {
    "obj_rblur": {},
    "obj_zblur": {"kernel_size": 7},
    "obj_gaussian": {"sigma_z": 5.0},
    "kz_filter": {},
    "kz_filter mirror": {"boundary": "mirror"},
    "obj_wedge": {"obj_type": "complex"},
    "kr_thresh": {},
    "kr_thresh complex": {"obj_type": "complex"},
    "complex_ratio": {"alpha2": 0.3},
    "mirrored_amp": {},
    "obj_z_recenter": {},
    "obj_tv": {"obj_type": "both"},
    "obj_tv volume": {"axes_weight": (1.0, 1.0, 1.0), "n_iter": 2, "obj_type": "both"},
    "obj_baseline": {"scope": "global", "obj_type": "both"},
    "obj_baseline percentile": {"scope": "global", "statistic": "percentile", "obj_type": "both"},
    "obj_fill": {},
    "obj_shrink": {"obj_type": "complex"},
    "objp_postiv": {"mode": "subtract_min"},
    "phase_ramp": {},
    "obj_probe_scale": {},
    "identical_slices": {},
    "grid_notch": {},
}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["parts", "complex"])
@pytest.mark.parametrize("case", MEASURED)
def test_blocks_take_no_more_memory_than_planned(case, form):
    constraints = only(**{case.partition(" ")[0]: MEASURED[case]})
    shape = 1, 20, 128, 128
    limit = 6 << 20
    state = make_state(shape=shape)
    if form == "complex":
        state = as_complex(state)
    with arraycon.use_threads(1):
        in_regions.run(constraints, state, limit)  # tables and caches are not of this pass
        steps, arrays = in_regions.lowered(constraints, state)
        made = planning.plan(steps, memory=limit)
        store, shared = {**arrays, **steps.planes}, {}
        for each in made.passes:
            peak = in_regions.peak_of_pass(each, steps.likes, store, shared)
            assert peak <= max(1.1 * each.memory, each.memory + (1 << 20)), each.titles
