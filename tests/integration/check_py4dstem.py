"""py4DSTEM from PyPI: its own reconstruction with its own constraints, with ours after them, and
with ours instead."""

from __future__ import annotations

import importlib.metadata
import warnings

import numpy as np
import pytest
from simulate import simulate

import arraycon
from arraycon.adapters import py4dstem

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import py4DSTEM
    from py4DSTEM.process.phase import (
        MagneticPtychography,
        MixedstateMultislicePtychography,
        MixedstatePtychography,
        MultislicePtychography,
        SingleslicePtychography,
    )

pytestmark = pytest.mark.filterwarnings("ignore")

OFF = dict.fromkeys(arraycon.ConstraintParams().blocks())
CLASSES = {
    "single": SingleslicePtychography,
    "mixed": MixedstatePtychography,
    "multislice": MultislicePtychography,
    "mixed-multislice": MixedstateMultislicePtychography,
}


def only(**blocks):
    return arraycon.Constraints({**OFF, **{n: {"start_iter": 1, **b} for n, b in blocks.items()}})


@pytest.fixture(scope="module")
def experiment():
    return simulate(noise=20.0)


@pytest.fixture(scope="module")
def datacube(experiment):
    cube = py4DSTEM.DataCube(data=experiment.patterns)
    cube.calibration.set_R_pixel_size(experiment.step)
    cube.calibration.set_R_pixel_units("A")
    cube.calibration.set_Q_pixel_size(experiment.dk * experiment.wavelength * 1e3)
    cube.calibration.set_Q_pixel_units("mrad")
    return cube


@pytest.fixture
def make(experiment, datacube):
    def build(kind="multislice", object_type="complex"):
        np.random.seed(5)  # py4DSTEM's further modes start from random numbers  # noqa: NPY002
        options = {}
        if "multislice" in kind:
            options["num_slices"] = len(experiment.potential)
            options["slice_thicknesses"] = experiment.slice_thickness
        if "mixed" in kind:
            options["num_probes"] = 3
        made = CLASSES[kind](
            energy=experiment.energy,
            datacube=datacube,
            semiangle_cutoff=experiment.semiangle,
            defocus=experiment.defocus,
            object_type=object_type,
            object_padding_px=(16, 16),
            device="cpu",
            verbose=False,
            **options,
        )
        made.preprocess(
            plot_center_of_mass=False,
            plot_rotation=False,
            plot_probe_overlaps=False,
            force_com_rotation=0,
            force_com_transpose=False,
        )
        return made

    return build


def run(made, num_iter=4, **options):
    return made.reconstruct(
        num_iter=num_iter,
        progress_bar=False,
        step_size=0.5,
        seed_random=1,
        max_batch_size=16,
        **options,
    )


def sane(made):
    assert np.isfinite(made._object).all()
    assert np.isfinite(made._probe).all()
    assert made.error_iterations[-1] < made.error_iterations[0]


def roughness(array):
    """Power of the differences between neighbouring slices, in units of the whole."""
    phase = np.angle(array) if np.iscomplexobj(array) else array
    return float(np.sum(np.diff(phase, axis=0) ** 2) / np.sum(phase**2))


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("object_type", ["complex", "potential"])
def test_nothing_on_changes_nothing(make, kind, object_type):
    own, with_ours = make(kind, object_type), make(kind, object_type)
    run(own, 2)
    with py4dstem.attach(with_ours, arraycon.Constraints(OFF)) as attached:
        run(with_ours, 2)
    assert len(attached.reports[0]) == 0
    assert "_constraints" not in vars(with_ours)
    # two runs of py4DSTEM by itself differ by as much
    for name in ("_object", "_probe", "_positions_px"):
        found, expected = getattr(with_ours, name), getattr(own, name)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * abs(expected).max())
    sane(with_ours)


@pytest.mark.parametrize("instead", [False, True], ids=["after", "instead"])
@pytest.mark.parametrize("object_type", ["complex", "potential"])
def test_depth_filter_smooths_in_depth(make, object_type, instead, record_figure):
    plain, filtered = make("multislice", object_type), make("multislice", object_type)
    run(plain)
    constraints = only(kz_filter={"beta": 1.0, "obj_type": "phase", "boundary": "mirror"})
    with py4dstem.attach(filtered, constraints, instead=instead, measure=True) as attached:
        run(filtered)
    sane(filtered)
    assert filtered._object.dtype == plain._object.dtype
    assert attached.reports[0][0].metrics["object_phase: relative change"] > 0
    before, after = roughness(plain._object), roughness(filtered._object)
    name = f"roughness in depth, {object_type}, {'instead' if instead else 'after'}"
    record_figure(f"{name}: own constraints alone", before)
    record_figure(f"{name}: with kz_filter", after)
    assert after < 0.5 * before


