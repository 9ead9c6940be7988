"""quantem's adapter, against a small stand-in of the interface that it builds on.

`tests/integration` runs it inside the code itself.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from foreign import DX, THICKNESS, complex_array, real_array
from libraries import aligned, relative_error

import arraycon
from arraycon.adapters import InterfaceError, _moments, quantem

WAVELENGTH = 0.01968749  # Å, of electrons of 300 keV
only = arraycon.Constraints


class Array(np.ndarray):
    """One that is asked as a tensor is."""

    def to(self, device):
        assert device == "cpu"
        return self.view(np.ndarray)


class ObjectPixelated:
    def __init__(self, torch, kind, slices, masked):
        shape = (slices, 12, 14)
        made = complex_array(shape) if kind == "complex" else real_array(shape)
        self.params = [torch.parameter(made)]
        self.sampling = (DX, DX)
        self.slice_thicknesses = np.full(slices, THICKNESS) if slices > 1 else None
        mask = np.zeros(shape if masked else 0, made.dtype)
        mask[..., 4:8] = 1
        self.mask = torch.tensor(mask)


class ProbePixelated:
    def __init__(self, torch, modes):
        self.initial_probe = torch.tensor(complex_array((modes, 8, 8), seed=4))
        tilt = torch.parameter(np.zeros(2, "float32"))
        self.params = [tilt, torch.parameter(complex_array((modes, 8, 8), seed=3))]
        self.probe_params = {"energy": 300e3}


class ProbeParametric:
    def __init__(self):
        self.params, self.probe_params = [], {"energy": 300e3}


class Ptychography:
    """quantem's loop: an update, the loss recorded, the schedulers' step."""

    device = "cpu"

    def __init__(self, torch, kind="complex", slices=3, modes=2, masked=False):
        self.obj_model = ObjectPixelated(torch, kind, slices, masked)
        self.probe_model = ProbePixelated(torch, modes)
        start = real_array((6, 2), mean=5)
        self.dset = SimpleNamespace(
            scan_positions_px=torch.parameter(start + np.float32(0.5)),
            initial_scan_positions_px=_tensor(torch, start),
        )
        self.iter_losses, self.optimizers, self.steps = [], {}, []
        self.losses, self.torch = iter([1.0, 0.5, 0.49, 0.48, 0.47]), torch

    @property
    def num_iters(self):
        return len(self.iter_losses)

    def step_schedulers(self, loss=None):
        self.steps.append(loss)

    def reconstruct(self, num_iters):
        for _ in range(num_iters):
            self.iter_losses.append(next(self.losses))
            self.step_schedulers(self.iter_losses[-1])

    def now(self):
        return [
            self.torch.numpy(each.params[-1]).copy() for each in (self.obj_model, self.probe_model)
        ]


def _tensor(torch, array):
    made = torch.tensor(array)
    return made.view(Array) if isinstance(made, np.ndarray) else made


@pytest.mark.parametrize("attached", [True, False])
@pytest.mark.parametrize("kind", ["complex", "potential"])
def test_quantem_changes_its_parameters(torch_like, attached, kind):
    made = Ptychography(torch_like, kind)
    specimen, waves = made.now()
    constraints = only(
        {
            "probe_mask_r": {"start_iter": 2, "radius": 0.5},
            "ortho_pmode": {"start_iter": 1},
            "fix_probe_int": {"start_iter": 1},
            "objp_thresh": {"start_iter": 2, "thresh": [-0.05, 0.05]},
            "pos_recenter": {"start_iter": 1},
        }
    )
    if attached:
        with quantem.attach(made, constraints) as attachment:
            made.reconstruct(2)
        assert [record.iteration for record in attachment.reports[0]] == [2] * 5
        assert "step_schedulers" not in vars(made)
    else:
        step = quantem.step(made, constraints)
        for _ in range(2):
            made.reconstruct(1)
            step()
        assert step.iteration == 2
    assert made.steps == [1.0, 0.5]
    power = np.sum(abs(torch_like.numpy(made.probe_model.initial_probe)) ** 2)
    expected = arraycon.fix_probe_int(arraycon.ortho_pmode(waves), intensity=power)
    expected = np.fft.fftshift(expected, axes=(-2, -1))
    expected = arraycon.probe_mask_r(expected, dx=DX, wavelength=WAVELENGTH, radius=0.5)
    expected = arraycon.fix_probe_int(arraycon.ortho_pmode(expected), intensity=power)
    expected = np.fft.ifftshift(expected, axes=(-2, -1))
    found, probe = made.now()
    assert relative_error(aligned(probe, expected), expected) < 1e-5
    if kind == "complex":
        middle = np.angle(np.mean(specimen, axis=(-2, -1), keepdims=True))
        assert abs(np.angle(found * np.exp(-1j * middle))).max() <= np.pi
        assert np.ptp(np.angle(found)) < 0.1001
    else:
        np.testing.assert_allclose(found, np.clip(specimen, -0.05, 0.05), atol=1e-7)
    places = torch_like.numpy(made.dset.scan_positions_px)
    start = torch_like.numpy(made.dset.initial_scan_positions_px)
    np.testing.assert_allclose((places - start).mean(0), 0, atol=1e-6)


def test_quantem_shifts_only_where_it_makes_a_difference(torch_like, monkeypatch):
    made = Ptychography(torch_like)
    step = quantem.step(made, only({"fix_probe_int": {"start_iter": 1}}), probe_intensity=7.0)
    monkeypatch.setattr(np.fft, "fftshift", None)
    made.reconstruct(1)
    step()
    assert step._centring._memory is None
    assert np.sum(abs(made.now()[1]) ** 2) == pytest.approx(7, rel=1e-6)


def test_quantem_lengths_and_field_of_view(torch_like):
    made = Ptychography(torch_like, "potential", masked=True)
    block = {"start_iter": 1, "region": "outside", "threshold": 0.5}
    step = quantem.step(made, only({"obj_baseline": block}))
    expected = {"dx": DX, "wavelength": WAVELENGTH, "slice_thickness": THICKNESS}
    assert step._lengths() == pytest.approx(expected)
    before = made.now()[0]
    made.reconstruct(1)
    step()
    dark = np.ones(before.shape[-2:], bool)
    dark[:, 4:8] = False
    level = before[:, dark].mean(-1)[:, None, None]
    np.testing.assert_allclose(made.now()[0], before - level, atol=1e-6)
    made = Ptychography(torch_like, slices=1)
    made.probe_model.probe_params = {}
    step = quantem.step(made, only({"obj_rblur": {"start_iter": 1}}))
    assert step._lengths() == pytest.approx({"dx": DX})
    with pytest.raises(
        arraycon.MissingInputError, match=r"illumination.*\nquantem has no object t"
    ):
        quantem.step(made, only({"obj_baseline": block}))


def test_quantem_moments_turn_with_the_modes(torch_like, monkeypatch):
    made, turned = Ptychography(torch_like), []
    monkeypatch.setattr(_moments, "turn", lambda *given: turned.append(given))
    step = quantem.step(made, only({"ortho_pmode": {"start_iter": 1}}))
    made.reconstruct(1)
    step()
    assert turned == []
    made.optimizers["probe"] = "Adam"
    made.reconstruct(1)
    step()
    ((optimizer, parameter, rotation),) = turned
    assert optimizer == "Adam"
    assert parameter is made.probe_model.params[-1]
    np.testing.assert_allclose(abs(np.asarray(rotation)), np.eye(2), atol=1e-5)


@pytest.mark.parametrize("attached", [True, False])
def test_quantem_hands_rules_its_loss(torch_like, attached):
    made, ran = Ptychography(torch_like), []
    rule = {"start_iter": 1, "start_when": {"error_falls_below": 0.1, "for": 2}}
    work = (quantem.attach if attached else quantem.step)(made, only({"obja_thresh": rule}))
    for _ in range(5):
        made.reconstruct(1)
        if not attached:
            work()
        ran += [record.iteration for record in work.reports[0]]
    assert ran == [4, 5]


def test_quantem_is_bound_once(torch_like, bindings):
    made = Ptychography(torch_like)
    blocks = ("probe_mask_r", "ortho_pmode", "fix_probe_int", "obja_thresh", "pos_recenter")
    step = quantem.step(made, only({name: {"start_iter": 1} for name in blocks}))
    for _ in range(4):
        made.reconstruct(1)
        assert len(step()) == 5
    assert len(bindings) == 1


@pytest.mark.usefixtures("versions")
def test_quantem_refuses(torch_like):
    constraints = only({"objp_thresh": {"start_iter": 1}})
    made = Ptychography(torch_like, "potential")
    message = "has no object tilts.*phases without amplitude"
    with pytest.raises(arraycon.MissingInputError, match=message):
        quantem.step(made, only({"obja_thresh": {"start_iter": 1}}))
    made.probe_model = ProbeParametric()
    made.reconstruct(1)
    quantem.step(made, constraints)()
    with pytest.raises(arraycon.MissingInputError, match="this probe is no array"):
        quantem.step(made, only({"ortho_pmode": {"start_iter": 1}}))
    made.device = [0, 1]
    with pytest.raises(ValueError, match=r"expected one device, got \[0, 1\]"):
        quantem.attach(made, constraints)
    made.obj_model = SimpleNamespace()
    with pytest.raises(
        ValueError, match="ObjectPixelated, got SimpleNamespace, which is generated"
    ):
        quantem.step(made, constraints)
    made = Ptychography(torch_like)
    del made.dset.initial_scan_positions_px
    message = r"quantem 0\.1\.10 has changed: Simple\w+ has no initial_scan_positions_px; known"
    with pytest.raises(InterfaceError, match=message):
        quantem.step(made, constraints)
