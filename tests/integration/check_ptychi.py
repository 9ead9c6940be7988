"""pty-chi from PyPI: its own engines with their own constraints, and with ours after or instead."""

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
    from ptychi import api
    from ptychi.api.task import PtychographyTask

import arraycon
from arraycon.adapters import ptychi

pytestmark = pytest.mark.filterwarnings("ignore")

METRE = 1e-10  # of an Å
ENGINES = {
    "lsqml": api.LSQMLOptions,
    "epie": api.EPIEOptions,
    "autodiff": api.AutodiffPtychographyOptions,
}
EPOCHS = 8
only = arraycon.Constraints


def start(**block):
    return {"start_iter": 1, **block}


@pytest.fixture(scope="module")
def experiment():
    return {slices: simulate(slices=slices, noise=20.0) for slices in (1, 3)}


@pytest.fixture
def make(experiment):
    def build(kind="lsqml", slices=3, modes=2, opr=1):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        data = experiment[slices]
        rows, columns, n, _ = data.patterns.shape
        grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1)
        places = grid.reshape(-1, 2) * data.step / data.dx
        places -= places.mean(0)
        side = int(np.ceil(np.ptp(places[:, 0]))) + n + 8
        options = ENGINES[kind]()
        options.data_options.wavelength_m = data.wavelength * METRE
        specimen, probe = options.object_options, options.probe_options
        specimen.pixel_size_m = data.dx * METRE
        if slices > 1:
            specimen.slice_spacings_m = [data.slice_thickness * METRE] * (slices - 1)
        for parameter in (specimen, probe):
            parameter.optimizable = True
            parameter.step_size = 0.02 if kind == "autodiff" else 0.3
        options.reconstructor_options.num_epochs = EPOCHS
        options.reconstructor_options.batch_size = 16
        options.reconstructor_options.default_device = api.Devices.CPU
        options.reconstructor_options.random_seed = 1
        # unnormalised transforms: the patterns' sum is n² times the probe's intensity
        first = data.probe * np.sqrt(data.patterns.sum((-1, -2)).mean()) / n
        turns = np.exp(1j * np.random.default_rng(1).uniform(0, 6, (modes - 1, n, n)))
        waves = np.concatenate([first[None], 0.1 * first * turns])[None].astype("complex64")
        if opr > 1:
            further = np.random.default_rng(2).normal(size=(opr - 1, modes, n, n)) * 1e-3 * first
            waves = np.concatenate([waves, further.astype("complex64")])
        # not flat: of an object that is, LSQML makes a difference of 6·10⁻⁸ into 10⁻³ in an epoch
        phase = np.random.default_rng(3).normal(0, 0.01, (slices, side, side))
        return PtychographyTask(
            options,
            diffraction_data=data.patterns.reshape(-1, n, n),
            object_data=np.exp(1j * phase).astype("complex64"),
            probe_data=waves,
            probe_position_y_px=places[:, 0],
            probe_position_x_px=places[:, 1],
            opr_mode_weights_data=np.full((rows * columns, opr), 0.1) + np.eye(1, opr) * 0.9,
        )

    return build


def losses(task):
    return task.reconstructor.loss_tracker.table["loss"].to_numpy()


def arrays(task):
    return {name: task.get_data_to_cpu(name, as_numpy=True) for name in ("object", "probe")}


def assert_same_run(one, other, tolerance):
    for name, expected in arrays(one).items():
        error = np.linalg.norm(arrays(other)[name] - expected) / np.linalg.norm(expected)
        assert error < tolerance, name
    np.testing.assert_allclose(losses(other), losses(one), rtol=tolerance)


def overlap(modes):
    rows = modes.reshape(len(modes), -1)
    gram = rows @ rows.conj().T
    return abs(gram - np.diag(np.diag(gram))).max() / abs(gram).max()


