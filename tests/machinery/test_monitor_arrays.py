"""The monitor's own misfit, in every library, and figures that arrive from a device."""

from __future__ import annotations

import logging
import sys
import types

import numpy as np
import pytest
from libraries import Library
from monitoring import FORMS, LIBRARIES, MADE
from schedules import make_state, only

import arraycon
from arraycon.kernels.common import arrays
from arraycon.monitor import Monitor, Subset, arriving, steps
from arraycon.pipeline import graphs


class Model:
    """Patterns whose intensities are known."""

    def __init__(self, seed=0, shape=(100, 6, 5)):
        rng = np.random.default_rng(seed)
        self.intensities = rng.uniform(0.1, 5, shape)
        self.counts = rng.poisson(self.intensities)
        self.asked = []

    def __call__(self, indices):
        self.asked.append(indices)
        return self.intensities[indices]


def test_the_same_patterns_each_time():
    model = Model()
    subset = Subset(model.counts, model, number=20, seed=3)
    q = [float(subset.misfit()) for _ in range(2)]
    indices = model.asked[0]
    np.testing.assert_array_equal(model.asked[1], indices)
    assert indices.dtype.kind == "i"
    assert len(set(indices)) == 20
    assert np.all(np.diff(indices) > 0)
    n, m = model.counts[indices] * 1.0, model.intensities[indices]
    assert q == [float(arraycon.misfit_ratio(m, n))] * 2
    expected = np.sum((np.sqrt(m) - np.sqrt(n)) ** 2) / np.sum(n)
    assert float(subset.error()) == pytest.approx(expected, rel=1e-12)
    others = Subset(model.counts, model, number=20, seed=4)
    assert not np.array_equal(others.indices, indices)
    np.testing.assert_array_equal(Subset(model.counts, model, number=500).indices, range(100))


def test_what_codes_divide_by():
    model, plain = Model(), Model()
    subset = Subset(model.counts / 7, lambda i: model(i) / 7, counts_per_unit=7.0)
    q = float(Subset(plain.counts, plain).misfit())
    assert float(subset.misfit()) == pytest.approx(q, rel=1e-12)
    given = Subset(lambda i: model.counts[i] * 1.0, model, total=100)
    assert float(given.misfit()) == q


def test_a_forward_of_another_shape():
    model = Model()
    subset = Subset(model.counts, lambda i: model(i)[:, :3])
    with pytest.raises(ValueError, match=r"^forward: expected intensities of shape \(48, 6, 5\)"):
        subset.misfit()
    with pytest.raises(TypeError, match="forward's intensities: expected an array"):
        Subset(model.counts, lambda i: model(i).tolist()).misfit()


@pytest.mark.parametrize("own", [False, True], ids=["counts of NumPy", "counts of its own"])
@LIBRARIES
def test_forward_in_every_library(library, own):
    if reason := library.available():
        pytest.skip(reason)
    model = Model()
    counts = model.counts.astype("float32")
    convert = library.module.asarray
    subset = Subset(
        convert(counts) if own else counts, lambda i: convert(model(i).astype("float32"))
    )
    expected = Subset(counts, lambda i: model(i).astype("float32"))
    for name in ("misfit", "error"):
        found = getattr(subset, name)()
        assert found.shape == ()
        assert arrays.library(found) == arrays.library(convert(np.ones(())))
        assert float(found) == pytest.approx(float(getattr(expected, name)()), rel=1e-5)


