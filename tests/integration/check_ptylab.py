"""PtyLab from PyPI: its own engines with their own constraints, with ours after, and instead."""

from __future__ import annotations

import importlib.metadata
import sys

import h5py
import numpy as np
import PtyLab
import pytest
from PtyLab import Engines
from simulate import simulate

import arraycon
from arraycon.adapters import ptylab
from arraycon.kernels import polar

pytestmark = pytest.mark.filterwarnings("ignore")

OFF = dict.fromkeys(arraycon.ConstraintParams().blocks())
METRE = 1e-10  # of an Å


def only(**blocks):
    return arraycon.Constraints({**OFF, **{n: {"start_iter": 1, **b} for n, b in blocks.items()}})


def write(path, experiment):
    """Lay the experiment out as PtyLab reads it: lengths in m, one frame after another."""
    slow, fast, ny, nx = experiment.patterns.shape
    distance = 1.0
    width = experiment.wavelength * METRE * distance / (experiment.dx * METRE)
    grid = np.stack(np.meshgrid(np.arange(slow), np.arange(fast), indexing="ij"), -1)
    positions = experiment.step * METRE * grid.reshape(-1, 2)
    with h5py.File(path, "w") as file:
        file["ptychogram"] = experiment.patterns.reshape(-1, ny, nx)
        file["encoder"] = positions - positions.mean(0)
        file["dxd"] = (width / nx,)
        file["zo"] = (distance,)
        file["wavelength"] = (experiment.wavelength * METRE,)
        file["entrancePupilDiameter"] = (12 * experiment.dx * METRE,)
        file["orientation"] = 0
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ptylab")
    return {
        slices: write(folder / f"{slices}.hdf5", simulate(slices=slices, noise=20.0))
        for slices in (1, 3)
    }


@pytest.fixture
def make(files):
    def build(engine=Engines.ePIE, modes=1, slices=1, **switches):
        np.random.seed(3)  # PtyLab's first object and probe are random  # noqa: NPY002
        _, reconstruction, params, _, _ = PtyLab.easyInitialize(
            files[slices], engine=Engines.ePIE, dummyMonitor=True
        )
        data = reconstruction.data
        reconstruction.npsm, reconstruction.nslice = modes, slices
        reconstruction.dz, reconstruction.refrIndex = 10 * METRE, 1.0
        reconstruction.initializeObjectProbe()
        params.gpuSwitch = False
        params.positionOrder = "sequential"
        params.propagatorType = "Fraunhofer"
        for name, value in switches.items():
            assert hasattr(params, name)
            setattr(params, name, value)
        made = engine(reconstruction, data, params, PtyLab.DummyMonitor())
        made.numIterations = 4
        np.random.seed(4)  # and so are the turns of mPIE's momentum  # noqa: NPY002
        return made

    return build


def sane(engine):
    reconstruction = engine.reconstruction
    assert np.isfinite(reconstruction.object).all()
    assert np.isfinite(reconstruction.probe).all()
    assert reconstruction.error[-1] < reconstruction.error[0]


@pytest.mark.parametrize("engine", [Engines.ePIE, Engines.mPIE])
def test_nothing_on_changes_nothing(make, engine):
    own = make(engine, probePowerCorrectionSwitch=True)
    own.reconstruct()
    ours = make(engine, probePowerCorrectionSwitch=True)
    with ptylab.attach(ours, arraycon.Constraints(OFF)) as attached:
        ours.reconstruct()
    assert len(attached.reports) == 1
    assert len(attached.reports[0]) == 0
    assert "applyConstraints" not in vars(ours)
    for name in ("object", "probe", "encoder_corrected"):
        np.testing.assert_array_equal(
            getattr(own.reconstruction, name), getattr(ours.reconstruction, name)
        )
    sane(ours)


