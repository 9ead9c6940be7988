"""A filter of few slices by all threads: each in its own memory, one after the other.

What filters a slice by itself needs memory for its spectrum, as much again as the slice for each
thread: 1.4 arrays where there is one. In place a filter has its mask, a quarter of one slice, and
two tiles for each thread: 0.4 at 512², 0.3 at 1024². And several threads share each slice.
`kr_filter` of one slice, float32, over the other way: one thread 1.0 at 384² and 720², 1.1 at 512²,
1.15 at 1024², 1.05 at 2048²; two threads, which the other way does not use, 0.7 to 0.8 from 1024²
on where the second processor is free, as long as one where it is not.
"""

from __future__ import annotations

import functools

import numpy as np

from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.fft import slices
from arraycon.kernels.cpu.fft.contract import InPlace
from arraycon.kernels.cpu.tools.sums import squares

# Fewer pixels than this are done in one of the three passes before a second thread has woken up:
# with half as many 720² takes 1.03 times as long on two threads as on one, with a quarter 1.25.
_SMALL = 1 << 18


def are_few(planes: Array) -> bool:
    """Whether there are fewer slices than threads, or one."""
    return len(planes) == 1 or len(planes) < threads.count()


def filter_of(planes: Array, mask: Array) -> Alone | None:
    """Return the filter of slices if they are so few that they are filtered one by one.

    Parameters
    ----------
    planes : array, shape (n, ny, nx)
        Real.
    mask : array, shape (ny//2 + 1, nx//2 + 1) or (ny, nx//2 + 1)
    """
    _, ny, nx = planes.shape
    if not are_few(planes):
        return None
    work = slices.engine(ny, nx).in_place(planes[0], mask)
    return None if work is None else Alone(work, ny * nx)


class Alone:
    """The filter of slices of so many pixels, with its memory."""

    def __init__(self, work: InPlace, pixels: int) -> None:
        self._work = work
        self._grains = [-(-parts * _SMALL // pixels) for parts in (work.rows, work.columns)]
        most = max(work.rows, work.columns)
        self._memory = threads.memory(work.memory, most, grain=min(self._grains))
        self._changes = np.zeros(work.columns)

    def __call__(self, x: Array, sums: Array | None = None) -> None:
        """Filter one slice in place; note Σ(new - old)² and Σold² where asked."""
        changes = None if sums is None else self._changes
        if sums is not None:
            sums[1] = squares(x.reshape(-1), x.reshape(-1))[1]
        work, (of_rows, of_columns) = self._work, self._grains
        run = functools.partial(threads.run, memory=self._memory)
        run(functools.partial(work.forward_rows, x), work.rows, grain=of_rows)
        run(functools.partial(work.filter_columns, x, changes), work.columns, grain=of_columns)
        run(functools.partial(work.backward_rows, x), work.rows, grain=of_rows)
        if sums is not None:
            sums[0] = np.sum(self._changes) / x.size
