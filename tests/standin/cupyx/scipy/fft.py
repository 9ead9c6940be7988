"""Transforms of new arrays, and CuPy's way to a plan."""

from __future__ import annotations

import math

import scipy.fft as _fft
from cupy import ndarray, wrapped
from cupy.cuda import cufft

__all__ = ["dctn", "fft", "fft2", "fftn", "idctn", "ifft", "ifft2", "ifftn", "irfft2", "rfft2"]

for _name in __all__:
    globals()[_name] = wrapped(getattr(_fft, _name))


def get_fft_plan(a, shape=None, axes=None, value_type="C2C"):
    """Plan over the last axes; as strict as CuPy's about the order of the array."""
    assert isinstance(a, ndarray)
    assert axes == tuple(range(-len(axes), 0))
    # an array whose axes but one have size 1 is of both orders
    if len(axes) > 1 and value_type != "C2C" and a.flags.f_contiguous:
        raise ValueError("C2R/R2C PlanNd for F-order arrays is not supported")
    single = a.dtype.char in "fF"
    names = {"C2C": "Z2Z", "R2C": "D2Z", "C2R": "Z2D"}
    fft_type = getattr(cufft, f"CUFFT_{value_type if single else names[value_type]}")
    half = (*shape[:-1], shape[-1] // 2 + 1)
    item_in = half if value_type == "C2R" else shape
    item_out = half if value_type == "R2C" else shape
    batch = math.prod(a.shape[: -len(axes)])
    return cufft.PlanNd(
        shape, item_in, 1, math.prod(item_in), item_out, 1, math.prod(item_out), fft_type, batch,
        "C", a.ndim - 1, None if value_type == "C2C" else item_out[-1],
    )  # fmt: skip
