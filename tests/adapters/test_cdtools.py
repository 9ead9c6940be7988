"""cdtools' adapter, against a small stand-in of the interface that it builds on.

`tests/integration` runs it inside the code itself.
"""

from __future__ import annotations

import numpy as np
import pytest
from foreign import DX, WAVELENGTH, complex_array, real_array
from libraries import relative_error

import arraycon
from arraycon.adapters import InterfaceError, _moments, cdtools

METRE = 1e-10
only = arraycon.Constraints


class FancyPtycho:
    """What the adapter looks at of cdtools' model, and its generator of losses."""

    def __init__(self, torch, *, exponentiate=False, modes=None, **changes):
        shape = (12, 14) if modes is None else (modes, 12, 14)
        self.start = complex_array(shape)
        if exponentiate:
            self.start = 0.3 * self.start + np.complex64(5)  # phases beyond π
        self.obj = torch.parameter(self.start)
        self.waves = complex_array((2, 8, 8), seed=3)
        self.probe = torch.parameter(self.waves)
        basis = torch.parameter(np.array([[0, -DX], [-DX, 0], [0, 0]]) * METRE)
        self.obj_basis = self.probe_basis = basis
        self.wavelength = torch.tensor(np.float64(WAVELENGTH * METRE))
        self.offsets = real_array((6, 2), mean=1)
        self.translation_offsets = torch.parameter(self.offsets)
        self.translation_scale = torch.tensor(np.float64(4.0))
        self.weights = None
        self.fourier_probe = self.phase_only = torch.tensor(np.array(False))
        self.exponentiate_obj = torch.tensor(np.array(exponentiate))
        self.epoch, self.loss_history = 0, []
        self.torch = torch
        vars(self).update(changes)

    def optimize(self, iterations):
        for loss in [1.0, 0.5, 0.49, 0.48, 0.47][:iterations]:
            self.epoch += 1
            self.loss_history.append(loss)
            yield loss

    def now(self, name="obj"):
        return self.torch.numpy(getattr(self, name))


def once(model, constraints, **options):
    step = cdtools.step(model, constraints, **options)
    for _ in model.optimize(1):
        step()
    return step


@pytest.mark.parametrize("modes", [None, 3])
def test_cdtools_changes_its_parameters(torch_like, modes):
    model = FancyPtycho(torch_like, modes=modes)
    constraints = only(
        {
            "probe_mask_r": {"start_iter": 1, "radius": 0.5},
            "ortho_pmode": {"start_iter": 1},
            "fix_probe_int": {"start_iter": 1},
            "obja_thresh": {"start_iter": 2, "thresh": [0.5, 1.5]},
            "pos_recenter": {"start_iter": 1},
        }
    )
    step = cdtools.step(model, constraints)
    for epoch, _ in enumerate(model.optimize(2), start=1):
        assert {record.iteration for record in step()} == {epoch}
        if epoch == 1:
            assert relative_error(model.now(), model.start) == 0
            probe = model.now("probe").copy()
    expected = arraycon.probe_mask_r(model.waves, dx=DX, wavelength=WAVELENGTH, radius=0.5)
    expected = arraycon.ortho_pmode(expected)
    expected = arraycon.fix_probe_int(expected, intensity=np.sum(abs(model.waves) ** 2))
    assert relative_error(probe, expected) < 1e-5
    clipped = np.clip(abs(model.start), 0.5, 1.5) * np.exp(1j * np.angle(model.start))
    assert relative_error(model.now(), clipped) < 1e-6
    np.testing.assert_allclose(model.now("translation_offsets").mean(0), 0, atol=1e-6)


def test_cdtools_offsets_are_scaled(torch_like):
    model, seen = FancyPtycho(torch_like), []

    class Look(arraycon.Block):
        pass

    @arraycon.register("look", model=Look, needs=["position_shifts"])
    def look(inputs, params):  # noqa: ARG001
        seen.append(np.array(inputs["position_shifts"]))
        return {}

    try:
        once(model, only({"look": {"start_iter": 1}}))
    finally:
        arraycon.unregister("look")
    np.testing.assert_allclose(seen[0], 4 * model.offsets, rtol=1e-6)
    np.testing.assert_array_equal(model.now("translation_offsets"), model.offsets)


