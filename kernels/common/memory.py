"""Memory that arrays have in common, with each other or among their own elements.

Worked out from addresses, shapes and strides, for arrays of every library that has them: nothing is
read, and no device waited for.
"""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from arraycon.kernels.common.arrays import Array

# Steps of the exact search, which one of strided windows into each other could take for ever: those
# of complex numbers' parts and of every other slice take less than 100.
_MOST_WORK = 10_000


def shared(a: Array, b: Array) -> bool:
    """Whether a write to one array changes the other; True where that would take long to find."""
    if type(a) is type(b) is np.ndarray and not np.may_share_memory(a, b):
        return False  # the usual answer, at every call
    if array_api_compat.is_jax_array(a) or array_api_compat.is_jax_array(b):
        return False  # they cannot be written to
    if a is b:
        return 0 not in a.shape
    one, other = _seen(a), _seen(b)
    if one is None or other is None or not np.may_share_memory(one, other):
        return False
    try:
        return np.shares_memory(one, other, max_work=_MOST_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def repeats(array: Array) -> bool:
    """Whether elements of an array share memory, as those of a broadcast one do."""
    if type(array) is np.ndarray and array.flags.forc:
        return False
    seen = _seen(array)
    if seen is None or seen.size < 2:
        return False
    covered = seen.itemsize  # from the innermost axis outwards, bytes between first and last
    steps = sorted(
        (abs(step), n) for step, n in zip(seen.strides, seen.shape, strict=True) if n > 1
    )
    for step, n in steps:
        if step < covered:
            return True
        covered += step * (n - 1)
    return False


class _Address:
    """What NumPy takes for an array at an address that it has no access to."""

    def __init__(self, start: int, array: Array, strides: tuple[int, ...], itemsize: int) -> None:
        self.__array_interface__ = {
            "version": 3,
            "shape": tuple(array.shape),
            "strides": strides,
            "typestr": f"|V{itemsize}",
            "data": (start or 1, True),
        }


def _seen(array: Array) -> Any:
    """Return one of NumPy's at the same place, never to be read; None where that is unknown."""
    if isinstance(array, np.ndarray):
        return array
    if array_api_compat.is_cupy_array(array):
        where = array.data.ptr, array, array.strides, array.itemsize
    elif array_api_compat.is_torch_array(array):
        size = array.element_size()
        try:
            where = array.data_ptr(), array, tuple(size * n for n in array.stride()), size
        except RuntimeError:  # sparse, or in a transform: it has no address
            return None
    else:
        return None
    return np.asarray(_Address(*where))