def test_the_same_as_the_functions_on_its_arrays(make):
    """One iteration: what the adapter does is the functions on what py4DSTEM had without it."""
    own, ours = make("mixed-multislice", "potential"), make("mixed-multislice", "potential")
    run(own, 1)
    constraints = only(
        probe_mask_r={"radius": 0.6}, ortho_pmode={}, fix_probe_int={}, objp_postiv={}
    )
    with py4dstem.attach(ours, constraints):
        run(ours, 1)
    probe = np.fft.fftshift(own._probe, axes=(-2, -1))
    dx, wavelength = own.sampling[0], py4DSTEM.process.utils.electron_wavelength_angstrom(80e3)
    probe = arraycon.probe_mask_r(probe, dx=dx, wavelength=wavelength, radius=0.6)
    probe = arraycon.ortho_pmode(probe)
    probe = arraycon.fix_probe_int(probe, intensity=np.sum(abs(own._probe_initial) ** 2))
    np.testing.assert_allclose(ours.probe_centered, probe, rtol=0, atol=1e-6 * abs(probe).max())
    np.testing.assert_allclose(ours._object, arraycon.objp_postiv(own._object), atol=1e-7)


def test_instead_leaves_out_the_own_constraints(make):
    own, ours = make("multislice"), make("multislice")
    run(own, 2, pure_phase_object=True)
    np.testing.assert_allclose(abs(own._object), 1, atol=1e-5)
    with py4dstem.attach(ours, only(obja_thresh={"thresh": [0.9, 1.1]}), instead=True):
        run(ours, 2, pure_phase_object=True)
    assert abs(ours._object).max() > 1.001
    assert abs(ours._object).max() < 1.1001


def test_mixed_states_and_intensity(make, record_figure):
    made = make("mixed")
    with py4dstem.attach(made, only(ortho_pmode={}, fix_probe_int={}), instead=True):
        run(made)
    sane(made)
    modes = made._probe.reshape(3, -1)
    gram = modes @ modes.conj().T
    powers = np.real(np.diag(gram))
    assert np.all(np.diff(powers) <= 0)
    overlap = np.abs(gram - np.diag(np.diag(gram))).max() / powers[0]
    record_figure("mixed states: largest overlap after ortho_pmode", overlap)
    assert overlap < 1e-6
    expected = np.sum(abs(made._probe_initial) ** 2)
    np.testing.assert_allclose(powers.sum(), expected, rtol=1e-6)


def test_positions(make, record_figure):
    options = {"fix_positions": False, "fix_positions_com": True}
    own, ours = make("single"), make("single")
    run(own, 4, **options)
    with py4dstem.attach(ours, only(pos_recenter={})):
        run(ours, 4, **options)
    drift = [abs((p._positions_px - p._positions_px_initial).mean(0)).max() for p in (own, ours)]
    record_figure("drift of the positions (px): own constraints alone", drift[0])
    record_figure("drift of the positions (px): with pos_recenter", drift[1])
    assert drift[0] > 1e-3
    assert drift[1] < 1e-5
    sane(ours)


def test_iterations_count_on(make):
    made = make("single")
    with py4dstem.attach(made, only(obja_thresh={"start_iter": 3})) as attached:
        run(made, 2)
        assert len(attached.reports[0]) == 0
        run(made, 1, reset=False)
        assert attached.reports[0][0].iteration == 3
        run(made, 2, reset=True)
        assert len(attached.reports[0]) == 0


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("object_type", ["complex", "potential"])
def test_a_monitor_sees_the_model_of_py4dstem(make, kind, object_type, record_figure):
    """The error of all patterns is that of py4DSTEM's own forward step on what it has stored."""
    made, monitor = make(kind, object_type), arraycon.Monitor(number=10**6)
    constraints = only(fix_probe_int={}, pos_recenter={}, obj_rblur={"obj_type": "phase"})
    with py4dstem.attach(made, constraints, monitor=monitor) as attached:
        run(made, 2)
        found = float(attached._patterns().error())
    every = np.arange(made._num_diffraction_patterns)
    places = made._positions_px[every]
    rows, columns = made._extract_vectorized_patch_indices(places)
    *_, error = made._forward(
        made._object, rows, columns, made._probe, places - np.round(places),
        made._amplitudes[every], None, None, None, False, None, None, None,
    )  # fmt: skip
    own = float(error) / np.sum(made._amplitudes.astype(float) ** 2)
    record_figure(f"{kind}, {object_type}: error, ours to py4DSTEM's own", found / own - 1)
    assert found == pytest.approx(own, rel=1e-5)
    assert [entry.iteration for entry in monitor.history] == [1, 2]
    assert monitor.history[1].effects[-1].misfit > 0
    assert monitor.history[1].taken_back > 0


def test_rules_find_their_error(make):
    made = make("single")
    rule = {"start_when": {"error_falls_below": 0.2, "for": 2}}
    with py4dstem.attach(made, only(obja_thresh=rule)) as attached:
        began = []
        for _ in range(12):
            run(made, 1, reset=False)
            began += [record.iteration for record in attached.reports[0]]
    assert 3 <= began[0] < 12
    assert began == list(range(began[0], 13))


def test_errors(make):
    with pytest.raises(TypeError, match=r"expected one of Single.*, got Magnetic"):
        py4dstem.attach(MagneticPtychography.__new__(MagneticPtychography), only())
    made = make("multislice", "potential")
    with (
        py4dstem.attach(made, only(obj_rblur={"obj_type": "amplitude"})),
        pytest.raises(arraycon.MissingInputError, match="a phase without amplitude"),
    ):
        run(made, 1)


def test_the_package_that_ran():
    assert importlib.metadata.version("py4DSTEM") in py4dstem.PY4DSTEM.known
    assert np.__version__ < "2"