@LIBRARIES
@FORMS
def test_states_of_every_library(library, form):
    if reason := library.available():
        pytest.skip(reason)
    blocks = {"obj_rblur": {"obj_type": "phase"}, "objp_postiv": {}}
    rng = np.random.default_rng(5)
    noise = [rng.normal(0, 0.01, (1, 5, 14, 16)).astype("float32") for _ in range(2)]
    held = [n for n in ("object", "object_amplitude", "object_phase")
            if getattr(MADE[form](), n) is not None]  # fmt: skip

    def shares(convert, back):
        plain = MADE[form]()
        state = arraycon.State(**{name: convert(getattr(plain, name)) for name in held})
        seen = []

        def misfit():
            seen.append([float(back(getattr(state, name)).real.sum()) for name in held])
            return sum(seen[-1])

        monitor = Monitor(misfit=misfit)
        bound = only(**blocks).bind(state, monitor=monitor)
        for iteration in (1, 2, 3):
            bound.apply(iteration)
            for name in held if iteration < 3 else ():
                setattr(state, name, getattr(state, name) + convert(noise[iteration - 1]))
        return seen, [effect for entry in monitor.history for effect in entry.effects]

    seen, effects = shares(library.array, library.numpy)
    expected_seen, expected = shares(lambda x: x, lambda x: x)
    np.testing.assert_allclose(seen, expected_seen, rtol=1e-5)
    assert len({*map(tuple, seen[:3])}) == 3  # what was seen changed after each
    for found, own in zip(effects, expected, strict=True):
        assert found.constraint == own.constraint
        assert found.misfit == pytest.approx(own.misfit, rel=1e-4)
        assert found.share == (
            None if own.share is None else pytest.approx(own.share, rel=1e-3, abs=2e-5)
        )


def test_no_graph_of_autograd_grows():
    torch = pytest.importorskip("torch")
    phase = torch.full((1, 2, 8, 8), -0.1, requires_grad=True)
    state = arraycon.State(object_phase=phase)
    found = []

    def misfit():
        found.append((state.object_phase**2).sum())
        return found[-1]

    monitor = Monitor(misfit=misfit)
    bound = only(objp_postiv={}).bind(state, monitor=monitor)
    for iteration in (1, 2):
        bound.apply(iteration)
    assert not any(each.requires_grad for each in found)
    assert phase.grad_fn is None
    assert phase.requires_grad
    assert [entry.misfit for entry in monitor.history] == pytest.approx([1.28, 0])
    with_gradient = Monitor(misfit=lambda: torch.tensor(2.0, requires_grad=True))
    only(objp_postiv={}).apply(state, 3, monitor=with_gradient)
    assert with_gradient.history[0].misfit == 2


def test_jax_sees_values_of_its_own():
    jax = pytest.importorskip("jax")
    state = arraycon.State(object_phase=jax.numpy.full((1, 2, 64, 64), -0.5))
    seen = []

    def misfit():
        seen.append(state.object_phase)
        return 1.0

    blocks = {"objp_postiv": {"relax": 0.5}, "obj_rblur": {"obj_type": "phase"}}
    only(**blocks).apply(state, 1, monitor=Monitor(misfit=misfit))
    assert len(seen) == 3
    means = [float(each.mean()) for each in seen]
    # later constraints have not written into what was shown before
    assert means == pytest.approx([-0.5, -0.5, -0.25])


def test_shares_in_figures():
    step = steps.DataStep()
    assert step.take({"object": np.ones(3)}) == []
    assert step.sums({"object": np.ones(3)}) == []
    step.keep({"object": np.zeros((1, 1, 3))})
    norms = [float(n) for n in step.take({"object": np.array([[[1.0, 2, 3]]])})]
    assert norms == [14]
    before, after = (
        [float(s) for s in step.sums({"object": np.array([[x]])})]
        for x in ([1.0, 2, 3], [1.0, 2, 0])
    )
    assert steps.share(norms, before, after) == pytest.approx(9 / 14)
    assert np.isnan(steps.share([0.0], before, after))


@pytest.mark.parametrize("form", ["parts", "complex"])
def test_nothing_waits_for_a_gpu(form):
    library = Library("cupy")
    if reason := library.available():
        pytest.skip(reason)
    plain = MADE[form]()
    held = ("object", "object_amplitude", "object_phase")
    state = arraycon.State(
        **{n: library.array(x) for n in held if (x := getattr(plain, n)) is not None}
    )
    name = "object" if form == "complex" else "object_phase"
    monitor = Monitor(misfit=lambda: getattr(state, name).real.sum(dtype="float64"))
    bound = only(objp_postiv={}, obj_rblur={"obj_type": "phase"}).bind(state, monitor=monitor)
    with library.without_waiting():
        for iteration in range(1, 7):
            report = bound.apply(iteration)
    assert [entry.iteration for entry in monitor.history] == [1, 2, 3, 5]
    assert len(report) == 2
    assert all(effect.change for effect in monitor.history[0].effects)


