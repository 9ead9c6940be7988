"""The monitor within PtyRAD's model."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
from foreign import only
from ptyrad_models import Model, Tensor, pytorch

import arraycon
from arraycon.adapters import InterfaceError, ptyrad


@pytest.fixture
def torch(monkeypatch):
    module = pytorch()
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


class Measured(Model):
    """A model that shows its patterns; their intensity is the square of the mean amplitude."""

    def __init__(self, counts=None, tensor=Tensor):
        super().__init__(tensor)
        rng = np.random.default_rng(7)
        self.counts = rng.poisson(4.0, (30, 4, 5)).astype("float32") if counts is None else counts
        self.cached = None

    def __call__(self, indices):
        self.cached = indices
        return np.full((len(indices), 4, 5), 4 * self.opt_obja.array.mean() ** 2)

    def clear_cache(self):
        self.cached = None

    def get_measurements(self, indices=None):
        return self.counts if indices is None else self.counts[indices]

    def misfit(self, chosen):
        amplitude = self.opt_obja.array.mean()
        return float(
            arraycon.misfit_ratio(np.full((len(chosen), 4, 5), 4 * amplitude**2),
                                  self.counts[chosen].astype(float))
        )  # fmt: skip


LOW = {"obja_thresh": {"thresh": [0.5, 0.6]}, "objp_postiv": {}}


@pytest.mark.usefixtures("torch")
class TestMonitor:
    def test_is_fed_by_the_model(self, caplog):
        model, monitor = Measured(), arraycon.Monitor(number=11, seed=2)
        chosen = np.sort(np.random.default_rng(2).choice(30, 11, replace=False))
        constraint = ptyrad.CombinedConstraint(only(**LOW), "cpu", monitor=monitor)
        for niter in (1, 2, 3):
            model.opt_obja.array[...] = 1
            before = model.misfit(chosen)
            with caplog.at_level(logging.WARNING, logger="arraycon"):
                constraint(model, niter)
            effects = monitor.history[-1].effects
            assert [effect.constraint for effect in effects] == ["obja_thresh", "objp_postiv"]
            assert monitor.history[-1].misfit == pytest.approx(before)
            assert effects[0].misfit == pytest.approx(model.misfit(chosen))
            assert constraint.report[0].metrics["misfit"] == effects[0].misfit
            assert model.cached is None
        assert ["obja_thresh does not agree" in text for text in caplog.messages] == [True]

    def test_follows_another_model(self):
        monitor = arraycon.Monitor(number=11)
        constraint = ptyrad.CombinedConstraint(only(**LOW), "cpu", monitor=monitor)
        models = [Measured(), Measured(np.full((30, 4, 5), 9, "float32"))]
        found = []
        for model in models:  # as in a search for parameters
            constraint(model, 1)
            found.append(monitor.history[-1].effects[-1].misfit)
        chosen = np.sort(np.random.default_rng(0).choice(30, 11, replace=False))
        assert found == pytest.approx([model.misfit(chosen) for model in models])

    def test_a_misfit_of_its_own_goes_first(self):
        monitor = arraycon.Monitor(misfit=lambda: 7.0)
        ptyrad.CombinedConstraint(only(**LOW), "cpu", monitor=monitor)(Measured(), 1)
        assert monitor.history[0].misfit == 7

    @pytest.mark.parametrize("scale", [1.0, 37.5])
    def test_measurements_that_are_no_counts_are_told(self, scale, caplog):
        counts = (Measured().counts / np.float32(37.5)).astype("float32")
        monitor = arraycon.Monitor(counts_per_unit=scale)
        with caplog.at_level(logging.WARNING, logger="arraycon"):
            ptyrad.CombinedConstraint(only(**LOW), "cpu", monitor=monitor)(Measured(counts), 1)
        assert ["PtyRAD's measurements are no counts" in text for text in caplog.messages] == (
            [True] if scale == 1 else []
        )

    @pytest.mark.parametrize("niter", [9, 30])
    def test_rules_get_an_error(self, niter):
        rule = {"start_when": {"error_falls_below": 0.005, "for": 3}, **LOW["obja_thresh"]}
        model, ran = Measured(), []
        constraint = ptyrad.CombinedConstraint(only(obja_thresh=rule), "cpu")
        # 1.9 to 1.2 in steps of 0.1, and then nothing more
        for i in range(1, niter + 1):
            model.opt_obja.array[...] = 2 - 0.1 * min(i, 8)
            constraint(model, i)
            ran += [record.iteration for record in constraint.report]
            assert model.cached is None
        assert ran == list(range(11, niter + 1))

    def test_a_model_without_patterns_is_named(self):
        constraint = ptyrad.CombinedConstraint(only(**LOW), "cpu", monitor=arraycon.Monitor())
        with pytest.raises(InterfaceError, match="Model has no get_measurements, clear_cache"):
            constraint(Model(), 1)

    def test_pytorchs_own_model(self, monkeypatch):
        monkeypatch.undo()
        torch = pytest.importorskip("torch")

        class Own(Measured):
            def __call__(self, indices):
                m = 4 * self.opt_obja.mean() ** 2
                return m.expand(len(indices), 4, 5)

            def get_measurements(self, indices=None):
                found = super().get_measurements(indices)
                return found if indices is None else torch.from_numpy(found)

        def tensor(array):
            made = torch.from_numpy(array)
            return made.requires_grad_(made.is_floating_point())

        model = Own(tensor=tensor)
        model.get_complex_probe_view = lambda: torch.view_as_complex(model.opt_probe)
        with torch.no_grad():
            model.opt_obja.fill_(1)
        monitor = arraycon.Monitor(number=11)
        ptyrad.CombinedConstraint(only(**LOW), "cpu", monitor=monitor)(model, 1)
        assert monitor.history[0].effects[0].change > 0.08
