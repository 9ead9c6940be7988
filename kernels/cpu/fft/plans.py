"""What the transforms of one length need: factors, twiddles, and where each frequency ends up."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.fft import butterflies, lanes

# Butterflies of eight numbers need 32 registers; with 16, four take up to a tenth less time.
_RADICES = butterflies.RADICES if lanes.AVX512 else butterflies.RADICES[1:]


class Plan(NamedTuple):
    """What the transforms of one length need; numbers are in the precision of the data."""

    factors: Array  # of the length, or of that of the convolution
    twiddles: Array  # of all passes but the last, which has none
    chirp: Array  # exp(-iπj²/n), cosine and sine in turn; nothing for a product of small factors
    response: Array  # spectrum of exp(iπj²/n), divided by the length of the convolution
    places: Array  # where frequency k of the convolution is
    quarter_wave: Array  # cosine and sine of πk/2n, in turn
    natural: Array  # 0 ... n-1
    frequency: Array  # (n + 1,): where frequency k is in the result, n being 0
    even_odd: Array  # where sample i of a DCT is in its FFT's input
    even_odd_result: Array  # and where in an FFT's result


@functools.lru_cache(maxsize=32)
def plan_of(n: int, dtype: Any) -> Plan:
    """Return the plan of a length for data of a real dtype."""
    factors, size = small_factors(n), n
    chirp = response = np.empty(0)
    awkward = math.prod(factors) != n
    if awkward:
        size = _convolution(n)
        factors = small_factors(size)
        chirp, response = _chirp(n, size)
    twiddles = [np.empty(0)]
    length = size
    for radix in factors[:-1]:
        order = np.outer(np.arange(length // radix), np.arange(1, radix))
        twiddles.append(_cosines_and_sines(order * (-2 * math.pi / length)))
        length //= radix
    i = np.arange(n)
    places = _places(factors)
    frequency = i if awkward else places
    even_odd = np.where(i % 2, n - 1 - i // 2, i // 2)
    return Plan(
        factors=np.array(factors),
        twiddles=np.concatenate(twiddles).astype(dtype),
        chirp=chirp.astype(dtype),
        response=response.astype(dtype),
        places=places,
        quarter_wave=_cosines_and_sines(np.arange(n // 2 + 1) * (math.pi / (2 * n))).astype(dtype),
        natural=i,
        frequency=np.append(frequency, frequency[0]),
        even_odd=even_odd,
        even_odd_result=frequency[even_odd],
    )


def small_factors(n: int) -> list[int]:
    """Return the factors 2 to 8 of n, as few as possible.

    By AVX-512, 8·8·8 takes two thirds of the time of 4·4·4·4·2.
    """
    found = []
    for radix in _RADICES:
        while n % radix == 0:
            found.append(radix)
            n //= radix
    return found


def _convolution(n: int) -> int:
    """Length of the convolution that an awkward length is turned into: the one with least work."""
    sizes = [m for m in range(2 * n - 1, 4 * n) if math.prod(small_factors(m)) == m]
    return min(sizes, key=lambda m: m * sum(math.log2(radix) + 1 for radix in small_factors(m)))


def _chirp(n: int, size: int) -> tuple[Array, Array]:
    """exp(-iπj²/n), and the spectrum of its conjugate, mirrored and divided by the size."""
    j = np.arange(n)
    wave = np.exp(-1j * math.pi / n * (j * j % (2 * n)))
    mirrored = np.zeros(size, complex)
    mirrored[:n] = wave.conj()
    mirrored[size - n + 1 :] = wave[:0:-1].conj()
    response = np.fft.fft(mirrored) / size
    return wave.view(float), response.view(float)


def _places(factors: list[int]) -> Array:
    """Where each frequency is in the result: its digits are in the opposite order."""
    if not factors:
        return np.zeros(1, np.intp)
    radix, inner = factors[0], _places(factors[1:])
    return (np.arange(radix) * inner.size + inner[:, None]).reshape(-1)


def _cosines_and_sines(angle: Array) -> Array:
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(-1)
