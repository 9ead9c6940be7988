"""Users' own constraints: where they run, and what happens when they fail."""

from __future__ import annotations

import numpy as np
import pytest
from schedules import EVERY, OFF, assert_equal, make_state, only, snapshot

import arraycon
from arraycon.bench import NAMES as ORDER


@pytest.fixture
def broken():
    """A registered constraint that fails after this package's own."""

    class Broken(arraycon.Block):
        how: str = "raise"

    @arraycon.register("broken", model=Broken, needs=["object_phase", "probe"])
    def broken(inputs, params):
        new = {"object_phase": inputs["object_phase"] + 1}
        if params.how == "raise":
            raise RuntimeError("no luck")
        if params.how == "shape":
            return {**new, "probe": inputs["probe"][:1]}
        if params.how == "dtype":
            return {**new, "probe": inputs["probe"].astype("complex64")}
        if params.how == "list":
            return {**new, "probe": inputs["probe"].tolist()}
        return {**new, "tilts": inputs["tilts"]}

    yield
    arraycon.unregister("broken")


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("as_object", [False, True])
@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("raise", RuntimeError, "no luck"),
        ("shape", ValueError, "broken's probe: expected the shape of state.probe"),
        ("dtype", TypeError, "broken's probe: expected the dtype of state.probe"),
        ("list", TypeError, "broken's probe: expected an array"),
        ("other", ValueError, "broken: expected new arrays for object_phase and probe only"),
    ],
)
def test_a_failing_constraint_leaves_the_state_as_before_it(how, error, message, as_object, caplog):
    def state():
        made = make_state("float64")
        if as_object:
            made.object = made.object_amplitude * np.exp(1j * made.object_phase)
            made.object_amplitude = made.object_phase = None
        return made

    failing, expected = state(), state()
    with pytest.raises(error, match=message), caplog.at_level("ERROR", "arraycon"):
        only(objp_postiv={}, broken={"how": how}).apply(failing, 3)
    only(objp_postiv={}).apply(expected, 3)
    assert_equal(snapshot(expected), snapshot(failing))
    assert "iteration 3: broken failed" in caplog.text


def test_registered_constraints_run_after_the_others_or_where_they_are_put():
    class Cap(arraycon.Block):
        limit: float = 1.0

    seen = []

    @arraycon.register("phase_cap", model=Cap, needs=["object_phase"])
    def phase_cap(inputs, params):
        seen.append(params.limit)
        largest = inputs["object_phase"].max()
        return {"object_phase": np.minimum(inputs["object_phase"], params.limit)}, {"max": largest}

    try:
        blocks = {**OFF, "phase_cap": {"start_iter": 2, "limit": 0.1}, "pos_recenter": {
            "start_iter": 1}}  # fmt: skip
        constraints = arraycon.Constraints(blocks)
        assert constraints.order == (*ORDER, "phase_cap")
        state = make_state()
        highest = float(state.object_phase.max())
        assert [record.name for record in constraints.apply(state, 1)] == ["pos_recenter"]
        report = constraints.apply(state, 2)
        assert seen == [0.1]
        assert report[1].metrics["max"] == highest
        assert state.object_phase.max() == np.float32(0.1)
        other = arraycon.Constraints(blocks, order=["phase_cap", "pos_recenter"])
        assert other.due(2) == ("phase_cap", "pos_recenter")
        with pytest.raises(ValueError, match=r"phase_cap\.lmit: .* did you mean limit"):
            arraycon.Constraints({"phase_cap": {"start_iter": 1, "lmit": 1}})
        with pytest.raises(ValueError, match=r"order: .* got none of \['pos_recenter'\]"):
            arraycon.Constraints(blocks, order=["phase_cap"])
    finally:
        arraycon.unregister("phase_cap")
    with pytest.raises(ValueError, match="phase_cap"):
        arraycon.Constraints({"phase_cap": {"start_iter": 1}})


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["kz_filtre"], "order: expected names out of .* got 'kz_filtre'"),
        ([*ORDER, "kz_filter"], "order: expected each name once"),
    ],
)
def test_bad_orders(order, message):
    with pytest.raises(ValueError, match=message):
        arraycon.Constraints(EVERY, order=order)


def test_registering_under_a_taken_or_impossible_name():
    for name in ("kz_filter", "two words"):
        with pytest.raises(ValueError, match=name):
            arraycon.register(name, model=arraycon.Block, needs=["probe"])(lambda *_: {})
    with pytest.raises(ValueError, match=r"needs: expected names out of .* got 'porbe'"):
        arraycon.register("mine", model=arraycon.Block, needs=["porbe"])
    with pytest.raises(ValueError, match=r"writes: expected names out of .* got 'dx'"):
        arraycon.register("mine", model=arraycon.Block, needs=["probe"], writes=["dx"])
