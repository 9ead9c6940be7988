"""Adapters, against small stand-ins of the interfaces that they build on.

`tests/integration` runs them inside the codes themselves.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from libraries import aligned, relative_error
from scipy import constants

import arraycon
from arraycon.adapters import InterfaceError, ptylab, ptyrad, py4dstem
from arraycon.params import ORDER

OFF = dict.fromkeys(ORDER)
DX, WAVELENGTH, THICKNESS = 0.2, 0.0251, 8.0


def only(**blocks):
    given = {name: {"start_iter": 1, **block} for name, block in blocks.items()}
    return arraycon.Constraints({**OFF, **given})


def complex_array(shape, seed=1, dtype="complex64"):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


def real_array(shape, mean=0.1, seed=2, dtype="float32"):
    return np.random.default_rng(seed).normal(mean, 0.1, shape).astype(dtype)


@pytest.fixture
def versions(monkeypatch):
    """Let the codes seem to be installed, at these versions."""
    installed = {"ptyrad": "1.0.0", "py4DSTEM": "0.14.18", "ptylab": "0.3.7"}
    own = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: installed.get(name) or own(name)
    )
    return installed


def test_nothing_foreign_is_imported_before_it_is_needed():
    code = (
        "import sys; from arraycon.adapters import py4dstem, ptylab, ptyrad;"
        "foreign = {'torch', 'cupy', 'ptyrad', 'py4DSTEM', 'PtyLab', 'numba', 'pydantic'};"
        "sys.exit(', '.join(foreign & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------------------------------- PtyRAD


class Tensor:
    """As much of a tensor as the adapter asks for, on top of a NumPy array."""

    def __init__(self, array, *, device="cpu", conjugate=False):
        self.array, self.conjugate = array, conjugate
        self.device = SimpleNamespace(type=device, index=0 if device == "cuda" else None)

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


EVERY = {name: {"start_iter": 1} for name in ORDER} | {"obj_zblur": None}


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
    """A stand-in for the two things that the adapter wants of PyTorch itself."""
    module = ModuleType("torch")
    module.no_grad = contextlib.nullcontext
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

    def test_writes_a_conjugate_view_back(self):
        model = Model()
        own = model.opt_probe.array.view("complex64")[..., 0]
        expected = arraycon.fix_probe_int(own.conj(), intensity=100.0).conj()
        model.get_complex_probe_view = lambda: Tensor(own, conjugate=True)
        ptyrad.CombinedConstraint({**OFF, "fix_probe_int": {"start_iter": 1}})(model, 1)
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


def test_without_cupy_the_tensors_themselves_are_used(monkeypatch, caplog):
    """PyTorch's CPU tensors, told apart from the CPU's by their device alone."""
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "cupy", None)
    tensors = {"probe": torch.ones(2, 4, 4, dtype=torch.complex64)}
    with contextlib.ExitStack() as stack, caplog.at_level(logging.WARNING, logger="arraycon"):
        lend = ptyrad._lender(torch, torch.device("cuda", 0), stack)
    assert lend(tensors["probe"]) is tensors["probe"]
    assert "no CuPy" in caplog.text


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
    for name in ("ptyrad", "ptyrad.core", "ptyrad.core.constraints", "ptyrad.solver", "ptyradar"):
        modules[name] = ModuleType(name)
        modules[name].__path__ = []
        modules[name].CombinedConstraint = Original
        monkeypatch.setitem(sys.modules, name, modules[name])
    del modules["ptyrad"].CombinedConstraint
    return modules


PLACES = ("ptyrad.core", "ptyrad.core.constraints", "ptyrad.solver")


def test_install_and_undo(package):
    with ptyrad.install():
        for name in PLACES:
            made = package[name].CombinedConstraint({}, device="cpu")
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
            assert package["ptyrad.solver"].CombinedConstraint({}).constraints is not mirror
        assert package["ptyrad.solver"].CombinedConstraint({}).constraints is mirror


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


# -------------------------------------------------------------------------------------- py4DSTEM


class MultislicePtychography:
    """py4DSTEM's constraint step, and what it is called with after an iteration."""

    def __init__(self, object_type="potential", shape=(4, 10, 12), modes=None, **changes):
        self._xp, self._object_type = np, object_type
        self._energy = 300e3
        self.sampling, self.angular_sampling = (DX, DX), (1.0, 1.0)
        self._slice_thicknesses = np.full(max(len(shape) - 2, 0) * 3, THICKNESS)
        self.error_iterations = []
        self._object = real_array(shape) if object_type == "potential" else complex_array(shape)
        self._probe = np.fft.ifftshift(complex_array((modes or 1, 8, 8)), axes=(-2, -1))
        if modes is None:
            self._probe = self._probe[0]
        self._probe_initial = self._probe.copy()
        self._positions_px_initial = real_array((6, 2), mean=5)
        self._positions_px = self._positions_px_initial + np.float32(0.5)
        self.calls = 0
        vars(self).update(changes)

    def _constraints(
        self, current_object, current_probe, current_positions, initial_positions, **kwargs
    ):
        assert len(initial_positions) == len(current_positions)
        assert set(kwargs) == {"fix_positions"}
        self.calls += 1
        return current_object + 1, current_probe, current_positions

    def reconstruct(self, num_iter=1, fix_positions=False):
        for _ in range(num_iter):
            self._object, self._probe, self._positions_px = self._constraints(
                self._object,
                self._probe,
                self._positions_px,
                self._positions_px_initial,
                fix_positions=fix_positions,
            )
            self.error_iterations.append(0.0)
        return self