def without_own(task):
    """Switch off what pty-chi does to object and probe by itself after an epoch."""
    task.object.options.remove_object_probe_ambiguity.enabled = False
    task.probe.options.orthogonalize_incoherent_modes.enabled = False
    return task


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("slices", [1, 3])
def test_nothing_due_changes_nothing(make, kind, slices):
    own, ours = make(kind, slices), make(kind, slices)
    own.run()
    with ptychi.attach(ours, only({"obja_thresh": {"start_iter": EPOCHS + 1}})) as attached:
        ours.run()
    assert len(attached.reports[0]) == 0
    assert "run_post_epoch_hooks" not in vars(ours.reconstructor)
    assert_same_run(own, ours, 1e-12)


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("slices", [1, 3])
def test_a_step_in_ones_own_loop_is_the_same_as_attached(make, kind, slices):
    constraints = only(
        {
            "ortho_pmode": start(step=2),
            "fix_probe_int": start(),
            "obj_rblur": start(std=0.4),
            "objp_postiv": start(relax=0.5),
            "pos_recenter": start(),
        }
    )
    attached, called = make(kind, slices), make(kind, slices)
    with ptychi.attach(attached, constraints):
        attached.run()
    step = ptychi.step(called, constraints)
    for epoch in range(1, EPOCHS + 1):
        called.run(1)
        assert {record.iteration for record in step()} == {epoch}
    assert_same_run(attached, called, 1e-12)


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("slices", [1, 3])
def test_the_error_of_the_run(make, kind, slices, record_figure):
    """Ours in place of its orthogonalisation and scaling are worth as much in the error."""
    own, ours = make(kind, slices), without_own(make(kind, slices))
    own.run()
    chosen = {"ortho_pmode": start(), "obj_probe_scale": start(region="all")}
    with ptychi.attach(ours, only(chosen)):
        ours.run()
    record_figure(f"{kind}, {slices} slices: error of the last epoch, own", losses(own)[-1])
    record_figure(f"{kind}, {slices} slices: error of the last epoch, ours", losses(ours)[-1])
    record_figure(f"{kind}, {slices} slices: overlap of modes", overlap(arrays(ours)["probe"][0]))
    assert losses(ours)[-1] < 1.005 * losses(own)[-1]
    assert overlap(arrays(ours)["probe"][0]) < 1e-5


def test_the_same_as_the_functions_on_its_arrays(make):
    own, ours = make(), make()
    target = float(np.sum(abs(arrays(own)["probe"]) ** 2))
    own.run(1)
    constraints = only(
        {
            "probe_mask_r": start(radius=0.6),
            "ortho_pmode": start(),
            "fix_probe_int": start(),
            "kz_filter": start(beta=0.5),
        }
    )
    step = ptychi.step(ours, constraints, measure=True)
    ours.run(1)
    report = step()
    assert [record.name for record in report][-1] == "kz_filter"
    assert report[-1].metrics["object_phase: relative change"] > 0
    probe, specimen = arrays(own)["probe"][0], arrays(own)["object"]
    probe = arraycon.probe_mask_r(probe, dx=0.3, wavelength=0.041757, radius=0.6)
    probe = arraycon.fix_probe_int(arraycon.ortho_pmode(probe), intensity=target)
    found = arrays(ours)["probe"][0]
    np.testing.assert_allclose(found, probe, rtol=0, atol=2e-6 * abs(probe).max())
    amplitude = arraycon.kz_filter(abs(specimen), beta=0.5, obj_type="amplitude")
    expected = amplitude * np.exp(1j * arraycon.kz_filter(np.angle(specimen), beta=0.5))
    np.testing.assert_allclose(arrays(ours)["object"], expected, rtol=0, atol=2e-6)


WEIGHT = 50.0


def limits(task, size):  # noqa: ARG001
    options = task.object.options.hard_limits_magnitude_phase
    options.enabled, options.abs_lim, options.phase_lim = True, (0.95, 1.02), (-0.05, 0.2)
    return {"obja_thresh": start(thresh=[0.95, 1.02]), "objp_thresh": start(thresh=[-0.05, 0.2])}


def first_norm(task, size):
    options = task.object.options.l1_norm_constraint
    options.enabled, options.weight = True, WEIGHT
    return {"obj_shrink": start(obj_type="complex", rule="soft", target=0, amount=WEIGHT / size)}


