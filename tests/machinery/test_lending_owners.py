"""Lending: whose arrays those of JAX and of other places are, and what `bind` keeps of them."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import numpy as np
import processes
import pytest
from lent import LAYOUTS, as_object, fields, made_of, value, values
from libraries import Library
from schedules import EVERY, assert_equal, make_state, only, snapshot

import arraycon
from arraycon.kernels.common import arrays
from arraycon.pipeline import holding, lending

pytestmark = pytest.mark.usefixtures("notes")


class Device(NamedTuple):
    """What a tensor says about its place."""

    type: str
    index: int


class TestJAX:
    def test_where_an_array_lies_stays(self, jax):
        device = jax.devices("cpu")[0]
        free = jax.numpy.asarray(np.ones((4, 2), "float32"))
        bound = jax.device_put(np.ones((4, 2), "float32"), device)
        assert (free.committed, bound.committed) == (False, True)
        state = arraycon.State(position_shifts=free, tilts=bound, scan_shape=(2, 2))
        only(pos_recenter={}, tilt_smooth={}).apply(state, 1)
        assert state.position_shifts is not free
        assert state.tilts is not bound
        assert not state.position_shifts.committed
        assert state.tilts.committed
        assert state.tilts.sharding == bound.sharding

    @pytest.mark.slow
    @pytest.mark.usefixtures("jax")
    def test_arrays_on_several_devices(self):
        """Each half of an array on a device of its own, in a process that has two."""
        code = (
            "import jax, numpy, arraycon;"
            "from jax.sharding import Mesh, NamedSharding, PartitionSpec;"
            "mesh = Mesh(numpy.array(jax.devices()), ('mode',));"
            "place = NamedSharding(mesh, PartitionSpec('mode'));"
            "phase = jax.device_put(numpy.full((2, 3, 8, 8), -1, 'float32'), place);"
            "state = arraycon.State(object_phase=phase);"
            "arraycon.Constraints({'objp_postiv': {'start_iter': 1}})"
            ".apply(state, 1);"
            "print(state.object_phase.sharding == place, abs(state.object_phase).max())"
        )
        environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
        command = [sys.executable, "-c", code]
        done = processes.run(command, capture_output=True, text=True, env=environment, check=True)
        assert done.stdout.split() == ["True", "0.0"]

    def test_a_result_is_adopted_not_copied(self, jax):
        state = made_of(jax.numpy.asarray, make_state())
        with lending.lend_state(state, [(("probe", "tilts"), ("probe",))]) as (lent, loan):
            assert np.shares_memory(lent.tilts, np.asarray(state.tilts))  # which is only read
            place = lent.probe.ctypes.data
            lent.probe[...] = 1
            loan.changed.add("probe")
        assert state.probe.unsafe_buffer_pointer() == place
        assert np.all(state.probe == 1)

    def test_a_whole_schedule_can_be_compiled(self, jax, caplog):
        before = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype("float32")

        def apply(phase):
            state = arraycon.State(object_phase=phase)
            only(objp_postiv={}).apply(state, 1, measure=False)
            return state.object_phase

        with caplog.at_level(logging.INFO, logger="arraycon"):
            np.testing.assert_array_equal(jax.jit(apply)(before), np.maximum(before, 0))
            jax.jit(lambda phase: apply(phase) + 1)(before)
        assert caplog.text.count("traced take the slower") == 1


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_by_products_are_the_owners_arrays(name):
    library = Library(name)
    if reason := library.available():
        pytest.skip(reason)
    state = made_of(library.array, make_state())
    before = values(state)["probe"]
    rotation = only(ortho_pmode={}).apply(state, 1)[0].returned["rotation"]
    assert arrays.library(rotation) == name
    expected = np.tensordot(library.numpy(rotation), before, axes=1)
    np.testing.assert_allclose(values(state)["probe"], expected, rtol=0, atol=1e-5)


def test_registered_constraints_get_arrays_of_the_kernels(torch):
    class Mine(arraycon.Block):
        pass

    seen = []

    @arraycon.register("mine", model=Mine, needs=["tilts"], writes=["tilts", "position_shifts"])
    def mine(inputs, params):  # noqa: ARG001
        seen.append(type(inputs["tilts"]))
        return {"position_shifts": inputs["tilts"]}

    try:
        state = arraycon.State(tilts=torch.ones(4, 2), position_shifts=torch.zeros(4, 2))
        only(mine={}).apply(state, 1)
    finally:
        arraycon.unregister("mine")
    assert seen == [np.ndarray]
    assert state.position_shifts.all()


class TestOtherPlaces:
    def test_other_devices_of_pytorch(self, torch, caplog):
        """Tensors without memory stand for those of a device that NumPy and CuPy do not see."""
        with caplog.at_level(logging.INFO, logger="arraycon"):
            for _ in range(2):
                state = arraycon.State(
                    tilts=torch.ones(4, 2, device="meta", requires_grad=True), scan_shape=(2, 2)
                )
                only(tilt_smooth={}).apply(state, 1, measure=False)
        assert state.tilts.is_leaf
        assert caplog.text.count("tensors on a device meta take the slower") == 1

    def test_other_libraries(self, caplog):
        library = Library("array_api_strict")
        if reason := library.available():
            pytest.skip(reason)
        state = arraycon.State(object_phase=library.array(-np.ones((1, 3, 8, 8))))
        with caplog.at_level(logging.INFO, logger="arraycon"):
            only(objp_postiv={}).apply(state, 1)
            only(objp_postiv={}).apply(state, 2)
        assert np.all(np.asarray(state.object_phase) == 0)
        assert caplog.text.count("arrays of array_api_strict take the slower") == 1

    def test_cuda_without_cupy(self, torch, monkeypatch, caplog):
        """PyTorch's CPU tensors, told apart from a GPU's by their device alone."""
        monkeypatch.setitem(sys.modules, "cupy", None)
        loan = lending.Loan({}, (), ())
        tensor = torch.ones(2, 4, 4)
        with caplog.at_level(logging.WARNING, logger="arraycon"), loan:
            assert loan._enter(torch, torch.device("cuda", 0))(tensor) is tensor
            loan._enter(torch, torch.device("cuda", 1))
            assert not torch.is_grad_enabled()
        assert torch.is_grad_enabled()
        assert caplog.text.count("no CuPy") == 1

    def test_cuda_with_cupy(self, monkeypatch):
        """On the stream that PyTorch uses on each device, which ends with the loan."""
        entered, current = [], []

        @contextlib.contextmanager
        def enter(*arguments):
            entered.append(arguments)
            current.append(arguments)
            yield
            current.remove(arguments)

        class Tensor:
            requires_grad = True

            def __init__(self, index):
                self.device, self.array = Device("cuda", index), np.zeros((4, 2))

            def detach(self):
                return self

            def is_conj(self):
                return False

            is_neg = is_conj

        torch, cupy, told = ModuleType("torch"), ModuleType("cupy"), []
        torch.Tensor, torch.as_tensor = Tensor, Tensor
        torch.cuda = SimpleNamespace(
            current_stream=lambda device: SimpleNamespace(cuda_stream=1000 + device.index)
        )
        torch.autograd = SimpleNamespace(graph=SimpleNamespace(increment_version=told.append))
        cupy.cuda = SimpleNamespace(Device=enter, ExternalStream=enter)
        cupy.from_dlpack = lambda tensor: tensor.array
        monkeypatch.setitem(sys.modules, "torch", torch)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        tensors = {"position_shifts": Tensor(0), "tilts": Tensor(1), "object_phase": Tensor(0)}
        with lending.Loan(tensors, tensors, tensors) as loan:
            assert len(current) == 4
            for name, tensor in tensors.items():
                assert loan.arrays[name] is tensor.array
            loan.changed.add("tilts")
        assert sorted(entered) == [(0,), (1,), (1000, 0), (1001, 1)]
        assert not current
        assert told == [tensors["tilts"]]

    def test_a_loan_that_fails_ends_what_it_began(self, torch):
        """The first tensor is on another device, the second cannot be lent."""
        tensors = {
            "object_phase": torch.ones(1, 3, 8, 8, device="meta"),
            "position_shifts": torch.ones(1, 2).expand(6, 2),
        }
        with (
            pytest.raises(ValueError, match="position_shifts: expected elements"),
            lending.Loan(tensors, tensors, tensors),
        ):
            pytest.fail("nothing was to be lent")
        assert torch.is_grad_enabled()


class TestBound:
    """Loans that a bound schedule keeps."""

    @pytest.mark.parametrize("make", LAYOUTS)
    @pytest.mark.parametrize("complex_object", [False, True])
    def test_every_kind_of_tensor(self, torch, make, complex_object):
        expected = as_object(make_state()) if complex_object else make_state()
        state = made_of(lambda array: make(torch, array), expected)
        own, constraints = fields(state), arraycon.Constraints(EVERY)
        bound = constraints.bind(state)
        for iteration in (1, 2, 3):
            report = bound.apply(iteration)
            reference = constraints.apply(expected, iteration)
            assert str(report) == str(reference)
            assert_equal(snapshot(expected), values(state))
            returned = [array for record in report for array in record.returned.values()]
            asked = [array for record in reference for array in record.returned.values()]
            assert [type(array) for array in returned] == [torch.Tensor] * len(asked)
            assert len(asked) >= 2
            for name, tensor in own.items():
                assert getattr(state, name) is tensor

    def test_tensors_are_lent_once(self, torch, monkeypatch):
        state = made_of(torch.from_numpy, make_state())
        bound = only(objp_postiv={}, ortho_pmode={}, pos_recenter={}).bind(state)
        monkeypatch.setattr(holding, "views_of", lambda _: pytest.fail("lent again"))
        for iteration in (1, 2):
            state.probe = state.probe[:]  # another object, the same memory
            assert len(bound.apply(iteration)) == 3

    def test_other_memory_of_the_same_tensor(self, torch):
        phase, others = torch.full((1, 3, 8, 8), -1.0), torch.full((1, 3, 8, 8), -2.0)
        old = phase[:]
        bound = only(objp_postiv={}).bind(arraycon.State(object_phase=phase))
        phase.data = others
        bound.apply(1)
        np.testing.assert_array_equal(others, 0)
        np.testing.assert_array_equal(old, -1)

    @pytest.mark.parametrize(
        "change",
        [
            lambda phase: phase[..., ::2],
            lambda phase: phase.transpose(-1, -2),
            lambda phase: phase.double(),
            lambda phase: phase.clone(),
            lambda phase: phase.flip(-1),
            lambda phase: phase.numpy(),
            lambda phase: phase[:, :2],
        ],
    )
    def test_what_is_not_the_same_is_bound_anew(self, torch, change):
        phase = torch.randn(1, 3, 8, 8, generator=torch.manual_seed(0))
        state, constraints = arraycon.State(object_phase=phase), only(obj_rblur={"std": 0.5})
        bound = constraints.bind(state)
        state.object_phase = change(phase)
        other = arraycon.State(object_phase=np.array(value(state.object_phase)))
        bound.apply(1)
        constraints.apply(other, 1)
        np.testing.assert_array_equal(value(state.object_phase), other.object_phase)

    def test_autograd_sees_what_has_changed_and_nothing_else(self, torch):
        phase = torch.randn(1, 3, 8, 8, generator=torch.manual_seed(0)).requires_grad_()
        shifts = torch.ones(4, 2, requires_grad=True)
        state = arraycon.State(object_phase=phase, position_shifts=shifts)
        bound = only(objp_postiv={}, pos_recenter={"start_iter": 2}).bind(state)
        losses = (phase**2).sum(), (shifts**2).sum()
        bound.apply(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            losses[0].backward()
        losses[1].backward()
        np.testing.assert_array_equal(shifts.grad, 2)
        loss = (shifts**2).sum()
        bound.apply(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()

    def test_a_failure_keeps_what_ran_before(self, torch, failing):
        expected = make_state()
        state = made_of(torch.from_numpy, expected)
        bound = failing.bind(state)
        versions = {name: array._version for name, array in fields(state).items()}
        only(objp_postiv={}).apply(expected, 1)
        with pytest.raises(ZeroDivisionError):
            bound.apply(1)
        assert_equal(snapshot(expected), values(state))
        changed = [n for n, array in fields(state).items() if array._version != versions[n]]
        assert changed == ["object_phase"]

    def test_streams_of_pytorch_are_asked_for_at_each_call(self, monkeypatch):
        """Of a device, with what is entered and left at each use."""
        inside = []

        class Context:
            def __enter__(self):
                inside.append(self)

            def __exit__(self, *_):
                inside.remove(self)

        loan = lending.Loan({}, (), ())
        with loan:
            pass
        loan._devices["cuda:0"] = None
        asked = []

        def enter(_, device):
            asked.append(device)
            loan._stack = contextlib.ExitStack()
            loan._stack.enter_context(Context())

        monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
        monkeypatch.setattr(loan, "_enter", enter)
        for _ in range(2):
            with loan.again():
                assert len(inside) == 1
            assert not inside
        assert asked == ["cuda:0"] * 2
