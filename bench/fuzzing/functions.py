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
    outs = {name: contents.target(rng, inputs[name]) for name in _written(one)}
    given = inputs
    copies = {name: np.array(x, copy=True, order="C") for name, x in inputs.items()}
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
        list(copies.values()),
        lambda x: _reference(one, dict(zip(copies, x, strict=True)), options),
        rng,
        transforms=transforms(one) or any(copies[x].dtype.kind == "c" for x in _written(one)),
    ) or _touched(given, copies, outs, got)
    if not text and rng.random() < 0.3:
        text = alone(one, copies, options, rng, library or np)
    described = ", ".join(f"{x.dtype}{list(x.shape)}" for x in copies.values())
    return f"WRONG: {one.name}({described}, {options}): {text}" if text else "right"


def arrays(rng: Rng, one: Constraint) -> dict[str, np.ndarray]:
    """Return the arrays that a kernel takes, by the names of its arguments; some lack weights."""
    precision = rng.choice(["float32", "float64"])
    narrow = {"float32": "complex64", "float64": "complex128"}[precision]
    objects, probes = contents.shape(rng, int(rng.integers(3, 5))), contents.shape(rng, 3)
    rows = contents.shape(rng, 1)
    makers = {
        "probe": (probes, narrow),
        "shifts": ((*rows, 2), precision),
        "tilts": ((*rows, 2), precision),
    }
    made = {}
    for name in _array_names(one):
        if name in ("mask", "weight"):
            if rng.random() < 0.7:
                made[name] = contents.layout(rng, contents.weights(rng, objects))
            continue
        size, dtype = makers.get(name, (objects, precision))
        if one.flat and rng.random() < 0.9:
            size = (*objects[:-3], 1, *objects[-2:])
        if name == "obj" and rng.random() < (0.9 if one.flat else 0.25):
            dtype = narrow  # refused by those that take none
        made[name] = contents.layout(rng, contents.values(rng, size, dtype))
    return made


def numbers(rng: Rng, one: Constraint, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return all arguments of a kernel that are no arrays."""
    options = {**one.typical, **parameters.draw(rng, one.model)}
    rest = inspect.signature(one.kernel).parameters
    scale = 10.0 ** rng.integers(-2, 3)
    fields: dict[str, Any] = {
        "dx": 0.2 * scale,
        "wavelength": 0.025 * scale,
        "slice_thickness": 10.0 * scale,
        "intensity": float(scale),
        "scan_shape": (_first(inputs).shape[0], 1),
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
    one: Constraint, inputs: dict[str, np.ndarray], options: dict[str, Any], rng: Rng, xp: Any
) -> str:
    """Say whether a volume's result depends on what lies beside it."""
    if not one.by_parts or options.get("scope", "slice") == "global":
        return ""
    obj = _first(inputs)
    if "scope" in one.model.model_fields and "scope" not in options:
        return ""
    beside = contents.values(rng, obj.shape, str(obj.dtype))
    together = _call(one, {"obj": xp.asarray(np.stack((beside, obj, beside)))}, {}, options)
    single = _call(one, {"obj": xp.asarray(obj)}, {}, options)
    one_of, itself = _arrays(together)[0][1], _arrays(single)[0]
    # a library transforms several items at a time where there are several: other roundings
    near = 16 * float(np.finfo(obj.real.dtype).eps) * judge.largest(itself)
    same = np.allclose(one_of, itself, rtol=0, atol=near, equal_nan=True)
    return "" if same else "a volume's result depends on what lies beside it"


def _array_names(one: Constraint) -> list[str]:
    rest = inspect.signature(one.kernel).parameters.values()
    return [each.name for each in rest if each.kind is each.POSITIONAL_OR_KEYWORD]


def _first(inputs: dict[str, np.ndarray]) -> np.ndarray:
    return next(iter(inputs.values()))


def _written(one: Constraint) -> list[str]:
    """Names of the arguments that it changes, which are parts of the names of their fields."""
    names, fields = _array_names(one), one.writes(one.model())
    if one.by_parts:
        return names[:1]
    return [name for name in names if any(name in field for field in fields)]


def _moved(library: Any, *groups: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the same arrays of a library; outputs that are inputs stay so."""
    # a device has no arrays that are not aligned
    every = (x for group in groups for x in group.values() if x is not None)
    moved = {id(x): library.asarray(x.copy(order="K")) for x in every}
    return [{name: moved.get(id(x)) for name, x in group.items()} for group in groups]


def _call(
    one: Constraint, inputs: dict[str, Any], outs: dict[str, Any], options: dict[str, Any]
) -> Any:
    out = [outs.get(name) for name in _written(one)]
    with np.errstate(all="ignore"):
        return one.kernel(**inputs, out=out[0] if len(out) == 1 else tuple(out), **options)


def _reference(one: Constraint, inputs: dict[str, Any], options: dict[str, Any]) -> Any:
    with arraycon.use_agnostic():
        return _arrays(_call(one, inputs, {}, options))


def _arrays(answer: Any) -> list[np.ndarray]:
    answers = answer if isinstance(answer, tuple) else (answer,)
    return [x.get() if hasattr(x, "get") else np.asarray(x) for x in answers if x is not None]


def _refused(
    one: Constraint, inputs: dict[str, np.ndarray], options: dict[str, Any], error: Exception
) -> str:
    try:
        _reference(one, inputs, options)
    except type(error):
        return "refused by both"
    return f"WRONG: {one.name}, {options}: {type(error).__name__}: {error}, not by the reference"


def _touched(
    given: dict[str, Any], copies: dict[str, np.ndarray], outs: dict[str, Any], got: Any
) -> str:
    answers = got if isinstance(got, tuple) else (got,)
    for name, copy in copies.items():
        x = given[name]
        if x is not outs.get(name) and not np.array_equal(_arrays(x)[0], copy, equal_nan=True):
            return f"input {name} was changed"
    for (name, out), answer in zip(outs.items(), answers, strict=False):
        if out is None:
            continue
        if answer is not out:
            return f"result {name} is not the array that was handed over"
        if (
            isinstance(out, np.ndarray)
            and out.base is not None
            and out.base.shape != out.shape
            and out is not given[name]
        ):
            holes = out.base[..., 1::2]
            if not (holes == 7).all():
                return f"memory between the elements of out {name} was written to"
    return ""
