"""Data step: what an iteration's data did to the object, and how much of it is taken back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from arraycon.kernels import metrics
from arraycon.kernels.common import arrays

Array: TypeAlias = Any
Objects: TypeAlias = Mapping[str, Array]
"""An object by the names of the state's fields that hold it: complex, or in parts."""


class DataStep:
    r"""The data step d, in the memory of one copy of the object.

    From the copy that is kept after the constraints of an iteration, the next one's data step is
    made in place. Against it nothing more has to be kept: of a change u by a constraint,
    :math:`\langle d, u\rangle` is the difference of :math:`\langle d, x\rangle` of the object after
    and before it, which comes out of sums over both in float64,
    :math:`2\langle d, x\rangle = \|d\|^2 + \|x\|^2 - \|d - x\|^2`.
    """

    def __init__(self) -> None:
        self._memory: dict[str, Array] = {}
        self._kept = self._taken = False

    def keep(self, objects: Objects) -> None:
        """Keep a copy of the object as the constraints have left it."""
        reuse = self._memory if self._fits(objects) else {}
        self._memory = {name: _copied(x, reuse.get(name)) for name, x in objects.items()}
        self._kept, self._taken = True, False

    def forget(self) -> None:
        """Let go of the memory."""
        self._memory, self._kept, self._taken = {}, False, False

    def take(self, objects: Objects) -> list[Array]:
        """Make the data step of the object as it is now; returns ‖d‖² of each array, or nothing."""
        if not self._kept or not self._fits(objects):
            self.forget()
            return []
        self._memory = {name: _less(x, self._memory[name]) for name, x in objects.items()}
        self._kept, self._taken = False, True
        return [_change(d, d)[1] for d in self._memory.values()]

    def sums(self, objects: Objects) -> list[Array]:
        """‖d - x‖² and ‖x‖² of each array in turn, nothing where there is no data step."""
        if not self._taken:
            return []
        pairs = (_change(self._memory[name], x) for name, x in objects.items())
        return [number for pair in pairs for number in pair]

    def _fits(self, objects: Objects) -> bool:
        return self._memory.keys() == objects.keys() and all(
            type(x) is type(kept) and x.shape == kept.shape and x.dtype == kept.dtype
            for x, kept in ((x, self._memory[name]) for name, x in objects.items())
        )


def share(norms: list[float], before: list[float], after: list[float]) -> float:
    r"""Return :math:`-\langle d, u\rangle / \|d\|^2` of a change u; NaN where d is 0.

    Parameters
    ----------
    norms : list of float
        From `DataStep.take`.
    before, after : list of float
        From `DataStep.sums`.
    """
    norm = sum(norms)
    # twice ⟨d, x⟩, less ‖d‖²
    along, now_along = (sum(sums[1::2]) - sum(sums[0::2]) for sums in (before, after))
    return (along - now_along) / (2 * norm) if norm > 0 else math.nan


def _change(new: Array, old: Array) -> tuple[Array, Array]:
    return metrics.change(new, old, xp=arrays.namespace(object=old))


def _copied(array: Array, memory: Array | None) -> Array:
    if memory is None or arrays.library(array) not in ("numpy", "cupy"):
        return arrays.copy(array, xp=arrays.namespace(object=array))
    memory[...] = array
    return memory


def _less(array: Array, kept: Array) -> Array:
    if arrays.library(array) not in ("numpy", "cupy"):
        return array - kept
    xp = arrays.namespace(object=array)
    return xp.subtract(array, kept, out=kept)
