"""Array libraries and memory layouts that the suite runs over, and the one assertion helper."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np
import pytest

FLOAT32 = 2e-6  # SPEC's tolerance, relative Frobenius error
FLOAT64 = 1e-12
REAL = ("float32", "float64")
COMPLEX = {"float32": "complex64", "float64": "complex128"}
ENGINES = ("own", "ducc0", "scipy")
"""Whose transforms the compiled kernels use."""


@dataclass(frozen=True)
class Library:
    """One array library: how its arrays are made and read."""

    name: str

    @property
    def module(self) -> Any:
        return importlib.import_module({"jax": "jax.numpy"}.get(self.name, self.name))

    def available(self) -> str:
        """Why the library cannot be tested here, or nothing."""
        if importlib.util.find_spec(self.name) is None:
            return f"{self.name} is not installed"
        if self.name == "cupy":
            try:
                self.module.cuda.runtime.getDeviceCount()
            except Exception as error:  # no driver, no device, or libraries that do not fit
                return f"no CUDA device answers: {error}"
        return ""

    def precision(self, dtype: str) -> contextlib.AbstractContextManager[Any]:
        """Context in which the library has `dtype`: JAX has float64 only on request."""
        if self.name == "jax" and dtype in ("float64", "complex128"):
            import jax

            enable = getattr(jax, "enable_x64", None)
            if enable is None:
                from jax.experimental import enable_x64 as enable
            return enable(True)
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def without_waiting(self) -> Iterator[None]:
        """Fail if the host waits for the device; only the stand-in for CuPy can tell."""
        waits: list[str] = getattr(self.module, "synchronisations", [])
        waits.clear()
        yield
        assert not waits

    def array(self, values: np.ndarray, layout: str = "contiguous") -> Any:
        if layout == "contiguous":
            return self._make(np.ascontiguousarray(values))
        if layout == "read-only":
            made = self._make(np.ascontiguousarray(values))
            made.flags.writeable = False
            return made
        # every second element of a larger array, or transposed memory
        if layout == "strided":
            spaced = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), dtype=values.dtype)
            spaced[..., ::2] = values
            return self._make(spaced)[..., ::2]
        return self._make(np.ascontiguousarray(values.T)).T

    def _make(self, values: np.ndarray) -> Any:
        if self.name == "torch":
            return self.module.from_numpy(values.copy())
        return self.module.asarray(values.copy())

    def numpy(self, array: Any) -> np.ndarray:
        if self.name == "cupy":
            return self.module.asnumpy(array)
        if self.name == "torch":
            return array.resolve_conj().numpy()
        return np.asarray(array)


NUMPY = Library("numpy")
ALL = tuple(map(Library, ("numpy", "array_api_strict", "torch", "jax", "cupy")))
LAYOUTS = ("contiguous", "strided", "transposed", "read-only")


def parameters() -> Iterator[Any]:
    """Every library, in every layout that it has."""
    for library in ALL:
        reason = library.available()
        for layout in LAYOUTS:
            if layout == "read-only" and library.name != "numpy":
                continue  # the others cannot mark an array as read-only
            if library.name == "array_api_strict" and layout == "transposed":
                continue  # its .T is for matrices only
            if library.name == "torch" and layout == "transposed":
                continue  # torch deprecates .T beyond two axes
            yield pytest.param(
                library,
                layout,
                id=f"{library.name}-{layout}",
                marks=[pytest.mark.skip(reason=reason)] if reason else [],
            )


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    actual, expected = (np.asarray(x).astype(np.complex128) for x in (actual, expected))
    scale, difference = _norm(expected), _norm(actual - expected)
    return difference / scale if scale > 0 else difference


def _norm(x: np.ndarray) -> float:
    # NumPy's own asks BLAS, whose threads wait for each other: up to 9 ms for 60 000 elements, in
    # place of 0.1, where another process is at work
    numbers = x.ravel().view(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # as BLAS, which says nothing
        return float(np.sqrt(np.sum(numbers * numbers)))


def assert_matches(
    actual: Any,
    expected: np.ndarray,
    like: Any,
    library: Library = NUMPY,
    tolerance: float | None = None,
) -> None:
    """Check library, device, dtype and shape against `like`, and values against `expected`."""
    assert type(actual) is type(like)
    assert array_api_compat.device(actual) == array_api_compat.device(like)
    assert actual.dtype == like.dtype
    assert tuple(actual.shape) == tuple(like.shape)
    values = library.numpy(actual)
    if tolerance is None:
        tolerance = FLOAT32 if values.dtype.name in ("float32", "complex64") else FLOAT64
    assert values.shape == expected.shape
    assert relative_error(values, expected) <= tolerance


def aligned(modes: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Turn each mode by the unit phasor that brings it closest to the reference."""
    overlap = np.sum(modes.conj() * reference, axis=(-2, -1), keepdims=True, dtype=np.complex128)
    size = np.abs(overlap)
    return modes * np.where(size > 0, overlap / np.where(size > 0, size, 1), 1)
