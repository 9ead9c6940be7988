"""PtyRAD's adapter, against a small stand-in of the interface that it builds on.

`tests/integration` runs it inside the code itself.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from foreign import DX, OFF, THICKNESS, WAVELENGTH, complex_array, only, real_array
from libraries import relative_error
from schedules import EVERY as ALL

import arraycon
from arraycon.adapters import InterfaceError, _moments, ptyrad
from arraycon.bench import NAMES as ORDER
from arraycon.constraints import declared
from arraycon.pipeline import lending

# a model of PtyRAD's has no mask of vacuum
EVERY = {
    name: None if "vacuum_mask" in declared()[name].needs(declared()[name].model()) else block
    for name, block in ALL.items()
}


class Device(NamedTuple):
    """What a tensor says about its place."""

    type: str
    index: int | None


class Tensor:
    """As much of a tensor as the adapter asks for, on top of a NumPy array."""

    requires_grad = True

    def __init__(self, array, *, device="cpu", conjugate=False):
        self.array, self.conjugate = array, conjugate
        self.device = Device(device, 0 if device == "cuda" else None)

    def detach(self):
        return Tensor(self.array, device=self.device.type, conjugate=self.conjugate)

    def is_conj(self):
        return self.conjugate

    def is_neg(self):
        return False

    def resolve_conj(self):
        return Tensor(self.array.conj(), device=self.device.type)

    def resolve_neg(self):
        return self

    def copy_(self, other):
        self.array[...] = other.array.conj() if self.conjugate else other.array

    def numpy(self):
        assert self.device.type == "cpu"
        assert not self.conjugate
        return self.array

    def item(self):
        return self.array.item()

    def data_ptr(self):
        return self.array.ctypes.data

    def stride(self):
        return self.array.strides

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return self.array.dtype


class Model:
    """The attributes of PtyRAD's model that its constraints use."""

    def __init__(self, tensor=Tensor, **changes):
        self.opt_obja = tensor(real_array((1, 4, 10, 12), mean=1))
        self.opt_objp = tensor(real_array((1, 4, 10, 12)))
        self.opt_probe = tensor(complex_array((3, 8, 8)).view("float32").reshape(3, 8, 8, 2))
        self.opt_probe_pos_shifts = tensor(real_array((6, 2), mean=1))
        self.opt_obj_tilts = tensor(real_array((6, 2)))
        numbers = {"dx": DX, "lambd": WAVELENGTH, "opt_slice_thickness": THICKNESS}
        for name, value in {**numbers, "probe_int_sum": 100.0}.items():
            setattr(self, name, tensor(np.array(value, "float32")))
        self.N_scan_slow, self.N_scan_fast = (tensor(np.array(n, "int32")) for n in (2, 3))
        vars(self).update(changes)

    def get_complex_probe_view(self):
        probe = self.opt_probe
        return Tensor(probe.array.view("complex64")[..., 0], device=probe.device.type)


def state_of(model):
    """A state of copies of a stand-in's values."""
    return arraycon.State(
        object_amplitude=model.opt_obja.array.copy(),
        object_phase=model.opt_objp.array.copy(),
        probe=model.opt_probe.array.copy().view("complex64")[..., 0],
        probe_intensity=100.0,
        position_shifts=model.opt_probe_pos_shifts.array.copy(),
        tilts=model.opt_obj_tilts.array.copy(),
        scan_shape=(2, 3),
        dx=np.float32(DX).item(),
        wavelength=np.float32(WAVELENGTH).item(),
        slice_thickness=THICKNESS,
    )


def assert_same(model, state):
    pairs = {
        "opt_obja": state.object_amplitude,
        "opt_objp": state.object_phase,
        "opt_probe": state.probe.view("float32").reshape(3, 8, 8, 2),
        "opt_probe_pos_shifts": state.position_shifts,
        "opt_obj_tilts": state.tilts,
    }
    for name, expected in pairs.items():
        np.testing.assert_array_equal(getattr(model, name).array, expected, err_msg=name)


