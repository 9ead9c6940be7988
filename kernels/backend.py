"""Namespace, precision and output arrays for every array library.

Nothing here is global state: the namespace is inferred from the arrays of each call, and the one
switch, which forces the array-API reference path, is an environment variable or a context.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

logger = logging.getLogger("arraycon")

Array: TypeAlias = Any
"""An array of any library that array-api-compat knows; the standard has no type to name."""

Namespace: TypeAlias = Any

SWITCH = "ARRAYCON_BACKEND"
_forced: contextvars.ContextVar[bool] = contextvars.ContextVar("arraycon_agnostic", default=False)


def namespace(**arrays: Array) -> Namespace:
    """Array-API namespace shared by the named arrays.

    Raises
    ------
    TypeError
        One of them is not an array, or they come from different libraries.
    """
    if all(type(array) is np.ndarray for array in arrays.values()):
        return _numpy_namespace()  # what follows takes 4 µs, several times per constraint
    for name, array in arrays.items():
        if not array_api_compat.is_array_api_obj(array):
            raise TypeError(
                f"{name}: expected an array (NumPy, CuPy, PyTorch, JAX, ...), "
                f"got {type(array).__name__}"
            )
    try:
        return array_api_compat.array_namespace(*arrays.values())
    except TypeError:
        kinds = ", ".join(f"{name} is {library(array)}" for name, array in arrays.items())
        raise TypeError(f"expected arrays of one library, got a mix: {kinds}") from None


@functools.cache
def _numpy_namespace() -> Namespace:
    return array_api_compat.array_namespace(np.empty(0))  # its import takes a fifth of a second


def library(array: Array) -> str:
    """Name of the array's library, as in ``numpy`` or ``cupy``."""
    return type(array).__module__.partition(".")[0].replace("jaxlib", "jax")


@contextlib.contextmanager
def use_agnostic() -> Iterator[None]:
    """Force the array-API reference path within a ``with`` block (this thread or task only).

    ``ARRAYCON_BACKEND=agnostic`` does the same for a whole process. Meant for tests and for whoever
    suspects an accelerated path.
    """
    token = _forced.set(True)
    try:
        yield
    finally:
        _forced.reset(token)


def accelerated() -> bool:
    """Whether library-specific fast paths may be taken.

    Raises
    ------
    ValueError
        The environment variable holds something else than ``auto`` or ``agnostic``.
    """
    setting = os.environ.get(SWITCH, "") or "auto"
    if setting not in ("auto", "agnostic"):
        raise ValueError(f"{SWITCH}: expected auto or agnostic, got {setting!r}")
    return setting == "auto" and not _forced.get()


def fast(family: str, xp: Namespace) -> Any:
    """Return the module of hand-written kernels for arrays of a namespace, or None.

    Its functions work in place on C-contiguous arrays, under the same names for every processor.
    """
    if not accelerated():
        return None
    if array_api_compat.is_numpy_namespace(xp):
        return importlib.import_module(f"arraycon.kernels.cpu.{family}") if _numba_works() else None
    if array_api_compat.is_cupy_namespace(xp):
        return importlib.import_module(f"arraycon.kernels.gpu.{family}")
    return None


@functools.cache
def _numba_works() -> bool:
    try:
        import numba  # noqa: F401
    except ImportError as error:  # absent, or built for another NumPy
        logger.info("Numba cannot be imported, NumPy arrays take the array-API path: %s", error)
        return False
    return True


def working_copy(array: Array, out: Array | None, *read_later: Array) -> Array:
    """Return a C-contiguous array with the values of `array`, to be worked on in place.

    It is `out` itself wherever that is possible, which it is not if `out` shares memory with an
    array that is still to be read; `finish` completes what this began.
    """
    if (
        out is None
        or not (out.flags.c_contiguous and getattr(out.flags, "aligned", True))
        or any(np.may_share_memory(out, other) for other in read_later)
    ):
        return _contiguous_copy(array)
    if out is not array:
        out[...] = array
    return out


def contiguous(array: Array) -> Array:
    """Return the array itself if it is C-contiguous, else a copy that is."""
    return array if array.flags.c_contiguous else _contiguous_copy(array)


def _contiguous_copy(array: Array) -> Array:
    if isinstance(array, np.ndarray):
        return np.array(array, order="C")
    with array.device:  # CuPy copies to the device that is current
        return array.copy(order="C")


def working_copies(arrays: Sequence[Array], outs: Sequence[Array | None]) -> list[Array]:
    """Return a `working_copy` of each, writing to none of the others."""
    return [
        working_copy(array, out, *(other for other in arrays if other is not array))
        for array, out in zip(arrays, outs, strict=True)
    ]


def finish(work: Array, out: Array | None) -> Array:
    """Return a `working_copy`, by way of `out` if there is one."""
    return work if out is None or out is work else store(work, out)


def is_empty(array: Array) -> bool:
    """Whether an axis has size 0."""
    return 0 in array.shape


def store(result: Array, out: Array | None) -> Array:
    """Return `result`, by way of `out` if there is one."""
    if out is None:
        return result
    out[...] = result
    return out


def copy(array: Array, *, xp: Namespace) -> Array:
    """Return a new array with the same values."""
    return xp.asarray(array, copy=True)


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


def device(array: Array) -> Any:
    """Device of an array."""
    return array_api_compat.device(array)
