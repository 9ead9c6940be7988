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
import inspect
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import array_api_compat
import numpy as np

from arraycon.kernels.common import arrays, changes, elsewhere, settings
from arraycon.kernels.common.arrays import Array, Namespace

logger = logging.getLogger("arraycon")

SWITCH = "ARRAYCON_BACKEND"
_setting = settings.variable(SWITCH)
_forced: contextvars.ContextVar[bool] = contextvars.ContextVar("arraycon_agnostic", default=False)
_preparing: contextvars.ContextVar[bool] = contextvars.ContextVar("arraycon_prepare", default=False)
_KERNELS = __package__.rpartition(".")[0]

Reference = Callable[..., Any]
"""A function of `agnostic`: new arrays, and by-products behind them if there are any."""

Twin = TypeVar("Twin", bound=Callable[..., Any])

Finish: TypeAlias = Callable[[], tuple[Any, ...]]
"""The second half of a call: writes results, and has all memory that it needs."""


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
    if type(array) is np.ndarray and not read:
        twin = _direct(reference, array, out, options)
        if twin is not None:
            return _at_once(twin, array, out, options)
    return run_several(
        reference, (array,), *read, outs=(out,), xp=xp, elementwise=elementwise, **options
    )[0]


def _direct(reference: Reference, array: Array, out: Array | None, options: dict[str, Any]) -> Any:
    """Return the twin for an ordinary NumPy array that it works on at once, or None.

    The usual call: in place, or for a new array, of one array that lies in C order, which nobody
    prepares or measures. It comes out as by `run_several`, whose road is for all others: between
    calls on large arrays what is interpreted is out of the caches, and takes ten times as long as
    in a loop.
    """
    flags = array.flags
    if not (flags.c_contiguous if out is None else out is array and flags.carray):
        return None
    if array.size == 0 or _preparing.get() or changes.collecting() is not None:
        return None
    if not (accelerated() and _numba_works()):
        return None
    twin = getattr(_on_cpu(reference), reference.__name__, None)
    if twin is None or _traits(twin).halves:
        return None
    serves = getattr(twin, "serves", None)
    return twin if serves is None or serves(options) else None


def _at_once(
    twin: Callable[..., Any], array: Array, out: Array | None, options: dict[str, Any]
) -> Array:
    """Let a twin work on an array itself, or write a new one."""
    if out is not None:
        twin(array, **options)
        return array
    if _traits(twin).source:
        new = np.empty(array.shape, array.dtype)
        twin(new, source=array, **options)
    else:
        new = array.copy()
        twin(new, **options)
    return new


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
    if array_api_compat.is_dask_namespace(xp):
        _require_lazy(changed, outs, elementwise)
    if any(arrays.is_empty(array) for array in changed):
        return unchanged(changed, outs, xp=xp)
    twin = _twin(reference, xp, options)
    if twin is None:
        start = functools.partial(_compute, reference, changed, read, outs, xp, options)
    else:
        start = functools.partial(_work, twin, changed, read, outs, xp, elementwise, options)
    if _preparing.get():
        raise _Prepared(start, repeatable=twin is not None)
    return start()()


def _require_lazy(changed: Sequence[Array], outs: Sequence[Array | None], lazy: bool) -> None:
    """Refuse dask arrays where a graph would rearrange them, or bring all of one to one worker."""
    if not lazy:
        raise TypeError(f"expected arrays in memory, got {elsewhere.advice(changed[0])}")
    if any(out is not None for out in outs):
        raise TypeError("out: expected None, because dask arrays cannot be written to, got one")


def prepare(call: Callable[[], Any]) -> Callable[[], Finish] | None:
    """Return what is left of a door's call when it is repeated on the same arrays and numbers.

    Parameters
    ----------
    call : callable
        Calls one door.

    Returns
    -------
    callable or None
        Does what `run_several` does behind the choice of the layer, in two halves as `begin`. None
        where no hand-written kernel serves these arrays, or the door answers by itself; what
        `call` does has then to be done each time.
    """
    found = _prepared(call)
    return found.start if isinstance(found, _Prepared) and found.repeatable else None


def begin(call: Callable[[], Any]) -> Finish:
    """Do the first half of a door's call, which writes to no array that was given.

    Where several calls belong together, none writes before all have what they need.

    Parameters
    ----------
    call : callable
        Calls one door.

    Returns
    -------
    callable
        The second half; returns what `run_several` does.
    """
    found = _prepared(call)
    if isinstance(found, _Prepared):
        return found.start()
    return lambda: found if isinstance(found, tuple) else (found,)


def is_door(function: Any) -> bool:
    """Whether a function is a door of this package, of which each makes one call of `run`."""
    inside = inspect.unwrap(function) if callable(function) else function
    return str(getattr(inside, "__module__", "")).rpartition(".")[0] == _KERNELS