def test_the_same_as_the_functions_on_its_arrays(make):
    own, ours = make(modes=3), make(modes=3)
    for engine in (own, ours):
        engine.numIterations = 1
    own.reconstruct()
    constraints = only(
        probe_mask_r={"radius": 0.6}, ortho_pmode={}, fix_probe_int={}, obj_rblur={"std": 0.5}
    )
    with ptylab.attach(ours, constraints):
        ours.reconstruct()
    assert own.reconstruction.probe.shape == (1, 1, 3, 1, 32, 32)
    probe = own.reconstruction.probe[0, 0, :, 0]
    dx, wavelength = (
        float(value) / METRE for value in (own.reconstruction.dxo, own.reconstruction.wavelength)
    )
    assert dx == pytest.approx(0.3, rel=1e-5)
    probe = arraycon.probe_mask_r(probe, dx=dx, wavelength=wavelength, radius=0.6)
    probe = arraycon.ortho_pmode(probe)
    probe = arraycon.fix_probe_int(probe, intensity=own.experimentalData.maxProbePower**2)
    found = ours.reconstruction.probe[0, 0, :, 0]
    np.testing.assert_allclose(found, probe, rtol=0, atol=1e-5 * abs(probe).max())
    transmission = own.reconstruction.object
    blurred = [arraycon.obj_rblur(part, std=0.5) for part in polar.split(transmission)]
    expected = blurred[0] * np.exp(1j * blurred[1])
    np.testing.assert_allclose(ours.reconstruction.object, expected, atol=1e-5)


@pytest.mark.parametrize("instead", [False, True], ids=["after", "instead"])
def test_limits_of_the_amplitude(make, instead, record_figure):
    own, ours = make(), make()
    own.reconstruct()
    with ptylab.attach(ours, only(obja_thresh={"thresh": [0.95, 1.05]}), instead=instead):
        ours.reconstruct()
    sane(ours)
    spread = [np.ptp(abs(engine.reconstruction.object)) for engine in (own, ours)]
    record_figure("range of the object's amplitude: own constraints alone", spread[0])
    record_figure("range of the object's amplitude: with obja_thresh", spread[1])
    assert spread[0] > 0.11
    assert spread[1] <= 0.1001


def test_instead_switches_the_own_constraints_off(make):
    own, ours = make(absObjectSwitch=True), make(absObjectSwitch=True)
    for engine in (own, ours):
        engine.params.absObjectBeta = 1.0
        engine.numIterations = 2
    own.reconstruct()
    assert np.allclose(own.reconstruction.object.imag, 0)
    with ptylab.attach(ours, only(fix_probe_int={}), instead=True):
        ours.reconstruct()
    assert not np.allclose(ours.reconstruction.object.imag, 0)
    assert ours.params.absObjectSwitch is True


@pytest.mark.parametrize("engine", [Engines.ePIE, Engines.mPIE])
def test_modes(make, engine, record_figure):
    made = make(engine, modes=3)
    with ptylab.attach(made, only(ortho_pmode={}, fix_probe_int={})):
        made.reconstruct()
    sane(made)
    modes = made.reconstruction.probe[0, 0, :, 0].reshape(3, -1)
    gram = modes @ modes.conj().T
    powers = np.real(np.diag(gram))
    overlap = np.abs(gram - np.diag(np.diag(gram))).max() / powers[0]
    record_figure(f"{engine.__name__}: largest overlap of modes after ortho_pmode", overlap)
    assert overlap < 1e-5
    assert np.all(np.diff(powers) <= 0)
    np.testing.assert_allclose(powers.sum(), made.experimentalData.maxProbePower**2, rtol=1e-5)


def test_depth_filter_smooths_in_depth(make, record_figure):
    found = []
    for constraints in (only(), only(kz_filter={"beta": 1.0, "boundary": "mirror"})):
        made = make(Engines.e3PIE, slices=3)
        with ptylab.attach(made, constraints):
            made.reconstruct()
        sane(made)
        phase = np.angle(made.reconstruction.object[0, 0, 0])
        found.append(float(np.sum(np.diff(phase, axis=0) ** 2) / np.sum(phase**2)))
    record_figure("e3PIE, roughness in depth: own constraints alone", found[0])
    record_figure("e3PIE, roughness in depth: with kz_filter", found[1])
    assert found[1] < 0.5 * found[0]


def test_positions(make):
    made = make(positionCorrectionSwitch=True)
    made.numIterations = 3
    with ptylab.attach(made, only(pos_recenter={})):
        made.reconstruct()
    drift = (made.reconstruction.encoder_corrected - made.experimentalData.encoder).mean(0)
    assert np.all(abs(drift) < 1e-4 * made.reconstruction.dxo)
    sane(made)


def test_positions_that_ptylab_leaves(make, record_figure):
    """Its own step recentres positions only while it corrects them."""
    made = make()
    pixel = made.reconstruction.dxo
    made.reconstruction.encoder_corrected = made.experimentalData.encoder + 0.4 * pixel
    made.numIterations = 2
    with ptylab.attach(made, only(pos_recenter={})):
        made.reconstruct()
    drift = (made.reconstruction.encoder_corrected - made.experimentalData.encoder).mean(0) / pixel
    record_figure("offset of 0.4 px in the positions after pos_recenter (px)", abs(drift).max())
    assert abs(drift).max() < 1e-4
    sane(made)