def test_cdtools_objects_in_the_exponent(torch_like):
    model = FancyPtycho(torch_like, exponentiate=True)
    amplitude, phase = np.exp(-model.start.imag), model.start.real
    blocks = {"obja_thresh": {"start_iter": 1, "thresh": [0.9, 1.1]},
              "objp_thresh": {"start_iter": 2, "thresh": [0, 3]}}  # fmt: skip
    step = cdtools.step(model, only(blocks))
    generator = model.optimize(2)
    next(generator)
    step()
    expected = phase - 1j * np.log(np.clip(amplitude, 0.9, 1.1))
    np.testing.assert_allclose(model.now(), expected, atol=1e-6)
    next(generator)
    step()
    np.testing.assert_allclose(model.now(), np.clip(phase, 0, 3) + 1j * expected.imag, atol=1e-6)


def test_cdtools_an_opaque_pixel_has_a_logarithm(torch_like):
    model = FancyPtycho(torch_like, exponentiate=True)
    once(model, only({"obja_thresh": {"start_iter": 1, "thresh": [0, 1e-60]}}))
    assert np.isfinite(model.now()).all()
    assert np.exp(-model.now().imag).max() < 1e-37


def test_cdtools_objects_without_amplitude(torch_like):
    model = FancyPtycho(torch_like, exponentiate=True)
    model.phase_only = torch_like.tensor(np.array(True))
    once(model, only({"objp_thresh": {"start_iter": 1, "thresh": [0, 3]}}))
    np.testing.assert_array_equal(model.now().imag, model.start.imag)
    assert model.now().real.max() <= 3
    with pytest.raises(arraycon.MissingInputError, match="this object no amplitude"):
        cdtools.step(model, only({"obja_thresh": {"start_iter": 1}}))


@pytest.mark.parametrize("given", [True, False])
def test_cdtools_moments_turn_where_the_optimiser_is_known(torch_like, monkeypatch, given):
    model, turned = FancyPtycho(torch_like, modes=3), []
    monkeypatch.setattr(_moments, "turn", lambda *what: turned.append(what[:2]))
    blocks = {"ortho_pmode": {"start_iter": 1}, "ortho_omode": {"start_iter": 1}}
    once(model, only(blocks), optimizer="Adam" if given else None)
    assert [name for name, _ in turned] == ["Adam", "Adam"] * given
    if given:
        assert turned[0][1] is model.probe
        assert turned[1][1] is model.obj


def test_cdtools_hands_rules_its_loss(torch_like):
    model = FancyPtycho(torch_like)
    rule = {"start_iter": 1, "start_when": {"error_falls_below": 0.1, "for": 2}}
    step = cdtools.step(model, only({"obja_thresh": rule}))
    ran = [record.iteration for _ in model.optimize(5) for record in step()]
    assert ran == [4, 5]


@pytest.mark.parametrize("exponentiate", [False, True])
def test_cdtools_is_bound_once(torch_like, bindings, exponentiate):
    model = FancyPtycho(torch_like, exponentiate=exponentiate)
    blocks = ("probe_mask_r", "ortho_pmode", "fix_probe_int", "obja_thresh", "pos_recenter")
    step = cdtools.step(model, only({name: {"start_iter": 1} for name in blocks}))
    assert [len(step()) for _ in model.optimize(4)] == [5] * 4
    assert len(bindings) == 1


@pytest.mark.usefixtures("versions")
def test_cdtools_refuses(torch_like):
    mixing = only({"ortho_pmode": {"start_iter": 1}})
    masking = only({"probe_mask_r": {"start_iter": 1}})
    false, true = (torch_like.tensor(np.array(value)) for value in (False, True))
    model = FancyPtycho(torch_like, fourier_probe=true)
    with pytest.raises(arraycon.MissingInputError, match="probe is kept in Fourier space"):
        cdtools.step(model, mixing)
    model.fourier_probe = false
    model.weights = torch_like.tensor(np.ones((6, 2, 2), "complex64"))
    with pytest.raises(ValueError, match="ortho_pmode mixes the probe's modes, but each pattern"):
        cdtools.step(model, mixing)
    cdtools.step(model, masking)
    model.probe_basis = torch_like.parameter(np.eye(3, 2))
    with pytest.raises(
        arraycon.MissingInputError, match=r"needs dx.*\n.*alike in object and probe"
    ):
        cdtools.step(model, masking)
    model = FancyPtycho(torch_like, translation_offsets=None)
    with pytest.raises(arraycon.MissingInputError, match="this model no translation_offsets"):
        cdtools.step(model, only({"pos_recenter": {"start_iter": 1}}))
    with pytest.raises(TypeError, match="expected a FancyPtycho, got a dict"):
        cdtools.step({}, mixing)
    del model.epoch
    message = r"cdtools 0\.3\.2 has changed: FancyPtycho has no epoch; known to work: 0\.3\.2"
    with pytest.raises(InterfaceError, match=message):
        cdtools.step(model, mixing)
