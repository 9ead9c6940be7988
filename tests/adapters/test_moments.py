"""What optimizers remember of modes, against PyTorch's own steps with the modes turned."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from foreign import complex_array

from arraycon.adapters import _moments

torch = pytest.importorskip("torch")


def unitary(n, seed=4):
    rotation, _ = np.linalg.qr(complex_array((n, n), seed, "complex128"))
    return rotation


@pytest.fixture(params=["pairs", "complex"])
def modes(request):
    """A parameter of three modes, as real pairs or as complex numbers."""
    values = torch.from_numpy(complex_array((3, 4, 5)))
    kept = torch.view_as_real(values).clone() if request.param == "pairs" else values
    return torch.nn.Parameter(kept)


def seen(parameter):
    values = parameter.detach()
    values = values if values.is_complex() else torch.view_as_complex(values)
    return values.numpy()


def descend(optimizer, modes, steps=3):
    """Steps towards a target that depends on the modes through their sum of outer products."""
    target = torch.from_numpy(complex_array((4, 4), seed=9))
    for _ in range(steps):
        optimizer.zero_grad()
        values = modes if modes.is_complex() else torch.view_as_complex(modes)
        gram = torch.einsum("nyx,nzx->yz", values, values.conj())
        (torch.view_as_real(gram - target) ** 2).sum().backward()
        optimizer.step()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_gradient_descent_does_not_see_which_modes_are_told(modes, momentum):
    """It is the same in any coordinates, if its memory is turned with the modes."""
    rotation = unitary(3)
    optimizer = torch.optim.SGD([modes], lr=1e-4, momentum=momentum)
    descend(optimizer, modes)
    plain = torch.nn.Parameter(modes.detach().clone())
    other = torch.optim.SGD([plain], lr=1e-4, momentum=momentum)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    with torch.no_grad():
        rotated = np.tensordot(rotation, seen(modes), axes=1).astype("complex64")
        seen(modes)[...] = rotated
    names = _moments.turn(optimizer, modes, rotation)
    assert names == (("momentum_buffer",) if momentum else ())
    descend(optimizer, modes)
    descend(other, plain)
    expected = np.tensordot(rotation, seen(plain), axes=1)
    np.testing.assert_allclose(seen(modes), expected, rtol=0, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop", "Adagrad"])
def test_squares_become_those_of_independent_parts(modes, name):
    """Against the mean over many gradients that are turned one by one."""
    rotation = unitary(3)
    optimizer = getattr(torch.optim, name)([modes])
    descend(optimizer, modes, 1)
    state = optimizer.state[modes]
    (square,) = [key for key in ("exp_avg_sq", "square_avg", "sum") if key in state]
    rng = np.random.default_rng(2)
    widths = rng.uniform(0.1, 2, (3, 4, 5, 2)).astype("float32")
    pairs = state[square] if not modes.is_complex() else torch.view_as_real(state[square])
    pairs.copy_(torch.from_numpy(widths**2))
    gradients = rng.normal(size=(20000, 3, 4, 5, 2)).astype("float32") * widths
    turned = np.einsum("mn,snyx->smyx", rotation, gradients.view("complex64")[..., 0])
    expected = np.stack([np.mean(turned.real**2, 0), np.mean(turned.imag**2, 0)], axis=-1)
    assert square in _moments.turn(optimizer, modes, rotation)
    np.testing.assert_allclose(pairs.numpy(), expected, rtol=0.1)
    np.testing.assert_allclose(pairs.numpy().sum((0, 3)), (widths**2).sum((0, 3)), rtol=1e-5)


def test_an_optimizer_is_found_by_what_it_works_on(modes):
    made = [torch.optim.Adam([parameter]) for parameter in (modes, torch.nn.Parameter(modes + 1))]
    for optimizer in made:
        _moments.notice(optimizer)
    assert _moments.of(modes) is None  # nothing to remember yet
    descend(made[0], modes, 1)
    assert _moments.of(modes) is made[0]


def test_what_is_of_another_shape_stays():
    modes = torch.nn.Parameter(torch.from_numpy(complex_array((2, 3, 3))))
    optimizer = torch.optim.LBFGS([modes])
    optimizer.state[modes]["d"] = torch.ones(18)
    assert _moments.turn(optimizer, modes, unitary(2)) == ()
    assert bool((optimizer.state[modes]["d"] == 1).all())
