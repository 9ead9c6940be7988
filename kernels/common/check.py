"""Validation of arguments: every message names the argument, what was expected and what came."""

from __future__ import annotations

import itertools
import math
import operator
import sys
from collections.abc import Mapping, Sequence, Set
from typing import Any, Literal, NoReturn

import array_api_compat
import numpy as np

from arraycon.kernels.common import arrays, meaning, memory
from arraycon.kernels.common.arrays import Array

Kind = Literal["real", "complex", "floating", "mask"]
_DTYPES: dict[Kind, tuple[str, ...]] = {
    "real": ("float32", "float64"),
    "complex": ("complex64", "complex128"),
    "floating": ("float32", "float64", "complex64", "complex128"),
    "mask": ("bool", "float32", "float64"),
}
_OF_NUMPY = {kind: frozenset(map(np.dtype, names)) for kind, names in _DTYPES.items()}
_AXES = ("...", "nz", "ny", "nx")


def array(name: str, x: Array, *, kind: Kind, ndim: int = 0) -> None:
    """Require a dtype of `kind` and at least `ndim` axes."""
    # the namespace of an ordinary array needs not be looked for: between calls on large arrays all
    # this is out of the caches, and takes ten times as long as in a loop
    if type(x) is np.ndarray:
        fits = x.dtype in _OF_NUMPY[kind]
    else:
        xp = arrays.namespace(**{name: x})
        fits = any(x.dtype == getattr(xp, dtype) for dtype in _DTYPES[kind])
    if not fits:
        raise TypeError(f"{name}: expected {_either(_DTYPES[kind])}, got {_dtype(x)}")
    if x.ndim < ndim:
        axes = ", ".join(_AXES[-ndim:])
        _reject(name, f"at least {ndim} axes (..., {axes})", f"shape {tuple(x.shape)}")


def fits(name: str, x: Array, obj: Array | None, *, ndims: tuple[int, ...]) -> None:
    """Require the last axes of an object, if there is one; as many of them as `ndims` says."""
    axes = " or ".join(f"({', '.join(_AXES[-n:])})" for n in ndims)
    if x.ndim not in ndims:
        _reject(name, f"shape {axes}", f"shape {tuple(x.shape)}")
    if obj is not None and tuple(x.shape) != tuple(obj.shape[-x.ndim :]):
        expected = " or ".join(str(tuple(obj.shape[-n:])) for n in ndims)
        _reject(name, f"shape {axes} of the object, {expected}", f"shape {tuple(x.shape)}")


def weights(name: str, x: Array | None, like: Array, *, ndim: int | None = None) -> None:
    """Require None, or real or bool weights that fit the last axes of an array, `ndim` at most."""
    if x is None:
        return
    array(name, x, kind="mask")
    shape, target = tuple(x.shape), tuple(like.shape)
    most = len(target) if ndim is None else ndim
    pairs = zip(reversed(shape), reversed(target), strict=False)
    if len(shape) > most or any(n not in (1, m) for n, m in pairs):
        _reject(name, f"a shape that fits the last axes of {target}", f"shape {shape}")


def modes(name: str, probe: Array) -> None:
    """Require complex probe modes of shape (pmode, ny, nx)."""
    array(name, probe, kind="complex")
    if probe.ndim != 3:
        hint = "; a single mode is probe[None]" if probe.ndim == 2 else ""
        _reject(name, "shape (pmode, ny, nx)", f"shape {tuple(probe.shape)}{hint}")


def pairs(name: str, x: Array) -> None:
    """Require a real array of shape (n, 2)."""
    array(name, x, kind="real")
    if x.ndim != 2 or x.shape[1] != 2:
        _reject(name, "shape (n, 2), columns (y, x)", f"shape {tuple(x.shape)}")


