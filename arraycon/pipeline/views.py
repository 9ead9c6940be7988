"""Views: PyTorch's tensors on the CPU as NumPy arrays of the same memory, before anything is asked.

Lent first, the state is checked as one of NumPy's, which takes no more than that. What is asked of
a tensor costs more: checked as tensors and lent afterwards, those of an `apply` took 1.8 to 2.1
times as long on 16², and beside a large clamp, which leaves no cache to it, up to 100 µs more.
Views are made anew at each call, in less time than it takes to find out whether old ones are good
still, and no memory is kept alive.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.state import ARRAYS, NUMBERS, State


def views_of(state: Any) -> Views | None:
    """Return a state's tensors as NumPy arrays, if all its arrays are plain tensors on the CPU.

    Parameters
    ----------
    state : State
        Not checked yet. Whatever else it holds, or is, is for others to say.

    Returns
    -------
    Views or None
        None too where a tensor is a conjugate or negative view, has no dense memory, is traced or
        has a dtype that NumPy lacks.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(state, State):
        return None
    owner, seen = state.__dict__, {}
    for name in ARRAYS:
        tensor = owner[name]
        if tensor is None:
            continue
        kind = type(tensor)
        if kind is np.ndarray:  # the usual one
            return None
        # other kinds of tensors may mean more than their elements
        if not (kind is torch.Tensor or kind is torch.nn.Parameter) or not tensor.is_cpu:
            return None
        try:
            seen[name] = (tensor.detach() if tensor.requires_grad else tensor).numpy()
        except (RuntimeError, TypeError):
            return None
    return Views(state, seen) if seen else None


class Views:
    """A loan of all arrays of a state; see `lending.Loan` for what is said of tensors.

    Parameters
    ----------
    state : State
        Of tensors.
    seen : dict of str to array
        NumPy arrays of the same memory, by field.

    Attributes
    ----------
    state : State
        The same with these arrays.
    changed : set of str
        Names of the arrays that have changed, to be filled while they are lent.
    """

    shared = True

    def __init__(self, state: State, seen: dict[str, Array]) -> None:
        self._owner = state.__dict__
        self.state: State = object.__new__(type(state))
        self.state.__dict__.update(self._owner)
        self.state.__dict__.update(seen)
        self.changed: set[str] = set()

    def __enter__(self) -> tuple[State, Views]:
        checked = self.state.__dict__
        for name in NUMBERS:
            self._owner[name] = checked[name]
        return self.state, self

    def __exit__(self, *_: object) -> None:
        self.show()

    def again(self) -> AbstractContextManager[Any]:
        """Return a context for a further block on the same memory, which the owner still has."""
        self.changed.clear()
        return self

    def show(self) -> None:
        """Let autograd know what has changed: it sees nothing through another library's array."""
        if self.changed:
            increment_version = sys.modules["torch"].autograd.graph.increment_version
            for name in self.changed:
                increment_version(self._owner[name])

    def back(self, array: Array) -> Array:
        """Return a by-product as a tensor."""
        return sys.modules["torch"].as_tensor(array)
