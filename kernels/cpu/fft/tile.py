"""FFT of all lanes of a tile, of any length that has a plan."""

from __future__ import annotations

import numpy as np

from arraycon.kernels.cpu.fft import butterflies as move
from arraycon.kernels.cpu.fft import lanes
from arraycon.kernels.cpu.tools.compiled import kernel


@kernel
def tile_for(n, plan):
    """Memory for n + 1 numbers in all lanes, real and imaginary parts in turn."""
    lane = lanes.BYTES // plan.twiddles.itemsize
    size = 2 * lane * (n + 1)
    memory = np.empty(size + lane, plan.twiddles.dtype)
    first = -memory.ctypes.data % lanes.BYTES // memory.itemsize
    return memory[first : first + size], lane


@kernel
def fft(tile, n, plan):
    """FFT in place, which leaves frequency k at plan.frequency[k]."""
    if plan.chirp.size:
        _convolve(tile, n, plan)
    else:
        _fft_of_factors(tile, n, plan)


@kernel
def _convolve(tile, n, plan):
    """FFT of an awkward length as a convolution (Bluestein 1970), in natural order."""
    size = plan.places.size
    work, lane = tile_for(size, plan)
    other, _ = tile_for(size, plan)
    zero = np.intp(0)
    for j in range(n):
        move.weigh(tile, j, zero, lane, plan.chirp, j, work, j, zero, lane)
    work[2 * lane * n : 2 * lane * size] = 0
    _fft_of_factors(work, size, plan)
    # exchanging the parts makes an FFT an inverse one
    for k in range(size):
        move.weigh(work, plan.places[k], zero, lane, plan.response, k, other, k, lane, zero)
    _fft_of_factors(other, size, plan)
    for k in range(n):
        move.weigh(other, plan.places[k], lane, zero, plan.chirp, k, tile, k, zero, lane)


@kernel
def _fft_of_factors(tile, n, plan):
    """FFT in place, which leaves frequency k at plan.places[k].

    After the first pass come parts, one by one, that fit into the first-level cache. 512 numbers in
    sixteen lanes take 4.1 µs; pass by pass into a second tile, in natural order, they took 5.8.
    """
    radix = plan.factors[0]
    start = np.intp(0)  # for a bare 0 Numba would compile the pass once more
    _pass(tile, start, n, n, radix, plan.twiddles, start)
    part = n // radix
    for first in range(0, n, part):
        length, t = part, 2 * part * (radix - 1)
        for inner in plan.factors[1:-1]:
            _pass(tile, first, first + part, length, inner, plan.twiddles, t)
            length //= inner
            t += 2 * length * (inner - 1)
        _last_pass(tile, first, first + part, length)


@kernel
def _pass(tile, first, last, length, radix, twiddles, t):
    """Divide transforms of a length into `radix` shorter ones each."""
    apart = length // radix
    for start in range(first, last, length):
        if radix == 8:
            for p in range(apart):
                move.turn8(tile, start + p, apart, twiddles, t + 14 * p)
        elif radix == 5:
            for p in range(apart):
                move.turn5(tile, start + p, apart, twiddles, t + 8 * p)
        elif radix == 4:
            for p in range(apart):
                move.turn4(tile, start + p, apart, twiddles, t + 6 * p)
        elif radix == 3:
            for p in range(apart):
                move.turn3(tile, start + p, apart, twiddles, t + 4 * p)
        else:
            for p in range(apart):
                move.turn2(tile, start + p, apart, twiddles, t + 2 * p)


@kernel
def _last_pass(tile, first, last, radix):
    """Finish with transforms of a few neighbours."""
    if radix == 8:
        for start in range(first, last, 8):
            move.last8(tile, start)
    elif radix == 5:
        for start in range(first, last, 5):
            move.last5(tile, start)
    elif radix == 4:
        for start in range(first, last, 4):
            move.last4(tile, start)
    elif radix == 3:
        for start in range(first, last, 3):
            move.last3(tile, start)
    else:
        for start in range(first, last, 2):
            move.last2(tile, start)
