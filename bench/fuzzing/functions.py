"""Functions of arrays: each layer against the reference, with layouts, outputs and extremes."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import numpy as np

import arraycon
from arraycon.constraints import Constraint, declared
from fuzzing import contents, judge, parameters

Rng = np.random.Generator


def case(seed: int, number: int, library: Any = None) -> str:
    """Run one call in both ways; return what came of it.

    Parameters
    ----------
    seed, number : int
        What follows from them is the same on all libraries.
    library : module, optional
        CuPy, whose arrays are tried then; the reference has NumPy's.
    """
    rng = np.random.default_rng((seed, number))
    known = [each for each in declared().values() if each.kernel is not None]
    one = known[number % len(known)]
    inputs = arrays(rng, one)
    options = numbers(rng, one, inputs)
    # the same for both, whatever its random numbers
    outs = [contents.target(rng, x) if each else None for x, each in _writes(one, inputs)]
    given, copies = inputs, [np.array(x, copy=True, order="C") for x in inputs]
    if library is not None:
        given, outs = _moved(library, inputs, outs)
    try:
        got = _call(one, given, outs, options)
    except (ValueError, TypeError, arraycon.MissingInputError) as error:
        return _refused(one, copies, options, error)
    expected = _reference(one, copies, options)
    text = judge.differs(
        _arrays(got),
        expected,
        copies,
        lambda x: _reference(one, x, options),
        rng,
        transforms=transforms(one),
    ) or _touched(given, copies, outs, got)
    if not text and rng.random() < 0.3:
        text = alone(one, copies, options, rng, library or np)
    described = ", ".join(f"{x.dtype}{list(x.shape)}" for x in copies)
    return f"WRONG: {one.name}({described}, {options}): {text}" if text else "right"


def arrays(rng: Rng, one: Constraint) -> list[np.ndarray]:
    """Return the arrays that a kernel takes, by the names of its arguments."""
    precision = rng.choice(["float32", "float64"])
    narrow = {"float32": "complex64", "float64": "complex128"}[precision]
    objects, probes = contents.shape(rng, int(rng.integers(3, 5))), contents.shape(rng, 3)
    rows = contents.shape(rng, 1)
    makers = {
        "probe": (probes, narrow),
        "shifts": ((*rows, 2), precision),
        "tilts": ((*rows, 2), precision),
    }
    made = []
    for name in _array_names(one):
        size, dtype = makers.get(name, (objects, precision))
        made.append(contents.layout(rng, contents.values(rng, size, dtype)))
    return made


def numbers(rng: Rng, one: Constraint, inputs: list[np.ndarray]) -> dict[str, Any]:
    """Return all arguments of a kernel that are no arrays."""
    options = {**one.typical, **parameters.draw(rng, one.model)}
    rest = inspect.signature(one.kernel).parameters
    scale = 10.0 ** rng.integers(-2, 3)
    fields: dict[str, Any] = {
        "dx": 0.2 * scale,
        "wavelength": 0.025 * scale,
        "slice_thickness": 10.0 * scale,
        "intensity": float(scale),
        "scan_shape": (inputs[0].shape[0], 1),
    }
    options |= {key: value for key, value in fields.items() if key in rest}
    if one.by_parts and "obj_type" in rest:
        options["obj_type"] = str(rng.choice(["amplitude", "phase"]))
    return {key: value for key, value in options.items() if key in rest}


def transforms(one: Constraint) -> bool:
    """Whether Fourier transforms take part."""
    family = one.kernel.__module__.rpartition(".")[2]
    return hasattr(importlib.import_module(f"arraycon.kernels.agnostic.{family}"), "fft")


def alone(
    one: Constraint, inputs: list[np.ndarray], options: dict[str, Any], rng: Rng, xp: Any
) -> str:
    """Say whether a volume's result depends on what lies beside it."""
    if not one.by_parts or options.get("scope", "slice") == "global":
        return ""
    obj = inputs[0]
    if "scope" in one.model.model_fields and "scope" not in options:
        return ""
    beside = contents.values(rng, obj.shape, str(obj.dtype))
    together = _call(one, [xp.asarray(np.stack((beside, obj, beside)))], [None], options)
    single = _call(one, [xp.asarray(obj)], [None], options)
    same = np.array_equal(_arrays(together)[0][1], _arrays(single)[0], equal_nan=True)
    return "" if same else "a volume's result depends on what lies beside it"


def _array_names(one: Constraint) -> list[str]:
    rest = inspect.signature(one.kernel).parameters.values()
    return [each.name for each in rest if each.kind is each.POSITIONAL_OR_KEYWORD]


def _writes(one: Constraint, inputs: list[np.ndarray]) -> list[tuple[np.ndarray, bool]]:
    number = 1 if one.by_parts else len(one.writes(one.model()))
    return [(x, index < number) for index, x in enumerate(inputs)]


def _moved(library: Any, inputs: list[Any], outs: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the same arrays of a library; outputs that are inputs stay so."""
    # a device has no arrays that are not aligned
    moved = {id(x): library.asarray(x.copy(order="K")) for x in (*inputs, *outs) if x is not None}
    return [moved[id(x)] for x in inputs], [moved.get(id(x)) for x in outs]


def _call(
    one: Constraint, inputs: list[np.ndarray], outs: list[Any], options: dict[str, Any]
) -> Any:
    number = sum(flag for _, flag in _writes(one, inputs))
    out = outs[0] if number == 1 else tuple(outs[:number])
    with np.errstate(all="ignore"):
        return one.kernel(*inputs, out=out, **options)


def _reference(one: Constraint, inputs: list[np.ndarray], options: dict[str, Any]) -> Any:
    with arraycon.use_agnostic():
        return _arrays(_call(one, inputs, [None] * len(inputs), options))


def _arrays(answer: Any) -> list[np.ndarray]:
    answers = answer if isinstance(answer, tuple) else (answer,)
    return [x.get() if hasattr(x, "get") else np.asarray(x) for x in answers]


def _refused(
    one: Constraint, inputs: list[np.ndarray], options: dict[str, Any], error: Exception
) -> str:
    try:
        _reference(one, inputs, options)
    except type(error):
        return "refused by both"
    return f"WRONG: {one.name}, {options}: {type(error).__name__}: {error}, not by the reference"


def _touched(given: list[np.ndarray], copies: list[np.ndarray], outs: list[Any], got: Any) -> str:
    answers = got if isinstance(got, tuple) else (got,)
    for index, (x, copy) in enumerate(zip(given, copies, strict=True)):
        if x is not outs[index] and not np.array_equal(_arrays(x)[0], copy, equal_nan=True):
            return f"input {index} was changed"
    for index, out in enumerate(outs):
        if out is None:
            continue
        if answers[index] is not out:
            return f"result {index} is not the array that was handed over"
        if (
            isinstance(out, np.ndarray)
            and out.base is not None
            and out.base.shape != out.shape
            and out is not given[index]
        ):
            holes = out.base[..., 1::2]
            if not (holes == 7).all():
                return f"memory between the elements of out {index} was written to"
    return ""