def second_norm(task, size):
    options = task.object.options.l2_norm_constraint
    options.enabled, options.weight = True, WEIGHT
    amount = 1 / (1 - 2 * WEIGHT / size) - 1
    return {"obj_shrink": start(obj_type="complex", rule="ridge", target=0, amount=amount)}


@pytest.mark.parametrize("kind", ["lsqml", "epie"])
@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("switch", [limits, first_norm, second_norm])
def test_what_maps_to_what(make, kind, slices, switch, record_figure):
    """Its own constraint, or ours in its place: the same run."""
    plain, own, ours = (without_own(make(kind, slices, modes=1)) for _ in range(3))
    chosen = switch(own, arrays(own)["object"].size)
    for task in (plain, own):
        task.run()
    with ptychi.attach(ours, only(chosen)):
        ours.run()
    effect = np.linalg.norm(arrays(own)["object"] - arrays(plain)["object"])
    apart = np.linalg.norm(arrays(own)["object"] - arrays(ours)["object"]) / effect
    record_figure(f"{kind}, {slices} slices, {switch.__name__}: difference to its effect", apart)
    assert apart < 1e-3
    np.testing.assert_allclose(losses(ours), losses(own), rtol=1e-5)


@pytest.mark.parametrize("kind", ENGINES)
def test_orthogonal_modes_map(make, kind, record_figure):
    own, ours = without_own(make(kind, modes=3)), without_own(make(kind, modes=3))
    own.probe.options.orthogonalize_incoherent_modes.enabled = True
    own.run()
    with ptychi.attach(ours, only({"ortho_pmode": start()})):
        ours.run()
    apart = losses(ours)[-1] / losses(own)[-1] - 1
    record_figure(f"{kind}: ortho_pmode to its own, last error", apart)
    assert abs(apart) < 1e-3


def test_momentum_goes_on_in_modes_that_turn(make, record_figure):
    runs = [make(modes=3) for _ in range(2)]
    for task in runs:
        task.reconstructor.options.momentum_acceleration_gain = 0.5
    own, ours = runs[0], without_own(runs[1])
    own.run()
    with ptychi.attach(ours, only({"ortho_pmode": start(), "obj_probe_scale": start()})):
        ours.run()
    assert ours.reconstructor.probe_momentum_params.velocity_map is not None
    record_figure("lsqml with momentum: last error, own", losses(own)[-1])
    record_figure("lsqml with momentum: last error, ours", losses(ours)[-1])
    assert losses(ours)[-1] < 1.005 * losses(own)[-1]


def test_positions_and_rules(make):
    task = make()
    rule = {"start_when": {"error_falls_below": 0.03, "for": 2}}
    with torch.no_grad():
        task.probe_positions.tensor += 0.4
    ran = []
    step = ptychi.step(task, only({"obja_thresh": start(**rule), "pos_recenter": start()}))
    for _ in range(EPOCHS):
        task.run(1)
        ran += [record.iteration for record in step() if record.name == "obja_thresh"]
    shifts = task.probe_positions.tensor.detach() - task.probe_positions.initial_positions
    assert abs(shifts.mean(0)).max() < 1e-5
    errors = losses(task)
    slow = [n + 1 for n in range(1, EPOCHS) if errors[n - 1] - errors[n] < 0.03 * errors[n - 1]]
    began = next(n for n in slow if n - 1 in slow)
    assert ran == list(range(began, EPOCHS + 1))


def test_what_is_refused(make):
    with pytest.raises(ValueError, match="ortho_pmode mixes the probe's modes"):
        ptychi.step(make(opr=2), only({"ortho_pmode": start()}))
    with ptychi.attach(task := make(opr=2), only({"fix_probe_int": start()})):
        task.run(2)
    with pytest.raises(arraycon.MissingInputError, match="no object tilts"):
        ptychi.attach(make(), only({"tilt_smooth": start()}))
    assert np.isfinite(losses(task)).all()


def test_the_package_that_ran():
    assert importlib.metadata.version("ptychi") in ptychi.PTYCHI.known
