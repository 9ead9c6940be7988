"""What `transform` does to numbers in lanes: butterflies, and ways into tiles and out of them.

A tile holds n + 1 complex numbers in all lanes: real parts, imaginary parts, then those of the next
number. Number n is a place for what mirrors number 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from arraycon.kernels.cpu.fft.lanes import Index, Memory, Vector, staged, transposed

RADICES = (8, 5, 4, 3, 2)


class Complex:
    """Complex numbers in lanes."""

    def __init__(self, real: Vector, imag: Vector) -> None:
        self.real = real
        self.imag = imag

    def __add__(self, other: Complex) -> Complex:
        return Complex(self.real + other.real, self.imag + other.imag)

    def __sub__(self, other: Complex) -> Complex:
        return Complex(self.real - other.real, self.imag - other.imag)

    def __mul__(self, other: Complex | Vector | float) -> Complex:
        if isinstance(other, Complex):
            return Complex(
                self.real * other.real - self.imag * other.imag,
                self.real * other.imag + self.imag * other.real,
            )
        return Complex(self.real * other, self.imag * other)

    def plus_i(self, other: Complex) -> Complex:
        """Return self + i·other."""
        return Complex(self.real - other.imag, self.imag + other.real)

    def minus_i(self, other: Complex) -> Complex:
        """Return self - i·other."""
        return Complex(self.real + other.imag, self.imag - other.real)


def _load(tile: Memory, i: Index) -> Complex:
    place = i * (2 * tile.lanes)
    return Complex(tile.load(place), tile.load(place + tile.lanes))


def _store(tile: Memory, i: Index, z: Complex) -> None:
    place = i * (2 * tile.lanes)
    tile.store(place, z.real)
    tile.store(place + tile.lanes, z.imag)


# --- butterflies ---


def _turn(radix: int) -> Any:
    def turn(tile: Memory, first: Index, apart: Index, twiddles: Memory, t: Index) -> None:
        """Transform a few numbers and multiply them by their twiddle factors."""
        places = [first + apart * k for k in range(radix)]
        constant, *others = _butterfly([_load(tile, place) for place in places])
        _store(tile, places[0], constant)
        for k, z in enumerate(others):
            twiddle = Complex(twiddles.spread(t + 2 * k), twiddles.spread(t + (2 * k + 1)))
            _store(tile, places[k + 1], z * twiddle)

    return staged(turn)


def _last(radix: int) -> Any:
    def last(tile: Memory, first: Index) -> None:
        """Transform a few neighbours: the last pass has no twiddle factors."""
        places = [first + k for k in range(radix)]
        for place, z in zip(places, _butterfly([_load(tile, p) for p in places]), strict=True):
            _store(tile, place, z)

    return staged(last)


def _butterfly(x: Sequence[Complex]) -> list[Complex]:
    """FFT of a few numbers."""
    if len(x) == 2:
        return [x[0] + x[1], x[0] - x[1]]
    if len(x) == 4:
        return _four(x[0] + x[2], x[0] - x[2], x[1] + x[3], x[1] - x[3])
    if len(x) == 8:
        return _eight(x)
    return _odd(x)


def _four(a: Complex, b: Complex, c: Complex, d: Complex) -> list[Complex]:
    return [a + c, b.minus_i(d), a - c, b.plus_i(d)]


def _eight(x: Sequence[Complex]) -> list[Complex]:
    even = _butterfly([x[j] + x[j + 4] for j in range(4)])
    a, b, c, d = (x[j] - x[j + 4] for j in range(4))
    # b/√i, and d·√i, which is -1 times what is needed
    b = Complex(b.real + b.imag, b.imag - b.real) * math.sqrt(0.5)
    d = Complex(d.real - d.imag, d.real + d.imag) * math.sqrt(0.5)
    odd = _four(a.minus_i(c), a.plus_i(c), b - d, b + d)
    return [y for pair in zip(even, odd, strict=True) for y in pair]


def _odd(x: Sequence[Complex]) -> list[Complex]:
    n = len(x)
    half = range(1, n // 2 + 1)
    sums = [x[j] + x[n - j] for j in half]
    differences = [x[j] - x[n - j] for j in half]
    result = [sum(sums, start=x[0])] * n
    for k in half:
        angles = [2 * math.pi * j * k / n for j in half]
        cosines = (s * math.cos(angle) for s, angle in zip(sums, angles, strict=True))
        sine, *sines = (d * math.sin(angle) for d, angle in zip(differences, angles, strict=True))
        real, imag = sum(cosines, start=x[0]), sum(sines, start=sine)
        result[k], result[n - k] = real.minus_i(imag), real.plus_i(imag)
    return result


turn8, turn5, turn4, turn3, turn2 = (_turn(radix) for radix in RADICES)
last8, last5, last4, last3, last2 = (_last(radix) for radix in RADICES)


# --- rows: a lane each, so they are transposed on the way ---
#
# After the last row comes the last row again, in the lanes that are left: it is read, transformed
# and written several times, always the same. Columns that are left are handled by going back to
# where a whole vector ends with the last column.


def _vectors(x: Memory, row: Index, last: Index, stride: Index, place: Index) -> list[Index]:
    return [(row + i).at_most(last) * stride + place for i in range(x.lanes)]


@staged
def load_rows(
    x: Memory,
    row: Index,
    last: Index,
    stride: Index,
    column: Index,
    tile: Memory,
    part: Index,
    order: Memory,
) -> None:
    """Load real rows into the real or imaginary parts of a tile; column j goes to order[j]."""
    rows = [x.load(place) for place in _vectors(x, row, last, stride, column)]
    for j, vector in enumerate(transposed(rows)):
        tile.store(order.index(column + j) * (2 * tile.lanes) + part, vector)


@staged
def store_rows(
    tile: Memory,
    part: Index,
    order: Memory,
    x: Memory,
    row: Index,
    last: Index,
    stride: Index,
    column: Index,
) -> None:
    """Store real or imaginary parts as real rows; column j comes from order[j]."""
    places = [order.index(column + j) * (2 * tile.lanes) + part for j in range(tile.lanes)]
    columns = transposed([tile.load(place) for place in places])
    for place, vector in zip(_vectors(x, row, last, stride, column), columns, strict=True):
        x.store(place, vector)


def _load_complex(
    x: Memory, row: Index, last: Index, stride: Index, column: Index
) -> list[Complex]:
    rows = [x.load(place) for place in _vectors(x, row, last, stride, column * 2)]
    half = x.lanes // 2
    pairs = zip(transposed(rows[:half], 2), transposed(rows[half:], 2), strict=True)
    return [Complex(*upper.separated(lower)) for upper, lower in pairs]


def _store_complex(
    numbers: Sequence[Complex], x: Memory, row: Index, last: Index, stride: Index, column: Index
) -> None:
    pairs = [z.real.interleaved(z.imag) for z in numbers]
    rows = [v for half in (0, 1) for v in transposed([pair[half] for pair in pairs], 2)]
    for place, vector in zip(_vectors(x, row, last, stride, column * 2), rows, strict=True):
        x.store(place, vector)


@staged
def load_complex_rows(
    x: Memory,
    row: Index,
    last: Index,
    stride: Index,
    column: Index,
    tile: Memory,
    real: Index,
    imag: Index,
) -> None:
    """Load complex rows; exchanging the places of the parts makes an FFT an inverse one."""
    for j, z in enumerate(_load_complex(x, row, last, stride, column)):
        place = (column + j) * (2 * tile.lanes)
        tile.store(place + real, z.real)
        tile.store(place + imag, z.imag)


@staged
def store_complex_rows(
    tile: Memory,
    real: Index,
    imag: Index,
    order: Memory,
    x: Memory,
    row: Index,
    last: Index,
    stride: Index,
    column: Index,
) -> None:
    """Store complex rows; column j comes from order[j]."""
    places = [order.index(column + j) * (2 * tile.lanes) for j in range(tile.lanes // 2)]
    numbers = [Complex(tile.load(place + real), tile.load(place + imag)) for place in places]
    _store_complex(numbers, x, row, last, stride, column)


@staged
def split_rows(
    tile: Memory,
    n: Index,
    order: Memory,
    spectrum: Memory,
    row: Index,
    last: Index,
    stride: Index,
    column: Index,
) -> None:
    """Store twice the spectra of real rows a and b, given that of a + i·b."""
    first, second = [], []
    for j in range(tile.lanes // 2):
        z = _load(tile, order.index(column + j))
        mirrored = _load(tile, order.index(n - (column + j)))
        a, b = _split(z, mirrored)
        first.append(a)
        second.append(b)
    _store_complex(first, spectrum, row, last, stride, column)
    _store_complex(second, spectrum, row + tile.lanes, last, stride, column)


@staged
def join_rows(
    spectrum: Memory,
    row: Index,
    last: Index,
    stride: Index,
    column: Index,
    tile: Memory,
    n: Index,
) -> None:
    """Load the spectra of real rows a and b so that an FFT gives n·(a + i·b)."""
    first = _load_complex(spectrum, row, last, stride, column)
    second = _load_complex(spectrum, row + tile.lanes, last, stride, column)
    for j, (a, b) in enumerate(zip(first, second, strict=True)):
        k = column + j
        mirror = n - k
        _join(tile, k, mirror, _real_at_ends(a, k, mirror), _real_at_ends(b, k, mirror))


@staged
def join_pairs(
    spectrum: Memory,
    row: Index,
    last: Index,
    stride: Index,
    column: Index,
    tile: Memory,
    n: Index,
) -> None:
    """Do as `join_rows` with frequencies of which none is 0 or n/2."""
    first = _load_complex(spectrum, row, last, stride, column)
    second = _load_complex(spectrum, row + tile.lanes, last, stride, column)
    for j, (a, b) in enumerate(zip(first, second, strict=True)):
        _join(tile, column + j, n - (column + j), a, b)


def _real_at_ends(z: Complex, k: Index, mirror: Index) -> Complex:
    """Without the imaginary part of frequencies 0 and n/2, which a real row does not have."""
    return Complex(z.real, z.imag.zero_where_equal(k, 0).zero_where_equal(k, mirror))


def _split(z: Complex, mirrored: Complex) -> tuple[Complex, Complex]:
    """Twice the spectra of real signals a and b, from frequencies k and -k of a + i·b."""
    a = Complex(z.real + mirrored.real, z.imag - mirrored.imag)
    b = Complex(z.imag + mirrored.imag, mirrored.real - z.real)
    return a, b


def _join(tile: Memory, k: Index, mirror: Index, a: Complex, b: Complex) -> None:
    """Store conj(a) + i·conj(b): its FFT is n times the real signals, so no inverse is needed."""
    _store(tile, mirror, a.plus_i(b))
    _store(tile, k, Complex(a.real + b.imag, b.real - a.imag))


# --- columns: neighbouring columns are neighbouring lanes ---


@staged
def load_columns(x: Memory, place: Index, tile: Memory, i: Index, real: Index, imag: Index) -> None:
    """Load one row of complex columns as number i; the first of their parts is at `place`."""
    z = Complex(*x.load(place).separated(x.load(place + x.lanes)))
    tile.store(i * (2 * tile.lanes) + real, z.real)
    tile.store(i * (2 * tile.lanes) + imag, z.imag)


@staged
def store_columns(
    tile: Memory,
    i: Index,
    real: Index,
    imag: Index,
    x: Memory,
    place: Index,
    scale: Vector,
    done: Index,
) -> None:
    """Store number i of all columns but those that are done."""
    parts = [tile.load(i * (2 * tile.lanes) + part) * scale for part in (real, imag)]
    for half, vector in enumerate(parts[0].interleaved(parts[1])):
        target = place + half * x.lanes
        x.store(target, vector.after(done * 2 - half * x.lanes, x.load(target)))


@staged
def load_real_columns(x: Memory, place: Index, tile: Memory, i: Index, part: Index) -> None:
    """Load one row of real columns as real or imaginary part of number i."""
    tile.store(i * (2 * tile.lanes) + part, x.load(place))


@staged
def store_real_columns(
    tile: Memory, i: Index, part: Index, x: Memory, place: Index, scale: Vector, done: Index
) -> None:
    """Store one part of number i of all columns but those that are done."""
    vector = tile.load(i * (2 * tile.lanes) + part) * scale
    x.store(place, vector.after(done, x.load(place)))


@staged
def multiply(
    tile: Memory, i: Index, mask: Memory, place: Index, target: Memory, target_i: Index
) -> None:
    """Multiply by a real or complex mask, and exchange the parts for the inverse FFT."""
    z = _load(tile, i)
    if mask.is_complex:
        pairs = mask.load(place * 2), mask.load(place * 2 + mask.lanes)
        z *= Complex(*pairs[0].separated(pairs[1]))
    else:
        z *= mask.load(place)
    _store(target, target_i, Complex(z.imag, z.real))


@staged
def weigh(
    tile: Memory,
    i: Index,
    real: Index,
    imag: Index,
    factors: Memory,
    k: Index,
    target: Memory,
    j: Index,
    target_real: Index,
    target_imag: Index,
) -> None:
    """Multiply number i by a complex factor, the same in all lanes, and store it as number j."""
    place, other = i * (2 * tile.lanes), j * (2 * tile.lanes)
    factor = Complex(factors.spread(k * 2), factors.spread(k * 2 + 1))
    z = Complex(tile.load(place + real), tile.load(place + imag)) * factor
    target.store(other + target_real, z.real)
    target.store(other + target_imag, z.imag)


# --- cosine transforms of two real signals a and b, by the FFT of a + i·b ---


@staged
def to_cosine(tile: Memory, k: Index, n: Index, order: Memory, quarter_wave: Memory) -> None:
    """Replace frequencies k and -k by coefficients k and n - k of a DCT-II."""
    cosine, sine = quarter_wave.spread(k * 2), quarter_wave.spread(k * 2 + 1)
    place, mirror = order.index(k), order.index(n - k)
    a, b = _split(_load(tile, place), _load(tile, mirror))
    _store(
        tile,
        mirror,
        Complex(a.real * sine - a.imag * cosine, b.real * sine - b.imag * cosine),
    )
    _store(
        tile,
        place,
        Complex(a.real * cosine + a.imag * sine, b.real * cosine + b.imag * sine),
    )


@staged
def from_cosine(tile: Memory, k: Index, n: Index, quarter_wave: Memory) -> None:
    """Replace coefficients k and n - k so that an FFT gives 2n times the samples."""
    cosine, sine = quarter_wave.spread(k * 2), quarter_wave.spread(k * 2 + 1)
    mirror = n - k
    z, mirrored = _load(tile, k), _load(tile, mirror)
    a = Complex(z.real * cosine + mirrored.real * sine, z.real * sine - mirrored.real * cosine)
    b = Complex(z.imag * cosine + mirrored.imag * sine, z.imag * sine - mirrored.imag * cosine)
    _join(tile, k, mirror, a, b)
