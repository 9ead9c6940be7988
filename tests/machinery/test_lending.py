"""Lending: tensors of PyTorch and JAX take the kernels for NumPy and CuPy, and stay tensors."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from lent import (
    LAYOUTS,
    OPTIONS,
    as_object,
    conjugate,
    fields,
    inference,
    inner,
    leaf,
    made_of,
    parameter,
    plain,
    spaced,
    turned,
    value,
    values,
)
from libraries import Library
from schedules import EVERY, assert_equal, fitting, make_state, only, snapshot

import arraycon
from arraycon.bench import NAMES as ORDER
from arraycon.pipeline import lending
from arraycon.pipeline.views import views_of
from arraycon.state import ARRAYS

pytestmark = pytest.mark.usefixtures("notes")


@pytest.mark.parametrize("measure", [False, True])
@pytest.mark.parametrize("complex_object", [False, True])
@pytest.mark.parametrize("constraint", ORDER)
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_tensors_give_the_bits_that_numpy_gives(name, constraint, complex_object, measure):
    library = Library(name)
    if reason := library.available():
        pytest.skip(reason)
    expected = make_state(shape=fitting(constraint))
    if complex_object:
        expected = as_object(expected)
    state = made_of(library.array, expected)
    own, before = fields(state), snapshot(expected)
    constraints = only(**{constraint: OPTIONS.get(constraint, {})})
    targets = constraints.apply(state, 1, measure=measure)[0].targets
    constraints.apply(expected, 1, measure=measure)
    assert_equal(snapshot(expected), values(state))
    if not complex_object and "object" in targets:  # by way of the complex object
        targets = (*targets, "object_amplitude", "object_phase")
    changed = {"object" if complex_object and "object" in field else field for field in targets}
    for field, array in own.items():
        assert (getattr(state, field) is array) == (name == "torch" or field not in changed)
        assert getattr(state, field).dtype == array.dtype
        if name == "jax":
            np.testing.assert_array_equal(array, before[field])


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_double_precision(name):
    library = Library(name)
    if reason := library.available():
        pytest.skip(reason)
    expected = make_state("float64")
    with library.precision("float64"):
        state = made_of(library.array, expected)
    # JAX would make float32 of what comes back outside of the context
    arraycon.Constraints(EVERY).apply(state, 1)
    arraycon.Constraints(EVERY).apply(expected, 1)
    assert_equal(snapshot(expected), values(state))


@pytest.mark.parametrize("make", LAYOUTS)
def test_every_kind_of_tensor_is_changed_itself(torch, make):
    expected = make_state()
    state = made_of(lambda array: make(torch, array), expected)
    if make is conjugate:
        assert state.probe.is_conj()
        assert state.object_phase.is_neg()
    own = fields(state)
    arraycon.Constraints(EVERY).apply(state, 1, measure=False)
    arraycon.Constraints(EVERY).apply(expected, 1, measure=False)
    assert_equal(snapshot(expected), values(state))
    for name, tensor in own.items():
        assert getattr(state, name) is tensor
        assert tensor.grad_fn is None or make in (inner, spaced)
        assert tensor.requires_grad == (make in (leaf, parameter))


def test_the_memory_is_shared(torch):
    state = made_of(torch.from_numpy, make_state())
    uses = [(("probe",), ()), (("tilts", "dx"), ("tilts",))]
    with lending.lend_state(state, uses) as (lent, loan):
        for name in ("probe", "tilts"):
            assert np.shares_memory(getattr(lent, name), getattr(state, name).numpy())
        assert lent.object_phase is state.object_phase  # nobody needs it
        assert lent.dx == state.dx
        assert not loan.changed


class TestViews:
    """Plain tensors on the CPU, which are looked at as NumPy's from the start."""

    def test_they_share_the_memory(self, torch):
        state = made_of(torch.from_numpy, make_state())
        with views_of(state) as (lent, views):
            for name, tensor in fields(state).items():
                assert np.shares_memory(getattr(lent, name), tensor.numpy())
            assert lent.dx == state.dx
            assert not views.changed

    @pytest.mark.parametrize("make", [plain, leaf, parameter, inner, spaced, turned, inference])
    def test_no_memory_is_kept(self, torch, make):
        state = arraycon.State(object_phase=make(torch, np.full((1, 3, 8, 8), -1, "float32")))
        only(objp_postiv={}).apply(state, 1)
        gone = weakref.ref(state.object_phase)
        state.object_phase = None
        assert gone() is None

    @pytest.mark.parametrize("make", [conjugate, lambda _, values: values])
    def test_what_is_for_others(self, torch, make):
        state = made_of(lambda array: make(torch, array), make_state())
        assert views_of(state) is None

    def test_other_kinds_of_tensors(self, torch):
        class Other(torch.Tensor):
            pass

        for phase in (
            torch.ones(1, 3, 8, 8).as_subclass(Other),
            torch.ones(1, 3, 8, 8, device="meta"),
        ):
            assert views_of(arraycon.State(object_phase=phase)) is None

    def test_what_changes_between_calls(self, torch):
        """Another tensor, and other memory, layout and bits of the same one."""
        phase = torch.full((1, 3, 8, 8), -1.0)
        state, constraints = arraycon.State(object_phase=phase), only(objp_postiv={})
        changes = [
            lambda: setattr(state, "object_phase", torch.full((1, 2, 4, 4), -1.0)),
            lambda: setattr(state.object_phase, "data", torch.full((1, 5, 4, 4), -1.0)),
            lambda: state.object_phase.fill_(-1).transpose_(-1, -2),
            lambda: state.object_phase.resize_(1, 1, 2, 3).fill_(-2),
            lambda: state.object_phase.set_(torch.full((1, 2, 2, 2), -1.0)),
            lambda: setattr(state, "object_phase", torch.ones(1, 2, 3, 4).neg()),
            lambda: state.object_phase.fill_(-1).requires_grad_(),
        ]
        constraints.apply(state, 1)
        assert not state.object_phase.any()
        for change in changes:
            change()
            assert (state.object_phase < 0).all()
            constraints.apply(state, 1)
            assert not state.object_phase.any()
        assert state.object_phase.requires_grad

    def test_numbers_are_brought_into_their_form(self, torch):
        state = made_of(torch.from_numpy, make_state())
        state.scan_shape, state.dx = list(state.scan_shape), np.float32(0.5)
        only(objp_postiv={}).apply(state, 1)
        assert type(state.scan_shape) is tuple
        assert type(state.dx) is float

    @pytest.mark.parametrize(
        ("name", "wrong"),
        [("tilts", (4, 3)), ("probe", (4, 4)), ("object_amplitude", (1, 3, 8, 9))],
    )
    def test_errors_are_those_of_arrays(self, torch, name, wrong):
        said = []
        for library in (np, torch):
            make = np.asarray if library is np else torch.from_numpy
            state = made_of(make, make_state())
            old = value(getattr(state, name))
            setattr(state, name, make(np.ones(wrong, old.dtype)))
            with pytest.raises(ValueError, match=name) as error:
                only(objp_postiv={}).apply(state, 1)
            said.append(str(error.value))
        assert said[0] == said[1]


