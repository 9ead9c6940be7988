"""Freedoms of the model that the intensities do not fix: object modes."""

from __future__ import annotations

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu import modes
from arraycon.kernels.gpu.tools.launch import on_device


@on_device
def ortho_omode(obj: Array) -> Array:
    """Make the object modes orthogonal, strongest first; return the unitary that does it."""
    return modes.ortho_pmode(obj[:, 0])
