"""Experiments with the constraints on amplitude and phase, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

import arraycon
from arraycon.demo.study import scenes
from arraycon.demo.study.finding import Finding, Measure, Trial

_AMPLITUDE = Measure("RMS error of the amplitude", "%")
_PHASE = Measure("RMS error of the phase", "mrad")
_SCALE = {"%": 100.0, "mrad": 1000.0}


def complex_ratio(rng: Any) -> Finding:
    """Couple a specimen of one material, where each radian of phase absorbs the same share."""
    phase = scenes.crystal(peak=0.6) + 0.2
    absorbing = np.exp(-0.1 * phase)
    other = phase.copy()
    other[:, scenes.SIZE // 2 :] *= 3.0  # the right half is of a material that absorbs three times
    absorption = Measure("mean absorption invented", "%")

    def coupled(amplitude: Any, noise: float) -> tuple[Any, Any]:
        seen = scenes.single(amplitude + rng.normal(0, noise, phase.shape))
        return seen, arraycon.complex_ratio(seen, scenes.single(phase))[0]

    def tried(when: str, amplitude: Any, noise: float) -> Trial:
        return _compared(when, _AMPLITUDE, amplitude, *coupled(amplitude, noise))

    def invented(when: str, amplitude: Any, noise: float) -> Trial:
        before, after = (
            100 * abs(float(np.mean(a - amplitude))) for a in coupled(amplitude, noise)
        )
        return Trial(when, absorption, before, after)

    return Finding(
        "complex_ratio",
        "the amplitude of a specimen of one material taken from its phase",
        tried("atoms on a film of 0.2 rad, ln A = -0.1 φ, noise of 0.02 in A", absorbing, 0.02),
        (
            tried("the same, one half absorbs three times as much", np.exp(-0.1 * other), 0.02),
            # C is a sum of moduli: noise of either sign adds to it
            invented("a pure phase object, noise of 0.02", np.ones_like(phase), 0.02),
        ),
    )


def mirrored_amp(rng: Any) -> Finding:
    """Predict what heavy columns scatter beyond the detector."""
    phase = scenes.crystal(peak=0.8)
    true = 1 - 0.2 * phase**2
    seen = scenes.single(true + rng.normal(0, 0.01, true.shape))

    def tried(when: str, offset: float, **options: Any) -> Trial:
        after = arraycon.mirrored_amp(seen, scenes.single(phase + offset), **options)
        return _compared(when, _AMPLITUDE, true, seen, after, **options)

    fitting = {"scale": 0.2, "power": 2.0}
    return Finding(
        "mirrored_amp",
        "absorption in heavy columns predicted from their phase",
        tried("A = 1 - 0.2 φ², noise of 0.01 in the amplitude", 0.0, **fitting),
        (
            tried("the same, a constant of 0.5 rad in the phase", 0.5, **fitting),
            tried("the same, default law: absorbs too little", 0.0),
        ),
    )


def obja_thresh(rng: Any) -> Finding:
    """Clip pixels that the probe hardly reached."""
    weak = np.ones((scenes.SIZE, scenes.SIZE)) + rng.normal(0, 0.01, (scenes.SIZE,) * 2)
    bad = rng.random(weak.shape) < 0.01
    outliers = np.where(bad, rng.uniform(0.4, 1.6, weak.shape), weak)
    heavy = 1 - scenes.crystal(peak=0.25)

    def tried(when: str, true: Any, seen: Any) -> Trial:
        seen = scenes.single(seen)
        return _compared(when, _AMPLITUDE, true, seen, arraycon.obja_thresh(seen))

    return Finding(
        "obja_thresh",
        "outliers of the amplitude clipped",
        tried("a weak specimen, 1 % of the pixels between 0.4 and 1.6", weak, outliers),
        (
            tried(
                "heavy atoms that absorb 25 % of the amplitude",
                heavy,
                heavy + rng.normal(0, 0.01, heavy.shape),
            ),
        ),
    )


def objp_postiv(rng: Any) -> Finding:
    """Remove negative halos around atoms, from low frequencies that are transferred badly."""
    true = scenes.atoms(rng.uniform(0, scenes.SIZE * scenes.DX, (40, 2)), 0.2)
    k = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, scenes.DX) for n in true.shape), indexing="ij"))
    halo = np.fft.ifft2(np.fft.fft2(true) * (1 - 0.6 * np.exp(-((k / 0.15) ** 2)))).real

    def tried(when: str, measure: Measure, true: Any, seen: Any, **options: Any) -> Trial:
        after = arraycon.objp_postiv(scenes.single(seen), **options)
        return _compared(when, measure, true, seen, after, **options)

    spoilt = true.copy()
    spoilt[0, 0] = -0.5
    noisy = scenes.shot_noise(rng, true.shape, 5e3)
    bias = Measure("mean phase of vacuum", "mrad")
    return Finding(
        "objp_postiv",
        "negative halos around atoms removed",
        tried("atoms, low frequencies transferred at 40 %", _PHASE, true, halo),
        (
            Trial(
                "vacuum at 5e3 e/Å²",
                bias,
                1e3 * abs(float(noisy.mean())),
                1e3 * abs(float(arraycon.objp_postiv(scenes.single(noisy)).mean())),
            ),
            tried("phase counted from its mean", _PHASE, true - true.mean(), true - true.mean()),
            tried("one pixel at -0.5 rad", _PHASE, true, spoilt, mode="subtract_min"),
        ),
    )


def _compared(
    when: str, measure: Measure, true: Any, seen: Any, after: Any, **options: Any
) -> Trial:
    before, after = (_SCALE[measure.unit] * scenes.rms(a - true) for a in (seen, after))
    return Trial(when, measure, before, after, options)