@pytest.fixture
def torch(monkeypatch):
    """A stand-in for what lending wants of PyTorch itself."""
    module = ModuleType("torch")
    module.Tensor, module.as_tensor = Tensor, Tensor
    module.no_grad = contextlib.nullcontext
    module.autograd = SimpleNamespace(graph=SimpleNamespace(increment_version=lambda _: None))
    stream = SimpleNamespace(cuda_stream=1234)
    module.cuda = SimpleNamespace(current_stream=lambda _: stream)
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


@pytest.mark.usefixtures("torch")
class TestPtyRADModel:
    @pytest.mark.parametrize("measure", [False, True])
    def test_changes_the_models_own_memory(self, measure):
        model = Model()
        state = state_of(model)
        arraycon.Constraints(EVERY).apply(state, 2, measure=measure)
        constraint = ptyrad.CombinedConstraint(EVERY, device="cpu", measure=measure)
        assert constraint(model, 2) is None
        assert_same(model, state)
        assert [record.name for record in constraint.report] == [n for n in ORDER if EVERY[n]]
        assert bool(len(constraint.report[0].metrics)) == measure

    def test_lends_cuda_tensors_to_cupy_on_pytorchs_stream(self, monkeypatch):
        entered, lent = [], []

        @contextlib.contextmanager
        def enter(*arguments):
            entered.append(arguments)
            yield

        cupy = ModuleType("cupy")
        cupy.cuda = SimpleNamespace(Device=enter, ExternalStream=enter)

        def from_dlpack(tensor):
            assert len(entered) == 2
            lent.append(tensor)
            return tensor.array

        cupy.from_dlpack = from_dlpack
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        model = Model(lambda array: Tensor(array, device="cuda"))
        state = state_of(model)
        arraycon.Constraints(EVERY).apply(state, 1, measure=False)
        ptyrad.CombinedConstraint(EVERY)(model, 1)
        assert entered == [(0,), (1234, 0)]
        assert len(lent) == 5
        assert_same(model, state)

    def test_is_bound_to_tensors_that_stay(self, monkeypatch):
        model = Model()
        state, constraints = state_of(model), arraycon.Constraints(EVERY)
        constraint = ptyrad.CombinedConstraint(constraints, device="cpu")
        constraint(model, 1)
        monkeypatch.setattr(arraycon.State, "validate", lambda _: pytest.fail("checked again"))
        monkeypatch.setattr(lending, "Loan", lambda *_, **__: pytest.fail("lent again"))
        constraint(model, 2)
        monkeypatch.undo()
        for iteration in (1, 2):
            constraints.apply(state, iteration)
        assert_same(model, state)

    def test_follows_tensors_to_other_memory(self):
        constraints = arraycon.Constraints(EVERY)
        constraint = ptyrad.CombinedConstraint(constraints, device="cpu")
        for iteration in range(1, 7):
            model = Model()
            state = state_of(model)
            constraint(model, iteration)
            constraints.apply(state, iteration)
            assert_same(model, state)

    def test_writes_a_conjugate_view_back(self):
        model = Model()
        own = model.opt_probe.array.view("complex64")[..., 0]
        model.get_complex_probe_view = lambda: Tensor(own, conjugate=True)
        constraint = ptyrad.CombinedConstraint({**OFF, "fix_probe_int": {"start_iter": 1}})
        for iteration in range(1, 6):
            own *= 2
            expected = arraycon.fix_probe_int(own.conj(), intensity=100.0).conj()
            constraint(model, iteration)
            np.testing.assert_array_equal(own, expected)

    def test_reads_parameters_again_when_they_change(self):
        params = {**OFF, "objp_postiv": {"start_iter": 1, "relax": 1.0}}
        constraint = ptyrad.CombinedConstraint(params)
        first = constraint.constraints
        assert constraint.constraints is first
        model = Model()
        constraint(model, 1)
        assert model.opt_objp.array.min() < 0
        params["objp_postiv"]["relax"] = 0.0
        constraint(model, 2)
        assert model.opt_objp.array.min() == 0

    def test_takes_constraints_as_they_are(self):
        constraints = only(objp_postiv={})
        constraint = ptyrad.CombinedConstraint(constraints)
        assert constraint.constraints is constraints
        assert "objp_postiv" in repr(constraint)

    def test_wrong_parameters_are_found_at_once(self):
        with pytest.raises(arraycon.ParameterError, match=r"kz_filter\.beta"):
            ptyrad.CombinedConstraint({"kz_filter": {"start_iter": 1, "beta": -1}})

    @pytest.mark.usefixtures("versions")
    def test_a_changed_model_is_named(self):
        model = Model()
        del model.opt_objp, model.lambd
        message = (
            r"PtyRAD 1\.0\.0 has changed: Model has no opt_objp, lambd; known to work: 1\.0\.0"
        )
        with pytest.raises(InterfaceError, match=message):
            ptyrad.CombinedConstraint(EVERY)(model, 1)
        model = Model()
        copied = Tensor(model.get_complex_probe_view().array.copy())
        model.get_complex_probe_view = lambda: copied
        with pytest.raises(InterfaceError, match="copies the probe"):
            ptyrad.CombinedConstraint(EVERY)(model, 1)


