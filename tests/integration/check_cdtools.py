"""cdtools from PyPI: its own optimisers, and the same with ours in the body of their loop."""

from __future__ import annotations

import importlib.metadata

import cdtools
import numpy as np
import pytest
import torch
from cdtools.reconstructors import AdamReconstructor
from simulate import simulate

import arraycon
from arraycon.adapters import cdtools as adapter

pytestmark = pytest.mark.filterwarnings("ignore")

torch.set_num_threads(1)  # sums are then the same in each run
EPOCHS = 6
METRE = 1e-10  # of an Å
only = arraycon.Constraints


def start(**block):
    return {"start_iter": 1, **block}


@pytest.fixture(scope="module")
def experiment():
    return simulate(slices=1, noise=20.0)


@pytest.fixture
def dataset(experiment):
    slow, fast, _, n = experiment.patterns.shape
    grid = np.stack(np.meshgrid(np.arange(slow), np.arange(fast), indexing="ij"), -1)
    grid = grid.reshape(-1, 2) * experiment.step * METRE
    # its x runs along columns, and its detector is seen from behind
    places = np.stack([-grid[:, 1], -grid[:, 0], np.zeros(len(grid))], -1)
    distance = 1.0
    pixel = experiment.wavelength * distance / (n * experiment.dx)
    geometry = {
        "distance": distance,
        "basis": np.array([[0, -pixel], [-pixel, 0], [0, 0]]),
        "corner": None,
    }
    return cdtools.datasets.Ptycho2DDataset(
        places.astype("float32"),
        experiment.patterns.reshape(-1, n, n),
        wavelength=experiment.wavelength * METRE,
        detector_geometry=geometry,
    )


@pytest.fixture
def make(experiment, dataset):
    def build(modes=2, **options):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        model = cdtools.models.FancyPtycho.from_dataset(
            dataset,
            n_modes=modes,
            propagation_distance=experiment.defocus * METRE,
            obj_padding=10,
            panel_plot_mode=False,
            **options,
        )
        model.translation_offsets.data[...] = 0  # random, and of several pixels
        return model

    return build


def run(model, dataset, constraints=None, kind="Adam", lr=0.02):
    torch.manual_seed(1)
    step = None if constraints is None else adapter.step(model, constraints)
    options = {"batch_size": 16, "thread": True} if kind == "Adam" else {}
    losses = []
    for loss in getattr(model, f"{kind}_optimize")(EPOCHS, dataset, lr=lr, **options):
        losses.append(float(loss))
        if step is not None:
            step()
    return losses, step


def values(parameter):
    return parameter.detach().numpy()


def overlap(model):
    rows = values(model.probe).reshape(len(model.probe), -1)
    gram = rows @ rows.conj().T
    return abs(gram - np.diag(np.diag(gram))).max() / abs(gram).max()


@pytest.mark.parametrize("exponentiate", [False, True])
def test_nothing_due_changes_nothing(make, dataset, exponentiate):
    own, ours = (make(exponentiate_obj=exponentiate) for _ in range(2))
    expected, _ = run(own, dataset)
    found, step = run(ours, dataset, only({"objp_postiv": {"start_iter": EPOCHS + 1}}))
    assert step.iteration == EPOCHS
    assert found == expected
    np.testing.assert_array_equal(values(ours.obj), values(own.obj))


@pytest.mark.parametrize("kind", ["Adam", "LBFGS"])
@pytest.mark.parametrize("exponentiate", [False, True])
def test_the_error_of_the_run(make, dataset, kind, exponentiate, record_figure):
    own, ours = (make(exponentiate_obj=exponentiate) for _ in range(2))
    expected, _ = run(own, dataset, kind=kind)
    blocks = {"obja_thresh": start(thresh=[0.5, 1.1]), "pos_recenter": start()}
    if kind == "Adam":  # L-BFGS's curvature is that of the modes before
        blocks["ortho_pmode"] = start()
        blocks["fix_probe_int"] = start(end_iter=1)
    found, _ = run(ours, dataset, only(blocks), kind)
    name = f"{kind}{', exponentiated' * exponentiate}"
    record_figure(f"{name}: error of the last epoch, own", expected[-1])
    record_figure(f"{name}: error of the last epoch, ours", found[-1])
    record_figure(f"{name}: overlap of modes, own", overlap(own))
    record_figure(f"{name}: overlap of modes, ours", overlap(ours))
    assert found[-1] < 1.02 * expected[-1]
    transmission = values(ours.obj)
    if exponentiate:
        transmission = np.exp(1j * transmission)
    assert abs(transmission).max() < 1.1001
    assert abs(values(ours.translation_offsets).mean(0)).max() < 1e-5
    if kind == "Adam":
        assert overlap(ours) < 1e-5


