"""pty-chi's adapter, against a small stand-in of the interface that it builds on.

`tests/integration` runs it inside the code itself.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from foreign import DX, THICKNESS, WAVELENGTH, complex_array, real_array
from libraries import relative_error

import arraycon
from arraycon.adapters import InterfaceError, ptychi

METRE = 1e-10
only = arraycon.Constraints


def pairs(array):
    """Complex numbers as two real ones, as pty-chi keeps them."""
    return array.view("float32").reshape(*array.shape, 2)


class Losses:
    """A column of pty-chi's table."""

    def __init__(self):
        self.values = []

    def __len__(self):
        return len(self.values)

    def __getitem__(self, name):
        assert name == "loss"
        return SimpleNamespace(iloc=self.values)


class Reconstructor:
    """pty-chi's loop: batches, hooks, the loss into the table, the epoch counted."""

    def __init__(self, probe):
        self.current_epoch = 0
        self.loss_tracker = SimpleNamespace(
            table=Losses(), epoch_loss=0.0, accumulated_num_batches=0
        )
        self.probe, self.hooks = probe, 0
        self.losses = iter([1.0, 0.5, 0.49, 0.48, 0.47])

    def run_post_epoch_hooks(self):
        self.hooks += 1

    def run(self, epochs):
        tracker = self.loss_tracker
        for _ in range(epochs):
            loss = next(self.losses)
            tracker.epoch_loss, tracker.accumulated_num_batches = 4 * loss, 4
            self.run_post_epoch_hooks()
            tracker.table.values.append(loss)
            tracker.epoch_loss, tracker.accumulated_num_batches = 0.0, 0
            self.current_epoch += 1


class Task:
    """What of a `PtychographyTask` the adapter looks at."""

    def __init__(self, torch, slices=3, modes=2, opr=1):
        self.n_ranks = 1
        self.specimen, self.waves = (
            complex_array((slices, 12, 14)),
            complex_array((opr, modes, 8, 8), seed=3),
        )
        self.object = SimpleNamespace(
            tensor=SimpleNamespace(
                data=torch.parameter(pairs(self.specimen)), shape=self.specimen.shape
            ),
            options=SimpleNamespace(
                pixel_size_aspect_ratio=1.0,
                remove_object_probe_ambiguity=SimpleNamespace(enabled=False),
            ),
            pixel_size_m=DX * METRE,
            slice_spacings=SimpleNamespace(
                tensor=torch.parameter(np.full(max(slices - 1, 1), THICKNESS * METRE)),
                optimizable=False,
            ),
        )
        self.probe = SimpleNamespace(
            tensor=SimpleNamespace(data=torch.parameter(pairs(self.waves))),
            options=SimpleNamespace(pixel_size_m=None, pixel_size_aspect_ratio=None),
            optimizer=None,
        )
        self.start = real_array((6, 2), mean=1)
        self.probe_positions = SimpleNamespace(
            tensor=torch.parameter(self.start + np.float32(0.5)),
            initial_positions=torch.tensor(self.start),
        )
        self.data_options = SimpleNamespace(wavelength_m=WAVELENGTH * METRE)
        self.reconstructor = Reconstructor(self.probe)
        self.numpy = torch.numpy

    def run(self, epochs):
        self.reconstructor.run(epochs)

    def object_now(self):
        return np.ascontiguousarray(self.numpy(self.object.tensor.data)).view("complex64")[..., 0]

    def probe_now(self):
        return np.ascontiguousarray(self.numpy(self.probe.tensor.data)).view("complex64")[..., 0]