def test_pytorchs_own_tensors():
    torch = pytest.importorskip("torch")

    def parameter(array):
        return torch.nn.Parameter(torch.from_numpy(array), requires_grad=array.dtype.kind == "f")

    stand_in = Model()
    state = state_of(stand_in)
    model = Model(parameter)
    model.get_complex_probe_view = lambda: torch.view_as_complex(model.opt_probe)
    arraycon.Constraints(EVERY).apply(state, 1, measure=False)
    with torch.no_grad():
        ptyrad.CombinedConstraint(EVERY, "cpu")(model, 1)
    for name in ("opt_obja", "opt_objp", "opt_probe", "opt_probe_pos_shifts", "opt_obj_tilts"):
        tensor = getattr(model, name)
        assert tensor.requires_grad
        setattr(stand_in, name, Tensor(tensor.detach().numpy()))
    assert_same(stand_in, state)


def test_cuda_tensors_on_a_stream_of_their_own():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch finds no CUDA device")
    pytest.importorskip("cupy")
    names = (
        "ortho_pmode",
        "fix_probe_int",
        "obj_rblur",
        "kz_filter",
        "obja_thresh",
        "pos_recenter",
    )
    params = {**OFF, **{name: {"start_iter": 1} for name in names}}
    state = state_of(Model())
    arraycon.Constraints(params).apply(state, 1, measure=False)
    with torch.cuda.stream(torch.cuda.Stream()), torch.no_grad():
        model = Model(lambda array: torch.from_numpy(array).cuda())
        model.get_complex_probe_view = lambda: torch.view_as_complex(model.opt_probe)
        ptyrad.CombinedConstraint(params)(model, 1)
        probe = model.get_complex_probe_view().cpu().numpy()
        phase = model.opt_objp.cpu().numpy()
    assert relative_error(probe, state.probe) < 2e-6
    assert relative_error(phase, state.object_phase) < 2e-6


class Original:
    """PtyRAD's class, as far as it is looked at."""

    def __init__(self, constraint_params, device="cuda"):
        self.constraint_params, self.device = constraint_params, device

    def forward(self, model, niter):
        raise NotImplementedError


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


class Optimizer:
    """An optimizer that remembers something of parameters, if only that there are any."""

    def __init__(self, parameters):
        self.state = {parameter: {} for parameter in parameters}


def create_optimizer(parameters):
    return Optimizer(parameters)


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


def test_install_a_monitor(package):
    monitor = arraycon.Monitor()
    with ptyrad.install(monitor=monitor):
        assert package["ptyrad.solver"].CombinedConstraint(OFF).monitor is monitor
        with ptyrad.install():
            assert package["ptyrad.solver"].CombinedConstraint(OFF).monitor is None
