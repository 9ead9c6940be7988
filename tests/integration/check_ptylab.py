"""PtyLab from PyPI: its own engines with their own constraints, with ours after, and instead."""

from __future__ import annotations

import importlib.metadata

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
    with (
        ptylab.attach(made, only(tilt_smooth={})),
        pytest.raises(arraycon.MissingInputError, match="PtyLab has no object tilts"),
    ):
        made.reconstruct()


def test_the_package_that_ran():
    assert importlib.metadata.version("ptylab") in ptylab.PTYLAB.known