class SingleslicePtychography(MultislicePtychography):
    pass


@pytest.mark.parametrize("instead", [False, True])
def test_py4dstem_potential(instead):
    made = MultislicePtychography(modes=3)
    before = made._object.copy() + (0 if instead else 1)
    constraints = only(objp_postiv={}, obj_zblur={"obj_type": "phase", "kernel_size": 7})
    with py4dstem.attach(made, constraints, instead=instead, measure=True) as attached:
        made.reconstruct()
    expected = arraycon.objp_postiv(arraycon.obj_zblur(before, kernel_size=7))
    np.testing.assert_array_equal(made._object, expected)
    assert made.calls == (not instead)
    assert [record.name for record in attached.reports[0]] == ["obj_zblur", "objp_postiv"]
    assert attached.reports[0][0].metrics["object_phase: relative change"] > 0
    assert "_constraints" not in vars(made)


@pytest.mark.parametrize("shape", [(4, 10, 12), (10, 12)], ids=["slices", "one slice"])
def test_py4dstem_complex(shape):
    made = SingleslicePtychography("complex", shape)
    before, own = made._object.copy(), made._object
    with py4dstem.attach(made, only(obja_thresh={"thresh": [0.5, 1.5]}), instead=True):
        made.reconstruct()
    assert made._object is own  # changed in place
    expected = np.clip(abs(before), 0.5, 1.5) * np.exp(1j * np.angle(before))
    assert relative_error(made._object, expected) < 1e-6


@pytest.mark.parametrize("modes", [None, 3])
@pytest.mark.parametrize("centre", [None, True])
def test_py4dstem_probe_in_the_corner(modes, centre):
    made = MultislicePtychography(modes=modes)
    expected = np.fft.fftshift(made._probe, axes=(-2, -1)).reshape(-1, 8, 8)
    kinetic, rest = 300e3 * constants.e, constants.m_e * constants.c**2
    wavelength = constants.h * constants.c / np.sqrt(kinetic * (kinetic + 2 * rest)) * 1e10
    expected = arraycon.probe_mask_r(expected, dx=DX, wavelength=wavelength, radius=0.5)
    expected = arraycon.ortho_pmode(expected)
    intensity = np.sum(abs(made._probe_initial) ** 2)
    expected = arraycon.fix_probe_int(expected, intensity=intensity)
    constraints = only(probe_mask_r={"radius": 0.5}, ortho_pmode={}, fix_probe_int={})
    with py4dstem.attach(made, constraints, instead=True, centre=centre):
        made.reconstruct()
    found = np.fft.fftshift(made._probe, axes=(-2, -1))
    assert found.shape == ((8, 8) if modes is None else (modes, 8, 8))
    assert relative_error(found.reshape(-1, 8, 8), expected) < 1e-5


