"""Counts of the digits of floats' bits, 16 bits at a time, in an order that is that of the floats.

NumPy took 2.4 times as long for 20×512×512 float32: keys, comparisons and digits are each a pass.
"""

from __future__ import annotations

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools.compiled import kernel

_DIGIT = 16


def add_counts(counts: Array, x: Array, *, digits: int, prefix: int) -> None:
    """Add how often each digit comes next, in the numbers that begin with some digits.

    Parameters
    ----------
    counts : array, shape (2**16,), int64
    x : array, 1-D, float32 or float64
    digits : int
        How many digits are known.
    prefix : int
        These, in one number.
    """
    single = x.dtype == np.float32
    integer = np.uint32 if single else np.uint64
    size = 32 if single else 64
    sign = integer(1 << (size - 1))
    nan = np.asarray(np.nan, x.dtype).view(integer)[()]
    shift = integer(size - _DIGIT * (digits + 1))
    _add(counts, x.view(integer), x, sign, nan | sign, shift, integer(_DIGIT), integer(prefix))


@kernel
def _add(counts, bits, x, sign, nan, shift, digit, prefix):
    for i in range(bits.size):
        key = bits[i]
        if x[i] != x[i]:
            key = nan
        elif x[i] == 0:
            key = sign  # of both zeros
        elif key & sign:
            key = ~key
        else:
            key = key | sign
        upper = key >> shift
        if upper >> digit == prefix:
            counts[upper & 0xFFFF] += 1
