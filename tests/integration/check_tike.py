"""tike from PyPI, which needs a GPU: its own epochs, and the same with ours between them."""

from __future__ import annotations

import importlib.metadata

import numpy as np
import pytest
import tike.ptycho
from simulate import simulate
from tike.ptycho import solvers

import arraycon
from arraycon.adapters import tike as adapter

pytestmark = pytest.mark.filterwarnings("ignore")

EPOCHS = 8
only = arraycon.Constraints


def start(**block):
    return {"start_iter": 1, **block}


@pytest.fixture
def make():
    def build(solver="rpie", modes=2, **object_options):
        data = simulate(slices=1, noise=20.0)
        slow, fast, _, n = data.patterns.shape
        grid = np.stack(np.meshgrid(np.arange(slow), np.arange(fast), indexing="ij"), -1)
        scan = (grid.reshape(-1, 2) * data.step / data.dx + 4).astype("float32")
        first = data.probe * np.sqrt(data.patterns.sum((-1, -2)).mean())
        turns = np.exp(1j * np.random.default_rng(1).uniform(0, 6, (modes - 1, n, n)))
        probe = np.concatenate([first[None], 0.1 * first * turns])[None, None]
        side = int(np.ceil(scan.max())) + n + 8
        kind = {"rpie": solvers.RpieOptions, "lstsq_grad": solvers.LstsqOptions}[solver]
        parameters = solvers.PtychoParameters(
            probe=probe.astype("complex64"),
            psi=np.ones((1, side, side), "complex64"),
            scan=scan,
            algorithm_options=kind(num_batch=4, num_iter=EPOCHS),
            probe_options=tike.ptycho.ProbeOptions(force_orthogonality=False),
            object_options=tike.ptycho.ObjectOptions(**object_options),
        )
        patterns = np.fft.ifftshift(data.patterns.reshape(-1, n, n), axes=(-2, -1))
        return patterns, parameters

    return build


def run(made, blocks=None, **lengths):
    np.random.seed(0)  # noqa: NPY002
    with tike.ptycho.Reconstruction(*made) as context:
        step = None if blocks is None else adapter.step(context, only(blocks), **lengths)
        for _ in range(EPOCHS):
            context.iterate(1)
            if step is not None:
                step()
        result = context.get_result()
        costs = [np.mean(each) for each in context.parameters.algorithm_options.costs]
    return result, costs


def overlap(result):
    rows = result.probe.reshape(result.probe.shape[-3], -1)
    gram = rows @ rows.conj().T
    return abs(gram - np.diag(np.diag(gram))).max() / abs(gram).max()


@pytest.mark.parametrize("solver", ["rpie", "lstsq_grad"])
def test_the_error_of_the_run(make, solver, record_figure):
    _, own = run(make(solver))
    blocks = {"probe_mask_r": start(radius=0.9), "ortho_pmode": start(), "obj_probe_scale": start()}
    result, ours = run(make(solver), blocks, dx=0.3, wavelength=0.041757)
    record_figure(f"{solver}: cost of the last epoch, own", own[-1])
    record_figure(f"{solver}: cost of the last epoch, ours", ours[-1])
    record_figure(f"{solver}: overlap of modes, ours", overlap(result))
    assert ours[-1] < 1.02 * own[-1]
    assert overlap(result) < 1e-5


@pytest.mark.parametrize(
    ("own", "blocks"),
    [
        ({"clip_magnitude": True}, {"obja_thresh": start(thresh=[0.0, 1.0])}),
        ({"smoothness_constraint": 0.02},
         {"obj_smooth": start(obj_type="complex", alpha=0.02)}),
    ],
)  # fmt: skip
def test_what_maps_to_what(make, own, blocks, record_figure):
    """Its own constraint, or ours in its place: the same run."""
    plain, _ = run(make(modes=1, clip_magnitude=False))
    theirs, expected = run(make(modes=1, **{"clip_magnitude": False, **own}))
    ours, costs = run(make(modes=1, clip_magnitude=False), blocks)
    effect = np.linalg.norm(theirs.psi - plain.psi)
    apart = np.linalg.norm(theirs.psi - ours.psi) / effect
    record_figure(f"{next(iter(own))}: difference to its effect", apart)
    assert apart < 1e-3
    np.testing.assert_allclose(costs, expected, rtol=1e-4)


def test_the_package_that_ran():
    assert importlib.metadata.version("tike") in adapter.TIKE.known
