"""Stands in for CuPy where there is no GPU: NumPy's functions, kernels run on the CPU.

As strict as CuPy where NumPy is not: reductions give 0-d arrays, kernels take contiguous arrays and
NumPy scalars only, and whatever would make the host wait for the device is counted in
`synchronisations`. Only what the package and its tests use is there.
"""

from __future__ import annotations

import builtins
import functools
import operator
import os
import sys
import types
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import cuda_on_cpu

__version__ = "14.0.0"
__all__ = [name for name in np.__all__ if hasattr(np, name) and name not in ("test", "ndarray")]

synchronisations: list[str] = []
"""What the host has waited for since somebody last cleared the list."""

launches: list[str] = []
"""Names of the kernels that were launched."""

ORDER = int(os.environ.get("ARRAYCON_TEST_FIBERS", "0"))


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """A NumPy array behind CuPy's interface; it says when it is read."""

    __array_priority__ = 100

    def __init__(self, shape, dtype=float):
        self._array = memory.empty(shape, dtype)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)  # no buffer and no other protocol leads to the values
        value = getattr(self._array, name)
        return wrapped(value) if callable(value) else _ours(value)

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return wrapped(getattr(ufunc, method))(*inputs, **kwargs)

    def __array_function__(self, function, _, args, kwargs):
        return wrapped(function)(*args, **kwargs)

    def __len__(self):
        return len(self._array)

    def __iter__(self):
        return map(_ours, self._array)

    def __getitem__(self, key):
        return _ours(self._array[_theirs(key)])

    def __setitem__(self, key, value):
        graphs.refuse("an assignment")
        self._array[_theirs(key)] = _theirs(value)

    def __repr__(self):
        return repr(self._array)

    @property
    def real(self):
        return _ours(self._array.real)

    @real.setter
    def real(self, value):
        self._array.real = _theirs(value)

    @property
    def imag(self):
        return _ours(self._array.imag)

    @imag.setter
    def imag(self, value):
        self._array.imag = _theirs(value)

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self._array.ctypes.data, device_id=0)

    @property
    def device(self):
        return cuda.Device(0)

    def get(self, *, out=None, blocking=True):
        if out is not None and not blocking:
            out[...] = self._array
            return out
        synchronisations.append("get")
        return self._array.copy()

    def item(self, *args):
        synchronisations.append("item")
        return self._array.item(*args)

    def tolist(self):
        synchronisations.append("tolist")
        return self._array.tolist()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        return operator.index(self.item())

    def __bool__(self):
        return builtins.bool(self.item())  # NumPy has a name `bool` too

    def __complex__(self):
        return complex(self.item())


def _ours(value):
    """NumPy's arrays and scalars, also within a sequence, as arrays of this module."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_ours, value))
    if isinstance(value, (tuple, list)):
        return type(value)(map(_ours, value))
    if isinstance(value, (np.ndarray, np.generic)):
        made = ndarray.__new__(ndarray)
        made._array = np.asarray(value)
        return made
    return value


def _theirs(value):
    """Arrays of this module, also within a sequence, as NumPy's."""
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)(map(_theirs, value))
    return value._array if isinstance(value, ndarray) else value


# which look at no values
_VIEWS = (
    "reshape", "view", "ravel", "transpose", "swapaxes", "moveaxis", "squeeze", "may_share_memory",
)  # fmt: skip


def wrapped(function):
    """Return a function of NumPy's that takes and gives arrays of this module."""

    @functools.wraps(function)
    def inner(*args, **kwargs):
        if function.__name__ not in _VIEWS:
            graphs.refuse(function.__name__)
        kwargs = {name: _theirs(value) for name, value in kwargs.items()}
        out = kwargs.get("out")
        result = function(*map(_theirs, args), **kwargs)
        return _ours(result if out is None or result is not out else out)

    return inner


def asnumpy(array, *, out=None):
    found = array.get() if isinstance(array, ndarray) else np.asarray(array)
    if out is None:
        return found
    if out.dtype != found.dtype or out.shape != found.shape or not out.flags.c_contiguous:
        raise ValueError("out: expected a contiguous array of the same shape and dtype")
    out[...] = found
    return out


def may_share_memory(a, b):
    return np.may_share_memory(_theirs(a), _theirs(b))


def get_array_module(*_):
    return sys.modules[__name__]


def empty(shape, dtype=float, order="C"):
    assert order == "C"
    return _ours(memory.empty(shape, dtype))


def get_default_memory_pool():
    return memory.default_pool()


class RawKernel:
    """Compiles and runs on the CPU what CuPy would compile and run on a GPU."""

    def __init__(self, code, name, options=()):
        self.code, self.name, self.options = code, name, options
        self.max_dynamic_shared_size_bytes = 48 << 10

    def __call__(self, grid, block, args, *, shared_mem=0):
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise cuda_on_cpu.LaunchError(f"{self.name}: {shared_mem} bytes of shared memory")
        launches.append(self.name)
        for value in args:
            if isinstance(value, np.ndarray):
                raise TypeError(f"{self.name}: Unsupported type {type(value)}")
        run = functools.partial(
            cuda_on_cpu.launch, self.code, self.name, grid, block, shared=shared_mem, order=ORDER
        )
        arguments = [_theirs(value) for value in args]
        if graphs.capturing():
            graphs.record(functools.partial(run, [graphs.by_address(x) for x in arguments]))
        else:
            run(arguments)


# classes and what works on dtypes or settings alone
_UNCHANGED = ("result_type", "can_cast", "errstate", "isdtype", "issubdtype", "promote_types")

for _name in __all__:
    _value = getattr(np, _name)
    if _name not in globals():
        plain = isinstance(_value, type) or _name in _UNCHANGED or not callable(_value)
        globals()[_name] = _value if plain else wrapped(_value)

__all__ += [
    "RawKernel", "asnumpy", "cuda", "fft", "get_default_memory_pool", "linalg", "ndarray",
]  # fmt: skip

from cupy import cuda, fft, linalg  # noqa: E402
from cupy.cuda import graphs, memory  # noqa: E402