def same(name: str, x: Array, other_name: str, other: Array, *, dtype: Any = None) -> None:
    """Require shape, dtype (or the one that is given) and device of another array."""
    if tuple(x.shape) != tuple(other.shape):
        _reject(name, f"the shape of {other_name}, {tuple(other.shape)}", f"{tuple(x.shape)}")
    if dtype is not None and x.dtype != dtype:
        raise TypeError(f"{name}: expected {_plain_name(dtype)}, got {_dtype(x)}")
    if dtype is None and x.dtype != other.dtype:
        raise TypeError(f"{name}: expected the dtype of {other_name}, {_dtype(other)}, "
                        f"got {_dtype(x)}")  # fmt: skip
    if type(x) is type(other) is np.ndarray:
        return
    device, expected = arrays.device(x), arrays.device(other)
    if device != expected:
        _reject(name, f"the device of {other_name}, {expected}", f"{device}")


def output(
    out: Array | None, like_name: str, like: Array, name: str = "out", *, dtype: Any = None
) -> None:
    """Require that `out`, if given, can take a result like `like`, or of another dtype."""
    if out is None:
        return
    if out is like and type(out) is np.ndarray and dtype in (None, out.dtype):
        if out.flags.carray:  # contiguous, aligned and writable: the usual answer
            return
        if not out.flags.writeable:
            _reject(name, "a writable array", "a read-only one")
        _no_repeats(name, out)
        return
    arrays.namespace(**{name: out, like_name: like})
    same(name, out, like_name, like, dtype=dtype)
    if array_api_compat.is_jax_array(out):
        raise TypeError(f"{name}: expected None, because JAX arrays cannot be written to, got one")
    if not array_api_compat.is_writeable_array(out):
        _reject(name, "a writable array", "a read-only one")
    _no_repeats(name, out)


def outputs(
    out: Sequence[Array | None] | None, like: dict[str, Array], *, dtype: Any = None
) -> tuple[Array | None, ...]:
    """Require a sequence of output arrays, one for each array in `like`; see `output`."""
    if out is None:
        return (None,) * len(like)
    if not isinstance(out, Sequence) or len(out) != len(like):
        raise TypeError(f"out: expected a tuple of {len(like)} arrays ({', '.join(like)}), "
                        f"got {type(out).__name__}")  # fmt: skip
    # None in place of one array: that result is returned in a new one
    for i, (item, (name, array)) in enumerate(zip(out, like.items(), strict=True)):
        output(item, name, array, name=f"out[{i}]", dtype=dtype)
    apart({f"out[{i}]": item for i, item in enumerate(out) if item is not None})
    return tuple(out)


def apart(named: Mapping[str, Array]) -> None:
    """Require arrays of which none shares memory with another one."""
    for (name, x), (other_name, other) in itertools.combinations(named.items(), 2):
        if memory.shared(x, other):
            _reject(
                name, f"memory of its own, not that of {other_name}", "shared memory; give a copy"
            )


def _no_repeats(name: str, out: Array) -> None:
    if memory.repeats(out):
        _reject(
            name,
            "elements with memory of their own",
            "some that share it (a broadcast or overlapping view); give a copy",
        )


def number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    unit: str = "",
) -> float:
    """Return a finite float with low <= value <= high, above < value < below, in `unit`."""
    # what is not finite is beyond the limits: infinite ones are excluded
    if type(value) is float and low <= value <= high and above < value < below:
        return value
    expected = _interval(low, high, above, below)
    value = _scalar(name, value, f"{expected}, in {unit}" if unit else expected)
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(f"{name}: expected {expected}, got {value!r}")
    try:
        result = float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected {expected}, got one that no float can hold") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__}") from None
    if not (math.isfinite(result) and low <= result <= high and above < result < below):
        _reject(name, expected, repr(result))
    return result


def optional_number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
) -> float | None:
    """Return None or a number as `number` does."""
    return None if value is None else number(name, value, low=low, high=high, above=above)


def per_axis(name: str, value: Any, *, above: float) -> tuple[float, float]:
    """Return a pair (y, x) of numbers as `number` does; one number is for both."""
    if not isinstance(value, tuple | list):
        return (number(name, value, above=above),) * 2
    y, x = _pair(name, value, f"a number > {above:g} or a pair (y, x) of them")
    return number(f"{name}[0]", y, above=above), number(f"{name}[1]", x, above=above)


