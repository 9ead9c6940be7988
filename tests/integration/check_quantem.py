"""quantem from PyPI: its own ptychography, and the same with ours between its iterations."""

from __future__ import annotations

import importlib.metadata
import warnings

import numpy as np
import pytest
from declare import declare_operators
from simulate import simulate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    declare_operators()
    import torch
    from quantem.core.datastructures import Dataset4dstem
    from quantem.core.utils.utils import electron_wavelength_angstrom
    from quantem.diffractive_imaging.dataset_models import PtychographyDatasetRaster
    from quantem.diffractive_imaging.object_models import ObjectINR
    from quantem.diffractive_imaging.ptychography_lite import PtychoLite

import arraycon
from arraycon.adapters import quantem

pytestmark = pytest.mark.filterwarnings("ignore")

torch.set_num_threads(1)  # sums are then the same in each run
ITERATIONS = 6
TYPES = ("complex", "potential", "pure_phase")
only = arraycon.Constraints


def start(**block):
    return {"start_iter": 1, **block}


@pytest.fixture(scope="module")
def experiment():
    return {slices: simulate(slices=slices, noise=20.0) for slices in (1, 3)}


@pytest.fixture
def make(experiment):
    def build(kind="complex", slices=3, modes=2):
        torch.manual_seed(0)
        data = experiment[slices]
        dataset = Dataset4dstem.from_array(
            data.patterns,
            sampling=[data.step, data.step, data.dk, data.dk],
            units=["A", "A", "A^-1", "A^-1"],
        )
        raster = PtychographyDatasetRaster.from_dataset4dstem(dataset, verbose=False)
        # of so few patterns, quantem would take noise for a rotation
        raster.preprocess(
            com_fit_function="constant",
            force_com_rotation=0,
            force_com_transpose=False,
            obj_padding_px=(8, 8),
            plot_rotation=False,
            plot_com=False,
        )
        return PtychoLite.from_dataset(
            raster,
            num_slices=slices,
            slice_thicknesses=data.slice_thickness if slices > 1 else None,
            obj_type=kind,
            num_probes=modes,
            energy=data.energy,
            defocus=data.defocus,
            semiangle_cutoff=data.semiangle,
            obj_padding_px=(8, 8),
            verbose=False,
            rng=1,
        )

    return build


def run(made, iterations=ITERATIONS, **options):
    return made.reconstruct(
        num_iters=iterations, batch_size=16, lr_obj=2e-2, verbose=False, **options
    )


def in_steps(made, step, iterations=ITERATIONS, **options):
    for _ in range(iterations):
        run(made, 1, **options)
        step()


def plain_steps(made, own=None, step=None, iterations=ITERATIONS):
    """Gradient descent on all patterns at once: one update in an iteration."""
    super_ = super(PtychoLite, made)
    for iteration in range(iterations):
        super_.reconstruct(
            num_iters=1,
            batch_size=64,
            optimizer_params=None if iteration else {
                "object": {"name": "sgd", "lr": 1.0}, "probe": {"name": "sgd", "lr": 1e-2}
            },
            constraints=own,
        )  # fmt: skip
        if step is not None:
            step()
    return made


def arrays(made):
    return {
        "object": made.obj_model.params[0].detach().numpy().copy(),
        "probe": made.probe_model.params[-1].detach().numpy().copy(),
    }


def assert_same(one, other, tolerance):
    for name, expected in arrays(one).items():
        found = arrays(other)[name]
        assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected), name


def overlap(made):
    rows = arrays(made)["probe"].reshape(made.probe_model.num_probes, -1)
    gram = rows @ rows.conj().T
    return abs(gram - np.diag(np.diag(gram))).max() / abs(gram).max()


@pytest.mark.parametrize(("kind", "slices"), [("complex", 1), ("potential", 3), ("pure_phase", 3)])
def test_nothing_due_changes_nothing(make, kind, slices):
    own, ours = make(kind, slices), make(kind, slices)
    run(own)
    with quantem.attach(ours, only({"objp_thresh": {"start_iter": ITERATIONS + 1}})) as attached:
        run(ours)
    assert len(attached.reports[0]) == 0
    assert "step_schedulers" not in vars(ours)
    assert_same(own, ours, 0)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("slices", [1, 3])
def test_attached_and_the_error_of_the_run(make, kind, slices, record_figure):
    own, ours = make(kind, slices), make(kind, slices)
    run(own)
    constraints = only(
        {
            "ortho_pmode": start(),
            "fix_probe_int": start(),
            "probe_mask_k": start(radius=0.5),
            "obj_rblur": start(std=0.3, obj_type="phase"),
            "pos_recenter": start(),
        }
    )
    target = float(np.sum(abs(ours.probe_model.initial_probe.numpy()) ** 2))
    with quantem.attach(ours, constraints) as attached:
        run(ours)
    assert [record.iteration for record in attached.reports[0]] == [ITERATIONS] * 5
    name = f"{kind}, {slices} slices"
    record_figure(f"{name}: error of the last iteration, own", own.iter_losses[-1])
    record_figure(f"{name}: error of the last iteration, ours", ours.iter_losses[-1])
    record_figure(f"{name}: overlap of modes, own", overlap(own))
    record_figure(f"{name}: overlap of modes, ours", overlap(ours))
    assert ours.iter_losses[-1] < 1.02 * own.iter_losses[-1]
    assert overlap(ours) < 1e-5
    assert np.sum(abs(arrays(ours)["probe"]) ** 2) == pytest.approx(target, rel=1e-5)


