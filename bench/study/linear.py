"""Experiments with the linear filters of the other codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import arraycon
from study import scenes
from study.finding import Finding, Measure, Trial

_ERROR = Measure("RMS error of the phase", "mrad")
_FLAT = Measure("RMS error apart from a constant", "mrad")
_PEAK = Measure("peak in the layer's slice", "%", "higher")
_LOW_DOSE, _DOSE = 5e3, 1e5  # e/Å²
_DEPTH = {"dx": scenes.DX, "slice_thickness": scenes.SLICE_THICKNESS}


def obj_gaussian(rng: Any) -> Finding:
    """Blur shot noise by a width in Å, laterally and in depth."""
    true = scenes.crystal()
    layer = scenes.layers(at=(5,))
    column = np.tile(scenes.crystal(), (12, 1, 1))

    def tried(when: str, phase: Any, dose: float, **options: Any) -> Trial:
        noise = scenes.shot_noise(rng, phase.shape, dose)
        given = _DEPTH if "sigma_z" in options else {"dx": scenes.DX}
        return _judged(arraycon.obj_gaussian, when, phase, phase + noise, given, **options)

    return Finding(
        "obj_gaussian",
        "noise from pixel to pixel averaged, by a width in Å",
        tried("one layer, 5e3 e/Å²", true, _LOW_DOSE, sigma=0.25),
        (
            tried("blurred as wide as the atoms, 1e5 e/Å²", true, _DOSE, sigma=0.4),
            tried(
                "columns through all slices, 5e3 e/Å²", column, _LOW_DOSE, sigma=0.2, sigma_z=8.0
            ),
            tried("one atomic layer in vacuum, 1e5 e/Å²", layer, _DOSE, sigma=0.0, sigma_z=8.0),
        ),
    )


def obj_smooth(rng: Any) -> Finding:
    """Mix neighbours a little at each iteration."""
    true = scenes.crystal()

    def tried(when: str, dose: float, iterations: int, alpha: float) -> Trial:
        seen = scenes.single(true + scenes.shot_noise(rng, true.shape, dose))
        after = seen
        for _ in range(iterations):
            after = arraycon.obj_smooth(after, alpha=alpha)
        return _compared(when, true, seen, after, alpha=alpha)

    return Finding(
        "obj_smooth",
        "noise from pixel to pixel averaged, a little at a time",
        tried("one layer, 5e3 e/Å², once", _LOW_DOSE, 1, 0.1),
        (
            tried("the same, default, 20 times", _LOW_DOSE, 20, 0.02),
            tried("the same, default, 20 times, 1e5 e/Å²", _DOSE, 20, 0.02),
        ),
    )


def obj_bandpass(rng: Any) -> Finding:
    """Take a slow background away, and noise beyond the atoms' frequencies."""
    true = scenes.crystal()
    y, x = np.indices(true.shape) / scenes.SIZE
    background = 0.1 * np.sin(2 * np.pi * y) * np.cos(2 * np.pi * x)
    disc = true * (np.hypot(y - 0.5, x - 0.5) * scenes.SIZE * scenes.DX < 6)

    def tried(when: str, phase: Any, error: Any, **options: Any) -> Trial:
        given = {"dx": scenes.DX}
        return _judged(
            arraycon.obj_bandpass, when, phase, phase + error, given, measure=_FLAT, **options
        )

    return Finding(
        "obj_bandpass",
        "a slow background removed",
        tried("one layer on a background of ±0.1 rad over 19 Å", true, background, q_highpass=0.1),
        (
            tried(
                "the same layer cut to a disc of 12 Å, whose shape is slow too",
                disc,
                np.zeros_like(true),
                q_highpass=0.1,
            ),
            tried(
                "one layer, 5e3 e/Å²",
                true,
                scenes.shot_noise(rng, true.shape, _LOW_DOSE),
                q_lowpass=0.9,
            ),
            tried(
                "the same, below the lattice's frequencies",
                true,
                scenes.shot_noise(rng, true.shape, _DOSE),
                q_lowpass=0.3,
            ),
        ),
    )


