"""Arriving: numbers on their way from a device to the host, which goes on meanwhile."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from arraycon.kernels.common import arrays

Number: TypeAlias = Any
"""A number, or an array without axes."""


class Arriving:
    """Numbers that are sent to the host as soon as they are there.

    They are copied on the stream that computed them, into memory that the device can write to, and
    an event behind the copies says whether they have come: to read an array later would wait for
    all that its stream has been given since.

    Parameters
    ----------
    numbers : sequence of numbers and arrays without axes
        Of any library.
    """

    def __init__(self, numbers: Sequence[Number]) -> None:
        self._sent = [_send(number) for number in numbers]
        self._values: list[float] | None = None

    def ready(self) -> bool:
        """Whether all are there."""
        return self._values is not None or all(ready() for ready, _ in self._sent)

    def read(self) -> list[float]:
        """Return the numbers, waiting for those that are not there yet."""
        if self._values is None:
            self._values = [read() for _, read in self._sent]
            self._sent = []
        return self._values


def _send(number: Number) -> tuple[Callable[[], bool], Callable[[], float]]:
    library = arrays.library(number)
    if library == "cupy":
        return _from_cupy(number)
    if library == "torch":
        number = number.detach()
        if number.device.type == "cuda":
            return _from_torch(number)
    if hasattr(number, "copy_to_host_async"):  # JAX
        number.copy_to_host_async()
        return number.is_ready, lambda: float(number)
    value = float(number)
    return (lambda: True), lambda: value


def _from_cupy(number: Number) -> tuple[Callable[[], bool], Callable[[], float]]:
    cupy, cupyx = (importlib.import_module(name) for name in ("cupy", "cupyx"))
    with number.device:
        target = cupyx.empty_pinned(number.shape, number.dtype)
        number.get(out=target, blocking=False)
        event = cupy.cuda.Event(block=False, disable_timing=True)
        event.record()

    def read() -> float:
        event.synchronize()
        return float(target)

    return (lambda: bool(event.done)), read


def _from_torch(number: Number) -> tuple[Callable[[], bool], Callable[[], float]]:
    torch = sys.modules["torch"]
    target = torch.empty((), dtype=number.dtype, pin_memory=True)
    target.copy_(number, non_blocking=True)
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(number.device))

    def read() -> float:
        event.synchronize()
        return float(target)

    return event.query, read