def test_a_step_in_ones_own_loop_is_the_same_as_attached(make):
    constraints = only({"ortho_pmode": start(), "objp_thresh": start(thresh=[-0.1, 0.1])})
    attached, called = make(), make()
    step = quantem.step(called, constraints)
    in_steps(called, step)
    with quantem.attach(attached, constraints):
        for _ in range(ITERATIONS):
            run(attached, 1)
    assert_same(attached, called, 1e-12)
    assert step.iteration == ITERATIONS


def test_the_same_as_the_functions_on_its_arrays(make):
    own, ours = make("potential"), make("potential")
    run(own, 1)
    step = quantem.step(ours, only({
        "probe_mask_r": start(radius=0.6), "objp_postiv": start(),
        "kz_filter": start(beta=0.5, obj_type="phase"),
    }))  # fmt: skip
    in_steps(ours, step, 1)
    found, expected = arrays(ours), arrays(own)
    dx = float(own.obj_model.sampling[0])
    probe = np.fft.fftshift(expected["probe"], axes=(-2, -1))
    wavelength = float(electron_wavelength_angstrom(80e3))
    probe = arraycon.probe_mask_r(probe, dx=dx, wavelength=wavelength, radius=0.6)
    probe = np.fft.ifftshift(probe, axes=(-2, -1))
    np.testing.assert_allclose(found["probe"], probe, rtol=0, atol=2e-6 * abs(probe).max())
    phase = arraycon.objp_postiv(arraycon.kz_filter(expected["object"], beta=0.5))
    np.testing.assert_allclose(found["object"], phase, rtol=0, atol=2e-6 * abs(phase).max())


MAPS = {
    "identical slices": (
        "pure_phase", {"identical_slices": True}, {"identical_slices": start(obj_type="phase")}
    ),
    "background of each slice": (
        "potential",
        {"positivity": True, "positivity_mode": "shrink", "fix_potential_baseline_factor": 0.5},
        {
            "obj_baseline": start(region="outside", threshold=0.5, factor=0.5),
            "objp_postiv": start(),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_what_maps_to_what(make, name, record_figure):
    """Its own constraint, or ours in its place: what it shows is the same run."""
    kind, own_block, blocks = MAPS[name]
    off = {"positivity": False}
    plain = plain_steps(make(kind), {"object": off})
    own = plain_steps(make(kind), {"object": {**off, **own_block}})
    ours = make(kind)
    plain_steps(ours, {"object": off}, quantem.step(ours, only(blocks)))
    shown = [each.obj_model.obj.detach().numpy() for each in (plain, own, ours)]
    effect = np.linalg.norm(shown[1] - shown[0])
    apart = np.linalg.norm(shown[2] - shown[1]) / effect
    record_figure(f"{name}: difference to its effect", apart)
    assert apart < 1e-3
    assert ours.iter_losses[-1] == pytest.approx(own.iter_losses[-1], rel=1e-4)


def test_adams_moments_turn_with_the_modes(make, record_figure):
    own, ours = make(modes=3), make(modes=3)
    run(own)
    with quantem.attach(ours, only({"ortho_pmode": start()})):
        run(ours)
    record_figure("three modes, Adam: error of the last iteration, own", own.iter_losses[-1])
    record_figure("three modes, Adam: error, with ortho_pmode", ours.iter_losses[-1])
    assert ours.iter_losses[-1] < 1.01 * own.iter_losses[-1]


def test_rules_and_resets(make):
    made, began = make(), []
    rule = {"start_when": {"error_falls_below": 0.1, "for": 1}}
    step = quantem.step(made, only({"objp_thresh": start(**rule)}))
    for _ in range(ITERATIONS):
        run(made, 1)
        began += [record.iteration for record in step()]
    losses = made.iter_losses
    slow = [n + 1 for n in range(1, ITERATIONS) if losses[n - 1] - losses[n] < 0.1 * losses[n - 1]]
    assert began == list(range(slow[0], ITERATIONS + 1))
    run(made, 1, reset=True)
    assert len(step()) == 0
    assert step.iteration == 1


def test_what_is_refused(make):
    made = make("potential")
    with pytest.raises(arraycon.MissingInputError, match="phases without amplitude"):
        quantem.step(made, only({"obja_thresh": start()}))
    with pytest.raises(arraycon.MissingInputError, match="no object tilts"):
        quantem.attach(make(), only({"tilt_smooth": start()}))
    made.obj_model = ObjectINR.from_uniform(num_slices=3, slice_thicknesses=10.0)
    with pytest.raises(ValueError, match="got ObjectINR, which is generated anew"):
        quantem.step(made, only({"objp_postiv": start()}))


def test_the_package_that_ran():
    assert importlib.metadata.version("quantem") in quantem.QUANTEM.known
