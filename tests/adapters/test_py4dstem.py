"""py4DSTEM's adapter, against a small stand-in of the interface that it builds on.

`tests/integration` runs it inside the code itself.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from foreign import DX, THICKNESS, complex_array, only, real_array
from libraries import aligned, relative_error
from scipy import constants

import arraycon
from arraycon.adapters import InterfaceError, py4dstem


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
