"""Dask's arrays: in a state they are replaced, in a function lazy or refused."""

from __future__ import annotations

import gc
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from schedules import make_state, only
from stored import fetch

import arraycon
from arraycon.bench import NAMES
from arraycon.blockwise import arriving

SHAPE = 1, 6, 20, 18
LAZY = {
    "obja_thresh": {},
    "objp_postiv": {"mode": "subtract_min"},
    "objp_thresh": {"thresh": (-0.1, 0.1)},
    "complex_ratio": {"alpha2": 0.3},
    "mirrored_amp": {},
    "obj_shrink": {"amount": 0.05},
}
FIRST = {"obja_thresh": "amplitude", "objp_postiv": "phase", "objp_thresh": "phase"}


def graph_size(array) -> int:
    return len(dict(array.__dask_graph__()))


def in_chunks(values, chunks=(1, 2, 7, 18)):
    return da.from_array(values, chunks=chunks)


@pytest.fixture(autouse=True)
def on_one_thread():
    import dask

    with dask.config.set(scheduler="synchronous"):
        yield


def test_a_loop_over_a_state_does_not_grow_its_graph(tmp_path: Path):
    names = ("object_amplitude", "object_phase")
    constraints = only(obj_rblur={}, objp_postiv={}, kz_filter={})
    whole, lazy = make_state(shape=SHAPE), make_state(shape=SHAPE)
    for name in names:
        setattr(lazy, name, in_chunks(getattr(lazy, name)))
    sizes = []
    for iteration in range(1, 6):
        constraints.apply(whole, iteration)
        constraints.apply(lazy, iteration, memory="100kB", scratch=tmp_path)
        sizes.append([graph_size(getattr(lazy, name)) for name in names])
        gc.collect()  # older versions of dask have cycles
        assert len(list(tmp_path.iterdir())) == 2  # the results alone
    chunks = 3 * 3
    assert sizes == [[chunks + 1] * 2] * 5  # one for each chunk, and the file
    for name in names:
        np.testing.assert_allclose(fetch(getattr(lazy, name)), getattr(whole, name), atol=1e-6)
    derived = lazy.object_phase + 1
    constraints.apply(lazy, 6, memory="100kB", scratch=tmp_path)
    before = whole.object_phase.copy()
    np.testing.assert_allclose(fetch(derived), before + 1, atol=1e-6)  # its file is still there
    del derived
    lazy.object_amplitude = lazy.object_phase = None
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_an_array_that_does_not_know_its_size_is_refused():
    state = make_state(shape=SHAPE)
    phase = in_chunks(state.object_phase)
    state.object_phase = phase[phase.min(axis=(1, 2, 3)) < 1e9]
    with pytest.raises(ValueError, match=r"object_phase: expected an array of known size, got a d"):
        only(objp_postiv={}).apply(state, 1)


def test_what_makes_it_is_computed_once(tmp_path: Path):
    asked = []

    def make(block_info=None):
        asked.append(block_info[None]["chunk-location"])
        return np.full(block_info[None]["chunk-shape"], 0.1, "float32")

    chunks = ((1,), (2, 2, 2), (7, 7, 6), (18,))
    phase = da.map_blocks(make, chunks=chunks, dtype="float32", meta=np.empty(0, "float32"))
    state = make_state(shape=SHAPE, object_phase=phase)
    only(obj_rblur={}, objp_postiv={"mode": "subtract_min"}).apply(state, 1, scratch=tmp_path)
    assert len(asked) == len(set(asked)) == 9


def test_chunks_that_are_too_large(tmp_path: Path):
    state = make_state(shape=SHAPE)
    state.object_phase = in_chunks(state.object_phase, (1, 6, 20, 18))
    with pytest.raises(ValueError, match=r"object_phase: expected chunks of at most .* rechunk it"):
        only(objp_postiv={}).apply(state, 1, memory=4000, scratch=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", LAZY)
def test_functions_that_stay_lazy(name):
    state = make_state(shape=SHAPE)
    fields = [] if FIRST.get(name) == "phase" else [state.object_amplitude]
    fields += [] if FIRST.get(name) == "amplitude" else [state.object_phase]
    fields = fields[:1] if name == "obj_shrink" else fields
    function = getattr(arraycon, name)
    expected = function(*fields, **LAZY[name])
    sizes = []
    for chunks in ((1, 2, 7, 18), (1, 1, 7, 9)):
        lazy = function(*(in_chunks(x, chunks) for x in fields), **LAZY[name])
        pairs = zip(*(x if isinstance(x, tuple) else (x,) for x in (lazy, expected)), strict=True)
        for one, other in pairs:
            np.testing.assert_allclose(fetch(one), other, rtol=2e-6, atol=2e-6)
            sizes.append(graph_size(one) / one.npartitions)
    assert max(sizes) < 25  # in proportion to the chunks
    outs = tuple(map(in_chunks, fields))
    out = outs if isinstance(expected, tuple) else outs[0]
    with pytest.raises(TypeError, match="out: expected None, because dask arrays"):
        function(*outs, **LAZY[name], out=out)


@pytest.mark.parametrize(
    "name", ["kz_filter", "kr_thresh", "obj_rblur", "obj_zblur", "ortho_pmode", "obj_tv"]
)
def test_others_say_what_to_do(name):
    assert name in NAMES
    array = in_chunks(make_state(shape=SHAPE).object_phase)
    if name == "ortho_pmode":
        array = da.from_array(make_state().probe, chunks=(1, 12, 12))
    with pytest.raises(TypeError, match=r"a dask array, .* hand it over in a State, which"):
        getattr(arraycon, name)(array)


def test_small_arrays_of_dask_are_replaced():
    whole, lazy = make_state(shape=SHAPE), make_state(shape=SHAPE)
    lazy.probe = da.from_array(lazy.probe, chunks=(1, 12, 12))
    constraints = only(ortho_pmode={}, fix_probe_int={})
    for state in (whole, lazy):
        constraints.apply(state, 1)
    assert arriving.elsewhere.is_dask(lazy.probe)
    np.testing.assert_array_equal(fetch(lazy.probe), whole.probe)