@pytest.mark.parametrize("name", ["ortho_pmode", "fix_probe_int", "probe_mask_k"])
def test_py4dstem_does_not_shift_where_it_makes_no_difference(name, monkeypatch):
    made, shifted = MultislicePtychography(modes=3), MultislicePtychography(modes=3)
    with py4dstem.attach(shifted, only(**{name: {}}), instead=True, centre=True):
        shifted.reconstruct()
    monkeypatch.setattr(np.fft, "fftshift", None)
    with py4dstem.attach(made, only(**{name: {}}), instead=True):
        made.reconstruct()
    found, expected = aligned(made._probe, shifted._probe), shifted._probe
    assert relative_error(found, expected) < 1e-6


def test_py4dstem_shifts_for_constraints_of_ones_own():
    seen = []

    class Look(arraycon.Block):
        pass

    @arraycon.register("look", model=Look, needs=["probe"])
    def look(inputs, params):  # noqa: ARG001
        seen.append(inputs["probe"].copy())
        return {}

    try:
        made = MultislicePtychography(modes=2)
        centred = np.fft.fftshift(made._probe, axes=(-2, -1))
        with py4dstem.attach(made, only(look={})):
            made.reconstruct()
    finally:
        arraycon.unregister("look")
    np.testing.assert_array_equal(seen, [centred])


@pytest.mark.parametrize("fixed", [False, True])
def test_py4dstem_positions(fixed):
    made = MultislicePtychography()
    with py4dstem.attach(made, only(pos_recenter={})):
        made.reconstruct(fix_positions=fixed)
    drift = (made._positions_px - made._positions_px_initial).mean(0)
    np.testing.assert_allclose(drift, 0.5 if fixed else 0, atol=1e-6)
    assert made._positions_px.dtype == np.float32


def test_py4dstem_iterations_count_on():
    made = MultislicePtychography()
    with py4dstem.attach(made, only(objp_postiv={"start_iter": 3, "step": 2})) as attached:
        for expected in ([], [], [3], [], [5]):
            made.reconstruct()
            assert [record.iteration for record in attached.reports[0]] == expected


def test_py4dstem_nested_and_undone():
    made = MultislicePtychography()
    outer = py4dstem.attach(made, only(objp_postiv={}))
    with py4dstem.attach(made, only(obja_thresh={})) as inner:
        assert made._constraints == inner._step
    assert made._constraints == outer._step
    outer.undo()
    outer.undo()
    assert "_constraints" not in vars(made)


@pytest.mark.parametrize(
    ("changes", "constraint", "message"),
    [
        ({}, {"mirrored_amp": {}}, "a phase without amplitude"),
        ({}, {"tilt_smooth": {}}, "has no object tilts"),
        ({"sampling": (DX, 2 * DX)}, {"probe_mask_r": {}}, "needs dx"),
        ({"_slice_thicknesses": np.array([1.0, 2.0]), "_object_type": "complex",
          "_object": complex_array((3, 8, 8))}, {"obj_z_recenter": {}}, "needs slice_thickness"),
    ],
)  # fmt: skip
def test_py4dstem_says_what_it_lacks(changes, constraint, message):
    made = MultislicePtychography(**changes)
    with (
        py4dstem.attach(made, only(**constraint)),
        pytest.raises(arraycon.MissingInputError, match=message),
    ):
        made.reconstruct()


