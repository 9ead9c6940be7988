"""Holding: the arrays of a state as the kernels take them, as long as they stay where they are."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import array_api_compat
import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.pipeline.lending import Lent, lend_state, memory_of
from arraycon.pipeline.views import views_of
from arraycon.state import FIELDS, State


class Holding:
    """A state's contents at one time, lent once where they have to be lent.

    What it is asked most is whether they are the same still, in some microseconds. They are where
    an array is another object that sees the same memory in the same way, as a view that is made
    anew at each iteration does; and a tensor of PyTorch, which can get other memory without
    becoming another object, is looked at each time. The memory that was seen is kept alive here, so
    that its address cannot have become somebody else's.

    Parameters
    ----------
    state : State
        A valid one.
    uses : iterable of pairs of iterables of str
        As for `lend_state`.

    Attributes
    ----------
    state : State
        What to compute with: the state itself, or one with the arrays that are lent.
    loan : Lent or None
        Of the arrays that are lent.
    lasting : bool
        Whether all that is lent is the owner's own memory; if not, the arrays have to be lent anew
        for each use.
    """

    def __init__(self, state: State, uses: Iterable[tuple[Iterable[str], Iterable[str]]]) -> None:
        self._owner: dict[str, Any] = state.__dict__
        lending: AbstractContextManager[tuple[State, Lent | None]]
        lending = views_of(state) or lend_state(state, uses)
        with lending as (self.state, self.loan):
            pass
        self.lasting = self.loan is None or self.loan.shared
        self._seen: list[tuple[str, Any, Any]] = []
        if self.lasting:
            contents = ((name, self._owner[name]) for name in FIELDS)
            self._seen = [(name, value, _watched(value)) for name, value in contents]

    def is_current(self) -> bool:
        """Whether the state has the same memory and numbers still."""
        for name, seen, memory in self._seen:
            value = self._owner[name]
            if memory is None:
                if value is not seen and not _alike(value, seen):
                    return False
            elif type(value) is not type(seen) or memory_of(value) != memory:
                return False
        return True


def _watched(value: Any) -> Any:
    """Where a tensor of PyTorch is; None for whatever stays in its place."""
    return memory_of(value) if array_api_compat.is_torch_array(value) else None


def _alike(value: Any, seen: Any) -> bool:
    if type(value) is not type(seen):
        return False
    if isinstance(value, np.ndarray) or array_api_compat.is_cupy_array(value):
        return bool(_place(value) == _place(seen))
    return bool(value == seen)


def _place(array: Array) -> tuple[Any, ...]:
    if isinstance(array, np.ndarray):
        address: Any = array.__array_interface__["data"]  # and whether it is read-only
    else:
        address = array.data.ptr
    return address, array.shape, array.strides, array.dtype
