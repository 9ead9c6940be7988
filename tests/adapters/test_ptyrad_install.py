"""PtyRAD's adapter put into the package, or into one solver, and taken out again."""

from __future__ import annotations

import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest
from foreign import OFF, only
from ptyrad_models import EVERY, Model, Original, assert_same, create_optimizer, pytorch, state_of

import arraycon
from arraycon.adapters import InterfaceError, _moments, ptyrad


@pytest.fixture
def torch(monkeypatch):
    module = pytorch()
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


@pytest.fixture
def package(monkeypatch, versions):  # noqa: ARG001
    """Modules of PtyRAD that have its class, and one that has another."""
    modules = {}
    for name in (
        "ptyrad",
        "ptyrad.core",
        "ptyrad.core.constraints",
        "ptyrad.solver",
        "ptyrad.solver.reconstruction",
        "ptyradar",
    ):
        modules[name] = ModuleType(name)
        modules[name].__path__ = []
        modules[name].CombinedConstraint = Original
        monkeypatch.setitem(sys.modules, name, modules[name])
    for name in ("ptyrad", "ptyrad.solver.reconstruction"):
        del modules[name].CombinedConstraint
    for name in ("ptyrad.solver", "ptyrad.solver.reconstruction"):
        modules[name].create_optimizer = create_optimizer
    return modules


PLACES = ("ptyrad.core", "ptyrad.core.constraints", "ptyrad.solver")


def test_install_and_undo(package):
    with ptyrad.install():
        for name in PLACES:
            made = package[name].CombinedConstraint(OFF, device="cpu")
            assert isinstance(made, ptyrad.CombinedConstraint)
        assert package["ptyradar"].CombinedConstraint is Original
    assert all(package[name].CombinedConstraint is Original for name in PLACES)
    installation = ptyrad.install()
    assert package["ptyrad.solver"].CombinedConstraint is not Original
    installation.undo()
    installation.undo()
    assert all(package[name].CombinedConstraint is Original for name in PLACES)


def test_install_other_constraints(package):
    mirror = only(kz_filter={"boundary": "mirror"})
    with ptyrad.install(mirror, measure=True):
        made = package["ptyrad.solver"].CombinedConstraint({"not": "read"}, device="cpu")
        assert made.constraints is mirror
        assert made.measure
        with ptyrad.install():
            assert package["ptyrad.solver"].CombinedConstraint(OFF).constraints is not mirror
        assert package["ptyrad.solver"].CombinedConstraint({}).constraints is mirror


def test_installed_again_it_replaces(package):
    first, second = ptyrad.install(), ptyrad.install(only(objp_postiv={}))
    first.undo()
    assert "objp_postiv" in repr(package["ptyrad.solver"].CombinedConstraint({}))
    second.undo()
    assert all(package[name].CombinedConstraint is Original for name in PLACES)
    for _ in range(2):  # a notebook's cell that is run again
        latest = ptyrad.install()
    latest.undo()
    assert all(package[name].CombinedConstraint is Original for name in PLACES)
    assert package["ptyrad.solver"].create_optimizer is create_optimizer


def test_what_is_missing_is_found_before_there_is_a_model(package):
    with pytest.raises(arraycon.MissingInputError, match="no mask of vacuum"):
        ptyrad.install(only(obj_fill={"start_iter": 100}))
    assert package["ptyrad.solver"].CombinedConstraint is Original
    with pytest.raises(arraycon.ParameterError, match=r"kz_filter\.beta"):
        ptyrad.install({"kz_filter": {"start_iter": 1, "beta": -1}})


class Solver:
    """PtyRAD's solver, as far as it makes an optimizer and calls the constraints."""

    def __init__(self, package):
        self.constraint_fn, self._package = Original(OFF), package

    def run(self, model, iterations=1):
        self.optimizer = self._package["ptyrad.solver"].create_optimizer([model.opt_probe])
        for niter in range(1, iterations + 1):
            self.constraint_fn(model, niter)


