"""How the declarations say that an object may be cut: pieces give what the whole gives there."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedules import make_state

from arraycon.constraints import declared

SHAPE = 2, 5, 7, 8
VOLUME = "slices", "columns", "slices"
# options beside those that are typical, the passes over the object, and whether it reduces
CLAIMS = [
    ("obj_rblur", {}, "slices", False),
    ("obj_rblur", {"obj_type": "complex"}, "slices", False),
    ("obj_rblur", {"std": 0.0}, "any", False),
    ("obj_zblur", {}, "columns", False),
    ("obj_zblur", {"obj_type": "complex"}, "columns", False),
    ("obj_zblur", {"std": 0.0}, "any", False),
    ("kr_filter", {}, "slices", False),
    ("kr_filter", {"obj_type": "complex"}, "slices", False),
    ("kz_filter", {}, VOLUME, False),
    ("kz_filter", {"boundary": "mirror", "obj_type": "amplitude"}, VOLUME, False),
    ("kz_filter", {"alpha": 0.0}, VOLUME, False),
    ("kz_filter", {"beta": 0.0}, "slices", False),
    ("kz_filter", {"beta": 0.0, "alpha": 0.0}, "any", False),
    ("kr_thresh", {}, ("slices", "slices"), True),
    ("kr_thresh", {"thresh": 1.0}, "any", False),
    ("kr_thresh", {"scope": "slice"}, "slices", False),
    ("kr_thresh", {"scope": "slice", "obj_type": "complex"}, "slices", False),
    ("complex_ratio", {"alpha2": 0.3}, ("any", "any"), True),
    ("mirrored_amp", {"scale": 0.5, "power": 2.0}, "any", False),
    ("obj_z_recenter", {}, ("any", "columns"), True),
    ("obja_thresh", {}, "any", False),
    ("objp_thresh", {}, "any", False),
    ("objp_postiv", {"relax": 0.2}, "any", False),
    ("objp_postiv", {"mode": "subtract_min"}, ("any", "any"), True),
    ("objp_postiv", {"mode": "subtract_min", "relax": 1.0}, "any", False),
    ("obj_gaussian", {}, "slices", False),
    ("obj_gaussian", {"sigma_z": 5.0}, ("slices", "columns"), False),
    ("obj_gaussian", {"sigma_z": 5.0, "boundary": "periodic"}, ("slices", "columns"), False),
    ("obj_gaussian", {"sigma": 0.0, "sigma_z": 5.0}, "columns", False),
    ("obj_gaussian", {"sigma": 0.0, "sigma_z": 5.0, "obj_type": "complex"}, "columns", False),
    ("obj_gaussian", {"sigma": 0.0}, "any", False),
    ("obj_gaussian", {"sigma_z": 5.0, "relax": 1.0}, "any", False),
    ("obj_smooth", {}, "slices", False),
    ("obj_smooth", {"obj_type": "complex"}, "slices", False),
    ("obj_bandpass", {}, "slices", False),
    ("obj_bandpass", {"boundary": "mirror", "q_highpass": 0.3}, "slices", False),
    ("obj_bandpass", {"dims": "volume"}, VOLUME, False),
    ("grid_notch", {}, "slices", False),
    ("obj_wedge", {}, VOLUME, False),
    ("obj_wedge", {"boundary": "periodic", "obj_type": "complex"}, VOLUME, False),
    ("identical_slices", {}, "columns", False),
    ("identical_slices", {"obj_type": "complex", "relax": 0.3}, "columns", False),
    ("obj_tv", {}, "slices", False),
    ("obj_tv", {"axes_weight": (0.0, 0.0, 1.0), "solver": "chambolle"}, "slices", False),
    ("obj_tv", {"obj_type": "complex"}, "slices", False),
    ("obj_tv", {"axes_weight": (1.0, 0.0, 0.0)}, "columns", False),
    ("obj_tv", {"axes_weight": (1.0, 0.0, 0.0), "obj_type": "both"}, "columns", False),
    ("obj_tv", {"axes_weight": (1.0, 1.0, 1.0)}, "whole", False),
    ("obj_tv", {"axes_weight": (0.3, 0.0, 1.0), "norm": "layered"}, "whole", False),
    ("obj_tv", {"axes_weight": (1.0, 1.0, 1.0), "weight": 0.0}, "any", False),
    ("obj_baseline", {}, "slices", False),
    ("obj_baseline", {"statistic": "percentile", "obj_type": "both"}, "slices", False),
    ("obj_baseline", {"scope": "global"}, ("any", "any"), True),
    ("obj_baseline", {"scope": "global", "factor": 0.0}, "any", False),
    ("obj_shrink", {}, "any", False),
    ("obj_shrink", {"obj_type": "complex", "amount": 0.2}, "any", False),
    ("obj_fill", {}, "any", False),
    ("obj_fill", {"slices": (0, -1), "relax": 0.3}, "columns", False),
    ("phase_ramp", {}, "slices", True),
    ("phase_ramp", {"method": "gradient", "counter_probe": False}, "slices", False),
    ("obj_probe_scale", {}, "slices", True),
    ("ortho_omode", {}, ("any", "any"), True),
]  # fmt: skip
ALONE = [claim for claim in CLAIMS if claim[2] in ("any", "slices", "columns") and not claim[3]]
"""Where a piece needs nothing that is outside of it."""


def each(claims):
    ids = ["-".join([name, *map(str, options.values())]) for name, options, *_ in claims]
    return pytest.mark.parametrize(("name", "options"), [claim[:2] for claim in claims], ids=ids)


OBJECT = "object_amplitude", "object_phase", "object"
NOISE = 1e-11
REALLY = 1e-6


def block_of(name, options):
    return declared()[name].model(start_iter=1, **{**declared()[name].typical, **options})


@pytest.mark.parametrize(("name", "options", "layout", "reduces"), CLAIMS)
def test_what_the_declarations_say(name, options, layout, reduces):
    one, block = declared()[name], block_of(name, options)
    assert one.layout(block) == ((layout,) if isinstance(layout, str) else layout)
    assert one.reduces(block) == reduces


def test_every_constraint_of_the_object_is_among_them():
    objects = {
        name
        for name, one in declared().items()
        if one.built_in and set(OBJECT) & set(one.writes(one.model(**one.typical)))
    }
    assert objects == {name for name, *_ in CLAIMS}


@functools.cache
def inputs(name, seed):
    """Fields of a state; of what takes one slice there are so many modes of it."""
    omode, nz, *plane = SHAPE
    shape = (omode * nz, 1, *plane) if declared()[name].flat else SHAPE
    state = make_state("float64", seed, shape=shape)
    # with spread enough for whatever is done to values
    amplitude, phase = state.object_amplitude, state.object_phase * 1.5
    fields = {key: getattr(state, key) for key in ("probe", "dx", "wavelength", "slice_thickness")}
    fields.update(illumination=state.illumination, vacuum_mask=state.vacuum_mask)
    fields.update(zip(OBJECT, (amplitude, phase, amplitude * np.exp(1j * phase)), strict=True))
    return fields


def result(name, options, fields):
    one, block = declared()[name], block_of(name, options)
    given = {key: fields[key] for key in one.needs(block)}
    return one.run(given, block, {}).updates


def cut(fields, z, y, x):
    """Objects, and weights of their pixels, at some places along each axis."""
    pieces = dict(fields)
    for key in OBJECT:
        pieces[key] = fields[key][:, z][:, :, y][..., x]
    for key in ("illumination", "vacuum_mask"):
        pieces[key] = fields[key][y][:, x]
    return pieces


def difference(name, options, fields, z, y, x):
    """Between a piece's result and the whole's in its place, the largest of all arrays."""
    whole, piece = result(name, options, fields), result(name, options, cut(fields, z, y, x))
    assert whole.keys() == piece.keys()
    there = cut({**fields, **whole}, z, y, x)
    return max(float(np.max(np.abs(there[key] - piece[key]))) for key in whole)


def places(draw, size):
    return sorted(draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=size)))


@st.composite
def pieces(draw, layout, shape):
    """Places along z, y and x of a piece that a layout allows."""
    nz, ny, nx = shape
    z = range(nz) if layout == "columns" else places(draw, nz)
    y, x = (range(n) if layout == "slices" else places(draw, n) for n in (ny, nx))
    return tuple(map(list, (z, y, x)))


@each(ALONE)
@settings(max_examples=8)
@given(data=st.data(), seed=st.integers(0, 3))
def test_pieces_are_parts_of_the_whole(name, options, data, seed):
    (layout,) = declared()[name].layout(block_of(name, options))
    piece = data.draw(pieces(layout, SHAPE[1:]))
    assert difference(name, options, inputs(name, seed), *piece) < NOISE


@each(CLAIMS)
def test_nothing_else_may_be_cut(name, options):
    """Where a declaration does not allow a cut, there is one that changes the result."""
    one, block = declared()[name], block_of(name, options)
    layouts, fields = one.layout(block), inputs(name, 0)
    allowed = set() if one.reduces(block) or len(layouts) > 1 else set(layouts)
    nz, ny, nx = (list(range(n)) for n in fields["object"].shape[1:])
    some = {
        "slices": [(z, ny, nx) for z in ([0], nz[1:]) if len(nz) > 1],
        "columns": [(nz, ny[:3], nx), (nz, ny, nx[2:]), (nz, ny[1:], nx[1:])],
    }
    for layout, cuts in some.items():
        if cuts and not allowed & {"any", layout}:
            assert max(difference(name, options, fields, *piece) for piece in cuts) > REALLY
