"""Three kinds of time of one call, and the memory that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import cupy

Run = Callable[[], Any]

# What the device spins at least before what is timed, s, and in units of the host's own time.
_SPIN = 30e-3
_HOST = 2.0
_SOURCE = """
extern "C" __global__ void spin(long long cycles) {
    const long long start = clock64();
    while (clock64() - start < cycles) {}
}
"""


@dataclass(frozen=True)
class Times:
    """Medians of one call, in seconds.

    Parameters
    ----------
    wall : float
        Until the device is done.
    host : float
        Until the call returns.
    device : float
        On the device alone.
    waited : bool
        Whether the host was still busy, or waited, when the device came to the call: the device's
        time then has gaps in it.
    """

    wall: float
    host: float
    device: float
    waited: bool


class Clock:
    """Takes times on the current device."""

    def __init__(self) -> None:
        self._spin = cupy.RawKernel(_SOURCE, "spin")
        self._cycles = 1 << 20
        self._rate = 0.0
        for _ in range(2):  # the first one compiles
            self._rate = self._cycles / self._elapsed(lambda: self._busy(self._cycles))

    def times(self, run: Run, restore: Run, rounds: int) -> Times:
        """Times of `run`, each on restored inputs, after a warm-up."""
        for _ in range(2):
            restore()
            run()
        walls, hosts = [], []
        for _ in range(rounds):
            restore()
            _settle()
            start = time.perf_counter()
            run()
            hosts.append(time.perf_counter() - start)
            _settle()
            walls.append(time.perf_counter() - start)
        spin = max(_SPIN, _HOST * median(hosts))
        devices, busy = [], []
        for _ in range(rounds):
            restore()
            device, host = self._hidden(run, spin)
            devices.append(device)
            busy.append(host)
        return Times(median(walls), median(hosts), median(devices), median(busy) >= spin)

    def _hidden(self, run: Run, spin: float) -> tuple[float, float]:
        """Device's and host's time behind a kernel that keeps the device busy for some time."""
        took = 0.0

        def timed() -> None:
            nonlocal took
            start = time.perf_counter()
            run()
            took = time.perf_counter() - start

        _settle()
        self._busy(int(spin * self._rate))
        return self._elapsed(timed), took

    def _elapsed(self, run: Run) -> float:
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        run()
        stop.record()
        stop.synchronize()
        return float(cupy.cuda.get_elapsed_time(start, stop)) / 1e3

    def _busy(self, cycles: int) -> None:
        self._spin((1,), (1,), (cupy.int64(cycles),))


def _settle() -> None:
    cupy.cuda.get_current_stream().synchronize()