def test_arrays_of_numpy_are_not_lent():
    state = make_state()
    with lending.lend_state(state, iter([])) as (lent, loan):
        assert lent is state
        assert loan is None


class TestAutograd:
    def test_no_graph_grows(self, torch):
        root = torch.ones(1, 3, 8, 8, requires_grad=True)
        phase = root * -1.0
        node = phase.grad_fn
        only(objp_postiv={}).apply(arraycon.State(object_phase=phase), 1)
        assert phase.grad_fn is node
        assert not phase.any()

    def test_a_graph_that_needs_old_values_is_refused(self, torch):
        phase = torch.randn(1, 3, 8, 8, generator=torch.manual_seed(0)).requires_grad_()
        shifts = torch.ones(4, 2, requires_grad=True)
        loss = (phase**2).sum()
        other = (shifts**2).sum()
        state = arraycon.State(object_phase=phase, position_shifts=shifts)
        only(objp_postiv={}).apply(state, 1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
        other.backward()  # nobody has changed these
        np.testing.assert_array_equal(shifts.grad, 2)

    def test_the_next_step_of_an_optimiser(self, torch):
        phase = torch.full((1, 3, 8, 8), -1.0, requires_grad=True)
        state = arraycon.State(object_phase=phase)
        optimiser = torch.optim.SGD([phase], lr=0.25)
        # the step towards 0.5 ends at 0 instead of -0.25, the next one starts there
        for gradient, after in ((-3.0, 0.0), (-1.0, 0.25)):
            optimiser.zero_grad()
            ((phase - 0.5) ** 2).sum().backward()
            np.testing.assert_array_equal(phase.grad, gradient)
            optimiser.step()
            only(objp_postiv={}).apply(state, 1, measure=False)
            np.testing.assert_array_equal(phase.detach(), after)

    def test_gradients_flow_through_the_functions(self, torch):
        """Of a linear filter that is its own adjoint: <w, F x> has the gradient F w."""
        weights, phase = (torch.from_numpy(array) for array in np.random.default_rng(3).normal(
            size=(2, 1, 4, 10, 12)))  # fmt: skip
        phase.requires_grad_()
        filtered = arraycon.kz_filter(phase, beta=0.5)
        assert filtered.grad_fn is not None
        (weights * filtered).sum().backward()
        expected = arraycon.kz_filter(weights.numpy(), beta=0.5)
        np.testing.assert_allclose(phase.grad.numpy(), expected, rtol=0, atol=1e-12)


class TestErrors:
    @pytest.mark.parametrize("make", LAYOUTS)
    def test_what_ran_before_is_written_back(self, torch, failing, make):
        expected = make_state()
        state = made_of(lambda array: make(torch, array), expected)
        only(objp_postiv={}).apply(expected, 1)
        with pytest.raises(ZeroDivisionError):
            failing.apply(state, 1)
        assert_equal(snapshot(expected), values(state))

    def test_what_ran_before_replaces_jax_arrays(self, jax, failing):
        expected = make_state()
        state = made_of(jax.numpy.asarray, expected)
        own = dict(vars(state))
        only(objp_postiv={}).apply(expected, 1)
        with pytest.raises(ZeroDivisionError):
            failing.apply(state, 1)
        assert_equal(snapshot(expected), values(state))
        assert [name for name in ARRAYS if getattr(state, name) is not own[name]] == [
            "object_phase"
        ]

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int32"])
    @pytest.mark.parametrize("name", ["torch", "jax"])
    def test_other_dtypes(self, name, dtype):
        library = Library(name)
        if reason := library.available():
            pytest.skip(reason)
        message = f"object_phase: expected float32 or float64, got {dtype}"
        phase = library.module.ones((1, 3, 8, 8), dtype=getattr(library.module, dtype))
        with pytest.raises(TypeError, match=message):
            arraycon.State(object_phase=phase)
        state = arraycon.State(object_phase=library.module.ones((1, 3, 8, 8)))
        state.object_phase = phase
        with pytest.raises(TypeError, match=message):
            only(objp_postiv={}).apply(state, 1)

    def test_tensors_without_axes(self, torch):
        with pytest.raises(ValueError, match=r"object_phase: expected at least 3 axes .*, got"):
            arraycon.State(object_phase=torch.tensor(1.0))

    def test_mixed_libraries(self, torch):
        state = arraycon.State(object_phase=torch.ones(1, 3, 8, 8))
        state.tilts = np.ones((1, 2))
        with pytest.raises(TypeError, match="a mix: object_phase is torch, tilts is numpy"):
            only(objp_postiv={}).apply(state, 1)

    @pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
    def test_tensors_without_dense_memory(self, torch):
        state = arraycon.State(object_phase=torch.ones(1, 3, 8, 8).to_sparse())
        with pytest.raises(TypeError, match="object_phase: expected a tensor with memory"):
            only(objp_postiv={}).apply(state, 1)

    def test_expanded_tensors(self, torch):
        phase = torch.full((1, 1, 8, 8), 2.0).expand(1, 3, 8, 8)
        state = arraycon.State(object_phase=phase, object_amplitude=torch.ones(1, 3, 8, 8))
        with pytest.raises(ValueError, match="object_phase: expected elements with memory of"):
            only(objp_postiv={}).apply(state, 1)
        only(mirrored_amp={"relax": 0.0}).apply(state, 1)  # which reads it
        np.testing.assert_allclose(state.object_amplitude, 1 - 0.03 * 2.0**4, rtol=1e-6)

    def test_transforms_of_pytorch(self, torch):
        def apply(phase):
            only(objp_postiv={}).apply(arraycon.State(object_phase=phase), 1)
            return phase.sum()

        with pytest.raises(TypeError, match="object_phase: expected a tensor with memory"):
            torch.func.grad(apply)(torch.ones(1, 3, 8, 8))
