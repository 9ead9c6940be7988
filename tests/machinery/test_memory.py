"""Memory that arrays share: each other's, or their own elements'."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cases import results
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import arraycon
from arraycon.kernels.common import memory

PATHS = pytest.mark.usefixtures("path")
RNG = np.random.default_rng(31)


@pytest.fixture(params=["auto", "agnostic"])
def path(request, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", request.param)


def fields(dtype="float64"):
    shape = (1, 5, 6, 8)
    amplitude = RNG.uniform(0.8, 1.2, shape).astype(dtype)
    phase = RNG.uniform(-0.5, 1.0, shape).astype(dtype)
    return amplitude, phase


def spread(array):
    """An equal array whose elements lie apart, the middle ones of pairs."""
    base = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    base[..., ::2] = array
    return base


def test_what_shares_memory():
    z = np.zeros((4, 6, 8), complex)
    for a, b in ((z, z), (z, z.real), (z[1:], z[:-1]), (z.T, z), (z[::2], z[::2, 1:]), (z, z[2])):
        assert memory.shared(a, b)
        assert memory.shared(b, a)
    for a, b in (
        (z.real, z.imag),
        (z[::2], z[1::2]),
        (z[..., :4], z[..., 4:]),
        (z, z.copy()),
        (z[:0], z),
        (z[:0], z[:0]),
    ):
        assert not memory.shared(a, b)


def test_what_repeats_itself_agrees_with_counting_addresses():
    base = np.arange(4096.0)
    for shape in ((3, 4), (1, 5), (2, 3, 4)):
        for steps in itertools.product((0, 1, 2, 3, 5, 8, 12, 13, -4, 32), repeat=len(shape)):
            view = as_strided(base[2000:], shape, [8 * step for step in steps])
            if memory.repeats(view):
                continue
            # values are their own addresses; some odd nestings without repeats are refused as well
            assert np.unique(view).size == view.size, (shape, steps)
    cube = np.zeros((4, 5, 6), np.complex64)
    cut = cube.swapaxes(0, 1)[1:, :, 2:4]
    for view in (cube, cube.T, cube[::-1, ::2], cube.real, cube[:, :, None], cube[:1], cube[:0],
                 cube.diagonal(), cut, spread(cube)[..., 1::2]):  # fmt: skip
        assert not memory.repeats(view)
    for view in (np.broadcast_to(cube, (2, 4, 5, 6)), sliding_window_view(cube, 3, axis=1)):
        assert memory.repeats(view)


@PATHS
def test_two_results_need_two_arrays():
    amplitude, phase = fields()
    probe = np.ones((1, 8, 8), complex)
    z = np.empty((1, 6, 6, 8))
    for out in ((z[:, 1:], z[:, 1:]), (z[:, 1:], z[:, :-1]), (amplitude, amplitude)):
        before = amplitude.copy(), phase.copy(), z.copy()
        with pytest.raises(ValueError, match=r"out\[0\]: expected memory of its own, not that of"):
            arraycon.complex_ratio(amplitude, phase, out=out)
        with pytest.raises(ValueError, match=r"out\[0\]: expected memory of its own, not that of"):
            arraycon.obj_z_recenter(
                amplitude, phase, probe, dx=0.2, wavelength=0.025, slice_thickness=5.0,
                out=(*out, None),
            )  # fmt: skip
        for array, old in zip((amplitude, phase, z), before, strict=True):
            np.testing.assert_array_equal(array, old)


@PATHS
def test_results_beside_each_other_are_right():
    amplitude, phase = fields()
    options = {"alpha1": 0.5, "alpha2": 0.5}
    expected = arraycon.complex_ratio(amplitude, phase, **options)
    pair = np.empty((*amplitude.shape, 2))
    z = np.empty(amplitude.shape, complex)
    for out in ((pair[..., 0], pair[..., 1]), (z.real, z.imag), (None, pair[..., 0])):
        for answer, target in zip(
            arraycon.complex_ratio(amplitude, phase, out=out, **options), expected, strict=True
        ):
            np.testing.assert_array_equal(answer, target)
    # the outputs are the inputs, the other way round
    a, p = amplitude.copy(), phase.copy()
    arraycon.complex_ratio(a, p, out=(p, a), **options)
    np.testing.assert_array_equal(p, expected[0])
    np.testing.assert_array_equal(a, expected[1])


@PATHS
def test_an_output_that_overlaps_an_input_in_part_is_right():
    rows = RNG.uniform(-1, 1, (1, 4, 7, 8))
    for cut in (slice(1, None), slice(None, -1)):
        for function, options in (
            (arraycon.objp_postiv, {}), (arraycon.obj_rblur, {}), (arraycon.obj_zblur, {}),
            (arraycon.kz_filter, {}), (arraycon.kr_filter, {}), (arraycon.kr_thresh, {}),
        ):  # fmt: skip
            base = rows.copy()
            obj, out = base[:, :-1], base[:, 1:]
            if cut.start is None:
                obj, out = out, obj
            expected = function(obj.copy(), **options)
            np.testing.assert_array_equal(function(obj, out=out, **options), expected)


@PATHS
def test_an_output_that_is_the_input_in_another_order_is_right():
    # large enough to be copied in blocks
    base = RNG.uniform(-1, 1, (40, 12, 40))
    for function in (arraycon.objp_postiv, arraycon.obj_rblur, arraycon.kz_filter):
        for swap in (lambda x: x.swapaxes(0, 2), lambda x: x[::-1], lambda x: x[..., ::-1]):
            memory_of_both = base.copy()
            expected = function(swap(memory_of_both).copy())
            answer = function(swap(memory_of_both), out=memory_of_both)
            assert answer is memory_of_both
            np.testing.assert_array_equal(answer, expected)
            other = base.copy()
            np.testing.assert_array_equal(function(other, out=swap(other)), function(base))


@PATHS
def test_an_output_that_is_another_input_is_right():
    amplitude, phase = fields()
    expected = arraycon.mirrored_amp(amplitude, phase)
    np.testing.assert_array_equal(
        arraycon.mirrored_amp(amplitude, phase.copy(), out=(p := phase.copy())), expected
    )
    arraycon.mirrored_amp(amplitude, p := phase.copy(), out=p)
    np.testing.assert_array_equal(p, expected)
    # one array as both inputs is only read
    same = arraycon.mirrored_amp(amplitude, amplitude.copy())
    np.testing.assert_array_equal(arraycon.mirrored_amp(amplitude, amplitude), same)


FOLDED = [
    lambda: as_strided(np.zeros((6, 8)), (1, 5, 6, 8), (0, 0, 64, 8)),
    lambda: as_strided(np.zeros(400), (1, 5, 6, 8), (8, 48, 64, 8)),
]


@PATHS
@pytest.mark.parametrize("fold", FOLDED)
def test_an_output_whose_elements_share_memory_is_refused(fold):
    amplitude, phase = fields()
    out = fold()
    for call in (
        lambda: arraycon.objp_postiv(phase, out=out),
        lambda: arraycon.objp_postiv(out, out=out),
        lambda: arraycon.complex_ratio(amplitude, phase, out=(None, out)),
        lambda: arraycon.kz_filter(phase, out=out),
    ):
        with pytest.raises(ValueError, match="expected elements with memory of their own, got"):
            call()
    assert not out.any()
    with pytest.raises(ValueError, match="out: expected a writable array"):
        arraycon.objp_postiv(phase, out=np.broadcast_to(phase[:, :1], phase.shape))
    # to be read from it may be folded
    assert results(arraycon.objp_postiv(out))[0].shape == out.shape


def test_fields_of_a_state_have_memory_of_their_own():
    x = np.ones((3, 4, 4))
    z = np.ones((3, 4, 4), complex)
    table = np.ones((6, 2))
    for given, names in (
        ({"object_amplitude": x, "object_phase": x}, "object_amplitude"),
        ({"object_amplitude": x[:2], "object_phase": x[1:]}, "object_amplitude"),
        ({"object": z, "probe": z}, "object"),
        ({"object": z[:2], "probe": z[1:]}, "object"),
        ({"object_amplitude": z.real, "probe": z}, "object_amplitude"),
        ({"position_shifts": table, "tilts": table[:1]}, "position_shifts"),
    ):
        with pytest.raises(ValueError, match=rf"{names}: expected memory of its own, not that of"):
            arraycon.State(**given)
    pair = np.ones((3, 4, 4, 2))
    for a, p in ((z.real, z.imag), (pair[..., 0], pair[..., 1]), (x[:1], x[1:2])):
        arraycon.State(object_amplitude=a, object_phase=p)
    state = arraycon.State(object_amplitude=x)
    state.object_phase = x
    with pytest.raises(ValueError, match="memory of its own"):
        arraycon.Constraints({"objp_postiv": {"start_iter": 1}}).apply(state, 1)


@pytest.mark.parametrize("fold", FOLDED)
def test_fields_whose_elements_share_memory_are_not_written(fold):
    folded = fold()
    constraints = arraycon.Constraints({"objp_postiv": {"start_iter": 1}})
    state = arraycon.State(object_phase=folded)
    for call in (lambda: constraints.apply(state, 1), lambda: constraints.bind(state)):
        with pytest.raises(ValueError, match=r"object_phase: .* because objp_postiv changes them"):
            call()
    complex_state = arraycon.State(
        object=as_strided(np.ones(400, complex), (5, 6, 8), (16, 16, 16))
    )
    with pytest.raises(ValueError, match=r"object_phase: .* give copies"):
        constraints.apply(complex_state, 1)
    # what nothing changes may be folded
    both = arraycon.State(object_amplitude=np.ones(folded.shape), object_phase=folded)
    arraycon.Constraints({"mirrored_amp": {"start_iter": 1}}).apply(both, 1)


def test_a_registered_constraint_may_swap_its_fields():
    class Swap(arraycon.Block):
        """Swap."""

    names = ["object_amplitude", "object_phase"]

    @arraycon.register("swap_for_test", model=Swap, needs=names)
    def swap(inputs, _):
        return {names[0]: inputs[names[1]][..., ::-1], names[1]: inputs[names[0]]}

    try:
        amplitude, phase = fields()
        state = arraycon.State(object_amplitude=amplitude.copy(), object_phase=phase.copy())
        arraycon.Constraints({"swap_for_test": {"start_iter": 1}}).apply(state, 1)
        np.testing.assert_array_equal(state.object_amplitude, phase[..., ::-1])
        np.testing.assert_array_equal(state.object_phase, amplitude)
    finally:
        arraycon.unregister("swap_for_test")


def test_tensors_and_their_views():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    z = torch.ones(4, 6, 8)
    assert memory.shared(z, z[1:])
    assert memory.shared(z, z.view(8, 24))
    assert not memory.shared(z[::2], z[1::2])
    assert not memory.shared(z, z.clone())
    wave = torch.ones(4, 6, 8, dtype=torch.complex64)
    assert not memory.shared(wave.real, wave.imag)
    assert memory.shared(wave.real, wave)
    assert not memory.repeats(wave.real)
    folded = torch.ones(1, 6, 8).expand(4, 6, 8)
    assert memory.repeats(folded)
    for call in (
        lambda: arraycon.objp_postiv(z, out=folded),
        lambda: arraycon.complex_ratio(z, z, out=(folded, None)),
        lambda: arraycon.complex_ratio(z, z, out=(z, z[:])),
        lambda: arraycon.State(object_amplitude=z, object_phase=z),
    ):
        with pytest.raises(ValueError, match=r"memory of (its|their) own"):
            call()
    parameter = torch.nn.Parameter(torch.ones(4, 6, 8))
    with pytest.raises(ValueError, match="memory of its own"):
        arraycon.State(object_amplitude=parameter.detach(), object_phase=parameter)
