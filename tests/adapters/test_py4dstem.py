"""py4DSTEM's adapter, against a small stand-in of the interface that it builds on.

`tests/integration` runs it inside the code itself.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import scipy
from foreign import DX, THICKNESS, complex_array, only, real_array
from libraries import Library, aligned, relative_error
from scipy import constants

import arraycon
from arraycon.adapters import InterfaceError, _py4dstem, py4dstem
from arraycon.adapters._lengths import electron_wavelength


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

    def before(self):
        """What the data do."""

    def reconstruct(self, num_iter=1, fix_positions=False):
        for _ in range(num_iter):
            self.before()
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
    first = made._probe_initial if modes is None else made._probe_initial[0]
    expected = arraycon.fix_probe_int(expected, intensity=np.sum(abs(first) ** 2))
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


def test_py4dstem_attached_again():
    made = MultislicePtychography()
    py4dstem.attach(made, only(objp_postiv={}), instead=True)
    with py4dstem.attach(made, only(objp_thresh={"thresh": [0.0, 0.1]}), instead=True) as attached:
        made._object[...] = -1
        made.reconstruct()
    assert [record.name for record in attached.reports[0]] == ["objp_thresh"]
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
    constraint = {name: {"start_iter": 100, **block} for name, block in constraint.items()}
    with pytest.raises(arraycon.MissingInputError, match=message):
        py4dstem.attach(made, only(**constraint))
    assert "_constraints" not in vars(made)


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
    assert electron_wavelength(energy) == pytest.approx(wavelength, rel=1e-6)


class Modelled(SingleslicePtychography):
    """One slice that shows its forward model, as far as positions, probe and object tell in it."""

    def __init__(self, **changes):
        super().__init__("complex", (10, 12), **changes)
        rng = np.random.default_rng(4)
        self._xp_storage, self._resample_exit_waves = np, False
        self._positions_px_initial = rng.uniform(1, 9, (40, 2)).astype("float32")
        self._positions_px = self._positions_px_initial + np.float32(0.5)
        self._amplitudes = np.sqrt(rng.poisson(3.0, (40, 8, 8))).astype("float32")
        self._probe *= np.sqrt(3 / np.mean(abs(self._probe) ** 2) / 64)

    def _extract_vectorized_patch_indices(self, positions):
        x = np.round(positions).astype(int)[:, :, None] + np.arange(8)
        return x[:, 0, :, None] % 10, x[:, 1, None, :] % 12

    def _return_shifted_probes(self, current_probe, positions_px_fractional):
        k = np.fft.fftfreq(8)
        y, x = positions_px_fractional.T[:, :, None, None]
        ramps = np.exp(-2j * np.pi * (y * k[:, None] + x * k))
        return np.fft.ifft2(np.fft.fft2(current_probe) * ramps)

    def _overlap_projection(self, current_object, row, col, shifted_probes):
        patches = current_object[row, col]
        return shifted_probes, patches, shifted_probes * patches

    def _return_farfield_amplitudes(self, fourier_overlap):
        return abs(fourier_overlap)

    def intensities(self):
        """Of all patterns, of what is stored now."""
        places = self._positions_px
        probes = self._return_shifted_probes(self._probe, places - np.round(places))
        window = self._extract_vectorized_patch_indices(places)
        return abs(np.fft.fft2(self._overlap_projection(self._object, *window, probes)[2])) ** 2


@pytest.mark.parametrize("instead", [False, True])
@pytest.mark.parametrize("centre", [False, True])
def test_py4dstem_feeds_a_monitor(instead, centre):
    made, monitor = Modelled(), arraycon.Monitor(number=9, seed=1)
    chosen = np.sort(np.random.default_rng(1).choice(40, 9, replace=False))
    counts = made._amplitudes[chosen] ** 2
    constraints = only(fix_probe_int={}, obja_thresh={"thresh": [0.5, 0.6]}, pos_recenter={})
    made._probe_initial = made._probe * 1.25
    with py4dstem.attach(
        made, constraints, instead=instead, centre=centre, monitor=monitor
    ) as attached:
        for _ in range(3):
            before = made.intensities()[chosen]
            made.reconstruct()
            entry = monitor.history[-1]
            if instead:
                expected = float(arraycon.misfit_ratio(before, counts))
                assert entry.misfit == pytest.approx(expected, rel=1e-4)
            # pos_recenter comes last: what is stored afterwards is what was seen last
            expected = float(arraycon.misfit_ratio(made.intensities()[chosen], counts))
            assert entry.effects[-1].constraint == "pos_recenter"
            assert entry.effects[-1].misfit == pytest.approx(expected, rel=1e-4)
            assert attached.reports[0][-1].metrics["misfit"] == entry.effects[-1].misfit
    changes = [effect.change for effect in monitor.history[0].effects]
    assert all(abs(change) > 1e-3 for change in changes)


def test_py4dstem_positions_that_are_fixed_are_seen_so():
    made, monitor = Modelled(), arraycon.Monitor()
    with py4dstem.attach(made, only(pos_recenter={}), instead=True, monitor=monitor):
        made.reconstruct(fix_positions=True)
    assert monitor.history[0].effects[0].change == 0


def test_py4dstem_resamples_as_the_model_does(monkeypatch):
    made, asked = Modelled(_resample_exit_waves=None), []
    made._resample_exit_waves, made._amplitudes_shape = True, (8, 8)

    def resample(waves, **options):
        asked.append(options)
        return waves

    monkeypatch.setattr(_py4dstem.Code, "find", lambda *_: resample)
    monitor = arraycon.Monitor()
    with py4dstem.attach(made, only(obja_thresh={}), instead=True, monitor=monitor):
        made.reconstruct()
    expected = {"output_size": (8, 8), "vectorized": True, "conserve_array_sums": True, "xp": np}
    assert asked == [expected, expected]


def test_py4dstem_hands_rules_an_error():
    rule = {"start_when": {"error_falls_below": 0.005, "for": 3}, "thresh": [0.5, 0.6]}
    made = Modelled()
    first = made._probe.copy()
    made._object[...] = 1

    def before():
        # brighter from iteration to iteration up to the eighth, and still dimmer than the patterns
        made._probe[...] = first * (0.3 + 0.05 * min(len(made.error_iterations), 7))

    made.before = before
    with py4dstem.attach(made, only(obja_thresh=rule), instead=True) as attached:
        ran = []
        for _ in range(14):
            made.reconstruct()
            ran += [record.iteration for record in attached.reports[0]]
    assert ran == list(range(11, 15))


@pytest.mark.usefixtures("versions")
def test_py4dstem_a_model_that_is_not_shown():
    made = MultislicePtychography()
    with pytest.raises(InterfaceError, match="has no _amplitudes, _extract_vec"):
        py4dstem.attach(made, only(objp_postiv={}), monitor=arraycon.Monitor())


@pytest.mark.parametrize("modes", [None, 3])
def test_py4dstem_restores_what_explains_the_patterns(modes):
    """Each initial mode has the whole intensity; there may be no copy of them."""
    made = MultislicePtychography(modes=modes)
    made._mean_diffraction_intensity = 64 * 7.0
    del made._probe_initial
    with py4dstem.attach(made, only(fix_probe_int={})):
        made.reconstruct()
    assert np.sum(abs(made._probe) ** 2) == pytest.approx(7, rel=1e-5)


def test_py4dstem_exit_waves_turn_with_the_modes():
    made = MultislicePtychography(modes=3)
    modes, waves = made._probe.copy(), complex_array((5, 3, 8, 8), seed=6)
    made._exit_waves = waves.copy()
    with py4dstem.attach(made, only(ortho_pmode={})):
        made.reconstruct()
    _, rotation = arraycon.ortho_pmode(modes, return_rotation=True)
    expected = np.einsum("mn,pnyx->pmyx", rotation, waves)
    assert relative_error(made._exit_waves, expected) < 1e-6


class Stored(MultislicePtychography):
    """What is stored beside what the iterations work on."""

    _asnumpy = staticmethod(np.asarray)

    @property
    def probe_centered(self):
        return np.fft.fftshift(self._probe, axes=(-2, -1))


def test_py4dstem_a_step_in_a_loop_of_ones_own():
    """It does what an attachment does."""
    blocks = {"probe_mask_r": {"radius": 0.5}, "objp_postiv": {"start_iter": 2}, "pos_recenter": {}}
    attached, stepped = Stored(modes=2), Stored(modes=2)
    with py4dstem.attach(attached, only(**blocks)):
        attached.reconstruct(3)
    step = py4dstem.step(stepped, only(**blocks))
    for iteration in (1, 2, 3):
        stepped.reconstruct()
        step()
        assert step.iteration == iteration
    assert len(step.reports[0]) == 3
    for name in ("_object", "_probe", "_positions_px"):
        np.testing.assert_array_equal(getattr(stepped, name), getattr(attached, name))
    np.testing.assert_array_equal(stepped.object, stepped._object)
    np.testing.assert_array_equal(stepped.probe, stepped.probe_centered)


class Preprocessed(SingleslicePtychography):
    """A reconstruction that somebody else makes."""

    def __init__(self, **changes):
        super().__init__("complex", (10, 12), sampling=None, **changes)

    def preprocess(self, dx=DX):
        """Find out about the patterns."""
        self.sampling = (dx, dx)
        return self


def test_py4dstem_a_class_for_who_makes_the_reconstructions():
    limits = only(obja_thresh={"thresh": [0.5, 0.6]})
    made = py4dstem.attach_class(Preprocessed, limits, instead=True)
    assert made.__name__ == "Preprocessed"
    assert made.preprocess.__doc__ == "Find out about the patterns."
    for constrained in (made(), made()):
        assert constrained.preprocess(dx=0.3) is constrained
        assert constrained.sampling == (0.3, 0.3)
        constrained.reconstruct()
        assert abs(constrained._object).max() < 0.61
        assert constrained.calls == 0
    assert "_constraints" not in vars(Preprocessed().preprocess())
    missing = py4dstem.attach_class(Preprocessed, only(tilt_smooth={}))()
    with pytest.raises(arraycon.MissingInputError, match="has no object tilts"):
        missing.preprocess()
    with pytest.raises(TypeError, match="expected one of SingleslicePtychography"):
        py4dstem.attach_class(SimpleNamespace, limits)


def test_py4dstem_knows_where_its_field_of_view_is():
    """Where py4DSTEM's own mask is, from the probe at the positions."""

    class Scanned(Modelled):
        _scipy = scipy

        def _sum_overlapping_patches_bincounts(self, patches, positions):
            total, x = np.zeros((10, 12)), np.round(positions).astype(int)[:, :, None]
            x = x + np.arange(-4, 4)
            for patch, rows, columns in zip(patches, x[:, 0] % 10, x[:, 1] % 12, strict=True):
                total[np.ix_(rows, columns)] += np.fft.fftshift(patch)
            return total

    made = Scanned(modes=2)
    made._probe[...] = 0
    made._probe[:, 0, 0] = [1, 2]
    made._positions_px[...] = 3  # all of them at one pixel, whose blurred surroundings are inside
    outside = {"region": "outside", "threshold": 0.25}
    with py4dstem.attach(made, only(obj_fill=outside), instead=True) as attached:
        before = made._object.copy()
        made.reconstruct()
    overlap = np.zeros((10, 12))
    overlap[3, 3] = 5 * 40
    expected = scipy.ndimage.gaussian_filter(overlap, 1.0)
    np.testing.assert_allclose(attached._step._illumination, expected, atol=1e-4)
    inside = expected > 0.25 * expected.max()
    assert 4 < np.sum(inside) < 20
    assert relative_error(made._object, np.where(inside, before, 1)) < 1e-6


@pytest.mark.parametrize("object_type", ["potential", "complex"])
def test_py4dstem_on_cupy(object_type):
    """As on the CPU; positions may stay in the host's memory."""
    library = Library("cupy")
    if reason := library.available():
        pytest.skip(reason)
    part = {"obj_type": "phase"}
    constraints = only(probe_mask_r={"radius": 0.5}, ortho_pmode={}, fix_probe_int={},
                       obj_rblur=part, pos_recenter={})  # fmt: skip
    found = []
    for moves in (False, True):
        made = MultislicePtychography(object_type, modes=2)
        arrays = ("_object", "_probe", "_probe_initial")
        if moves:
            made._xp = library.module
            for name in arrays:
                setattr(made, name, library.array(getattr(made, name)))
        with py4dstem.attach(made, constraints):
            made.reconstruct(2)
        found.append([getattr(made, name) for name in arrays])
        found[-1] = [array.get() if moves else array for array in found[-1]]
        found[-1].append(made._positions_px)
    for ours, expected in zip(*found, strict=True):
        assert isinstance(ours, np.ndarray)
        assert relative_error(ours, expected) < 1e-5
