"""py4DSTEM from PyPI: its own reconstruction with its own constraints, with ours after them, and
with ours instead."""

from __future__ import annotations

import functools
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
        OptimizationParameter,
        PtychographyOptimizer,
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


def only(order=None, **blocks):
    given = {**OFF, **{n: {"start_iter": 1, **b} for n, b in blocks.items()}}
    return arraycon.Constraints(given, order=order)


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
    probe = arraycon.fix_probe_int(probe, intensity=np.sum(abs(own._probe_initial[0]) ** 2))
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
    expected = np.sum(abs(made._probe_initial[0]) ** 2)
    np.testing.assert_allclose(powers.sum(), expected, rtol=1e-6)
    pixels = made._probe[0].size
    np.testing.assert_allclose(expected, made._mean_diffraction_intensity / pixels, rtol=1e-5)


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
        found = float(attached._step._patterns().error())
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
    with pytest.raises(arraycon.MissingInputError, match="a phase without amplitude"):
        py4dstem.attach(made, only(obj_rblur={"obj_type": "amplitude"}))
    run(made, 1)


# which leave as much of the data as py4DSTEM's own, masks before rotations among them
HARMLESS = {
    "fix_probe_int": ({"fix_probe_int": {}}, {}),
    "ortho_pmode": ({"ortho_pmode": {}}, {}),
    "probe_mask_k, ortho_pmode, fix_probe_int": (
        {
            "probe_mask_k": {"radius": 0.6, "power_thresh": 1.0},
            "ortho_pmode": {},
            "fix_probe_int": {},
        },
        {},
    ),
    "probe_mask_r, ortho_pmode, fix_probe_int": (
        {"probe_mask_r": {"radius": 0.9}, "ortho_pmode": {}, "fix_probe_int": {}},
        {},
    ),
    "pos_recenter": ({"pos_recenter": {}}, {"fix_positions": False}),
}


@pytest.mark.parametrize("instead", [False, True], ids=["after", "instead"])
@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("object_type", ["complex", "potential"])
def test_the_error_of_the_run(make, kind, object_type, instead, record_figure):
    own = make(kind, object_type)
    run(own, 8)
    for name, (blocks, options) in HARMLESS.items():
        ours = make(kind, object_type)
        with py4dstem.attach(ours, only(**blocks), instead=instead):
            run(ours, 8, **options)
        ratio = ours.error_iterations[-1] / own.error_iterations[-1]
        place = "instead" if instead else "after"
        record_figure(f"error of the run, {kind}, {object_type}, {name} {place}", ratio)
        assert ratio < 1.06


@pytest.mark.parametrize("kind", ["mixed", "mixed-multislice"])
@pytest.mark.parametrize("object_type", ["complex", "potential"])
def test_projection_schemes_do_not_see_which_modes_are_told(make, kind, object_type, record_figure):
    """Modes are a choice of coordinates: with the exit waves turned, the run is the same."""
    runs = [make(kind, object_type) for _ in range(2)]
    for made, blocks in zip(runs, ({}, {"ortho_pmode": {}}), strict=True):
        with py4dstem.attach(made, only(**blocks), instead=True):
            made.reconstruct(
                num_iter=6, progress_bar=False, reconstruction_method="RAAR",
                reconstruction_parameter=0.5,
            )  # fmt: skip
    away = abs(runs[1]._object - runs[0]._object).max() / abs(runs[0]._object).max()
    record_figure(f"RAAR, {kind}, {object_type}: object with ortho_pmode", away)
    assert away < 1e-3
    np.testing.assert_allclose(*(made.error_iterations for made in runs), rtol=1e-3)


def test_a_step_in_a_loop_of_ones_own(make):
    blocks = {"probe_mask_r": {"radius": 0.8}, "ortho_pmode": {}, "fix_probe_int": {},
              "obj_rblur": {"start_iter": 2, "obj_type": "phase"}}  # fmt: skip
    attached, stepped = (make("mixed-multislice", "potential") for _ in range(2))
    with py4dstem.attach(attached, only(**blocks)):
        for iteration in range(3):
            run(attached, 1, reset=iteration == 0)
    step = py4dstem.step(stepped, only(**blocks))
    for iteration in range(3):
        run(stepped, 1, reset=iteration == 0)
        step()
    np.testing.assert_array_equal(stepped._object, attached._object)
    np.testing.assert_array_equal(stepped._probe, attached._probe)
    np.testing.assert_array_equal(stepped.probe, stepped.probe_centered)