@pytest.mark.usefixtures("versions")
def test_py4dstem_errors():
    with pytest.raises(TypeError, match="expected one of SingleslicePtychography"):
        py4dstem.attach(SimpleNamespace(), only())
    made = MultislicePtychography()
    del made._energy
    message = r"py4DSTEM 0\.14\.18 has changed: Multi\w+ has no _energy; known to work: 0\.14\.18"
    with pytest.raises(InterfaceError, match=message):
        py4dstem.attach(made, only())
    with pytest.raises(ValueError, match=r"after preprocess\(\)"):
        py4dstem.attach(MultislicePtychography(sampling=None), only())


@pytest.mark.parametrize(("energy", "wavelength"), [(80e3, 0.04175712), (300e3, 0.01968749)])
def test_wavelengths_of_electrons(energy, wavelength):
    assert py4dstem._wavelength(energy) == pytest.approx(wavelength, rel=1e-6)


# ---------------------------------------------------------------------------------------- PtyLab


class Engine:
    """PtyLab's constraint step, on its six-dimensional object and probe in metres."""

    def __init__(self, wavelengths=1, modes=3, slices=1):
        self.reconstruction = SimpleNamespace(
            object=complex_array((wavelengths, 1, 1, slices, 10, 10)),
            probe=complex_array((wavelengths, 1, modes, slices, 8, 8), seed=3),
            dxo=DX * 1e-10,
            wavelength=WAVELENGTH * 1e-10,
            spectralDensity=[WAVELENGTH * 1e-10 * (1 + index) for index in range(wavelengths)],
            dz=THICKNESS * 1e-10,
            probeBuffer=complex_array((wavelengths, 1, modes, slices, 8, 8), seed=4),
        )
        self.experimentalData = SimpleNamespace(
            encoder=1e-10 * real_array((6, 2), mean=5, dtype="float64"),
            maxProbePower=7.0,
            operationMode="CPM",
        )
        self.reconstruction.encoder_corrected = self.experimentalData.encoder + 0.5 * DX * 1e-10
        self.params = SimpleNamespace(**dict.fromkeys(ptylab._SWITCHES, False))
        self.params.absObjectSwitch = True
        self.params.momentumAcceleration = False
        self.calls = []

    def applyConstraints(self, loop):
        self.calls.append(loop)
        if self.params.absObjectSwitch:
            self.reconstruction.object = abs(self.reconstruction.object) + 0j

    def reconstruct(self, iterations=1):
        for loop in range(iterations):
            self.applyConstraints(loop)


@pytest.mark.parametrize("instead", [False, True])
def test_ptylab_object(instead):
    engine = Engine(slices=3)
    before = engine.reconstruction.object if instead else abs(engine.reconstruction.object)
    expected = np.clip(abs(before), 0.5, 1.5) * np.exp(1j * np.angle(before))
    with ptylab.attach(engine, only(obja_thresh={"thresh": [0.5, 1.5]}), instead=instead):
        engine.reconstruct()
    assert engine.reconstruction.object.shape == (1, 1, 1, 3, 10, 10)
    assert relative_error(engine.reconstruction.object, expected) < 1e-6
    assert engine.params.absObjectSwitch is True
    assert engine.calls == [0]
    assert "applyConstraints" not in vars(engine)


def test_ptylab_probe_by_wavelengths():
    engine = Engine(wavelengths=2)
    engine.reconstruction.probe[1] *= 2
    before = engine.reconstruction.probe.copy()
    powers = np.sum(abs(before) ** 2, axis=(1, 2, 3, 4, 5))
    constraints = only(probe_mask_r={"radius": 0.5}, ortho_pmode={}, fix_probe_int={})
    with ptylab.attach(engine, constraints) as attached:
        engine.reconstruct()
    assert len(attached.reports) == 2
    for index in range(2):
        expected = arraycon.probe_mask_r(
            before[index, 0, :, 0], dx=DX, wavelength=WAVELENGTH * (1 + index), radius=0.5
        )
        expected = arraycon.ortho_pmode(expected)
        intensity = 7.0**2 * powers[index] / powers.sum()
        expected = arraycon.fix_probe_int(expected, intensity=intensity)
        assert relative_error(engine.reconstruction.probe[index, 0, :, 0], expected) < 1e-5


