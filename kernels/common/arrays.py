"""Arrays of every library: namespace, precision, device, memory layout."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

from arraycon.kernels.common import elsewhere, meaning

Array: TypeAlias = Any
"""An array of any library that array-api-compat knows; the standard has no type to name."""

Namespace: TypeAlias = Any

# Elements of a block when neighbours are gathered from afar, and of arrays that are not worth it.
_LINES = 64
_FEW = 1 << 14


def namespace(**named: Array) -> Namespace:
    """Array-API namespace shared by the named arrays.

    Raises
    ------
    TypeError
        One of them is not an array or one that means more than its elements (with units, a mask or
        labels), or they come from different libraries.
    """
    types = set(map(type, named.values()))
    if len(types) == 1 and (known := _known.get(*types)) is not None:
        return known  # what follows takes 4 µs and more, several times per constraint
    for name, array in named.items():
        expected = f"{name}: expected an array (NumPy, CuPy, PyTorch, JAX, ...), got"
        try:
            meaning.array(array)
        except meaning.LostMeaningError as error:
            raise TypeError(f"{expected} {error}") from None
        if not array_api_compat.is_array_api_obj(array):
            raise TypeError(f"{expected} {elsewhere.advice(array) or type(array).__name__}")
    try:
        xp = array_api_compat.array_namespace(*named.values())
    except TypeError:
        kinds = ", ".join(f"{name} is {library(array)}" for name, array in named.items())
        raise TypeError(f"expected arrays of one library, got a mix: {kinds}") from None
    if len(types) == 1 and any(one_for_all(xp) for one_for_all in _ONE_FOR_ALL):
        _known[types.pop()] = xp
    return xp


_ONE_FOR_ALL = (
    array_api_compat.is_numpy_namespace,
    array_api_compat.is_torch_namespace,
    array_api_compat.is_cupy_namespace,
)
"""Libraries whose arrays of one type all have the same namespace."""

_known: dict[type, Namespace] = {}


def library(array: Array) -> str:
    """Name of the array's library, as in ``numpy`` or ``cupy``."""
    return type(array).__module__.partition(".")[0].replace("jaxlib", "jax")


def device(array: Array) -> Any:
    """Device of an array."""
    if type(array) in _known and not isinstance(array, np.ndarray):
        return array.device  # array-api-compat asks every library first
    return array_api_compat.device(array)


def is_empty(array: Array) -> bool:
    """Whether an axis has size 0."""
    return 0 in array.shape


def copy(array: Array, *, xp: Namespace) -> Array:
    """Return a new array with the same values."""
    return xp.asarray(array, copy=True)


def new(like: Array, dtype: Any, *, xp: Namespace) -> Array:
    """Return an empty C-contiguous array of another dtype, on the device of `like`."""
    if array_api_compat.is_cupy_array(like):
        with like.device:  # CuPy makes arrays on the device that is current
            return xp.empty(like.shape, dtype=dtype)
    return xp.empty(like.shape, dtype=dtype, device=device(like))


def contiguous(array: Array) -> Array:
    """Return the array itself if it is C-contiguous, else a copy that is."""
    return array if array.flags.c_contiguous else contiguous_copy(array)


def contiguous_copy(array: Array) -> Array:
    """Return a C-contiguous copy of a NumPy or CuPy array."""
    if isinstance(array, np.ndarray):
        result = np.empty(array.shape, array.dtype)
        assign(result, array)
        return result
    with array.device:  # CuPy copies to the device that is current
        return array.copy(order="C")


def assign(target: np.ndarray, source: np.ndarray) -> None:
    """Copy between NumPy arrays, in blocks where neighbours in one are far apart in the other.

    Between C and Fortran order, with an axis in between, NumPy fetches every cache line once for
    each of its numbers: 44 ms instead of 11 for 20×512×512 float32. With axes next to each other,
    as where slices are transposed, blocks gain nothing.
    """
    fastest = _fastest_axis(target), _fastest_axis(source)
    if abs(fastest[0] - fastest[1]) < 2 or source.size < _FEW:
        target[...] = source
        return
    loops: list[Sequence[slice | int]] = [
        [slice(i, i + _LINES) for i in range(0, n, _LINES)] if axis in fastest else range(n)
        for axis, n in enumerate(source.shape)
    ]
    loops[max(fastest)] = [slice(None)]  # the other one is divided already
    for block in itertools.product(*loops):
        target[block] = source[block]


def _fastest_axis(array: np.ndarray) -> int:
    """Axis along which neighbours in memory lie."""
    strides = [
        (abs(stride) if n > 1 else math.inf, -axis)
        for axis, (stride, n) in enumerate(zip(array.strides, array.shape, strict=True))
    ]
    return -min(strides, default=(0, 0))[1]


def wide(array: Array, *, xp: Namespace) -> Any:
    """Return the real dtype to accumulate in: float64, or float32 where JAX has no other."""
    return xp.float64 if "float64" in _real_dtypes(array, xp) else xp.float32


def wide_complex(array: Array, *, xp: Namespace) -> Any:
    """Return the complex dtype to accumulate in, as `wide`."""
    return xp.complex128 if "float64" in _real_dtypes(array, xp) else xp.complex64


def _real_dtypes(array: Array, xp: Namespace) -> dict[str, Any]:
    if array_api_compat.is_jax_array(array):
        # only JAX's answer depends on a setting (jax_enable_x64)
        dtypes: dict[str, Any] = xp.__array_namespace_info__().dtypes(kind="real floating")
        return dtypes
    return {"float64": xp.float64}


def real_dtype(array: Array, *, xp: Namespace) -> Any:
    """Real dtype of the same precision."""
    return xp.float32 if array.dtype in (xp.float32, xp.complex64) else xp.float64


def complex_dtype(array: Array, *, xp: Namespace) -> Any:
    """Complex dtype of the same precision."""
    return xp.complex64 if array.dtype in (xp.float32, xp.complex64) else xp.complex128


def abs2(array: Array, *, xp: Namespace) -> Array:
    """Squared modulus of a complex array, without the square root that ``abs`` takes."""
    return xp.real(array) ** 2 + xp.imag(array) ** 2


def frequencies(n: int, like: Array, *, xp: Namespace) -> Array:
    """Spatial frequencies of an FFT axis in cycles per pixel, on the device of `like`.

    Unlike ``xp.fft.fftfreq`` this takes no device or dtype that a library may ignore.
    """
    index = xp.arange(n, dtype=wide(like, xp=xp), device=device(like))
    return xp.where(index < (n + 1) // 2, index, index - n) / n


def coordinates(n: int, like: Array, *, xp: Namespace) -> Array:
    """Pixel indices relative to pixel n//2, on the device of `like`."""
    index = xp.arange(n, dtype=wide(like, xp=xp), device=device(like))
    return index - n // 2


def kth_smallest(values: Array, k: int, *, xp: Namespace) -> Array:
    """Exact order statistic (0-d array) of a 1-D array, `k` counted from 0.

    The standard has no partition; NumPy's and CuPy's selects in O(n), the others sort.
    """
    if hasattr(xp, "partition"):
        return xp.partition(values, k)[k]
    return xp.sort(values)[k]
