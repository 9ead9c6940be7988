"""Steps in loops that are somebody else's, whatever the code."""

from __future__ import annotations

import numpy as np
import pytest
from foreign import complex_array, only, real_array

import arraycon
from arraycon.adapters import _lengths
from arraycon.adapters._step import Step, StepAttachment, intensity, mixes_modes


class Code(Step):
    """A code that keeps a transmission, and positions in units of two pixels."""

    _lacks = "This code has no tilts"

    def __init__(self, constraints, **options):
        super().__init__(constraints, **options)
        self.object, self.places = complex_array((2, 8, 8)), real_array((6, 2), mean=1)
        self.turns, self.object_turns, self.settled = [], [], []
        self.errors = iter([0.4, 0.1, 0.09])

    def _fields(self):
        shifts = self.places * 2
        return {"object": self.object, "position_shifts": shifts, "probe": complex_array((2, 6, 6))}

    def _settle(self, fields, changed):
        self.settled.append(changed)
        if "position_shifts" in changed:
            self.places[...] = fields["position_shifts"] / 2

    def _turn(self, rotation):
        self.turns.append(rotation)

    def _turn_object(self, rotation):
        self.object_turns.append(rotation)

    def _error(self):
        return next(self.errors)


def test_a_step_changes_views_and_gives_back_the_rest():
    step = Code(only(obja_thresh={"thresh": [0.5, 1.0]}, pos_recenter={"start_iter": 2}))
    step()
    assert np.ptp(np.clip(abs(step.object), 0.5, 1.0) - abs(step.object)) < 1e-6
    assert step.places.mean() > 0.9
    assert step.iteration == 1
    report = step()
    assert abs(step.places.mean(0)).max() < 1e-6
    assert step.settled[-1] >= {"position_shifts"}
    assert step.reports == (report,)
    assert [record.iteration for record in report] == [2, 2]
    step(7)
    assert step().records[0].iteration == 8


def test_rotations_are_handed_on():
    step = Code(only(ortho_pmode={}, obja_thresh={}))
    step()
    (rotation,) = step.turns
    np.testing.assert_allclose(rotation @ rotation.conj().T, np.eye(2), atol=1e-6)
    assert step.object_turns == []
    assert mixes_modes(step.constraints) == "ortho_pmode"
    assert mixes_modes(only(obja_thresh={})) == ""


def test_rotations_of_the_objects_modes_are_no_turns_of_the_probe():
    step = Code(only(ortho_omode={}))
    step.object = complex_array((3, 1, 8, 8))
    step()
    assert step.turns == []
    assert [rotation.shape for rotation in step.object_turns] == [(3, 3)]
    assert mixes_modes(step.constraints) == ""


def test_rules_take_the_codes_own_error_or_the_users():
    rule = {"start_when": {"error_falls_below": 0.3, "for": 1}}
    step = Code(only(obja_thresh=rule))
    assert [len(step()) for _ in range(3)] == [0, 0, 1]
    step = Code(only(obja_thresh=rule))
    assert [len(step(error=error)) for error in (0.9, 0.8, 0.1)] == [0, 1, 1]
    assert next(step.errors) == 0.4


def test_what_is_missing_is_found_at_once_and_said():
    step = Code(only(tilt_smooth={"start_iter": 100}))
    for call in (step.check, step):
        with pytest.raises(
            arraycon.MissingInputError, match=r"tilts[^\n]*\nThis code has no tilts"
        ):
            call()


def test_what_ran_before_an_error_stays():
    class Fail(arraycon.Block):
        pass

    @arraycon.register("fail", model=Fail, needs=["object"], after="pos_recenter")
    def fail(inputs, params):  # noqa: ARG001
        raise RuntimeError("fails")

    try:
        step = Code(only(pos_recenter={}, fail={}))
        with pytest.raises(RuntimeError, match="fails"):
            step()
    finally:
        arraycon.unregister("fail")
    assert abs(step.places.mean(0)).max() < 1e-6
    assert step.reports == ()


def test_a_step_that_follows_a_method():
    class Engine:
        epoch = 4

        def hooks(self, value):
            self.epoch += 1
            return value

    engine, step = Engine(), Code(only(obja_thresh={"start_iter": 6}))
    with StepAttachment(engine, "hooks", step, lambda: engine.epoch) as attached:
        assert engine.hooks(3) == 3
        assert attached.reports == step.reports
        assert len(step.reports[0]) == 0
        engine.hooks(3)
        assert attached.reports[0][0].iteration == 6
    assert "hooks" not in vars(engine)
    assert attached.constraints is step.constraints


def test_intensity_is_summed_in_double_precision():
    probe = np.full((1, 2049, 2049), 1 + 1j, "complex64")
    probe[0, 0, 0] = 1e4
    assert intensity(probe) == 2 * (2049**2 - 1) + 1e8


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (_lengths.square(0.2, 0.2), {"dx": 0.2}),
        (_lengths.square(0.2, 0.21), {}),
        (_lengths.even([8.0, 8.0]), {"slice_thickness": 8.0}),
        (_lengths.even([8.0, 9.0]), {}),
        (_lengths.even([0.0]), {}),
        (_lengths.even([]), {}),
    ],
)
def test_lengths(found, expected):
    assert found == expected