def grid_notch(_: Any) -> Finding:
    """Take the raster of the scan away."""
    true = scenes.crystal()
    step = 1.2  # Å: 16 in the field

    def tried(when: str, phase: Any, error: Any, **options: Any) -> Trial:
        return _judged(
            arraycon.grid_notch, when, phase, phase + error, {"dx": scenes.DX}, **options
        )

    square = scenes.atoms(np.indices((8, 8)).reshape(2, -1).T * 2 * step + step, 0.2)
    return Finding(
        "grid_notch",
        "the raster of the scan removed",
        tried("one layer, scanned in steps of 1.2 Å", true, _raster(step), period=step, window=0),
        (
            tried("the same, default window", true, _raster(step), period=step),
            tried("no raster: what the window costs", true, np.zeros_like(true), period=step),
            tried(
                "a square crystal of twice the step: half of its orders are the raster's",
                square,
                _raster(step),
                period=step,
                window=0,
            ),
            tried("a scan turned by 7°, not said", true, _raster(step, 7.0), period=step),
        ),
    )


def obj_wedge(rng: Any) -> Finding:
    """Damp what lies in the missing wedge, by the probe's angle."""
    true = scenes.layers()
    known = scenes.seen_through_wedge(true)
    filled = scenes.seen_through_wedge(true, unseen=0.05 * rng.normal(size=true.shape))
    angle = 1e3 * scenes.DETECTOR_ANGLE
    damped = arraycon.obj_wedge(scenes.single(known), semiangle=angle / 10, **_DEPTH)

    def tried(when: str, truth: Any, semiangle: float) -> Trial:
        return _judged(arraycon.obj_wedge, when, truth, filled, _DEPTH, semiangle=semiangle)

    return Finding(
        "obj_wedge",
        "artefacts in the missing wedge damped",
        tried(
            "two layers, an idealised wedge filled by a random start of 50 mrad; against what data "
            "can tell",
            known,
            angle,
        ),
        (
            tried("the same; against the truth", true, angle),
            Trial(
                "what data can tell, an angle ten times too small",
                _PEAK,
                100 * float(known[3].max() / true[3].max()),
                100 * float(damped[3].max() / true[3].max()),
                {"semiangle": angle / 10},
            ),
        ),
    )


def identical_slices(rng: Any) -> Finding:
    """Average slices that are equal, and slices that are not."""
    column, layers = np.tile(scenes.crystal(), (12, 1, 1)), scenes.layers()

    def tried(when: str, phase: Any, dose: float) -> Trial:
        noise = scenes.shot_noise(rng, phase.shape, dose)
        return _judged(arraycon.identical_slices, when, phase, phase + noise, {})

    return Finding(
        "identical_slices",
        "noise of equal slices averaged",
        tried("columns through all slices, 5e3 e/Å²", column, _LOW_DOSE),
        (tried("two layers, 1e5 e/Å²", layers, _DOSE),),
    )


def _raster(step: float, rotation: float = 0.0) -> Any:
    """Return waves of 30 mrad along the axes of a scan that is turned by so many degrees."""
    c, s = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    y, x = np.indices((scenes.SIZE, scenes.SIZE)) * scenes.DX
    waves = (np.cos(2 * np.pi * (a * y + b * x) / step) for a, b in ((c, -s), (s, c)))
    return 0.03 * sum(waves)


def _judged(
    constraint: Callable[..., Any],
    when: str,
    true: Any,
    seen: Any,
    given: dict[str, Any],
    *,
    measure: Measure = _ERROR,
    **options: Any,
) -> Trial:
    seen = scenes.single(seen)
    return _compared(when, true, seen, constraint(seen, **given, **options), measure, **options)


def _compared(
    when: str, true: Any, seen: Any, after: Any, measure: Measure = _ERROR, **options: Any
) -> Trial:
    judge = np.std if measure is _FLAT else scenes.rms
    before, after = (1e3 * float(judge(a - true)) for a in (seen, after))
    return Trial(when, measure, before, after, options)
