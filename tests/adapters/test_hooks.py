"""What all adapters share: nothing foreign is imported early, one attachment at a time."""

from __future__ import annotations

import gc
import itertools
import sys
import weakref

import processes
import pytest
from foreign import only

from arraycon.adapters._hooks import Attachment


def test_nothing_foreign_is_imported_before_it_is_needed():
    code = (
        "import sys; from arraycon.adapters import cdtools, phaser, ptychi, ptylab, ptypy, ptyrad;"
        "from arraycon.adapters import py4dstem, quantem, tike;"
        "foreign = {'torch', 'jax', 'cupy', 'numba', 'pydantic', 'ptyrad', 'py4DSTEM', 'PtyLab',"
        "'ptychi', 'phaser', 'quantem', 'cdtools', 'tike', 'ptypy'};"
        "sys.exit(', '.join(foreign & set(sys.modules)) or None)"
    )
    processes.run([sys.executable, "-c", code], check=True)


class Engine:
    """A code whose step says who has worked."""

    def step(self, text=""):
        return f"own{text}"


class Named(Attachment):
    """One that says its name."""

    def __init__(self, target, name):
        self.name = name
        super().__init__(target, "step", self._say, only(), instead=False, measure=False)

    def _say(self, *given):
        return f"{self.name}({self._own(*given)})"


def test_attached_again_it_replaces():
    engine = Engine()
    for _ in range(2):  # a notebook's cell that is run again
        attached = Named(engine, "a")
    assert engine.step("!") == "a(own!)"
    attached.undo()
    attached.undo()
    assert vars(engine) == {}


def test_what_is_replaced_is_let_go():
    """It holds arrays, and a cell may be run many times."""
    engine = Engine()
    gone = weakref.ref(Named(engine, "a"))
    attached = Named(engine, "b")
    gc.collect()
    assert gone() is None
    attached.undo()
    assert vars(engine) == {}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_undone_in_any_order(order):
    engine = Engine()
    attached = [Named(engine, name) for name in "abc"]
    assert engine.step() == "c(own)"
    for done, index in enumerate(order, 1):
        attached[index].undo()
        assert engine.step() == ("own" if 2 in order[:done] else "c(own)")
    assert vars(engine) == {}


def test_an_outer_block_goes_on():
    engine = Engine()
    with Named(engine, "a"):
        with Named(engine, "b"), Named(engine, "c") as inner:
            assert engine.step() == "c(own)"
            inner.undo()
            assert engine.step() == "b(own)"
        assert engine.step() == "a(own)"
    assert vars(engine) == {}


def test_an_outer_block_that_was_undone_inside():
    engine = Engine()
    with Named(engine, "a") as outer, Named(engine, "b"):
        outer.undo()
        assert engine.step() == "b(own)"
    assert vars(engine) == {}


def test_somebody_elses_wrapper_stays():
    engine = Engine()

    def before():
        return f"before({type(engine).step(engine)})"

    engine.step = before
    attached = Named(engine, "a")
    assert engine.step() == "a(before(own))"
    ours = engine.step
    engine.step = lambda: f"after({ours()})"
    attached.undo()
    assert engine.step() == "after(before(own))"
    assert Named(engine, "b").undo() is None
    assert engine.step() == "after(before(own))"
