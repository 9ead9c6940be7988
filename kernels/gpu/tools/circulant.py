"""The depth filter of few slices as a product with a circulant; their number is compiled in."""

from __future__ import annotations

import functools
import math
from typing import Any

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools.launch import blocks, launch
from arraycon.kernels.gpu.tools.source import Defines

# Most slices: a column takes nz²/2 products of which each serves a pair of slices, which keep pace
# with memory on devices with 10 operations a byte; and the loops over them are unrolled.
_MOST = 64
# Threads of a block, as in circulant.cu, and fewer where their columns do not fit.
_LANES = 128
_FEWEST = 64
# Shared memory that a block gets without asking.
_SHARED = 48 << 10


def fits(nz: int, itemsize: int) -> bool:
    """Whether columns of nz complex numbers of `itemsize` bytes are filtered here."""
    return nz <= _MOST and nz * _FEWEST * itemsize <= _SHARED


def filter_columns(spectrum: Array, ny: int, nx: int, numbers: tuple[Any, ...]) -> None:
    """Filter the spectra (nz, ny, nx//2 + 1) of one volume in depth, periodically.

    `numbers` are β², α, the factor of the filter and what is added to each voxel.
    """
    nz, nbytes = len(spectrum), len(spectrum) * spectrum.itemsize
    lanes = _LANES if _LANES * nbytes <= _SHARED else _FEWEST
    launch(
        "circulant",
        "filter_columns",
        spectrum,
        blocks(spectrum[0].size, threads=lanes),
        *(spectrum, ny, nx, *numbers),
        threads=lanes,
        shared=lanes * nbytes,
        defines=_defines(nz),
    )


@functools.cache
def _defines(nz: int) -> Defines:
    # as literals: an upload of a table would not stay valid in a CUDA graph
    cosines = (round(math.cos(2 * math.pi * j / nz), 17) for j in range(nz))
    return ("NZ", nz), ("COSINES", f"{{{', '.join(map(repr, cosines))}}}")
