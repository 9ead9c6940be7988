"""Random arrays: shapes, what is in them, and how they lie in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Rng = np.random.Generator

# what the sizes of an axis are drawn from: single, odd, prime, products of 2, 3 and 5, and none
SIZES = (1, 1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17, 20, 23, 32, 36, 41, 45)
MOST = 40_000  # elements


def shape(rng: Rng, axes: int) -> tuple[int, ...]:
    """Return a shape that is small enough for thousands of cases."""
    while True:
        sizes = tuple(int(n) for n in rng.choice(SIZES, axes))
        if rng.random() < 0.02:
            sizes = (*sizes[:-1], 0)
        if np.prod(sizes) <= MOST:
            return sizes


def values(rng: Rng, size: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return an array of a dtype with one kind of content, or a mixture of two."""
    filled = _kind(rng)(rng, size)
    if rng.random() < 0.2 and filled.size:
        filled = np.where(rng.random(size) < 0.02, _kind(rng, ordinary=False)(rng, size), filled)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.dtype(dtype).kind == "c":
            return (filled + 1j * _noise(rng, size) * np.abs(filled)).astype(dtype)
        return filled.astype(dtype)


def weights(rng: Rng, size: tuple[int, ...]) -> np.ndarray:
    """Return weights in [0, 1], bool or real, that fit the last axes of an array."""
    fitting = size[int(rng.integers(max(1, len(size) - 2))) :]
    some = rng.random(tuple(1 if rng.random() < 0.1 else n for n in fitting))
    kind = rng.integers(4)
    if kind < 2:
        return some > rng.choice([0.1, 0.5, 0.98])
    return (some if kind == 2 else np.round(some)).astype(rng.choice(["float32", "float64"]))


def layout(rng: Rng, array: np.ndarray) -> np.ndarray:
    """Return the same values at other places: Fortran order, steps, backwards, read-only."""
    choice = rng.integers(7)
    if choice == 1:
        return np.asfortranarray(array)
    if choice == 2:
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1] + 1), array.dtype)
        wide[..., 1::2][...] = array
        return wide[..., 1::2]
    if choice == 3:
        return np.ascontiguousarray(array[::-1])[::-1]
    if choice == 4:
        return np.ascontiguousarray(np.moveaxis(array, 0, -1)).transpose(
            array.ndim - 1, *range(array.ndim - 1)
        )
    if choice == 5:  # not aligned
        raw = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        raw[...] = array
        return raw
    copy = array.copy()
    if choice == 6:
        copy.flags.writeable = False
    return copy


def target(rng: Rng, array: np.ndarray) -> np.ndarray | None:
    """Return an `out` for a result like `array`: none, new, with steps, or the input itself."""
    choice = rng.integers(4)
    if choice == 0:
        return None
    if choice == 1 and array.flags.writeable:
        return array
    if choice == 2:
        out = np.full((*array.shape[:-1], 2 * array.shape[-1]), 7, array.dtype)
        return out[..., ::2]
    return np.full(array.shape, 7, array.dtype)


def _kind(rng: Rng, *, ordinary: bool = True) -> Callable[[Rng, tuple[int, ...]], np.ndarray]:
    kinds = (_noise, _object, _noise, _object, _constant, _ties, _zero) if ordinary else ()
    extremes = (_huge, _small, _subnormal, _nan, _infinite, _negative_zero)
    return (kinds + extremes)[rng.integers(len(kinds) + len(extremes))]


def _noise(rng: Rng, size: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(size)


def _object(rng: Rng, size: tuple[int, ...]) -> np.ndarray:
    return 1 + 0.1 * rng.standard_normal(size)


def _constant(rng: Rng, size: tuple[int, ...]) -> np.ndarray:
    return np.full(size, rng.choice([0.96, 1.04, -1.0, 3.0]))


def _ties(rng: Rng, size: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-2, 3, size).astype(float)


def _zero(_: Rng, size: tuple[int, ...]) -> np.ndarray:
    return np.zeros(size)


def _huge(rng: Rng, size: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(size) * 10.0 ** rng.integers(15, 33)


def _small(rng: Rng, size: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(size) * 10.0 ** -rng.integers(15, 37)


def _subnormal(rng: Rng, size: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(size) * 10.0 ** -rng.integers(38, 45)


def _nan(_: Rng, size: tuple[int, ...]) -> np.ndarray:
    return np.full(size, np.nan)


def _infinite(rng: Rng, size: tuple[int, ...]) -> np.ndarray:
    return rng.choice([-np.inf, np.inf], size)


def _negative_zero(_: Rng, size: tuple[int, ...]) -> np.ndarray:
    return np.full(size, -0.0)
