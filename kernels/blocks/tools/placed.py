"""Numbers of each slice, in places of their own, so that their order and number do not matter."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace
from arraycon.kernels.common.steps import Region


def by_plane(work: Callable[[Array], Array], obj: Array, region: Region) -> np.ndarray:
    """Return what a function gives of each plane of a block of whole slices.

    Each plane is given by itself, so that blocks of other sizes lead to the same numbers.

    Parameters
    ----------
    work : callable
        From an array (ny, nx) to a small one, the same shape each time.
    obj : array, shape (..., z, ny, nx)
    region : Region

    Returns
    -------
    array, shape (..., nz, ...)
        0 for slices that the block does not have.
    """
    leading = obj.shape[:-2]
    each = np.stack([here(work(plane)) for plane in planes(obj)])
    each = each.reshape(*leading, *each.shape[1:])
    total = np.zeros((*leading[:-1], region.shape[0], *each.shape[len(leading) :]), each.dtype)
    total[(slice(None),) * (len(leading) - 1) + (region.z,)] = each
    return total


def planes(obj: Array) -> Iterator[Array]:
    """Go through the planes of an array, first by its leading axes."""
    for index in itertools.product(*map(range, obj.shape[:-2])):
        key = (*index, ...)
        yield obj[key]


def here(x: Array) -> np.ndarray:
    """Return a small array as one of NumPy."""
    return np.asarray(x.get() if hasattr(x, "get") else x)


def there(x: np.ndarray, like: Array, *, xp: Namespace) -> Array:
    """Return small numbers where an array is, real and in its precision."""
    made = xp.asarray(x, device=arrays.device(like))
    return xp.astype(made, arrays.real_dtype(like, xp=xp))