class _Prepared(Exception):
    """Carries a call out of the door that it was prepared in."""

    def __init__(self, start: Callable[[], Finish], *, repeatable: bool) -> None:
        super().__init__()
        self.start, self.repeatable = start, repeatable


def _prepared(call: Callable[[], Any]) -> Any:
    """Return a call as it is in front of its kernel, or the answer of a door that needs none."""
    token = _preparing.set(True)
    try:
        return call()
    except _Prepared as found:
        return found
    finally:
        _preparing.reset(token)


def _compute(
    reference: Reference,
    changed: Sequence[Array],
    read: Sequence[Array],
    outs: Sequence[Array | None],
    xp: Namespace,
    options: dict[str, Any],
) -> Finish:
    """Begin with a reference: it computes new arrays, which are still to be stored."""
    answer = reference(*changed, *read, xp=xp, **options)
    results = answer if isinstance(answer, tuple) else (answer,)
    new, by_products = results[: len(changed)], results[len(changed) :]
    asked = changes.collecting()
    if asked is not None:
        asked.compared(new, changed, outs, xp=xp)
    return lambda: (*(store(x, out) for x, out in zip(new, outs, strict=True)), *by_products)


def _work(
    twin: Callable[..., Any],
    changed: Sequence[Array],
    read: Sequence[Array],
    outs: Sequence[Array | None],
    xp: Namespace,
    elementwise: bool,
    options: dict[str, Any],
) -> Finish:
    """Begin with a twin, which works in place."""
    turned = elementwise and _all_transposed((*changed, *read, *outs))
    flat, also, targets = changed, read, outs
    if turned:
        # one view of each, so that an output that is an input is recognised
        views = {id(x): x.T for x in (*changed, *read, *outs) if x is not None}
        flat, also, targets = ([views.get(id(x)) for x in group] for group in (changed, read, outs))
    finish = _in_place(twin, flat, also, targets, outs, xp, options)
    if not turned:
        return finish

    def turn_back() -> tuple[Any, ...]:
        results = finish()
        back = (x.T if out is None else out for x, out in zip(results, outs, strict=False))
        return (*back, *results[len(outs) :])

    return turn_back


class _Traits(NamedTuple):
    """How a twin is called.

    Parameters
    ----------
    halves : bool
        It is a generator function that yields once, when it has all memory that it needs and has
        read and written nothing: an output gets its input's values then. Others do all that by
        themselves: they write when they have it.
    sums : bool
        It takes an array `sums`, one row for each array that it changes, and fills it with
        Σ|new - old|² and Σ|old|².
    source : bool
        It takes an array `source`, of which it writes the result into the first array, that holds
        nothing: a new array is written once, not twice.
    """

    halves: bool
    sums: bool
    source: bool


@functools.cache
def _traits(twin: Callable[..., Any]) -> _Traits:
    names = inspect.signature(twin).parameters
    return _Traits(inspect.isgeneratorfunction(twin), "sums" in names, "source" in names)


def _in_place(
    twin: Callable[..., Any],
    changed: Sequence[Array],
    read: Sequence[Array],
    targets: Sequence[Array | None],
    outs: Sequence[Array | None],
    xp: Namespace,
    options: dict[str, Any],
) -> Finish:
    """Let a twin work in place: on the targets themselves wherever that is possible.

    The targets are the outputs, or what the twin is to see of them.
    """
    work, given = _working_arrays(changed, read, targets)
    also = [arrays.contiguous(array) for array in read]
    traits, asked = _traits(twin), changes.collecting()
    sums, old = None, []
    if asked is not None and traits.sums:
        options = {**options, "sums": (sums := _sums(work[0], len(work), xp))}
    elif asked is not None:
        old = [arrays.contiguous_copy(array) for array in given]
    halves = twin(*work, *also, **options) if traits.halves else None
    if halves is not None:
        next(halves)

    def finish() -> tuple[Any, ...]:
        for array, source in zip(work, given, strict=True):
            if array is not source:
                _assign(array, source)
        by_product = twin(*work, *also, **options) if halves is None else _result(halves)
        if asked is not None:
            _note(asked, work, old, sums, outs, xp)
        done = (_finish(array, out) for array, out in zip(work, targets, strict=True))
        return (*done,) if by_product is None else (*done, by_product)

    return finish


def _note(
    asked: changes.Changes,
    work: Sequence[Array],
    old: Sequence[Array],
    sums: Array | None,
    outs: Sequence[Array | None],
    xp: Namespace,
) -> None:
    """Take note of the changes: of the sums, or of the comparison with the old arrays."""
    if sums is not None:
        asked.add(outs, sums)
        return
    try:
        asked.compared(work, old, outs, xp=xp)
    except BaseException:
        for array, source in zip(work, old, strict=True):
            _assign(array, source)
        raise


