"""PtyRAD's adapter, against a small stand-in of the interface that it builds on.

`tests/integration` runs it inside the code itself.
"""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from foreign import OFF, only
from libraries import relative_error
from ptyrad_models import EVERY, Model, Tensor, assert_same, pytorch, state_of

import arraycon
from arraycon.adapters import InterfaceError, ptyrad
from arraycon.bench import NAMES as ORDER
from arraycon.pipeline import lending


@pytest.fixture
def torch(monkeypatch):
    module = pytorch()
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


@pytest.mark.usefixtures("torch")
class TestPtyRADModel:
    @pytest.mark.parametrize("measure", [False, True])
    def test_changes_the_models_own_memory(self, measure):
        model = Model()
        state = state_of(model)
        arraycon.Constraints(EVERY).apply(state, 2, measure=measure)
        constraint = ptyrad.CombinedConstraint(EVERY, device="cpu", measure=measure)
        assert constraint(model, 2) is None
        assert_same(model, state)
        assert [record.name for record in constraint.report] == [n for n in ORDER if EVERY[n]]
        assert bool(len(constraint.report[0].metrics)) == measure

    def test_lends_cuda_tensors_to_cupy_on_pytorchs_stream(self, monkeypatch):
        entered, lent = [], []

        @contextlib.contextmanager
        def enter(*arguments):
            entered.append(arguments)
            yield

        cupy = ModuleType("cupy")
        cupy.cuda = SimpleNamespace(Device=enter, ExternalStream=enter)

        def from_dlpack(tensor):
            assert len(entered) == 2
            lent.append(tensor)
            return tensor.array

        cupy.from_dlpack = from_dlpack
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        model = Model(lambda array: Tensor(array, device="cuda"))
        state = state_of(model)
        arraycon.Constraints(EVERY).apply(state, 1, measure=False)
        ptyrad.CombinedConstraint(EVERY)(model, 1)
        assert entered == [(0,), (1234, 0)]
        assert len(lent) == 5
        assert_same(model, state)

    def test_is_bound_to_tensors_that_stay(self, monkeypatch):
        model = Model()
        state, constraints = state_of(model), arraycon.Constraints(EVERY)
        constraint = ptyrad.CombinedConstraint(constraints, device="cpu")
        constraint(model, 1)
        monkeypatch.setattr(arraycon.State, "validate", lambda _: pytest.fail("checked again"))
        monkeypatch.setattr(lending, "Loan", lambda *_, **__: pytest.fail("lent again"))
        constraint(model, 2)
        monkeypatch.undo()
        for iteration in (1, 2):
            constraints.apply(state, iteration)
        assert_same(model, state)

    def test_follows_tensors_to_other_memory(self):
        constraints = arraycon.Constraints(EVERY)
        constraint = ptyrad.CombinedConstraint(constraints, device="cpu")
        for iteration in range(1, 7):
            model = Model()
            state = state_of(model)
            constraint(model, iteration)
            constraints.apply(state, iteration)
            assert_same(model, state)

    def test_writes_a_conjugate_view_back(self):
        model = Model()
        own = model.opt_probe.array.view("complex64")[..., 0]
        model.get_complex_probe_view = lambda: Tensor(own, conjugate=True)
        constraint = ptyrad.CombinedConstraint({**OFF, "fix_probe_int": {"start_iter": 1}})
        for iteration in range(1, 6):
            own *= 2
            expected = arraycon.fix_probe_int(own.conj(), intensity=100.0).conj()
            constraint(model, iteration)
            np.testing.assert_array_equal(own, expected)

    def test_reads_parameters_again_when_they_change(self):
        params = {**OFF, "objp_postiv": {"start_iter": 1, "relax": 1.0}}
        constraint = ptyrad.CombinedConstraint(params)
        first = constraint.constraints
        assert constraint.constraints is first
        model = Model()
        constraint(model, 1)
        assert model.opt_objp.array.min() < 0
        params["objp_postiv"]["relax"] = 0.0
        constraint(model, 2)
        assert model.opt_objp.array.min() == 0

    def test_takes_constraints_as_they_are(self):
        constraints = only(objp_postiv={})
        constraint = ptyrad.CombinedConstraint(constraints)
        assert constraint.constraints is constraints
        assert "objp_postiv" in repr(constraint)

    def test_wrong_parameters_are_found_at_once(self):
        with pytest.raises(arraycon.ParameterError, match=r"kz_filter\.beta"):
            ptyrad.CombinedConstraint({"kz_filter": {"start_iter": 1, "beta": -1}})

    @pytest.mark.usefixtures("versions")
    def test_a_changed_model_is_named(self):
        model = Model()
        del model.opt_objp, model.lambd
        message = (
            r"PtyRAD 1\.0\.0 has changed: Model has no opt_objp, lambd; known to work: 1\.0\.0"
        )
        with pytest.raises(InterfaceError, match=message):
            ptyrad.CombinedConstraint(EVERY)(model, 1)
        model = Model()
        copied = Tensor(model.get_complex_probe_view().array.copy())
        model.get_complex_probe_view = lambda: copied
        with pytest.raises(InterfaceError, match="copies the probe"):
            ptyrad.CombinedConstraint(EVERY)(model, 1)


def test_pytorchs_own_tensors():
    torch = pytest.importorskip("torch")

    def parameter(array):
        return torch.nn.Parameter(torch.from_numpy(array), requires_grad=array.dtype.kind == "f")

    stand_in = Model()
    state = state_of(stand_in)
    model = Model(parameter)
    model.get_complex_probe_view = lambda: torch.view_as_complex(model.opt_probe)
    arraycon.Constraints(EVERY).apply(state, 1, measure=False)
    with torch.no_grad():
        ptyrad.CombinedConstraint(EVERY, "cpu")(model, 1)
    for name in ("opt_obja", "opt_objp", "opt_probe", "opt_probe_pos_shifts", "opt_obj_tilts"):
        tensor = getattr(model, name)
        assert tensor.requires_grad
        setattr(stand_in, name, Tensor(tensor.detach().numpy()))
    assert_same(stand_in, state)


def test_cuda_tensors_on_a_stream_of_their_own():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch finds no CUDA device")
    pytest.importorskip("cupy")
    names = (
        "ortho_pmode",
        "fix_probe_int",
        "obj_rblur",
        "kz_filter",
        "obja_thresh",
        "pos_recenter",
    )
    params = {**OFF, **{name: {"start_iter": 1} for name in names}}
    state = state_of(Model())
    arraycon.Constraints(params).apply(state, 1, measure=False)
    with torch.cuda.stream(torch.cuda.Stream()), torch.no_grad():
        model = Model(lambda array: torch.from_numpy(array).cuda())
        model.get_complex_probe_view = lambda: torch.view_as_complex(model.opt_probe)
        ptyrad.CombinedConstraint(params)(model, 1)
        probe = model.get_complex_probe_view().cpu().numpy()
        phase = model.opt_objp.cpu().numpy()
    assert relative_error(probe, state.probe) < 2e-6
    assert relative_error(phase, state.object_phase) < 2e-6
