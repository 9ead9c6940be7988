"""Scratch memory in common: calls that belong together get the same, others never do."""

import numpy as np
import pytest
from schedules import only

from arraycon import State, kernels
from arraycon.kernels.common import scratch

SHAPE = 1, 3, 24, 20


def take():
    return scratch.scratch_memory(np.empty, (4,), "float32")


def test_calls_in_turn_get_the_same_arrays_and_one_call_different_ones():
    with scratch.shared() as pool:
        pool.next_call()
        first, second = take(), take()
        other = scratch.scratch_memory(np.empty, (4,), "float64")
        pool.next_call()
        assert take() is first
        assert take() is second
        assert other.dtype == "float64"
    assert first is not second


def test_nothing_is_in_common_outside():
    with scratch.shared() as pool:
        pool.next_call()
        inside = take()
    assert take() is not inside
    assert take() is not take()


def test_tables_are_made_once_for_a_key():
    made = []

    def table(key):
        return scratch.table(key, lambda: made.append(key) or np.full(1, key))

    with scratch.shared():
        assert [table(key)[0] for key in (1, 2, 1)] == [1, 2, 1]
    assert made == [1, 2]
    table(1)
    assert made == [1, 2, 1]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("kr_filter", {"radius": 0.2, "width": 0.05}),
        ("kr_thresh", {"thresh": 0.3}),
        ("obj_rblur", {"std": 1.0, "kernel_size": 7}),
        ("obj_gaussian", {"sigma": 0.3, "boundary": "mirror"}),
        ("obj_gaussian", {"sigma": 0.3, "boundary": "periodic"}),
        ("obj_bandpass", {"q_lowpass": 1.0}),
    ],
)
def test_parts_with_memory_in_common_are_as_each_alone(name, options):
    rng = np.random.default_rng(7)
    parts = {
        f"object_{part}": rng.random(SHAPE).astype("float32") for part in ("amplitude", "phase")
    }
    optics = {"dx": 0.2} if name in ("obj_gaussian", "obj_bandpass") else {}
    alone = {key: getattr(kernels, name)(x, **options, **optics) for key, x in parts.items()}
    state = State(**{key: x.copy() for key, x in parts.items()}, **optics)
    only(**{name: {**options, "obj_type": "both"}}).apply(state, 1)
    for key, expected in alone.items():
        np.testing.assert_array_equal(getattr(state, key), expected)
