"""Centring: a probe whose centre is the corner pixel, as constraints see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arraycon.adapters._loop import kept
from arraycon.kernels.common import arrays

if TYPE_CHECKING:
    from arraycon.pipeline import Constraints


class Centring:
    """Shifts a probe to the middle of its array and back, where that makes a difference.

    Most constraints commute with a cyclic shift of the probe, and two copies are saved.
    """

    def __init__(self) -> None:
        self._memory: Any = None
        self._shifted = False

    def centred(self, modes: Any, constraints: Constraints, iteration: int) -> Any:
        """Return the modes as constraints that are due at an iteration need them."""
        due = constraints.due_constraints(max(iteration, 1))
        self._shifted = any(constraint.centred for constraint in due)
        if not self._shifted:
            return modes
        xp = arrays.namespace(probe=modes)
        self._memory = kept(self._memory, xp.fft.fftshift(modes, axes=(-2, -1)))
        return self._memory

    def give_back(self, modes: Any) -> None:
        """Write what has become of them to the modes."""
        if self._shifted:
            xp = arrays.namespace(probe=modes)
            modes[...] = xp.fft.ifftshift(self._memory, axes=(-2, -1))