def test_ptylab_only_the_incident_probe_of_a_thick_object():
    engine = Engine(slices=2)
    before = engine.reconstruction.probe.copy()
    with ptylab.attach(engine, only(fix_probe_int={})):
        engine.reconstruct()
    probe = engine.reconstruction.probe
    assert np.sum(abs(probe[:, :, :, 0]) ** 2) == pytest.approx(49, rel=1e-5)
    np.testing.assert_array_equal(probe[:, :, :, 1], before[:, :, :, 1])


@pytest.mark.parametrize("momentum", [False, True])
def test_ptylab_momentum_turns_with_the_modes(momentum):
    engine = Engine()
    engine.params.momentumAcceleration = momentum
    buffer = engine.reconstruction.probeBuffer.copy()
    modes = engine.reconstruction.probe[0, 0, :, 0].copy()
    with ptylab.attach(engine, only(ortho_pmode={})):
        engine.reconstruct()
    _, rotation = arraycon.ortho_pmode(modes, return_rotation=True)
    expected = (
        np.tensordot(rotation, buffer[0, 0, :, 0], axes=1) if momentum else buffer[0, 0, :, 0]
    )
    assert relative_error(engine.reconstruction.probeBuffer[0, 0, :, 0], expected) < 1e-6


def test_ptylab_positions_and_iterations():
    engine = Engine()
    with ptylab.attach(engine, only(pos_recenter={"start_iter": 3})) as attached:
        engine.reconstruct(2)
        assert not attached.reports[0]
        engine.reconstruct(2)  # PtyLab counts from 0 again
        assert attached.reports[0][0].iteration == 4
    shifts = engine.reconstruction.encoder_corrected - engine.experimentalData.encoder
    np.testing.assert_allclose(shifts, 0, atol=1e-16)


def test_ptylab_depth():
    engine = Engine(slices=4)
    engine.params.absObjectSwitch = False
    before = engine.reconstruction.object.copy()
    with ptylab.attach(engine, only(obj_zblur={"kernel_size": 7})):
        engine.reconstruct()
    amplitude, phase = (
        arraycon.obj_zblur(part[0, 0, 0], kernel_size=7) for part in (abs(before), np.angle(before))
    )
    expected = amplitude * np.exp(1j * phase)
    assert relative_error(engine.reconstruction.object[0, 0, 0], expected) < 1e-6


def test_ptylab_says_what_it_lacks():
    engine = Engine()
    with (
        ptylab.attach(engine, only(obj_z_recenter={})),
        pytest.raises(arraycon.MissingInputError, match="no slice thickness for a thin object"),
    ):
        engine.reconstruct()


@pytest.mark.usefixtures("versions")
def test_ptylab_errors(versions):
    engine = Engine()
    del engine.reconstruction.encoder_corrected
    message = r"PtyLab 0\.3\.7 has changed: SimpleNamespace has no encoder_corrected; known to work"
    with pytest.raises(InterfaceError, match=message):
        ptylab.attach(engine, only())
    versions["ptylab"] = "0.4.0"
    engine = Engine()
    engine.reconstruction.object = engine.reconstruction.object[0]
    with pytest.raises(InterfaceError, match=r"PtyLab 0\.4\.0 has changed: its object .* has 5"):
        ptylab.attach(engine, only())
    engine = Engine()
    engine.experimentalData.operationMode = "FPM"
    with pytest.raises(ValueError, match="expected operationMode CPM, got FPM"):
        ptylab.attach(engine, only())


def test_ptylab_switches_come_back_after_an_error():
    engine = Engine()
    engine.reconstruction.object = engine.reconstruction.object.astype("complex64")

    def fail(_):
        assert engine.params.absObjectSwitch is False
        raise ZeroDivisionError

    engine.applyConstraints = fail
    with pytest.raises(ZeroDivisionError), ptylab.attach(engine, only(), instead=True):
        engine.reconstruct()
    assert engine.params.absObjectSwitch is True
    assert engine.applyConstraints is fail
