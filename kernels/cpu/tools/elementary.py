"""Sine, cosine, arctangent, logarithm and exponential that loops can be vectorised over.

Numba's own call a library function for every element, 5 to 15 ns each. NumPy's are vectorised, but
every call takes the interpreter's lock for a moment, and threads that work on blocks small enough
for the cache wait for each other more than they compute. These have neither branch nor call: the
argument is reduced to a short interval, where a polynomial is as exact as the precision allows.
Single numbers are to be finite and of ordinary size; the functions of arrays take any.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba.extending
import numpy as np
from numba import types

from arraycon.kernels.cpu.tools.compiled import kernel

# Largest modulus for `sine_and_cosine`: above it, multiples of π/2 in three parts are not exact.
_LARGEST_ANGLE = 1000.0
# Largest modulus for `exponential`: above it, float32 overflows or becomes denormal.
_LARGEST_EXPONENT = 80.0

# Terms of the power series that polynomials of lower degree are made from.
_TERMS = 40


class Tables(NamedTuple):
    """Coefficients, highest power first, and constants of one precision."""

    sine: tuple[Any, ...]  # (sin(r)/r - 1)/r² in powers of r²
    cosine: tuple[Any, ...]  # (cos(r) - 1)/r² in powers of r²
    arctangent: tuple[Any, ...]  # (atan(t)/t - 1)/t² in powers of t²
    logarithm: tuple[Any, ...]  # (atanh(s)/s - 1)/s² in powers of s²
    exponential: tuple[Any, ...]  # (exp(r) - 1)/r in powers of r
    quarter: tuple[Any, Any, Any]  # π/2 in three parts
    octave: tuple[Any, Any, Any]  # ln 2 in three parts
    per_quarter: Any  # 2/π
    per_octave: Any  # 1/ln 2
    half_turn: Any  # π
    bend: Any  # tan(π/8)
    root: Any  # bits of 1/√2
    mantissa: Any  # mask of the mantissa's bits
    digits: Any  # and their number
    bias: Any  # of the exponent
    largest_angle: Any
    largest_exponent: Any
    smallest: Any  # normal number
    largest: Any  # finite number
    zero: Any
    one: Any


@functools.cache
def tables(dtype: Any) -> Tables:
    """Return the tables for float32 or float64."""
    cast, integer = np.dtype(dtype).type, np.int32
    digits, degrees = 23, (2, 3, 4, 3, 6)
    if cast is np.float64:
        integer, digits, degrees = np.int64, 52, (6, 7, 12, 9, 12)
    sine, cosine, arctangent, logarithm, exponential = degrees
    quadrant, bend, half_octave = (math.pi / 4) ** 2, math.sqrt(2) - 1, math.log(2) / 2

    def fit(term: Callable[[int], float], low: float, high: float, degree: int) -> tuple[Any, ...]:
        series = np.polynomial.Polynomial([term(k) for k in range(_TERMS)])
        shorter = np.polynomial.Chebyshev.interpolate(series, degree, domain=[low, high])
        return tuple(cast(c) for c in shorter.convert(kind=np.polynomial.Polynomial).coef[::-1])

    return Tables(
        sine=fit(lambda k: (-1) ** (k + 1) / math.factorial(2 * k + 3), 0, quadrant, sine),
        cosine=fit(lambda k: (-1) ** (k + 1) / math.factorial(2 * k + 2), 0, quadrant, cosine),
        arctangent=fit(lambda k: (-1) ** (k + 1) / (2 * k + 3), 0, bend**2, arctangent),
        logarithm=fit(lambda k: 1 / (2 * k + 3), 0, bend**4, logarithm),
        exponential=fit(
            lambda k: 1 / math.factorial(k + 1), -half_octave, half_octave, exponential
        ),
        quarter=_parts(math.pi / 2, 6.123233995736766e-17, cast),
        octave=_parts(math.log(2), 2.3190468138462996e-17, cast),
        per_quarter=cast(2 / math.pi),
        per_octave=cast(1 / math.log(2)),
        half_turn=cast(math.pi),
        bend=cast(bend),
        root=integer(cast(math.sqrt(0.5)).view(integer)),
        mantissa=integer((1 << digits) - 1),
        digits=integer(digits),
        bias=integer(np.finfo(cast).maxexp - 1),
        largest_angle=cast(_LARGEST_ANGLE),
        largest_exponent=cast(_LARGEST_EXPONENT),
        smallest=np.finfo(cast).smallest_normal,
        largest=np.finfo(cast).max,
        zero=cast(0),
        one=cast(1),
    )


def _parts(value: float, rest: float, cast: Any) -> tuple[Any, Any, Any]:
    """Value and rest in three numbers, the first two so short that small multiples are exact."""
    short = []
    for _ in range(2):
        unit = 2.0 ** (math.frexp(value)[1] - np.finfo(cast).nmant // 2)
        short.append(math.floor(value / unit) * unit)
        value -= short[-1]
    return cast(short[0]), cast(short[1]), cast(value + rest)


def _define_bits(_, x):
    """Bits of a floating-point number, as an integer."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return (types.int32 if x == types.float32 else types.int64)(x), generate