def _result(halves: Generator[None, None, Any]) -> Any:
    """Run the second half of a twin, and return its by-product."""
    try:
        next(halves)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a kernel yielded twice")


def _all_transposed(given: Sequence[Array | None]) -> bool:
    """Whether all arrays are in Fortran order, and not in C order too."""
    return all(x is None or (x.flags.f_contiguous and not x.flags.c_contiguous) for x in given)


def run_into(
    reference: Reference,
    *read: Array,
    dtypes: Sequence[Any],
    outs: Sequence[Array | None],
    xp: Namespace,
    elementwise: bool = False,
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
    elementwise : bool
        Each element is made of those in its place, so that an output may be what is read.
    xp, **options
        As for `run`.
    """
    like = read[0]
    twin = None if arrays.is_empty(like) else _twin(reference, xp, options)
    if twin is None:
        results = reference(*read, xp=xp, **options)
        results = results if isinstance(results, tuple) else (results,)
        return tuple(store(new, out) for new, out in zip(results, outs, strict=True))
    work = [
        arrays.new(like, dtype, xp=xp)
        if out is None
        or any(
            np.may_share_memory(out, other) for other in read if not (elementwise and other is out)
        )
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

    Examples
    --------
    >>> import arraycon, numpy
    >>> phase = numpy.random.default_rng(0).normal(size=(4, 16, 16))
    >>> with arraycon.use_agnostic():
    ...     reference = arraycon.kz_filter(phase)
    >>> bool(abs(arraycon.kz_filter(phase) - reference).max() < 1e-12)
    True
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
    setting = _setting() or "auto"
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


def serving(condition: Callable[[dict[str, Any]], bool]) -> Callable[[Twin], Twin]:
    """Let a twin serve calls whose numbers meet a condition; the reference has the others.

    The twin itself could only call the reference in its second half, where it may lack memory when
    another array has been written to.

    Parameters
    ----------
    condition : callable
        Of the numbers by name.
    """

    def mark(twin: Twin) -> Twin:
        twin.serves = condition  # type: ignore[attr-defined]
        return twin

    return mark


def _twin(reference: Reference, xp: Namespace, options: dict[str, Any]) -> Any:
    """Return the function of the same name in the layer that serves a namespace, if it has one."""
    module = fast(reference.__module__.rpartition(".")[2], xp)
    twin = getattr(module, reference.__name__, None)
    serves = getattr(twin, "serves", None)
    return twin if serves is None or serves(options) else None


@functools.cache
def _module(layer: str, family: str) -> Any:
    """Return a layer's module for a family; None where the layer lacks it.

    Only its absence is forgiven: a module that is there and cannot be imported is an error.
    """
    name = f"{_KERNELS}.{layer}.{family}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


@functools.cache
def _on_cpu(reference: Reference) -> Any:
    """Return the module of a reference's twin for NumPy arrays, or None."""
    return _module("cpu", reference.__module__.rpartition(".")[2])


@functools.cache
def _numba_works() -> bool:
    try:
        import numba  # noqa: F401
    except ImportError as error:  # absent, or built for another NumPy
        logger.info("Numba cannot be imported, NumPy arrays take the array-API path: %s", error)
        return False
    return True


def _working_arrays(
    changed: Sequence[Array], read: Sequence[Array], targets: Sequence[Array | None]
) -> tuple[list[Array], list[Array]]:
    """Return C-contiguous arrays to be worked on in place, and what holds their values so far.

    The former are the targets themselves wherever that is possible, which it is not where one
    shares memory with an array that is still to be read, or is another view of its own: a copy in
    blocks, or by CuPy, would read what it has written.
    """
    work, given = [], []
    for array, out in zip(changed, targets, strict=True):
        if out is None or not (out.flags.c_contiguous and getattr(out.flags, "aligned", True)):
            usable = False
        else:
            others = [*(x for x in changed if x is not array or out is not array), *read]
            usable = not any(np.may_share_memory(out, other) for other in others)
        work.append(out if usable else arrays.contiguous_copy(array))
        given.append(array if usable else work[-1])
    return work, given


def _sums(like: Array, number: int, xp: Namespace) -> Array:
    """Return memory for the sums of so many arrays, on the device of one of them."""
    if isinstance(like, np.ndarray):
        return np.empty((number, 2))
    with like.device:  # CuPy makes arrays on the device that is current
        return xp.empty((number, 2), dtype=xp.float64)


def _finish(work: Array, out: Array | None) -> Array:
    return work if out is None or out is work else store(work, out)
