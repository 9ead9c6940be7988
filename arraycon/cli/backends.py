"""Array libraries that the command computes with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import Any

from arraycon.state import ARRAYS, State


class Backend(str, Enum):
    """Array libraries that the command can compute with."""

    numpy = "numpy"
    cupy = "cupy"


class BackendError(RuntimeError):
    """The array library that was asked for does not answer."""


@contextlib.contextmanager
def on_backend(state: State, name: str) -> Iterator[State]:
    """Give the state with its arrays in another library, and bring the results back.

    Parameters
    ----------
    state : State
        NumPy arrays; they hold the results when the block has ended well.
    name : {'numpy', 'cupy'}
        Array library.

    Raises
    ------
    BackendError
        CuPy is missing, or no GPU answers.
    """
    if name == "numpy":
        yield state
        return
    cupy = require_gpu("--backend cupy")
    arrays = {field: getattr(state, field) for field in ARRAYS}
    hosts = {field: array for field, array in arrays.items() if array is not None}
    working = replace(state, **{field: cupy.asarray(array) for field, array in hosts.items()})
    working.errors.update(state.errors)
    yield working
    for field, host in hosts.items():
        host[...] = cupy.asnumpy(getattr(working, field))


def require_gpu(option: str) -> Any:
    """Return CuPy, if it can be imported and a device answers.

    Raises
    ------
    BackendError
        Otherwise; the message begins with `option`.
    """
    try:
        import cupy
    except Exception as error:  # a CuPy built for another CUDA fails in many ways
        raise BackendError(
            f"{option}: CuPy cannot be imported ({str(error).splitlines()[0]}); "
            f"`arraycon doctor` says how to install it"
        ) from error
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:
        raise BackendError(f"{option}: no GPU answers: {error}") from error
    if count == 0:
        raise BackendError(f"{option}: no GPU answers: CuPy finds 0 devices")
    return cupy
