"""Lending: tensors of PyTorch and JAX as arrays that the fast kernels take.

A tensor on the CPU becomes a NumPy array, and PyTorch's on a CUDA device a CuPy array, which share
its memory wherever its library lets others write to it. This is on the way of every constraint, and
a constraint that has been through a large array leaves no cache to it: what takes 15 µs in a loop
takes ten times as long there, so that there are few steps, plain classes and no generators.
"""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from collections.abc import Callable, Container, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, NamedTuple, Protocol

import array_api_compat
import numpy as np

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array
from arraycon.state import ARRAYS, State

logger = logging.getLogger("arraycon")

# JAX adopts an array of this alignment; 20 MB elsewhere cost it 140 ms instead of 0.06
_ALIGNMENT = 64
# What one of them may stand for.
_OBJECTS = ("object", "object_amplitude", "object_phase")


class Lent(Protocol):
    """What constraints are told of a loan, and tell it: `Loan`, or `views.Views`."""

    changed: set[str]

    @property
    def shared(self) -> bool:
        """Whether all that is lent is the owner's memory."""

    def again(self) -> AbstractContextManager[Any]:
        """Return a context for a further block."""

    def show(self) -> None:
        """Give back what has changed so far."""

    def back(self, array: Array) -> Array:
        """Return a by-product as an array of the owner's library."""


def lend_state(
    state: State, uses: Iterable[tuple[Iterable[str], Iterable[str]]]
) -> AbstractContextManager[tuple[State, Lent | None]]:
    """Lend a state's arrays; NumPy's and CuPy's need no loan, and pass through in less than 1 µs.

    Parameters
    ----------
    state : State
        A valid one. See `Loan` for what its fields are at the end.
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
            return _StateLoan(state, uses)
    return nullcontext((state, None))


def _same(array: Array) -> Array:
    return array


def _new(_: Array, new: Array) -> Array:
    return new


class _Terms(NamedTuple):
    """As what one array is lent, and how that comes back.

    Parameters
    ----------
    array : array
        What is lent.
    settle : callable
        From the owner's array and what was lent, changed, to the array that the owner has then.
    back : callable
        From a by-product to an array of the owner's library.
    shared : bool
        Whether it is the owner's memory, so that it may be lent again without being looked at.
    adopted : bool
        Whether the owner takes the memory of what was lent for its own, and for constant.
    """

    array: Array
    settle: Callable[[Array, Array], Array] = _new
    back: Callable[[Array], Array] = _same
    shared: bool = False
    adopted: bool = False


class Loan:
    """Arrays lent for a ``with`` block, which gives the loan.

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

    Attributes
    ----------
    arrays : dict of str to array
        The arrays to compute with, by name; one that cannot be written to may be replaced here.
    changed : set of str
        Names of the arrays that have changed, to be filled within the block. Only those are given
        back, also where the block ends with an error.

    Raises
    ------
    TypeError
        A tensor has no dense memory.
    ValueError
        A tensor that may be written to is an expanded one.
    """

    def __init__(
        self, owner: dict[str, Array], needed: Container[str], written: Container[str]
    ) -> None:
        self._owner, self._needed, self._written = owner, needed, written
        self._terms: dict[str, _Terms] = {}
        self._stack: ExitStack | None = None  # only devices need one
        self._devices: dict[Any, Callable[[Array], Array]] = {}
        self.arrays: dict[str, Array] = {}
        self.changed: set[str] = set()

    def __enter__(self) -> Any:
        try:
            for name in ARRAYS:
                array = self._owner.get(name)
                if array is not None and name in self._needed:
                    self._terms[name] = terms = self._agree(name, array)
                    self.arrays[name] = terms.array
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for name in self.changed:
                settle = self._terms[name].settle
                self._owner[name] = settle(self._owner[name], self.arrays[name])
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._stack is not None:
            self._stack.close()
            self._stack = None

    @property
    def shared(self) -> bool:
        """Whether all that is lent is the owner's memory, and may be lent `again`."""
        return all(terms.shared for terms in self._terms.values())

    def again(self) -> AbstractContextManager[Any]:
        """Return a context for a further block on the same memory, which the owner still has.

        PyTorch's current stream may be another one than before.
        """
        return _Again(self)

    def show(self) -> None:
        """Give back what has changed so far, and go on."""
        for name in self.changed:
            terms, array = self._terms[name], self.arrays[name]
            given = _aligned_copy(array) if terms.adopted else array
            self._owner[name] = terms.settle(self._owner[name], given)

    def back(self, array: Array) -> Array:
        """Return a by-product as an array of the owner's library."""
        for terms in self._terms.values():
            return terms.back(array)
        return array

    def _agree(self, name: str, array: Array) -> _Terms:
        if array_api_compat.is_torch_array(array):
            return self._torch(name, array)
        if array_api_compat.is_jax_array(array):
            return _jax(array, name in self._written)
        if not _is_own(array):
            _note(f"arrays of {arrays.library(array)} take the slower array-API path")
        return _Terms(array)

    def _torch(self, name: str, tensor: Array) -> _Terms:
        torch = sys.modules["torch"]
        own = plain = tensor.detach() if tensor.requires_grad else tensor
        if own.is_conj() or own.is_neg():
            plain = own.resolve_conj().resolve_neg()

        def settle(current: Array, _: Array) -> Array:
            if plain is not own:
                own.copy_(plain)
            else:  # autograd cannot see a change through another library's array
                torch.autograd.graph.increment_version(current)
            return current

        try:
            lent = plain.numpy() if own.device.type == "cpu" else self._on_device(torch, plain)
        except (RuntimeError, TypeError) as error:  # sparse, or in a transform such as torch.func's
            raise TypeError(f"{name}: expected a tensor with memory to work on: {error}") from error
        if name in self._written and _overlaps(lent):
            raise ValueError(
                f"{name}: expected elements with memory of their own, got an expanded tensor; "
                f"give a copy"
            )
        return _Terms(lent, settle, torch.as_tensor, plain is own and lent is not plain)

    def _resume(self) -> None:
        self.changed.clear()
        for device in self._devices:
            self._enter(sys.modules["torch"], device)

    def _on_device(self, torch: Any, tensor: Array) -> Array:
        device = tensor.device
        if device not in self._devices:
            self._devices[device] = self._enter(torch, device)
        return self._devices[device](tensor)

    def _enter(self, torch: Any, device: Any) -> Callable[[Array], Array]:
        """Prepare for tensors on a device, and return what converts them."""
        if self._stack is None:
            self._stack = ExitStack()
        cupy = _cupy() if device.type == "cuda" else None
        if cupy is None:
            _note(f"PyTorch tensors on a device {device.type} take the slower array-API path")
            self._stack.enter_context(torch.no_grad())
            return _same
        self._stack.enter_context(cupy.cuda.Device(device.index))
        stream = torch.cuda.current_stream(device).cuda_stream
        self._stack.enter_context(cupy.cuda.ExternalStream(stream, device.index))
        from_dlpack: Callable[[Array], Array] = cupy.from_dlpack
        return from_dlpack