@pytest.mark.parametrize("attached", [True, False])
@pytest.mark.parametrize("slices", [1, 3])
def test_ptychi_changes_its_tensors(torch_like, attached, slices):
    task = Task(torch_like, slices=slices)
    constraints = only(
        {
            "probe_mask_r": {"start_iter": 1, "radius": 0.5},
            "ortho_pmode": {"start_iter": 1},
            "fix_probe_int": {"start_iter": 1},
            "obja_thresh": {"start_iter": 2, "thresh": [0.5, 1.5]},
            "pos_recenter": {"start_iter": 1},
        }
    )
    if attached:
        with ptychi.attach(task, constraints) as attachment:
            task.run(1)
            assert len(attachment.reports[0]) == 4
            assert relative_error(task.object_now(), task.specimen) == 0
            task.run(1)
        assert attachment.reports[0][-2].iteration == 2
    else:
        step = ptychi.step(task, constraints)
        for epoch in (1, 2):
            task.run(1)
            assert step()[0].iteration == epoch
    assert task.reconstructor.hooks == 2
    expected = task.waves[0]
    for _ in range(2):
        expected = arraycon.probe_mask_r(expected, dx=DX, wavelength=WAVELENGTH, radius=0.5)
        expected = arraycon.ortho_pmode(expected)
        expected = arraycon.fix_probe_int(expected, intensity=np.sum(abs(task.waves[0]) ** 2))
    assert relative_error(task.probe_now()[0], expected) < 1e-5
    clipped = np.clip(abs(task.specimen), 0.5, 1.5) * np.exp(1j * np.angle(task.specimen))
    assert relative_error(task.object_now(), clipped) < 1e-6
    places = task.numpy(task.probe_positions.tensor)
    np.testing.assert_allclose((places - task.start).mean(0), 0, atol=1e-6)


def test_ptychi_lengths(torch_like):
    task = Task(torch_like)
    step = ptychi.step(task, only({"kz_filter": {"start_iter": 1}}))
    expected = {"dx": DX, "wavelength": WAVELENGTH, "slice_thickness": THICKNESS}
    assert step._lengths() == pytest.approx(expected)
    task.object.slice_spacings.optimizable = True
    task.object.slice_spacings.tensor.detach()[...] = 2 * THICKNESS * METRE
    assert step._lengths()["slice_thickness"] == pytest.approx(2 * THICKNESS)
    task.object.slice_spacings.tensor.detach()[0] = THICKNESS * METRE
    assert "slice_thickness" not in step._lengths()
    for change in (
        {"pixel_size_m": 2 * DX * METRE},
        {"pixel_size_m": None, "pixel_size_aspect_ratio": 2.0},
    ):
        vars(task.probe.options).update(change)
        assert "dx" not in step._lengths()
    task = Task(torch_like, slices=1)
    task.object.pixel_size_m = 1.0
    step = ptychi.step(task, only({"obja_thresh": {"start_iter": 1}}))
    assert step._lengths() == pytest.approx({"wavelength": WAVELENGTH})
    with pytest.raises(
        arraycon.MissingInputError, match=r"needs dx.*\npty-chi has no object tilts"
    ):
        ptychi.step(task, only({"probe_mask_r": {"start_iter": 1}}))


def test_ptychi_opr_modes(torch_like):
    task = Task(torch_like, opr=3)
    with pytest.raises(ValueError, match="ortho_pmode mixes the probe's modes, but the 2 further"):
        ptychi.step(task, only({"ortho_pmode": {"start_iter": 1}}))
    step = ptychi.step(task, only({"fix_probe_int": {"start_iter": 1}}), probe_intensity=7.0)
    task.run(1)
    step()
    assert np.sum(abs(task.probe_now()[0]) ** 2) == pytest.approx(7)
    np.testing.assert_array_equal(task.probe_now()[1:], task.waves[1:])


def test_ptychi_momentum_turns_with_the_modes(torch_like):
    task = Task(torch_like)
    velocity, direction = (complex_array((2, 8, 8), seed=seed) for seed in (5, 6))
    momentum = SimpleNamespace(
        velocity_map=None, update_direction_history=[torch_like.tensor(direction)]
    )
    task.reconstructor.probe_momentum_params = momentum
    step = ptychi.step(task, only({"ortho_pmode": {"start_iter": 1}}))
    _, rotation = arraycon.ortho_pmode(task.waves[0], return_rotation=True)
    task.run(1)
    step()
    assert momentum.velocity_map is None
    task = Task(torch_like)
    task.reconstructor.probe_momentum_params = momentum
    momentum.velocity_map = torch_like.tensor(velocity)
    step = ptychi.step(task, only({"ortho_pmode": {"start_iter": 1}}))
    task.run(1)
    step()
    found = [momentum.velocity_map, momentum.update_direction_history[0]]
    for array, before in zip(found, (velocity, direction), strict=True):
        expected = np.tensordot(rotation, before, axes=1)
        assert relative_error(torch_like.numpy(array), expected) < 1e-6