def test_a_target_of_ones_own(make, dataset):
    model = make()
    step = adapter.step(model, only({"fix_probe_int": start()}), probe_intensity=100.0)
    for _ in model.Adam_optimize(2, dataset, lr=0.02, batch_size=16):
        step()
        assert np.sum(abs(values(model.probe)) ** 2) == pytest.approx(100, rel=1e-5)


def test_the_same_as_the_functions_on_its_arrays(make, dataset):
    own, ours = make(), make()
    constraints = only(
        {"probe_mask_r": start(radius=0.6), "ortho_pmode": start(), "obj_rblur": start(std=0.5)}
    )
    step = adapter.step(ours, constraints)
    for model in (own, ours):
        torch.manual_seed(1)
        for _ in model.Adam_optimize(1, dataset, lr=0.02, batch_size=16):
            if model is ours:
                step()
    probe = arraycon.probe_mask_r(values(own.probe), dx=0.3, wavelength=0.041757, radius=0.6)
    probe = arraycon.ortho_pmode(probe)
    np.testing.assert_allclose(values(ours.probe), probe, rtol=0, atol=1e-5 * abs(probe).max())
    state = arraycon.State(object=values(own.obj).copy()[None])
    only({"obj_rblur": start(std=0.5)}).apply(state, 1)
    np.testing.assert_allclose(values(ours.obj), state.object[0], rtol=0, atol=1e-6)


def test_adams_moments_turn_with_the_modes(make, dataset, record_figure):
    errors = {}
    for name in ("own", "turned", "not turned"):
        model = make(modes=3)
        reconstructor = AdamReconstructor(model, dataset)
        optimizer = reconstructor.optimizer if name == "turned" else None
        step = adapter.step(model, only({"ortho_pmode": start()}), optimizer=optimizer)
        torch.manual_seed(1)
        for loss in reconstructor.optimize(2 * EPOCHS, lr=0.02, batch_size=16):
            errors[name] = float(loss)
            if name != "own":
                step()
        record_figure(f"Adam, three modes, {name}: error of the last epoch", errors[name])
    assert errors["turned"] < 1.01 * errors["own"]


def test_rules(make, dataset):
    rule = {"error_falls_below": 0.1, "for": 1}
    model, began, losses = make(), [], []
    step = adapter.step(model, only({"obja_thresh": start(start_when=rule)}))
    for loss in model.Adam_optimize(EPOCHS, dataset, lr=0.02, batch_size=16):
        losses.append(float(loss))
        began += [record.iteration for record in step()]
    slow = [n + 1 for n in range(1, EPOCHS) if losses[n - 1] - losses[n] < 0.1 * losses[n - 1]]
    assert began == list(range(slow[0], EPOCHS + 1))


def test_what_is_refused(make, dataset):
    with pytest.raises(arraycon.MissingInputError, match="kept in Fourier space"):
        adapter.step(make(fourier_probe=True), only({"ortho_pmode": start()}))
    with pytest.raises(ValueError, match="each pattern has a matrix of weights"):
        adapter.step(make(dm_rank=2), only({"ortho_pmode": start()}))
    with pytest.raises(TypeError, match="expected a FancyPtycho, got a SimplePtycho"):
        adapter.step(
            cdtools.models.SimplePtycho.from_dataset(dataset), only({"ortho_pmode": start()})
        )


def test_the_package_that_ran():
    assert importlib.metadata.version("cdtools-py") in adapter.CDTOOLS.known