def _define_from_bits(_, bits, like):
    """Floating-point number of these bits, in the precision of another."""

    def generate(context, builder, signature, arguments):
        width = types.int32 if like == types.float32 else types.int64
        narrow = context.cast(builder, arguments[0], bits, width)
        return builder.bitcast(narrow, context.get_value_type(signature.return_type))

    return like(bits, like), generate


_bits: Any = numba.extending.intrinsic(_define_bits)
_from_bits: Any = numba.extending.intrinsic(_define_from_bits)


@kernel
def _polynomial(coefficients, x):
    total = coefficients[0]
    for i in range(1, len(coefficients)):
        total = total * x + coefficients[i]
    return total


@kernel
def sine_and_cosine(x, t):
    """Both, of a number whose modulus is not above ``t.largest_angle``."""
    quarters = np.rint(x * t.per_quarter)
    r = x - quarters * t.quarter[0] - quarters * t.quarter[1] - quarters * t.quarter[2]
    r2 = r * r
    sine = r + r * (r2 * _polynomial(t.sine, r2))
    cosine = t.one + r2 * _polynomial(t.cosine, r2)
    k = np.int32(quarters)
    odd = k & 1
    first, second = (cosine, sine) if odd else (sine, cosine)
    return (-first if k & 2 else first), (-second if (k + 1) & 2 else second)


@kernel
def arctangent(y, x, t):
    """Angle of x + iy in (-π, π]; 0 for 0 + 0i."""
    a, b = abs(x), abs(y)
    low, high = (a, b) if a < b else (b, a)
    high = t.one if high == t.zero else high
    steep = low > t.bend * high  # past π/8: atan(u) = π/4 + atan((u - 1)/(u + 1))
    u = (low - high if steep else low) / (low + high if steep else high)
    u2 = u * u
    angle = u + u * (u2 * _polynomial(t.arctangent, u2))
    angle = angle + (t.half_turn / 4 if steep else t.zero)
    angle = t.half_turn / 2 - angle if a < b else angle
    angle = t.half_turn - angle if x < t.zero else angle
    return -angle if y < t.zero else angle


@kernel
def modulus(x, y, t):
    """√(x² + y²), without squares that overflow."""
    a, b = abs(x), abs(y)
    low, high = (a, b) if a < b else (b, a)
    ratio = low / (t.one if high == t.zero else high)
    return high * math.sqrt(t.one + ratio * ratio)


@kernel
def logarithm(x, t):
    """Natural logarithm of a positive, finite and normal number."""
    shifted = _bits(x) - t.root
    octaves = (shifted >> t.digits) * t.one
    m = _from_bits((shifted & t.mantissa) + t.root, x)  # between √½ and √2
    s = (m - t.one) / (m + t.one)
    s2 = s * s
    rest = s + s * (s2 * _polynomial(t.logarithm, s2))
    rest = rest + rest + octaves * t.octave[2]
    return octaves * t.octave[0] + (octaves * t.octave[1] + rest)


@kernel
def exponential(x, t):
    """Natural exponential of a number whose modulus is not above ``t.largest_exponent``."""
    octaves = np.rint(x * t.per_octave)
    r = x - octaves * t.octave[0] - octaves * t.octave[1] - octaves * t.octave[2]
    value = t.one + r * _polynomial(t.exponential, r)
    return value * _from_bits((np.int32(octaves) + t.bias) << t.digits, x)


@kernel
def sines_and_cosines(x, sines, cosines, t):
    """Both, of any numbers."""
    if none_above(x, t.largest_angle):
        for i in range(x.size):
            sines[i], cosines[i] = sine_and_cosine(x[i], t)
    else:
        for i in range(x.size):
            sines[i], cosines[i] = math.sin(x[i]), math.cos(x[i])


@kernel
def exponentiate(x, t):
    """Replace numbers, any numbers, by their natural exponentials."""
    if none_above(x, t.largest_exponent):
        for i in range(x.size):
            x[i] = exponential(x[i], t)
    else:
        for i in range(x.size):
            x[i] = math.exp(x[i])


@kernel
def none_above(x, limit):
    """Whether no modulus exceeds a limit; NaN does."""
    fine = True
    for i in range(x.size):
        fine &= abs(x[i]) <= limit
    return fine
