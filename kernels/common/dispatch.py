"""Which layer serves a call, and the one way from a door's validated arguments to its kernel.

There is no global state: the layer follows from the arrays of each call, and the one switch, which
forces the reference on the array API, is an environment variable or a context.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import array_api_compat
import numpy as np

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace

logger = logging.getLogger("arraycon")

SWITCH = "ARRAYCON_BACKEND"
_forced: contextvars.ContextVar[bool] = contextvars.ContextVar("arraycon_agnostic", default=False)
_preparing: contextvars.ContextVar[bool] = contextvars.ContextVar("arraycon_prepare", default=False)
_KERNELS = __package__.rpartition(".")[0]

Reference = Callable[..., Any]
"""A function of `agnostic`: new arrays, and by-products behind them if there are any."""


def run(
    reference: Reference,
    array: Array,
    *read: Array,
    out: Array | None,
    xp: Namespace,
    elementwise: bool = False,
    **options: Any,
) -> Array:
    """Compute a constraint that changes one array; the last thing that a door does.

    Parameters
    ----------
    reference : callable
        The constraint in `agnostic`. Its twin in another layer has the same name, in a module of
        the same name, and works in place on C-contiguous arrays.
    array : array
        What it changes.
    *read : array
        Further arrays that it reads.
    out : array or None
        Where the result is to go; validated.
    xp : namespace
        Of all arrays.
    elementwise : bool
        Where an element lies makes no difference, so that transposed memory needs no copy.
    **options
        Validated numbers, under the names that all layers have for them.
    """
    return run_several(
        reference, (array,), *read, outs=(out,), xp=xp, elementwise=elementwise, **options
    )[0]


def run_several(
    reference: Reference,
    changed: Sequence[Array],
    *read: Array,
    outs: Sequence[Array | None],
    xp: Namespace,
    elementwise: bool = False,
    **options: Any,
) -> tuple[Any, ...]:
    """Compute a constraint that changes several arrays or has by-products; see `run`.

    Returns
    -------
    tuple
        The new arrays in the order of `changed`, then the by-products. Where an axis has size 0
        there are none: a door that has any answers for such arrays itself.
    """
    if any(arrays.is_empty(array) for array in changed):
        return unchanged(changed, outs, xp=xp)
    twin = _twin(reference, xp)
    given = changed, read, outs, elementwise, options
    if _preparing.get():
        raise _Prepared(twin and functools.partial(_compute, twin, *given))
    if twin is None:
        answer = reference(*changed, *read, xp=xp, **options)
        results = answer if isinstance(answer, tuple) else (answer,)
        new, by_products = results[: len(changed)], results[len(changed) :]
        return (*(store(x, out) for x, out in zip(new, outs, strict=True)), *by_products)
    return _compute(twin, *given)


def prepare(call: Callable[[], Any]) -> Callable[[], tuple[Any, ...]] | None:
    """Return what is left of a door's call when it is repeated on the same arrays and numbers.

    Parameters
    ----------
    call : callable
        Calls one door.

    Returns
    -------
    callable or None
        Does what `run_several` does behind the choice of the layer, and returns the same. None
        where no hand-written kernel serves these arrays, or the door answers by itself; what
        `call` does has then to be done each time.
    """
    token = _preparing.set(True)
    try:
        call()
    except _Prepared as found:
        return found.call
    finally:
        _preparing.reset(token)
    return None


class _Prepared(Exception):
    """Carries a call out of the door that it was prepared in."""

    def __init__(self, call: Callable[[], tuple[Any, ...]] | None) -> None:
        super().__init__()
        self.call = call


def _compute(
    twin: Callable[..., Any],
    changed: Sequence[Array],
    read: Sequence[Array],
    outs: Sequence[Array | None],
    elementwise: bool,
    options: dict[str, Any],
) -> tuple[Any, ...]:
    """Let a twin work; return the new arrays and the by-product, if there is one."""
    if elementwise and _all_transposed((*changed, *read, *outs)):
        # one view of each, so that an output that is an input is recognised
        views = {id(x): x.T for x in (*changed, *read, *outs) if x is not None}
        flat, also, targets = ([views.get(id(x)) for x in group] for group in (changed, read, outs))
        done, by_products = _in_place(twin, flat, also, targets, options)
        back = (x.T if out is None else out for x, out in zip(done, outs, strict=True))
        return (*back, *by_products)
    done, by_products = _in_place(twin, changed, read, outs, options)
    return (*done, *by_products)


def _in_place(
    twin: Callable[..., Any],
    changed: Sequence[Array],
    read: Sequence[Array],
    outs: Sequence[Array | None],
    options: dict[str, Any],
) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
    """Let a twin work in place: on the outputs themselves wherever that is possible."""
    work = [
        _working_copy(array, out, (*(other for other in changed if other is not array), *read))
        for array, out in zip(changed, outs, strict=True)
    ]
    by_product = twin(*work, *map(arrays.contiguous, read), **options)
    done = tuple(_finish(array, out) for array, out in zip(work, outs, strict=True))
    return done, () if by_product is None else (by_product,)


def _all_transposed(given: Sequence[Array | None]) -> bool:
    """Whether all arrays are in Fortran order, and not in C order too."""
    return all(x is None or (x.flags.f_contiguous and not x.flags.c_contiguous) for x in given)


def run_into(
    reference: Reference,
    *read: Array,
    dtypes: Sequence[Any],
    outs: Sequence[Array | None],
    xp: Namespace,
    **options: Any,
) -> tuple[Array, ...]:
    """Make arrays of another kind than those that are read; what `run` is for what changes arrays.

    Parameters
    ----------
    reference : callable
        The function in `agnostic`. Its twin in another layer gets the arrays that it reads and
        behind them those that it fills. They share no memory with the former but may have any
        layout: copies of whole arrays would be as large as what this is there to save.
    *read : array
        What it reads, all of one shape, which the results have too.
    dtypes : sequence of dtype
        Of the results.
    outs : sequence of array or None
        Where they are to go; validated.
    xp, **options
        As for `run`.
    """
    like = read[0]
    twin = None if arrays.is_empty(like) else _twin(reference, xp)
    if twin is None:
        results = reference(*read, xp=xp, **options)
        results = results if isinstance(results, tuple) else (results,)
        return tuple(store(new, out) for new, out in zip(results, outs, strict=True))
    work = [
        arrays.new(like, dtype, xp=xp)
        if out is None or any(np.may_share_memory(out, other) for other in read)
        else out
        for dtype, out in zip(dtypes, outs, strict=True)
    ]
    twin(*read, *work, **options)
    return tuple(_finish(array, out) for array, out in zip(work, outs, strict=True))


def unchanged(
    changed: Sequence[Array], outs: Sequence[Array | None], *, xp: Namespace
) -> tuple[Array, ...]:
    """Return copies, by way of the outputs where there are any that are not the inputs."""
    pairs = list(zip(changed, outs, strict=True))
    # all of them before the first is stored: an output may be another input
    new = [array if out is array else arrays.copy(array, xp=xp) for array, out in pairs]
    return tuple(x if out is x else store(x, out) for x, (_, out) in zip(new, pairs, strict=True))


def store(result: Array, out: Array | None) -> Array:
    """Return `result`, by way of `out` if there is one."""
    if out is None:
        return result
    _assign(out, result)
    return out


def _assign(target: Array, source: Array) -> None:
    if isinstance(target, np.ndarray):
        arrays.assign(target, source)
    else:
        target[...] = source


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
    """Return the module of hand-written kernels for arrays of a namespace, or None."""
    if not accelerated():
        return None
    if array_api_compat.is_numpy_namespace(xp):
        return _module("cpu", family) if _numba_works() else None
    if array_api_compat.is_cupy_namespace(xp):
        return _module("gpu", family)
    return None


def _twin(reference: Reference, xp: Namespace) -> Any:
    """Return the function of the same name in the layer that serves a namespace, if it has one."""
    module = fast(reference.__module__.rpartition(".")[2], xp)
    return getattr(module, reference.__name__, None)


@functools.cache
def _module(layer: str, family: str) -> Any:
    """Return a layer's module for a family; None where the layer lacks it.

    Only its absence is forgiven: a module that is there and cannot be imported is an error.
    """
    name = f"{_KERNELS}.{layer}.{family}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


@functools.cache
def _numba_works() -> bool:
    try:
        import numba  # noqa: F401
    except ImportError as error:  # absent, or built for another NumPy
        logger.info("Numba cannot be imported, NumPy arrays take the array-API path: %s", error)
        return False
    return True


def _working_copy(array: Array, out: Array | None, read_later: Sequence[Array]) -> Array:
    """Return a C-contiguous array with the values of `array`, to be worked on in place.

    It is `out` itself wherever that is possible, which it is not if `out` shares memory with an
    array that is still to be read, or is another view of `array`: a copy in blocks, or by CuPy,
    would read what it has written.
    """
    if (
        out is None
        or not (out.flags.c_contiguous and getattr(out.flags, "aligned", True))
        or any(np.may_share_memory(out, other) for other in read_later)
        or (out is not array and np.may_share_memory(out, array))
    ):
        return arrays.contiguous_copy(array)
    if out is not array:
        _assign(out, array)
    return out


def _finish(work: Array, out: Array | None) -> Array:
    return work if out is None or out is work else store(work, out)