class _Again:
    """A further block of a loan."""

    def __init__(self, loan: Loan) -> None:
        self._loan = loan

    def __enter__(self) -> None:
        self._loan._resume()

    def __exit__(self, *problem: object) -> None:
        self._loan.__exit__(*problem)


class _StateLoan(Loan):
    """A loan of a state's arrays within another state."""

    def __init__(self, state: State, uses: Iterable[tuple[Iterable[str], Iterable[str]]]) -> None:
        needed: set[str] = set()
        written: set[str] = set()
        for needs, writes in uses:
            needed.update(needs, writes)
            written.update(writes)
        whole = state.object is not None
        for names in (needed, written):
            # parts stand for an object, and an object for both parts; a part alone is itself
            if "object" in names or (whole and not names.isdisjoint(_OBJECTS)):
                names.update(_OBJECTS)
        super().__init__(state.__dict__, needed, written)
        self._state = object.__new__(type(state))  # valid already
        self._state.__dict__.update(state.__dict__)

    def __enter__(self) -> tuple[State, Loan]:
        super().__enter__()
        fields = self._state.__dict__
        fields.update(self.arrays)
        self.arrays = fields  # what cannot be written to is replaced on the state, and found there
        return self._state, self


def memory_of(tensor: Array) -> tuple[Any, ...]:
    """Return what is the same as long as a loan of a tensor of PyTorch is good.

    The tensor's identity is not: it may get other memory, and another one may have the same.
    """
    return (
        tensor.data_ptr(),
        tensor.shape,
        tensor.stride(),
        tensor.dtype,
        tensor.is_conj(),
        tensor.is_neg(),
    )


def _is_own(array: Array) -> bool:
    return array_api_compat.is_cupy_array(array) or array_api_compat.is_numpy_array(array)


def _overlaps(array: Array) -> bool:
    strides = getattr(array, "strides", ())  # PyTorch's own do without, and are refused there
    return 0 in strides and any(
        n > 1 and not step for n, step in zip(array.shape, strides, strict=True)
    )


def _cupy() -> Any:
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        _note(f"CUDA tensors could take faster kernels: no CuPy ({error})", logging.WARNING)
        return None


def _jax(array: Array, written: bool) -> _Terms:
    jax = sys.modules["jax"]
    if isinstance(array, jax.core.Tracer):
        _note("JAX arrays that are traced take the slower array-API path")
        return _Terms(array)
    platforms = {device.platform for device in array.devices()}
    if platforms != {"cpu"} or not array.is_fully_addressable:
        _note(f"JAX arrays on {' and '.join(sorted(platforms))} take the slower array-API path")
        return _Terms(array)

    def settle(_: Array, new: Array) -> Array:
        # an array that JAX may place where it likes stays such a one
        place = array.sharding if array.committed else None
        with _precision(jax, array):
            return jax.device_put(new, place)

    seen = np.asarray(array)
    lent = _aligned_copy(seen) if written else seen
    return _Terms(lent, settle, jax.numpy.asarray, adopted=True)


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
