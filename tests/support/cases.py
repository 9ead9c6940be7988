"""Calls of the constraints: arguments, options, and what is particular about each of them."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import arraycon

FAMILIES = (
    "blur", "clamp", "coupling", "dct", "fourier", "gauge", "linear", "modes", "probe_masks",
    "recenter", "values", "variation",
)  # fmt: skip
FOLDER = Path(__file__).parents[1] / "constraints"

OPTICS = {"dx": 0.2, "wavelength": 0.0251}
OBJECTS = ((1, 6, 20, 20), (2, 5, 9, 14), (7, 1, 13))
PROBES = ((4, 16, 16), (3, 9, 14), (1, 8, 8))
# short and awkward sizes, and such that suit the vector transforms
LATERAL = (
    (1, 1), (1, 2), (2, 1), (1, 13), (13, 1), (2, 2), (3, 5), (6, 7), (17, 614), (614, 4),
    (40, 36), (45, 81), (41, 94), (64, 97),
)  # fmt: skip

# what bad arguments are beside
OBJ = np.ones((3, 6, 6), "float32")
PROBE = np.ones((2, 6, 6), "complex64")
TABLE = np.ones((6, 2), "float32")


def phase(rng, shape):
    """Phase with positive and negative values, stronger in the upper slices."""
    values = rng.normal(0.1, 0.2, shape)
    if len(shape) > 2:
        values *= np.linspace(1.5, 0.5, shape[-3])[:, None, None]
    return values


def amplitude(rng, shape):
    return 1 + rng.normal(0, 0.05, shape)


def probe(rng, shape):
    """Non-orthogonal modes of clearly different powers, in arbitrary order."""
    modes = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    strength = rng.permutation(0.5 ** np.arange(shape[0])) if shape[0] else np.ones(0)
    modes = modes * strength[:, None, None]
    return modes + 0.3 * modes.mean(axis=0) if shape[0] else modes


def table(rng, shape):
    return rng.normal(0.3, 1.0, shape)


@dataclass(frozen=True)
class Case:
    """One call of a constraint, which has the name of its reference.

    Attributes
    ----------
    reference : callable
        The formula in float64; it takes the same arguments.
    inputs : tuple
        What makes each array, and its shape.
    options : dict
        All other arguments.
    written : int
        How many arrays `out` takes; they are the first results.
    phases_free : bool
        The reference leaves a unit phasor of each mode open.
    fixed : tuple of int
        Axes of the arrays that have one size only.
    call : callable, optional
        How it is called, where not with the arrays in their order, or for fewer results.
    """

    reference: Callable[..., Any]
    inputs: tuple[tuple[Callable[..., np.ndarray], tuple[int, ...]], ...]
    options: dict[str, Any] = field(default_factory=dict)
    written: int = 1
    phases_free: bool = False
    fixed: tuple[int, ...] = ()
    call: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        return self.reference.__name__

    @property
    def id(self) -> str:
        shape = "x".join(map(str, self.inputs[0][1]))
        changed = ",".join(f"{k}={v}" for k, v in self.options.items() if k not in OPTICS)
        return f"{self.name}-{shape}-{changed}".replace(" ", "")

    @property
    def function(self) -> Callable[..., Any]:
        return self.call or getattr(arraycon, self.name)

    def make(self, dtype: str, seed: int = 0) -> list[np.ndarray]:
        """Inputs as NumPy arrays of the precision of `dtype`."""
        rng = np.random.default_rng(seed)
        arrays = [maker(rng, shape) for maker, shape in self.inputs]
        narrow = {"float32": np.complex64, "float64": np.complex128}[dtype]
        return [x.astype(narrow if np.iscomplexobj(x) else dtype) for x in arrays]

    def expected(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        return results(self.reference(*arrays, **self.options))

    def out(self, arrays: list[Any]) -> Any:
        """As many of the arrays as are written, in the form that `out` takes."""
        return arrays[0] if self.written == 1 else tuple(arrays[: self.written])


def results(answer: Any) -> tuple[Any, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def on_objects(reference, maker, *options, shapes=OBJECTS, **particulars):
    """Return a case for each shape and each set of options."""
    return [
        Case(reference, ((maker, shape),), option, **particulars)
        for shape in shapes
        for option in options
    ]


def on_both(reference, *options, **particulars):
    """Return cases that take amplitude and phase."""
    return [
        Case(reference, ((amplitude, shape), (phase, shape)), option, **particulars)
        for shape in OBJECTS
        for option in options
    ]


def on_probes(reference, *options, shapes=PROBES, **particulars):
    """Return cases that take a probe."""
    return on_objects(reference, probe, *options, shapes=shapes, **particulars)


def first(cases: list[Case]) -> dict[str, Case]:
    """One case of each constraint."""
    found: dict[str, Case] = {}
    for case in cases:
        found.setdefault(case.name, case)
    return found


@dataclass(frozen=True)
class Limit:
    """Largest extra memory of a call in place, in units of its first array.

    The options are the defaults, and those that have none.
    """

    fraction: float
    options: dict[str, Any] = field(default_factory=dict)


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Return the cases of all families."""
    return tuple(case for name in FAMILIES for case in family(name).CASES)


@functools.cache
def family(name: str) -> Any:
    """Return the module of a family: its cases and its references."""
    path = FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"cases_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
