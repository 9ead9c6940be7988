"""What a monitor is told of the demo's reconstruction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from demo_data import SMALL
from libraries import Library

import arraycon
from arraycon.demo import monitoring, runs
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.reconstruct import Reconstruction, patterns
from arraycon.demo.runs import Task

CUPY = Library("cupy")


@pytest.mark.parametrize("slices", [1, 2])
def test_the_patterns_are_those_of_the_result(small: tuple[Dataset, Truth], slices: int) -> None:
    data, settings = small[0], replace(SMALL, slices=slices, position_step=1.0, position_start=1)
    going = Reconstruction(data, settings)
    asked = monitoring.Patterns(going, data)
    indices = np.array([0, 3, 4, 17, 30, *range(5, 16), 31, 35])
    for _ in range(2):  # it follows what changes
        going.iterate()
        found = asked(indices)
        expected = patterns(going.result(), data)[indices]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * expected.max())


def test_several_slices_need_lengths(small: tuple[Dataset, Truth]) -> None:
    going = Reconstruction(small[0], SMALL)
    going.state.slice_thickness = None
    with pytest.raises(ValueError, match=r"^data: several slices need dx, wavelength and"):
        monitoring.Patterns(going, small[0])


def run(data: Dataset, thresh: list[float]) -> arraycon.Monitor:
    going = Reconstruction(data, SMALL)
    monitor = monitoring.monitor(going, data)
    block = {"obja_thresh": {"start_iter": 1, "thresh": thresh}}
    bound = arraycon.Constraints(block).bind(going.state, monitor=monitor)
    for iteration in (1, 2, 3):
        going.iterate()
        bound.apply(iteration)
    return monitor


def test_a_wrong_amplitude_is_warned_of_by_iteration_3(small: tuple[Dataset, Truth]) -> None:
    assert run(small[0], [0.9, 1.1]).warnings == ()
    (text,) = run(small[0], [0.3, 0.5]).warnings
    assert text.startswith("iteration 3: obja_thresh does not agree with the data yet: misfit ")


@pytest.mark.parametrize("watched", [True, False])
def test_what_it_says_is_in_the_result(small: tuple[Dataset, Truth], watched: bool) -> None:
    block = {"obja_thresh": {"start_iter": 1, "thresh": [0.3, 0.5]}}
    task = Task(small[0], SMALL, arraycon.Constraints(block), watched=watched)
    said: list[str] = []
    results = runs.run({"with": task}, tell=lambda _, going: said.extend(going.warnings[:1]))
    assert bool(results["with"].warnings) == watched == bool(said)
    if watched:
        assert said[0].startswith("iteration 3: obja_thresh does not agree with the data yet")


def test_without_constraints_there_is_nothing_to_watch(small: tuple[Dataset, Truth]) -> None:
    results = runs.run({"without": Task(small[0], SMALL, watched=True)})
    assert results["without"].warnings == ()


@pytest.mark.skipif(bool(CUPY.available()), reason=CUPY.available())
def test_on_cupy(small: tuple[Dataset, Truth]) -> None:
    import cupy

    data = small[0]
    going, other = (Reconstruction(data, SMALL, xp=xp) for xp in (cupy, np))
    found = monitoring.Patterns(going, data)(np.arange(5))
    expected = monitoring.Patterns(other, data)(np.arange(5))
    np.testing.assert_allclose(found.get(), expected, rtol=1e-4, atol=1e-4 * expected.max())