def test_ptychi_moments_turn_with_the_modes():
    torch = pytest.importorskip("torch")
    task = Task(SimpleNamespace(
        parameter=lambda array: torch.nn.Parameter(torch.tensor(array)),
        tensor=torch.tensor, numpy=lambda tensor: tensor.detach().numpy(),
    ))  # fmt: skip
    parameter = task.probe.tensor.data
    task.probe.optimizer = torch.optim.Adam([parameter])
    gradient = complex_array((1, 2, 8, 8), seed=7)
    parameter.grad = torch.tensor(pairs(gradient))
    task.probe.optimizer.step()
    task.waves = task.probe_now().copy()
    step = ptychi.step(task, only({"ortho_pmode": {"start_iter": 1}}))
    _, rotation = arraycon.ortho_pmode(task.waves[0], return_rotation=True)
    task.run(1)
    step()
    state = task.probe.optimizer.state[parameter]
    moment = state["exp_avg"].numpy().view("complex64")[..., 0]
    expected = 0.1 * np.tensordot(rotation, gradient[0], axes=1)
    assert relative_error(moment[0], expected) < 1e-5
    total = 0.001 * np.sum(abs(gradient[0]) ** 2)
    assert float(state["exp_avg_sq"].sum()) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("attached", [True, False])
def test_ptychi_hands_rules_its_loss(torch_like, attached):
    task, ran = Task(torch_like), []
    rule = {"start_iter": 1, "start_when": {"error_falls_below": 0.1, "for": 2}}
    if attached:
        with ptychi.attach(task, only({"obja_thresh": rule})) as attachment:
            for _ in range(5):
                task.run(1)
                ran += [record.iteration for record in attachment.reports[0]]
    else:
        step = ptychi.step(task, only({"obja_thresh": rule}))
        for _ in range(5):
            task.run(1)
            ran += [record.iteration for record in step()]
    assert ran == [4, 5]


def test_ptychi_says_where_two_scale_the_probe(torch_like, caplog):
    task = Task(torch_like)
    task.object.options.remove_object_probe_ambiguity.enabled = True
    with caplog.at_level(logging.WARNING, "arraycon"):
        ptychi.step(task, only({"ortho_pmode": {"start_iter": 1}}))
        assert "remove_object_probe_ambiguity" not in caplog.text
        ptychi.step(task, only({"fix_probe_int": {"start_iter": 1}}))
    assert "remove_object_probe_ambiguity scales object and probe" in caplog.text
    assert "fix_probe_int scales the probe alone" in caplog.text


def test_ptychi_is_bound_once(torch_like, bindings):
    made = Task(torch_like)
    blocks = ("probe_mask_r", "ortho_pmode", "fix_probe_int", "obja_thresh", "pos_recenter")
    step = ptychi.step(made, only({name: {"start_iter": 1} for name in blocks}))
    for _ in range(4):
        made.run(1)
        assert len(step()) == 5
    assert len(bindings) == 1


@pytest.mark.usefixtures("versions")
def test_ptychi_refuses(torch_like):
    constraints = only({"obja_thresh": {"start_iter": 1}})
    task = Task(torch_like)
    task.n_ranks = 2
    with pytest.raises(ValueError, match="expected one process, got 2"):
        ptychi.step(task, constraints)
    for name, message in (("object", "an object of pixels"), ("probe", "a probe of pixels")):
        task = Task(torch_like)
        getattr(task, name).generate = None
        with pytest.raises(ValueError, match=message):
            ptychi.attach(task, constraints)
    task = Task(torch_like)
    del task.reconstructor.loss_tracker
    message = r"pty-chi 2\.2\.0 has changed: Recon\w+ has no loss_tracker; known to work: 2\.2\.0"
    with pytest.raises(InterfaceError, match=message):
        ptychi.step(task, constraints)
