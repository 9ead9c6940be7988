"""PtyLab's adapter, against a small stand-in of the interface that it builds on.

`tests/integration` runs it inside the code itself.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from foreign import DX, THICKNESS, WAVELENGTH, complex_array, only, real_array
from libraries import Library, relative_error

import arraycon
from arraycon.adapters import InterfaceError, ptylab
from arraycon.kernels import polar
from arraycon.pipeline import Bound


class Engine:
    """PtyLab's constraint step, on its six-dimensional object and probe in metres."""

    def __init__(self, wavelengths=1, modes=3, slices=1, states=1):
        self.reconstruction = SimpleNamespace(
            object=complex_array((wavelengths, states, 1, slices, 10, 10)),
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


@pytest.mark.parametrize(
    "mask", [{"probe_mask_k": {"radius": 0.3}}, {"probe_mask_r": {"radius": 0.4}}]
)
def test_ptylab_momentum_turns_as_the_modes_did_after_a_mask(mask):
    """Masks change the modes, and so the rotation that makes them orthogonal."""
    engine = Engine()
    engine.params.momentumAcceleration = True
    buffer = engine.reconstruction.probeBuffer[0, 0, :, 0].copy()
    state = arraycon.State(
        probe=engine.reconstruction.probe[0, 0, :, 0].copy(), dx=DX, wavelength=WAVELENGTH
    )
    _, before = arraycon.ortho_pmode(state.probe, return_rotation=True)
    only(**mask).apply(state, 1)
    _, rotation = arraycon.ortho_pmode(state.probe, return_rotation=True)
    assert relative_error(before, rotation) > 0.1
    with ptylab.attach(engine, only(**mask, ortho_pmode={})):
        engine.reconstruct()
    found = engine.reconstruction.probeBuffer[0, 0, :, 0]
    assert relative_error(found, np.tensordot(rotation, buffer, axes=1)) < 1e-6


def test_ptylab_momentum_of_the_object_turns_with_its_modes():
    engine = Engine(modes=2, states=3)
    engine.params.momentumAcceleration, engine.params.absObjectSwitch = True, False
    reconstruction = engine.reconstruction
    reconstruction.objectMomentum = complex_array(reconstruction.object.shape, seed=8)
    modes, momentum, buffer = (
        array.copy()
        for array in (
            reconstruction.object[0, :, 0], reconstruction.objectMomentum[0, :, 0, 0],
            reconstruction.probeBuffer,
        )
    )  # fmt: skip
    with ptylab.attach(engine, only(ortho_omode={})):
        engine.reconstruct()
    expected, rotation = arraycon.ortho_omode(modes, return_rotation=True)
    assert relative_error(reconstruction.object[0, :, 0], expected) < 1e-6
    expected = np.tensordot(rotation, momentum, axes=1)
    assert relative_error(reconstruction.objectMomentum[0, :, 0, 0], expected) < 1e-6
    np.testing.assert_array_equal(reconstruction.probeBuffer, buffer)


class OPR(Engine):
    """The engine that has modes of their own for each frame, and lends them to the probe."""

    def __init__(self, modes=2, varying=(0, 1)):
        super().__init__(modes=modes)
        self.params.absObjectSwitch = False
        self.OPR_modes = np.array(varying)
        self.reconstruction.npsm = modes

    def reconstruct(self, iterations=1):
        shape = (1, 1, len(self.OPR_modes), 1, 8, 8, 6)
        self.reconstruction.probe_stack = complex_array(shape, seed=5)
        super().reconstruct(iterations)


@pytest.mark.parametrize("order", ["C", "F"])
def test_ptylab_frames_of_opr_share_a_rotation_and_a_factor(order):
    engine = OPR()
    with ptylab.attach(engine, only(ortho_pmode={}, fix_probe_int={})) as attached:
        engine.reconstruct(0)
        stack = np.asarray(engine.reconstruction.probe_stack, order=order)
        engine.reconstruction.probe_stack = stack
        frames = engine.reconstruction.probe_stack[0, 0, :, 0].copy()
        engine.applyConstraints(0)
    assert [record.name for record in attached.reports[0]] == ["ortho_pmode", "fix_probe_int"]
    rows = frames.reshape(2, -1).astype(complex)
    _, vectors = np.linalg.eigh(rows @ rows.conj().T)
    rotated = vectors[:, ::-1].conj().T @ rows
    rotated *= 7 * np.sqrt(6 / np.sum(abs(rows) ** 2))  # mean over 6 frames: 49
    found = engine.reconstruction.probe_stack[0, 0, :, 0].reshape(2, -1)
    phases = np.exp(1j * np.angle(np.sum(rotated.conj() * found, axis=1, keepdims=True)))
    assert relative_error(found, phases * rotated) < 1e-5


def test_ptylab_what_frames_cannot_have_is_refused():
    with pytest.raises(ValueError, match=r"probe_mask_r: PtyLab's OPR has .* are ortho_pmode and"):
        ptylab.attach(OPR(), only(obja_thresh={}, probe_mask_r={"start_iter": 7}))
    with pytest.raises(ValueError, match=r"ortho_pmode: expected OPR_modes to name all 3 modes"):
        ptylab.attach(OPR(modes=3), only(ortho_pmode={}))
    with pytest.raises(ValueError, match="OPR makes its probes anew"):
        ptylab.step(OPR(), only(obja_thresh={}))
    engine = OPR(modes=3)
    with ptylab.attach(engine, only(obja_thresh={"thresh": [0.5, 0.6]})):
        engine.reconstruct()
    assert abs(engine.reconstruction.object).max() < 0.61


def test_ptylab_a_step_in_a_loop_of_ones_own():
    blocks = {"ortho_pmode": {}, "fix_probe_int": {}, "pos_recenter": {"start_iter": 2}}
    attached, stepped = Engine(wavelengths=2), Engine(wavelengths=2)
    with ptylab.attach(attached, only(**blocks)):
        attached.reconstruct(2)
    step = ptylab.step(stepped, only(**blocks))
    for iteration in (1, 2):
        stepped.reconstruct()
        assert step()[0].iteration == iteration
    assert [len(report) for report in step.reports] == [3, 3]
    for name in ("object", "probe", "encoder_corrected"):
        found, expected = (getattr(e.reconstruction, name) for e in (stepped, attached))
        np.testing.assert_array_equal(found, expected)


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
    noise = engine.reconstruction.object
    # phases about 0: of mere noise each slice's would be about its own mean
    before = (abs(noise) * np.exp(0.3j * np.angle(noise))).astype(noise.dtype)
    engine.reconstruction.object = before.copy()
    with ptylab.attach(engine, only(obj_zblur={"kernel_size": 7})):
        engine.reconstruct()
    with arraycon.use_agnostic():
        parts = polar.split(before[0, 0, 0])
    amplitude, phase = (arraycon.obj_zblur(part, kernel_size=7) for part in parts)
    expected = amplitude * np.exp(1j * phase)
    assert relative_error(engine.reconstruction.object[0, 0, 0], expected) < 1e-6


def test_ptylab_says_what_it_lacks():
    engine = Engine()
    with pytest.raises(arraycon.MissingInputError, match="no slice thickness for a thin object"):
        ptylab.attach(engine, only(obj_z_recenter={"start_iter": 100}))
    assert "applyConstraints" not in vars(engine)


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


def test_ptylab_an_engine_that_runs_others_is_refused():
    class Scan(Engine):
        def _createCandidateReconstruction(self):
            raise NotImplementedError

    engine = Scan()
    with pytest.raises(ValueError, match="Scan makes engines of its own for what it scans"):
        ptylab.attach(engine, only(obja_thresh={}))
    assert "applyConstraints" not in vars(engine)


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


def test_ptylab_probes_that_are_made_anew(monkeypatch):
    """The object stays where it is, and so does what is bound to it."""
    engine, constraints = Engine(modes=2), only(obja_thresh={}, ortho_pmode={})
    engine.params.absObjectSwitch = False
    bindings, bind = [], Bound._bind
    monkeypatch.setattr(Bound, "_bind", lambda self: bindings.append(self) or bind(self))
    expected = arraycon.State(
        object=engine.reconstruction.object[0].copy(),
        probe=engine.reconstruction.probe[0, 0, :, 0].copy(),
    )
    with ptylab.attach(engine, constraints):
        for iteration in range(1, 6):
            engine.reconstruction.probe = engine.reconstruction.probe * np.complex64(1j)
            expected.probe = expected.probe * np.complex64(1j)
            engine.reconstruct()
            constraints.apply(expected, iteration)
            np.testing.assert_array_equal(engine.reconstruction.object[0], expected.object)
            np.testing.assert_array_equal(engine.reconstruction.probe[0, 0, :, 0], expected.probe)
    assert len(bindings) == 1


def test_ptylab_hands_rules_its_error():
    rule = {"start_when": {"error_falls_below": 0.005, "for": 3}, "thresh": [0.5, 0.6]}
    engine, ran = Engine(), []
    with ptylab.attach(engine, only(obja_thresh=rule)) as attached:
        for iteration in range(1, 10):
            engine.reconstruction.error = np.full(iteration, 0.9 ** min(iteration, 4))
            engine.reconstruct()
            ran += [record.iteration for record in attached.reports[0]]
    assert ran == [7, 8, 9]


@pytest.mark.parametrize("kind", [Engine, OPR])
def test_ptylab_on_cupy(kind):
    """As on the CPU, where the engine has moved its arrays after the constraints were attached."""
    library = Library("cupy")
    if reason := library.available():
        pytest.skip(reason)
    blocks = {"ortho_pmode": {}, "fix_probe_int": {}, "obja_thresh": {"thresh": [0.5, 1.5]}}
    if kind is Engine:
        blocks |= {"probe_mask_r": {"radius": 0.5}, "pos_recenter": {}}
    found = []
    for moves in (False, True):
        engine = kind(modes=2)
        engine.params.absObjectSwitch, engine.params.momentumAcceleration = False, True
        names = ["object", "probe", "probeBuffer"]
        with ptylab.attach(engine, only(**blocks)):
            if kind is OPR:
                engine.reconstruct(0)
                names += ["probe_stack"]
            for name in names if moves else ():
                array = library.array(getattr(engine.reconstruction, name))
                setattr(engine.reconstruction, name, array)
            for iteration in range(2):
                engine.applyConstraints(iteration)
        arrays = [getattr(engine.reconstruction, name) for name in names]
        found.append([array.get() if moves else array for array in arrays])
        found[-1].append(engine.reconstruction.encoder_corrected)
    for ours, expected in zip(*found, strict=True):
        assert relative_error(ours, expected) < 1e-5
