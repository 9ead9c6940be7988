"""Figures about arrays that stay on their device until somebody reads them."""

from __future__ import annotations

from contextlib import AbstractContextManager

from arraycon.kernels.agnostic import metrics as agnostic
from arraycon.kernels.agnostic import modes as agnostic_modes
from arraycon.kernels.common import arrays, changes, dispatch
from arraycon.kernels.common.arrays import Array, Namespace

__all__ = ["change", "measuring", "mode_powers"]


def measuring() -> AbstractContextManager[changes.Changes]:
    """Collect Σ|new - old|² and Σ|old|² of what constraints write within a ``with`` block.

    Kernels take the sums along where they can; of what others change, a copy is made and compared.
    """
    return changes.collect(change)


def change(new: Array, old: Array, *, xp: Namespace) -> tuple[Array, Array]:
    """Σ|new - old|² and Σ|old|² as 0-d arrays, accumulated in float64, in one pass over both."""
    fast = dispatch.fast("metrics", xp)
    if fast is None or arrays.is_empty(old):
        return agnostic.change(new, old, xp=xp)
    changed, before = fast.change(arrays.contiguous(new), arrays.contiguous(old))
    return changed, before


def mode_powers(probe: Array, *, xp: Namespace) -> Array:
    """Σ|P|² of each mode, accumulated in float64."""
    fast = dispatch.fast("modes", xp)
    if fast is None or arrays.is_empty(probe):
        return agnostic_modes.mode_powers(probe, xp=xp)
    return fast.mode_powers(arrays.contiguous(probe))