def test_reconstructions_that_the_optimizer_makes(experiment, datacube):
    """It takes a class, and parameters to be varied; ours bound the amplitude in all of them."""
    seen = []
    limits = only(obja_thresh={"thresh": [0.97, 0.98]})
    PtychographyOptimizer(
        py4dstem.attach_class(SingleslicePtychography, limits),
        init_args={
            "energy": experiment.energy,
            "datacube": datacube,
            "semiangle_cutoff": experiment.semiangle,
            "defocus": OptimizationParameter(experiment.defocus, 60, 100),
            "object_padding_px": (16, 16),
            "device": "cpu",
        },
        preprocess_args={"force_com_rotation": 0, "force_com_transpose": False},
        reconstruction_args={"num_iter": 2},
    ).grid_search(
        n_points=2,
        error_metric=lambda ptycho: seen.append(abs(ptycho._object)) or 0.0,
        plot_reconstructed_objects=False,
    )
    assert len(seen) == 2
    assert all(0.969 < amplitude.min() < amplitude.max() < 0.981 for amplitude in seen)


# py4DSTEM's own object constraints where they are right, and ours that do the same (SPEC2, "Maps").
# Its gaussian ends at 4 standard deviations; its total variation stops early by default.
FILTERED = {"gaussian_filter_sigma": 0.5}
BAND = {"q_lowpass": 0.9, "q_highpass": 0.02, "butterworth_order": 3}
OURS = {"q_lowpass": 0.9, "q_highpass": 0.02, "order": 3.0}
OUTSIDE = {"region": "outside", "threshold": 0.25, "scope": "global"}
MAPS = {
    "gaussian": ("potential", FILTERED, {"obj_gaussian": {"sigma": 0.5, "obj_type": "phase"}}),
    "gaussian of a complex object": (
        "complex", FILTERED, {"obj_gaussian": {"sigma": 0.5, "obj_type": "complex"}}
    ),
    "gaussian of a pure phase object": (
        "complex",
        {**FILTERED, "pure_phase_object": True},
        {
            "obj_gaussian": {"sigma": 0.5, "obj_type": "phase"},
            "obj_fill": {"region": "all", "obj_type": "amplitude"},
        },
    ),
    "butterworth": ("potential", BAND, {"obj_bandpass": {**OURS, "obj_type": "phase"}}),
    "butterworth of a complex object": (
        "complex", BAND, {"obj_bandpass": {**OURS, "obj_type": "complex"}}
    ),
    "identical slices": (
        "potential", {"identical_slices": True}, {"identical_slices": {"obj_type": "phase"}}
    ),
    "total variation": (
        "potential",
        {"tv_denoise_weight_chambolle": 0.02, "tv_denoise_pad_chambolle": None},
        {
            "obj_tv": {
                "weight": 0.02, "axes_weight": [1.0, 0.0, 0.0], "solver": "chambolle", "n_iter": 50
            }
        },
    ),
    "shrinkage": (
        "potential", {"shrinkage_rad": 0.01}, {"obj_shrink": {"amount": 0.01, "rule": "positive"}}
    ),
    "baseline": ("potential", {"fix_potential_baseline": True}, {"obj_baseline": OUTSIDE}),
}  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_the_own_constraint_off_and_ours_on(make, name, record_figure):
    object_type, options, blocks = MAPS[name]
    # a thick object's gaussian goes across slices, by the lateral width in pixels
    kind = "single" if name.startswith("gaussian") else "multislice"
    last = "objp_postiv" if object_type == "potential" else "obja_thresh"
    blocks = {**blocks, last: {} if last == "objp_postiv" else {"thresh": [0.0, 1.0]}}
    plain = {"fix_probe_com": False, "fix_potential_baseline": False}
    own, ours, none = (make(kind, object_type) for _ in range(3))
    if name == "total variation":
        # it divides by the sum afterwards, which is that of rounding errors at first
        for made in (own, ours, none):
            made._object += 0.5
        own._object_denoise_tv_chambolle = functools.partial(
            own._object_denoise_tv_chambolle, eps=0, max_num_iter=51
        )
    run(own, 4, **{**plain, **options})
    run(none, 4, **plain)
    with py4dstem.attach(ours, only(order=list(blocks), **blocks), instead=True):
        run(ours, 4, **plain)
    norm = np.linalg.norm(own._object - own._object.mean())
    found = np.linalg.norm(ours._object - own._object) / norm
    effect = np.linalg.norm(none._object - own._object) / norm
    record_figure(f"{name}: object with ours instead of the own one", found)
    record_figure(f"{name}: what the own one does", effect)
    np.testing.assert_allclose(ours.error_iterations, own.error_iterations, rtol=1e-4)
    assert found < 1e-3
    assert effect > 30 * found


def test_the_package_that_ran():
    assert importlib.metadata.version("py4DSTEM") in py4dstem.PY4DSTEM.known
    assert np.__version__ < "2"