class FakeCupy(types.ModuleType):
    """As much of CuPy as figures need on their way, with events that are done on request."""

    def __init__(self):
        super().__init__("cupy")
        self.waits, self.recorded, self.done = [], 0, 0
        outer = self

        class Event:
            def __init__(self, block, disable_timing):
                assert (block, disable_timing) == (False, True)

            def record(self):
                outer.recorded += 1
                self.number = outer.recorded

            @property
            def done(self):
                return self.number <= outer.done

            def synchronize(self):
                if not self.done:
                    outer.waits.append("event")

        self.cuda = types.SimpleNamespace(Event=Event)

        class ndarray:
            __module__ = "cupy"
            shape, dtype, ndim = (), np.dtype("float64"), 0

            def __init__(self, value):
                self.value = value
                self.device = __import__("contextlib").nullcontext()

            def get(self, out, blocking):
                assert blocking is False
                out[...] = self.value

            def __float__(self):
                outer.waits.append("float")
                return self.value

        self.number = ndarray

    def finish(self):
        self.done = self.recorded


@pytest.fixture
def cupy(monkeypatch):
    module, cupyx = FakeCupy(), types.ModuleType("cupyx")
    cupyx.empty_pinned = np.empty
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    return module


def test_figures_on_a_device_are_read_when_they_are_there(cupy):
    numbers = arriving.Arriving([cupy.number(1.5), 2.0])
    assert not numbers.ready()
    cupy.finish()
    assert numbers.ready()
    assert numbers.read() == [1.5, 2.0]
    assert numbers.read() == [1.5, 2.0]
    assert cupy.waits == []


def test_a_warning_waits_for_no_device(cupy, caplog):
    state, now = make_state(), [0]

    def misfit():
        now[0] += 1
        return cupy.number(1.0 if now[0] % 2 else 1.5)

    monitor = Monitor(misfit=misfit)
    constraints = only(obja_thresh={})
    with caplog.at_level(logging.WARNING, logger="arraycon"):
        for iteration in (1, 2, 3):
            constraints.apply(state, iteration, monitor=monitor)
            assert caplog.messages == []
            cupy.finish()  # while the next iteration computes
        constraints.apply(state, 4, monitor=monitor)  # which is not watched itself
    assert cupy.waits == []
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("iteration 3: obja_thresh does not agree")


def test_figures_that_do_not_come_are_waited_for_in_the_next_monitored_iteration(cupy):
    state = make_state()
    monitor = Monitor(misfit=lambda: cupy.number(1.0))
    constraints = only(obja_thresh={})
    constraints.apply(state, 1, monitor=monitor)
    assert cupy.waits == []
    constraints.apply(state, 2, monitor=monitor)
    assert set(cupy.waits) == {"event"}
    assert len(monitor.history) == 2


def test_no_graph_is_replayed_in_iterations_that_are_watched(monkeypatch):
    """The recorded work is that of the iterations in between."""
    ran = []

    class Recorded(graphs.Graphs[list]):
        def __class_getitem__(cls, _):
            return cls

        def __init__(self):
            pass

        def run(self, key, work):
            ran.append(key)
            return work()

    monkeypatch.setattr("arraycon.pipeline.bound.Graphs", Recorded)
    monkeypatch.setattr("arraycon.pipeline.bound.Bound._library", lambda _: "cupy")
    state = make_state()
    monitor = Monitor(misfit=lambda: 1.0)
    bound = only(objp_postiv={}).bind(state, monitor=monitor)
    counts = []
    for iteration in range(1, 8):
        before = len(ran)
        bound.apply(iteration)
        counts.append(len(ran) - before)
    assert counts == [0, 0, 0, 1, 0, 1, 0]
