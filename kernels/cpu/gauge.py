"""Freedoms of the model that the intensities do not fix: object modes."""

from __future__ import annotations

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu import modes


def ortho_omode(obj: Array, *, sums: Array | None = None) -> Array:
    """Make the object modes orthogonal, strongest first; return the unitary that does it."""
    return modes.ortho_pmode(obj[:, 0], sums=sums)
