"""Judge: whether two results are the same as far as the numbers allow it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Rng = np.random.Generator
Results = Sequence[np.ndarray]

TOLERANCE = {"f": 2e-5, "d": 1e-10}
WOBBLES = 8


def differs(
    got: Results,
    expected: Results,
    inputs: Results,
    again: Callable[[list[np.ndarray]], Results],
    rng: Rng,
    *,
    transforms: bool = False,
) -> str:
    """Say what is wrong with results, or return an empty text.

    Parameters
    ----------
    got : sequence of array
    expected : sequence of array
        Of the reference, in the same precision: not finite in the same places.
    inputs : sequence of array
        What both were computed from.
    again : callable
        The reference. Where it answers as differently to inputs that differ by rounding only, as a
        selection at its limit does, the inputs leave the answer open.
    rng : Generator
    transforms : bool
        Whether Fourier transforms or products of complex numbers took part. Which butterfly meets
        ∞ - ∞ first, or whether ∞·0 of an imaginary part is formed, and so whether NaN or an
        infinity comes out, is nobody's choice: infinities among the inputs must only show.
    """
    if transforms and any(np.isinf(_real(x)).any() for x in inputs):
        finite = all(np.isfinite(_real(x)).all() for x in got)
        return "infinities went in, finite numbers came out" if finite else ""
    for index, (one, other) in enumerate(zip(got, expected, strict=True)):
        if one.dtype != other.dtype or one.shape != other.shape:
            return f"result {index}: {one.dtype} {one.shape}, expected {other.dtype} {other.shape}"
    if not _worst(got, expected, inputs):
        return ""
    most = max(map(largest, inputs))
    wobbled = [again([_wobble(rng, x, most) for x in inputs]) for _ in range(WOBBLES)]
    if any(_worst(one, expected, inputs) for one in wobbled):
        return ""
    return _worst(got, expected, inputs)


def _worst(got: Results, expected: Results, inputs: Results) -> str:
    for index, (one, other) in enumerate(zip(got, expected, strict=True)):
        if text := _compare(one, other, inputs):
            return f"result {index}: {text}"
    return ""


def _compare(got: np.ndarray, expected: np.ndarray, inputs: Results) -> str:
    if got.dtype == np.bool_:
        return "" if np.array_equal(got, expected) else "bools differ"
    x, y = (_real(array) for array in (got, expected))
    if not np.array_equal(np.isnan(x), np.isnan(y)):
        where = np.argwhere(np.isnan(x) != np.isnan(y))[0]
        return f"NaN differs at {tuple(where)}: {x[tuple(where)]}, expected {y[tuple(where)]}"
    infinite = np.isinf(x) | np.isinf(y)
    # what is just beyond the largest number is a matter of rounding
    most = 0.99 * np.finfo(x.dtype).max
    if not np.array_equal(*(np.clip(each[infinite], -most, most) for each in (x, y))):
        return f"{x[infinite][:3]}, expected {y[infinite][:3]}"
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return ""
    x, y = x[finite].astype(float), y[finite].astype(float)
    scale = max([float(np.abs(y).max()), *map(largest, inputs)])
    precision = got.real.dtype
    allowed = TOLERANCE[precision.char] * scale + 16 * float(np.finfo(precision).tiny)
    worst = float(np.abs(x - y).max())
    return "" if worst <= allowed else f"off by {worst:.3g}, allowed {allowed:.3g}"


def _real(array: np.ndarray) -> np.ndarray:
    if np.iscomplexobj(array):
        return np.stack((array.real, array.imag), axis=-1)
    return array


def largest(array: np.ndarray) -> float:
    """Return the largest finite number, real and imaginary parts by themselves."""
    values = _real(array)
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _wobble(rng: Rng, array: np.ndarray, scale: float) -> np.ndarray:
    if array.dtype == np.bool_:
        return array
    eps = 16 * np.finfo(array.real.dtype).eps
    with np.errstate(all="ignore"):
        moved = array * (1 + eps * rng.choice((-1, 1), array.shape))
        step = rng.choice((-1, 0, 1), array.shape)
        if np.iscomplexobj(array):  # else a phase of 0 would stay one
            step = step + 1j * rng.choice((-1, 0, 1), array.shape)
        return (moved + eps * scale * step).astype(array.dtype)
