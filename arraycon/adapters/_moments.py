"""Moments: what PyTorch's optimizers remember of gradients, turned together with the modes.

Modes P' = U P have the gradients g' = U g with respect to their conjugates. What is an average of
gradients turns as they do. What is an average of their squares, of real and imaginary parts each by
itself, does not have what is needed to turn it: it becomes what it would be if the parts were
independent, Var(Re g'_m) = Σ_n (Re U_mn)² Var(Re g_n) + (Im U_mn)² Var(Im g_n). That keeps the sum
over the modes at each pixel, and so the length of the steps.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

_AVERAGES = ("exp_avg", "momentum_buffer", "grad_avg")
_SQUARES = ("exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum")

_noticed: weakref.WeakSet[Any] = weakref.WeakSet()


def notice(optimizer: Any) -> None:
    """Remember an optimizer as long as it lasts, for `of`."""
    _noticed.add(optimizer)


def of(parameter: Any) -> Any:
    """Return the optimizer that is at work on a parameter, None if none was noticed."""
    return next((each for each in _noticed if parameter in each.state), None)


def turn(
    optimizer: Any,
    parameter: Any,
    rotation: Any,
    part: Callable[[Any], Any] = lambda values: values,
) -> tuple[str, ...]:
    """Turn what an optimizer remembers of modes, in place.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    parameter : tensor, shape (n, ...), complex, or (n, ..., 2), real
        The modes.
    rotation : array, shape (n, n), complex
        U.
    part : callable, optional
        From an array like the parameter to a view of the modes in it, where they are not all of it.

    Returns
    -------
    tuple of str
        Names of what was turned, of Adam's kin "exp_avg" and "exp_avg_sq".
    """
    torch = sys.modules["torch"]
    state = optimizer.state.get(parameter, {})
    found = [name for name in (*_AVERAGES, *_SQUARES) if _is_like(state.get(name), parameter)]
    with torch.no_grad():
        unitary = torch.as_tensor(rotation, device=parameter.device)
        for name in found:
            pairs = _pairs(torch, part(state[name]))
            if name in _AVERAGES:
                values = torch.view_as_complex(pairs)
                values.copy_(torch.tensordot(unitary.to(values.dtype), values, dims=1))
                continue
            squares = torch.view_as_real(unitary).to(pairs.dtype) ** 2
            real, imaginary = (
                torch.tensordot(squares[..., 0], pairs[..., one], dims=1)
                + torch.tensordot(squares[..., 1], pairs[..., 1 - one], dims=1)
                for one in (0, 1)
            )
            pairs[..., 0], pairs[..., 1] = real, imaginary
    return tuple(found)


def _is_like(remembered: Any, parameter: Any) -> bool:
    return bool(getattr(remembered, "shape", None) == parameter.shape)


def _pairs(torch: Any, values: Any) -> Any:
    return torch.view_as_real(values) if values.is_complex() else values