@pytest.mark.usefixtures("torch")
def test_attached_to_one_solver(package, monkeypatch):
    solver, model = Solver(package), Model()
    own, turns = solver.constraint_fn, []
    monkeypatch.setattr(_moments, "turn", lambda *given: turns.append(given) or ())
    with ptyrad.attach(solver, only(ortho_pmode={})) as attached, ptyrad.install():
        solver.run(model, 2)
        assert [record.iteration for record in attached.reports[0]] == [2]
    assert solver.constraint_fn is own
    assert package["ptyrad.solver"].create_optimizer is create_optimizer
    assert [(optimizer, parameter) for optimizer, parameter, _ in turns] == (
        [(solver.optimizer, model.opt_probe)] * 2
    )
    assert turns[0][2].shape == (3, 3)
    with pytest.raises(InterfaceError, match="SimpleNamespace has no constraint_fn"):
        ptyrad.attach(SimpleNamespace(), only())


@pytest.mark.usefixtures("torch")
def test_a_step_in_a_loop_of_ones_own(monkeypatch):
    model, optimizer, turns = Model(), object(), []
    state, constraints = state_of(model), arraycon.Constraints(EVERY)
    monkeypatch.setattr(_moments, "turn", lambda *given: turns.append(given) or ())
    step = ptyrad.step(model, constraints, optimizer=optimizer)
    for iteration in (1, 2):
        assert step()[0].iteration == iteration
        constraints.apply(state, iteration)
    assert_same(model, state)
    assert [given[:2] for given in turns] == [(optimizer, model.opt_probe)] * 2
    with pytest.raises(arraycon.MissingInputError, match="no mask of vacuum"):
        ptyrad.step(model, only(obj_fill={"start_iter": 100}))


@pytest.mark.usefixtures("torch")
def test_modes_without_an_optimizer_are_told_once(caplog):
    constraint = ptyrad.CombinedConstraint({**OFF, "ortho_pmode": {"start_iter": 1}}, "cpu")
    with caplog.at_level(logging.INFO, logger="arraycon"):
        for niter in (1, 2):
            constraint(Model(), niter)
    told = [text for text in caplog.messages if "no optimizer known" in text]
    assert len(told) == 1
    assert told[0].startswith("ortho_pmode: ")


def test_undone_after_an_error(package):
    with pytest.raises(ZeroDivisionError), ptyrad.install():
        raise ZeroDivisionError
    assert package["ptyrad.solver"].CombinedConstraint is Original


def test_a_changed_package_is_named(package, versions, monkeypatch, caplog):
    versions["ptyrad"] = "1.2.0"
    with caplog.at_level(logging.WARNING, logger="arraycon"), ptyrad.install():
        assert "PtyRAD 1.2.0: not among the versions that were tried (1.0.0)" in caplog.text

    class Changed(Original):
        def forward(self, model, niter, loss):
            raise NotImplementedError

    package["ptyrad.core.constraints"].CombinedConstraint = Changed
    with pytest.raises(InterfaceError, match=r"PtyRAD 1\.2\.0 has changed: .*forward was expected"):
        ptyrad.install()
    del package["ptyrad.core.constraints"].CombinedConstraint
    message = r"PtyRAD 1\.2\.0 has no ptyrad\.core\.constraints\.CombinedConstraint; known to work"
    with pytest.raises(InterfaceError, match=message):
        ptyrad.install()
    monkeypatch.delitem(sys.modules, "ptyrad.core.constraints")
    with pytest.raises(InterfaceError, match=message):
        ptyrad.install()


def test_an_absent_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ptyrad", None)
    with pytest.raises(InterfaceError, match=r"PtyRAD is not installed .*known to work: 1\.0\.0"):
        ptyrad.install()


def test_what_a_package_lacks_itself_passes(package, monkeypatch):
    monkeypatch.delitem(sys.modules, "ptyrad.core.constraints")

    def fail(_):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(ModuleNotFoundError, match="torch"):
        ptyrad.install()
    assert package


def test_install_a_monitor(package):
    monitor = arraycon.Monitor()
    with ptyrad.install(monitor=monitor):
        assert package["ptyrad.solver"].CombinedConstraint(OFF).monitor is monitor
        with ptyrad.install():
            assert package["ptyrad.solver"].CombinedConstraint(OFF).monitor is None