def per_volume_axis(name: str, value: Any, *, low: float) -> tuple[float, float, float]:
    """Return three numbers (z, y, x) as `number` does."""
    try:
        if isinstance(value, Mapping | Set | str):  # which of its three is the first is not said
            raise TypeError
        z, y, x = value
    except (TypeError, ValueError):
        raise TypeError(
            f"{name}: expected three numbers ≥ {low:g} (z, y, x), got {value!r}"
        ) from None
    z, y, x = (number(f"{name}[{i}]", each, low=low) for i, each in enumerate((z, y, x)))
    return z, y, x


def integer(name: str, value: Any, *, low: int, high: float = math.inf) -> int:
    """Return an int with low <= value <= high that a float can hold."""
    expected = f"an integer in [{low}, {high}]" if high < math.inf else f"an integer ≥ {low}"
    value = _scalar(name, value, expected)
    if isinstance(value, bool):
        raise TypeError(f"{name}: expected {expected}, got {value!r}")
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected {expected}, got {value!r}") from None
    if abs(result) > sys.float_info.max:
        _reject(name, expected, "one that no float can hold")
    if not low <= result <= high:
        _reject(name, expected, repr(result))
    return result


def odd(name: str, value: Any, *, high: int) -> int:
    """Return an odd int in [1, high]."""
    result = integer(name, value, low=1, high=high)
    if result % 2 == 0:
        _reject(name, "an odd integer (an even kernel would shift the array)", repr(result))
    return result


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """Return one of the options."""
    if value not in options:
        _reject(name, _either(options), repr(value))
    return str(value)


def ascending(name: str, value: Any) -> tuple[float, float]:
    """Return an ascending pair of finite floats."""
    if type(value) is tuple and len(value) == 2:
        first, second = value
        if type(first) is type(second) is float and -math.inf < first < second < math.inf:
            return first, second  # the usual answer, without names for its parts
    low, high = _pair(name, value, "an ascending pair of numbers")
    result = number(f"{name}[0]", low), number(f"{name}[1]", high)
    if not result[0] < result[1]:
        _reject(name, "an ascending pair of numbers", repr(result))
    return result


def scan_shape(name: str, value: Any) -> tuple[int, int]:
    """Return numbers of scan positions (slow, fast)."""
    slow, fast = _pair(name, value, "a pair of integers (slow, fast)")
    return integer(f"{name}[0]", slow, low=1), integer(f"{name}[1]", fast, low=1)


def _pair(name: str, value: Any, expected: str) -> tuple[Any, Any]:
    try:
        # which of two is the first is not said; what a class is a kind of takes long to find
        if type(value) not in (tuple, list) and isinstance(value, Mapping | Set):
            raise TypeError
        first, second = value
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected {expected}, got {value!r}") from None
    return first, second


def _scalar(name: str, value: Any, expected: str) -> Any:
    try:
        return meaning.scalar(value)
    except meaning.LostMeaningError as error:
        raise TypeError(f"{name}: expected {expected}, got {error}") from None


def _interval(low: float, high: float, above: float, below: float) -> str:
    if below < math.inf:
        return f"a number in ({above:g}, {below:g})"
    if above > -math.inf and high < math.inf:
        return f"a number in ({above:g}, {high:g}]"
    if above > -math.inf:
        return f"a number > {above:g}"
    if high < math.inf:
        return f"a number in [{low:g}, {high:g}]"
    return "a finite number" if low == -math.inf else f"a number ≥ {low:g}"


def _either(options: tuple[str, ...]) -> str:
    return f"{', '.join(options[:-1])} or {options[-1]}"


def _dtype(x: Array) -> str:
    return _plain_name(x.dtype)


def _plain_name(dtype: Any) -> str:
    return getattr(dtype, "__name__", str(dtype)).rpartition(".")[2]


def _reject(name: str, expected: str, got: str) -> NoReturn:
    raise ValueError(f"{name}: expected {expected}, got {got}")
