"""States: schedules on whole states, bound, measured and plain, against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

import arraycon
from arraycon.constraints import declared
from fuzzing import contents, judge, parameters
from fuzzing.functions import transforms

Rng = np.random.Generator


def case(seed: int, number: int) -> str:
    """Run one schedule in all ways; return what came of it."""
    rng = np.random.default_rng((seed, number))
    given = fields(rng)
    schedule = constraints(rng)
    reference = arraycon.State(**_copied(given))
    refusal = _apply(schedule, reference, "reference")
    way = str(rng.choice(["plain", "measured", "bound"]))
    state = arraycon.State(**_laid(rng, given))
    said = _apply(schedule, state, way)
    described = f"{schedule}, {way}, {state}"
    if said != refusal:
        return f"WRONG: {described}: {said or 'done'}, by the reference {refusal or 'done'}"
    if said:
        return "refused by both"

    def again(wobbled: list[np.ndarray]) -> list[np.ndarray]:
        other = arraycon.State(**{**given, **dict(zip(_arrays(given), wobbled, strict=True))})
        _apply(schedule, other, "reference")
        return _results(other)

    text = judge.differs(
        _results(state),
        _results(reference),
        list(_arrays(given).values()),
        again,
        rng,
        transforms=any(
            transforms(declared()[name])
            or getattr(schedule[name], "obj_type", "") == "complex"
            or "probe" in declared()[name].writes(schedule[name])
            for name in schedule
        ),
    )
    return f"WRONG: {described}: {text}" if text else "right"


def fields(rng: Rng) -> dict[str, Any]:
    """Return a random state's fields."""
    precision = str(rng.choice(["float32", "float64"]))
    narrow = {"float32": "complex64", "float64": "complex128"}[precision]
    size = contents.shape(rng, 4)
    given: dict[str, Any] = {
        "probe": contents.values(rng, contents.shape(rng, 3), narrow),
        "position_shifts": contents.values(rng, (12, 2), precision),
        "tilts": contents.values(rng, (12, 2), precision),
        "scan_shape": (4, 3),
        "probe_intensity": 10.0,
        "dx": 0.2,
        "wavelength": 0.025,
        "slice_thickness": 10.0,
    }
    if rng.random() < 0.5:
        phase = 0.3 * contents.values(rng, size, "float64")
        with np.errstate(invalid="ignore"):
            waves = (1 + 0.05 * rng.standard_normal(size)) * np.exp(1j * np.mod(phase, 6))
        given["object"] = waves.astype(narrow)
    else:
        given["object_amplitude"] = contents.values(rng, size, precision)
        given["object_phase"] = contents.values(rng, size, precision)
    if rng.random() < 0.7:
        given["illumination"] = rng.random(size[-2:]).astype(precision)
    if rng.random() < 0.7:
        mask = rng.random(size[int(rng.choice([1, 2])) :])
        given["vacuum_mask"] = mask > 0.5 if rng.random() < 0.5 else mask.astype(precision)
    return given


def constraints(rng: Rng) -> arraycon.Constraints:
    """Return a schedule of one to three constraints."""
    known = list(declared().values())
    chosen = rng.choice(len(known), int(rng.integers(1, 4)), replace=False)
    blocks = {}
    for index in chosen:
        one, drawn = known[index], parameters.draw(rng, known[index].model)
        if "phase" in drawn:  # float32 holds 10⁴ rad to 10⁻³ only, which a complex object shows
            drawn["phase"] %= 7
        needed = {key: value for key, value in one.typical.items() if drawn.get(key) is None}
        blocks[one.name] = {"start_iter": 1, **drawn, **needed}
    return arraycon.Constraints(blocks)


def _apply(schedule: arraycon.Constraints, state: arraycon.State, way: str) -> str:
    """Apply a schedule; return how it was refused, if it was."""
    try:
        with np.errstate(all="ignore"):
            if way == "reference":
                with arraycon.use_agnostic():
                    schedule.apply(state, 1)
            elif way == "bound":
                schedule.bind(state).apply(1)
            else:
                report = schedule.apply(state, 1, measure=way == "measured")
                for record in report:
                    assert all(figure is not None for figure in record.metrics.values())
    except (ValueError, TypeError) as error:
        return type(error).__name__
    return ""


def _arrays(given: dict[str, Any]) -> dict[str, np.ndarray]:
    return {key: value for key, value in given.items() if isinstance(value, np.ndarray)}


def _copied(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, **{key: value.copy() for key, value in _arrays(given).items()}}


def _laid(rng: Rng, given: dict[str, Any]) -> dict[str, Any]:
    laid = {key: contents.layout(rng, value) for key, value in _arrays(given).items()}
    return {**given, **{k: v if v.flags.writeable else v.copy() for k, v in laid.items()}}


def _results(state: arraycon.State) -> list[np.ndarray]:
    return list(_arrays(vars(state)).values())
