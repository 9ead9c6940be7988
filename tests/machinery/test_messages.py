"""Messages: what people try instead of the right call or spelling names the right one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import arraycon
from arraycon.params import ParameterError
from arraycon.params.files import load


@pytest.mark.parametrize("path", ["p.yml", Path("p.yml")])
def test_a_path_as_parameters(path):
    with pytest.raises(TypeError, match=r"Constraints\.from_file\('p\.yml'\)"):
        arraycon.Constraints(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kz_filter: {beta: 0,5}", r"kz_filter.5: .*decimals are written with a point, 0.5"),
        ("kz_filter:\n  beta: 0,5", r"kz_filter.beta: got '0,5' .*with a point, 0.5\), allowed"),
        ("obja_thresh: {thresh: [0,96, 1,04]}", "obja_thresh.thresh: .*with a point"),
        ("kz_filter: {step: 010}", r"kz_filter.step: got '010' \(to YAML this is 8"),
        ("kz_filter: {beta: 1:30}", r"kz_filter.beta: got '1:30' \(to YAML this is 90"),
        ("kz_filter: {beta: None}", r"kz_filter.beta: got 'None' \(nothing is written null"),
        ("kz_filter: {beta: on}", "kz_filter.beta: got true"),
        ("kz_filter: {start_iter: no}", "kz_filter.start_iter: got false"),
    ],
)
def test_spellings_that_yaml_reads_otherwise(text, expected, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=expected):
        load(path)


def test_underscores_and_exponents_are_numbers(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("kr_filter: {start_iter: 1_000, radius: 1e-1}")
    assert (load(path).kr_filter.start_iter, load(path).kr_filter.radius) == (1000, 0.1)


def test_a_registered_constraint_without_a_return():
    class Forget(arraycon.Block):
        """Forget."""

    @arraycon.register("forget_for_test", model=Forget, needs=["object_phase"])
    def forget(_, __):
        return None

    try:
        state = arraycon.State(object_phase=np.ones((2, 4, 4)))
        with pytest.raises(
            TypeError, match=r"forget_for_test: expected a mapping .*, got NoneType"
        ):
            arraycon.Constraints({"forget_for_test": {"start_iter": 1}}).apply(state, 1)
    finally:
        arraycon.unregister("forget_for_test")
