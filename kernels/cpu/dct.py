"""Sparsity of the object in the discrete cosine transform."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat.numpy as xp

from arraycon.kernels.agnostic import dct as agnostic
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.fft import slices
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.selection import kth_smallest


def kr_thresh(obj: Array, *, thresh: float, scope: str) -> None:
    """Keep the DCT coefficients of largest modulus."""
    if obj.dtype.kind == "c":
        obj[...] = agnostic.kr_thresh(obj, thresh=thresh, scope=scope, xp=xp)
        return
    planes = obj.reshape(-1, *obj.shape[-2:])
    size = obj.size if scope == "global" else planes[0].size
    n_keep = max(1, math.floor(thresh * size))
    if n_keep == size:
        return  # nothing is dropped: the two transforms would only add their rounding

    def smallest(x: Array) -> Any:
        return kth_smallest(x.reshape(-1), size - n_keep, moduli=True)

    def transform(engine: Any, start: int, stop: int) -> None:
        for x in planes[start:stop]:
            engine.dct2_inplace(x)

    def sparsify(engine: Any, start: int, stop: int) -> None:
        for x in planes[start:stop]:
            _drop_below(x.reshape(-1), smallest_kept)
            engine.dct2_inplace(x, inverse=True)

    def both(engine: Any, start: int, stop: int) -> None:
        for x in planes[start:stop]:
            engine.dct2_inplace(x)
            _drop_below(x.reshape(-1), smallest(x))
            engine.dct2_inplace(x, inverse=True)

    if scope == "slice":
        slices.run(both, planes)
    else:
        slices.run(transform, planes)
        smallest_kept = smallest(obj)
        slices.run(sparsify, planes)


@kernel
def _drop_below(x: Array, smallest_kept: float) -> None:
    # "not smaller" rather than "at least as large" keeps NaN visible. NumPy's where= takes 1 ms
    # for a slice of 512×512, this loop 0.02.
    zero = x.dtype.type(0)
    for i in range(x.size):
        value = x[i]
        x[i] = zero if abs(value) < smallest_kept else value
