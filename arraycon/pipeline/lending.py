"""Lending: tensors of PyTorch and JAX as arrays that the fast kernels take.

A tensor on the CPU becomes a NumPy array, and PyTorch's on a CUDA device a CuPy array, which share
its memory wherever its library lets others write to it.
"""

from __future__ import annotations

import copy
import functools
import importlib
import logging
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array
from arraycon.state import ARRAYS, State

logger = logging.getLogger("arraycon")

# JAX adopts an array of this alignment; 20 MB elsewhere cost it 140 ms instead of 0.06
_ALIGNMENT = 64


def _same(array: Array) -> Array:
    return array


@dataclass
class Loan:
    """What is lent within a ``with`` block.

    Attributes
    ----------
    arrays : dict of str to array
        The arrays to compute with, by name; one that cannot be written to may be replaced here.
    back : callable
        Makes an array of the owner's library of a by-product.
    changed : set of str
        Names of the arrays that have changed, to be filled within the block. Only those are given
        back, also where the block ends with an error.
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    back: Callable[[Array], Array] = _same
    changed: set[str] = field(default_factory=set)


class _Terms(NamedTuple):
    """As what one array is lent, and how its new value and a by-product become its library's."""

    array: Array
    settle: Callable[[Array], Array] = _same
    back: Callable[[Array], Array] = _same


def lend_state(
    state: State, uses: Iterable[tuple[Iterable[str], Iterable[str]]]
) -> AbstractContextManager[tuple[State, Loan | None]]:
    """Lend a state's arrays; NumPy's and CuPy's need no loan, and pass through in less than 1 µs.

    Parameters
    ----------
    state : State
        A valid one. See `lend` for what its fields are at the end.
    uses : iterable of pairs of iterables of str
        Fields that each constraint needs, and those that it writes, looked at only where there is
        something to lend. The parts of a complex object stand for it.

    Returns
    -------
    context manager
        Of the state to compute with and the `Loan`, or None where nothing is lent.
    """
    fields = state.__dict__
    for name in ARRAYS:
        array = fields[name]
        if not (array is None or type(array) is np.ndarray or _is_own(array)):
            return _lend_state(state, uses)
    return nullcontext((state, None))


@contextmanager
def lend(
    owner: dict[str, Array], needed: Container[str], written: Container[str]
) -> Iterator[Loan]:
    """Lend arrays for a ``with`` block.

    PyTorch's tensors on the CPU are lent as NumPy arrays and those on a CUDA device as CuPy arrays,
    on PyTorch's current stream, both of the same memory and outside of autograd: tensors that
    require gradients may be lent, no graph grows, and to a graph that was recorded before, a change
    is one made in place under ``torch.no_grad``: its backward pass fails where it needs the old
    values. Conjugate and negative views, which no other library can express, are copied and
    written back. JAX's arrays on the CPU are read without a copy, and those in `written` copied
    and replaced. All else (other devices, arrays that are traced, other libraries) is lent as it
    is and takes the array-API path, which one log line tells.

    Parameters
    ----------
    owner : dict of str to array
        Fields of a state by name. New JAX arrays are put in it at the end.
    needed : container of str
        Names of the arrays to be lent.
    written : container of str
        Those that may be written to.

    Yields
    ------
    Loan

    Raises
    ------
    TypeError
        A tensor has no dense memory.
    """
    with ExitStack() as stack:
        doors = _Doors(stack)
        terms = {
            name: _terms(name, owner[name], name in written, doors)
            for name in ARRAYS
            if name in needed and owner.get(name) is not None
        }
        back = next((one.back for one in terms.values()), _same)
        loan = Loan({name: one.array for name, one in terms.items()}, back)
        try:
            yield loan
        finally:
            for name in loan.changed:
                owner[name] = terms[name].settle(loan.arrays[name])


@contextmanager
def _lend_state(
    state: State, uses: Iterable[tuple[Iterable[str], Iterable[str]]]
) -> Iterator[tuple[State, Loan]]:
    needed: set[str] = set()
    written: set[str] = set()
    for needs, writes in uses:
        needed.update(needs)
        written.update(writes)
    for names in (needed, written):
        if not names.isdisjoint(("object_amplitude", "object_phase")):
            names.add("object")
    lent = copy.copy(state)
    with lend(state.__dict__, needed, written) as loan:
        lent.__dict__.update(loan.arrays)
        # what cannot be written to is replaced on the state, and found there
        loan.arrays = lent.__dict__
        yield lent, loan