def test_errors(make):
    made = make()
    with pytest.raises(arraycon.MissingInputError, match="PtyLab has no object tilts"):
        ptylab.attach(made, only(tilt_smooth={}))
    made.reconstruct()


# which leave as much of the data as PtyLab's own, masks before rotations among them
HARMLESS = {
    "fix_probe_int": {"fix_probe_int": {}},
    "ortho_pmode, fix_probe_int": {"ortho_pmode": {}, "fix_probe_int": {}},
    "probe_mask_k, ortho_pmode, fix_probe_int": {
        "probe_mask_k": {"radius": 0.45, "power_thresh": 1.0},
        "ortho_pmode": {},
        "fix_probe_int": {},
    },
    "probe_mask_r, ortho_pmode, fix_probe_int": {
        "probe_mask_r": {"radius": 0.9},
        "ortho_pmode": {},
        "fix_probe_int": {},
    },
    "obja_thresh": {"obja_thresh": {"thresh": [0.8, 1.2]}},
}


@pytest.mark.parametrize(
    ("engine", "modes", "slices"),
    [
        *((engine, modes, 1) for engine in (Engines.ePIE, Engines.mPIE, Engines.qNewton,
                                            Engines.mqNewton) for modes in (1, 3)),
        (Engines.zPIE, 3, 1),
        (Engines.e3PIE, 1, 3),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)  # fmt: skip
def test_the_error_of_the_run(make, engine, modes, slices, record_figure):
    own = make(engine, modes, slices)
    own.numIterations = 8
    own.reconstruct()
    for name, blocks in HARMLESS.items():
        ours = make(engine, modes, slices)
        ours.numIterations = 8
        with ptylab.attach(ours, only(**blocks)):
            ours.reconstruct()
        ratio = ours.reconstruction.error[-1] / own.reconstruction.error[-1]
        record_figure(f"error of the run, {engine.__name__}, {modes} modes, {name}", ratio)
        assert ratio < 1.03


@pytest.fixture
def make_opr(make, monkeypatch):
    """OPR wants CuPy by its name only: its stack is made of NumPy arrays here."""
    monkeypatch.setattr(sys.modules["PtyLab.Engines.OPR"], "cp", np)

    def build(modes=2, **switches):
        made = make(Engines.OPR, modes, **switches)
        made.OPR_modes, made.n_subspace = np.arange(modes), 4
        made.numIterations = 8
        return made

    return build


def test_frames_of_opr(make_opr, record_figure):
    own = make_opr()
    own.reconstruct()
    for name in ("fix_probe_int", "ortho_pmode, fix_probe_int"):
        ours = make_opr()
        with ptylab.attach(ours, only(**HARMLESS[name])):
            ours.reconstruct()
        stack = ours.reconstruction.probe_stack[0, 0, :, 0]
        powers = np.sum(abs(stack) ** 2, axis=(0, 1, 2))
        assert powers.std() > 0  # each frame has kept its own
        target = ours.experimentalData.maxProbePower**2
        np.testing.assert_allclose(powers.mean(), target, rtol=1e-5)
        changed = np.linalg.norm(stack - own.reconstruction.probe_stack[0, 0, :, 0])
        assert changed > 0.01 * np.linalg.norm(stack)
        ratio = ours.reconstruction.error[-1] / own.reconstruction.error[-1]
        record_figure(f"error of the run, OPR, {name}", ratio)
        assert ratio < 1.05
    modes = stack.reshape(2, -1)
    overlap = abs(np.vdot(modes[0], modes[1])) / np.vdot(modes[0], modes[0]).real
    record_figure("OPR: overlap of modes over all frames", overlap)
    assert overlap < 1e-5


def test_what_frames_of_opr_cannot_have(make_opr):
    made = make_opr()
    with pytest.raises(ValueError, match="probe_mask_r: PtyLab's OPR has a probe for each frame"):
        ptylab.attach(made, only(probe_mask_r={}))
    made.numIterations = 2
    with ptylab.attach(made, only(obja_thresh={"thresh": [0.9, 1.1]})):
        made.reconstruct()
    assert np.ptp(abs(made.reconstruction.object)) < 0.2001


def test_an_engine_that_runs_others_is_refused(make):
    with pytest.raises(ValueError, match="purityPIE makes engines of its own"):
        ptylab.attach(make(Engines.purityPIE, modes=3), only(fix_probe_int={}))


def test_momenta_after_a_mask(make, record_figure):
    """mPIE's momentum is turned as its modes have been, also where a mask came between."""
    made = make(Engines.mPIE, 3)
    made.reconstruct()
    reconstruction = made.reconstruction
    rng = np.random.default_rng(0)
    reconstruction.probe[0, 0, :, 0] += (
        0.3 * abs(reconstruction.probe).max() * rng.normal(size=(3, 32, 32))
    )
    before = reconstruction.probeMomentum[0, 0, :, 0].copy()
    modes = reconstruction.probe[0, 0, :, 0].copy()
    blocks = {"probe_mask_k": {"radius": 0.12, "width": 0.02, "power_thresh": 1.0}}
    state = arraycon.State(probe=modes.copy())
    only(**blocks).apply(state, 1)
    _, rotation = arraycon.ortho_pmode(state.probe, return_rotation=True)
    for name in ("orthogonalizationSwitch", "probePowerCorrectionSwitch", "comStabilizationSwitch"):
        setattr(made.params, name, False)
    with ptylab.attach(made, only(**blocks, ortho_pmode={})):
        made.applyConstraints(0)
    expected = np.tensordot(rotation, before, axes=1)
    away = reconstruction.probeMomentum[0, 0, :, 0] - expected
    found = np.linalg.norm(away) / np.linalg.norm(expected)
    record_figure("mPIE: momentum after a mask and a rotation", found)
    assert found < 1e-5


def test_a_step_in_a_loop_of_ones_own(make):
    blocks = {"ortho_pmode": {}, "obj_rblur": {"start_iter": 2}, "pos_recenter": {}}
    attached, stepped = make(modes=2), make(modes=2)
    for engine in (attached, stepped):
        engine.numIterations = 1
    with ptylab.attach(attached, only(**blocks)):
        for _ in range(3):
            attached.reconstruct()
    step = ptylab.step(stepped, only(**blocks))
    for _ in range(3):
        stepped.reconstruct()
        step()
    for name in ("object", "probe", "encoder_corrected"):
        found, expected = (getattr(engine.reconstruction, name) for engine in (stepped, attached))
        np.testing.assert_array_equal(found, expected)


# PtyLab's own constraints where they are right, and ours that do the same (SPEC2, "Maps")
PULL = 0.02
MAPS = {
    "modes and power": (
        {"orthogonalizationSwitch": True, "orthogonalizationFrequency": 1,
         "probePowerCorrectionSwitch": True},
        {"ortho_pmode": {}, "fix_probe_int": {}},
    ),
    "pull to zero": (
        {"l2reg": True, "l2reg_object_aleph": PULL, "l2reg_probe_aleph": 0.0},
        {"obj_shrink": {"obj_type": "complex", "rule": "ridge", "target": 0.0,
                        "amount": 1 / (1 - PULL) - 1}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("engine", [Engines.ePIE, Engines.mPIE])
@pytest.mark.parametrize("name", MAPS)
def test_the_own_constraint_off_and_ours_on(make, engine, name, record_figure):
    switches, blocks = MAPS[name]
    own, ours, none = (make(engine, modes=3) for _ in range(3))
    for made in (own, ours, none):
        for switch in ptylab._SWITCHES:
            setattr(made.params, switch, False)
    for switch, value in switches.items():
        setattr(own.params, switch, value)
    if name == "modes and power":  # to which PtyLab brings its first probe, too
        probe, power = ours.reconstruction.probe, ours.experimentalData.maxProbePower
        probe *= power / np.linalg.norm(probe)
    for made in (own, none):
        np.random.seed(4)  # noqa: NPY002
        made.reconstruct()
    np.random.seed(4)  # noqa: NPY002
    with ptylab.attach(ours, only(**blocks)):
        ours.reconstruct()
    found, effect = (
        np.linalg.norm(made.reconstruction.object - own.reconstruction.object)
        / np.linalg.norm(own.reconstruction.object - 1)
        for made in (ours, none)
    )
    record_figure(f"{engine.__name__}, {name}: object with ours instead of the own one", found)
    record_figure(f"{engine.__name__}, {name}: what the own one does", effect)
    np.testing.assert_allclose(ours.reconstruction.error, own.reconstruction.error, rtol=1e-3)
    assert found < 1e-3
    assert effect > 30 * found


def test_the_package_that_ran():
    assert importlib.metadata.version("ptylab") in ptylab.PTYLAB.known
