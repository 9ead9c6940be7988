"""What several files of tests about tensors are given."""

from __future__ import annotations

import pytest
from schedules import only

import arraycon
from arraycon.pipeline import lending


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def jax():
    return pytest.importorskip("jax", reason="jax is not installed")


@pytest.fixture
def notes():
    """Each test is told again what a process is told once."""
    lending._note.cache_clear()


@pytest.fixture
def failing():
    """A schedule of a constraint that runs and one that fails."""

    class Fails(arraycon.Block):
        pass

    @arraycon.register("fails", model=Fails, needs=["object_phase", "probe"])
    def fails(inputs, params):  # noqa: ARG001
        raise ZeroDivisionError

    yield only(objp_postiv={}, fails={})
    arraycon.unregister("fails")