def _is_own(array: Array) -> bool:
    return array_api_compat.is_cupy_array(array) or array_api_compat.is_numpy_array(array)


def _terms(name: str, array: Array, written: bool, doors: _Doors) -> _Terms:
    if _is_own(array):
        return _Terms(array)
    if array_api_compat.is_torch_array(array):
        return _torch_terms(name, array, doors[array.device])
    if array_api_compat.is_jax_array(array):
        return _jax_terms(array, written)
    _note(f"arrays of {arrays.library(array)} take the slower array-API path")
    return _Terms(array)


def _torch_terms(name: str, tensor: Array, convert: Callable[[Array], Array]) -> _Terms:
    torch = sys.modules["torch"]
    own = plain = tensor.detach()
    if own.is_conj() or own.is_neg():
        plain = own.resolve_conj().resolve_neg()

    def settle(_: Array) -> Array:
        if plain is not own:
            own.copy_(plain)
        else:  # autograd cannot see a change through another library's array
            torch.autograd.graph.increment_version(own)
        return tensor

    try:
        return _Terms(convert(plain), settle, torch.as_tensor)
    except (RuntimeError, TypeError) as error:  # sparse, or inside a transform such as torch.func's
        raise TypeError(f"{name}: expected a tensor with memory to work on: {error}") from error


class _Doors(dict[Any, Callable[[Array], Array]]):
    """By device of PyTorch: what converts its tensors, made where a device comes up first."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__()
        self._stack = stack

    def __missing__(self, device: Any) -> Callable[[Array], Array]:
        if not self:
            self._stack.enter_context(sys.modules["torch"].no_grad())
        self[device] = convert = self._prepare(device)
        return convert

    def _prepare(self, device: Any) -> Callable[[Array], Array]:
        if device.type == "cpu":
            return lambda tensor: tensor.numpy()
        cupy = _cupy() if device.type == "cuda" else None
        if cupy is None:
            _note(f"PyTorch tensors on a device {device.type} take the slower array-API path")
            return _same
        self._stack.enter_context(cupy.cuda.Device(device.index))
        stream = sys.modules["torch"].cuda.current_stream(device).cuda_stream
        self._stack.enter_context(cupy.cuda.ExternalStream(stream, device.index))
        from_dlpack: Callable[[Array], Array] = cupy.from_dlpack
        return from_dlpack


def _cupy() -> Any:
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        _note(f"CUDA tensors could take faster kernels: no CuPy ({error})", logging.WARNING)
        return None


def _jax_terms(array: Array, written: bool) -> _Terms:
    jax = sys.modules["jax"]
    if isinstance(array, jax.core.Tracer):
        _note("JAX arrays that are traced take the slower array-API path")
        return _Terms(array)
    platforms = {device.platform for device in array.devices()}
    if platforms != {"cpu"} or not array.is_fully_addressable:
        _note(f"JAX arrays on {' and '.join(sorted(platforms))} take the slower array-API path")
        return _Terms(array)

    def settle(new: Array) -> Array:
        # an array that JAX may place where it likes stays such a one
        place = array.sharding if array.committed else None
        with _precision(jax, array):
            return jax.device_put(new, place)

    seen = np.asarray(array)
    return _Terms(_aligned_copy(seen) if written else seen, settle, jax.numpy.asarray)


def _precision(jax: Any, array: Array) -> AbstractContextManager[Any]:
    """Context in which JAX keeps an array's precision: it may have been made in one itself."""
    if array.dtype.itemsize // (1 + (array.dtype.kind == "c")) < 8:
        return nullcontext()
    enable = getattr(jax, "enable_x64", None)
    if enable is None:  # its place until JAX 0.8
        enable = importlib.import_module("jax.experimental").enable_x64
    context: AbstractContextManager[Any] = enable(True)
    return context


def _aligned_copy(array: Array) -> Array:
    """Return a C-contiguous copy that JAX can adopt."""
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copied = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copied[...] = array
    return copied


@functools.cache
def _note(text: str, level: int = logging.INFO) -> None:
    """Log a line, once in a process."""
    logger.log(level, text)
