"""Experiments with the constraints on amplitude and phase, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

import arraycon
from study import scenes
from study.finding import Finding, Measure, Trial

_AMPLITUDE = Measure("RMS error of the amplitude", "%")
# a constant phase leaves every diffraction pattern as it is
_PHASE = Measure("RMS error apart from a constant", "mrad")
_DRAWS = 400
"""Over how many draws a mean is judged that is noise and nothing else."""


def complex_ratio(rng: Any) -> Finding:
    """Couple a specimen of one material, where each radian of phase absorbs the same share."""
    noise = 0.02  # of the wave's real and imaginary part, so in A and in rad
    phase = scenes.crystal(peak=0.6) + 0.2
    absorbing = np.exp(-0.1 * phase)
    other = phase.copy()
    other[:, scenes.SIZE // 2 :] *= 3.0  # the right half is of a material that absorbs three times
    absorption = Measure("mean absorption invented", "%")

    def coupled(amplitude: Any) -> tuple[Any, Any]:
        seen, known = (
            scenes.single(a + rng.normal(0, noise, phase.shape)) for a in (amplitude, phase)
        )
        return seen, arraycon.complex_ratio(seen, known)[0]

    def tried(when: str, amplitude: Any) -> Trial:
        return _compared(when, amplitude, *coupled(amplitude))

    def invented(when: str) -> Trial:
        pairs = (coupled(np.ones_like(phase)) for _ in range(_DRAWS))
        means = np.array([[np.mean(1 - a) for a in pair] for pair in pairs])
        before, after = (100 * scenes.rms(column) for column in means.T)
        return Trial(f"{when}, RMS of {_DRAWS} draws", absorption, before, after)

    return Finding(
        "complex_ratio",
        "the amplitude of a specimen of one material taken from its phase",
        tried("atoms on a film of 0.2 rad, ln A = -0.1 φ, noise of 0.02 in A and φ", absorbing),
        (
            tried("the same, one half absorbs three times as much", np.exp(-0.1 * other)),
            # C is a sum of moduli: noise of either sign adds to it
            invented("a pure phase object"),
            tried("the same, one draw", np.ones_like(phase)),
        ),
    )


def mirrored_amp(rng: Any) -> Finding:
    """Predict what heavy columns scatter beyond the detector."""
    phase = scenes.crystal(peak=0.8)
    true = 1 - 0.2 * phase**2
    # noise of the wave's real and imaginary part, so in A and in rad
    seen, known = (scenes.single(a + rng.normal(0, 0.01, true.shape)) for a in (true, phase))

    def tried(when: str, offset: float, **options: Any) -> Trial:
        after = arraycon.mirrored_amp(seen, scenes.single(known + offset), **options)
        return _compared(when, true, seen, after, **options)

    return Finding(
        "mirrored_amp",
        "absorption in heavy columns predicted from their phase",
        tried("A = 1 - 0.2 φ², noise of 0.01 in A and φ", 0.0, scale=0.2, power=2.0),
        (
            tried("the same, scale wrong by a quarter", 0.0, scale=0.25, power=2.0),
            tried("the same, a constant of 0.5 rad in the phase", 0.5, scale=0.2, power=2.0),
            tried("the same, default law: absorbs too little", 0.0),
        ),
    )


def obja_thresh(rng: Any) -> Finding:
    """Clip pixels that the probe hardly reached."""
    # the texture of 1 % is the specimen's own: clipping must keep it
    weak = np.ones((scenes.SIZE, scenes.SIZE)) + rng.normal(0, 0.01, (scenes.SIZE,) * 2)
    bad = rng.random(weak.shape) < 0.01
    outliers = np.where(bad, rng.uniform(0.4, 1.6, weak.shape), weak)
    heavy = 1 - scenes.crystal(peak=0.25)

    def tried(when: str, true: Any, seen: Any) -> Trial:
        seen = scenes.single(seen)
        return _compared(when, true, seen, arraycon.obja_thresh(seen))

    return Finding(
        "obja_thresh",
        "outliers of the amplitude clipped",
        tried(
            "a weak specimen, texture of 1 %; 1 % of the pixels between 0.4 and 1.6", weak, outliers
        ),
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
    vacuum = true < 1e-4
    k = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, scenes.DX) for n in true.shape), indexing="ij"))
    halo = np.fft.ifft2(np.fft.fft2(true) * (1 - np.exp(-((k / 0.08) ** 2)))).real
    halo -= halo[vacuum].mean()
    lowered = true - true.mean()

    def tried(when: str, true: Any, seen: Any) -> Trial:
        after = arraycon.objp_postiv(scenes.single(seen))
        before, after = (1e3 * float(np.std(a - true)) for a in (seen, after))
        return Trial(when, _PHASE, before, after)

    return Finding(
        "objp_postiv",
        "negative halos around atoms removed",
        tried("atoms, frequencies below about 0.08 1/Å missing; vacuum at zero", true, halo),
        (
            _noisy_vacuum(rng),
            tried("phase counted from its mean", lowered, lowered),
            _spoilt(true, vacuum),
        ),
    )


def _noisy_vacuum(rng: Any) -> Trial:
    """Clip one half of the noise around zero: what is left has a mean."""
    means = []
    for _ in range(_DRAWS):
        noisy = scenes.single(scenes.shot_noise(rng, (scenes.SIZE, scenes.SIZE), 5e3))
        means.append([noisy.mean(), arraycon.objp_postiv(noisy).mean()])
    before, after = (1e3 * scenes.rms(column) for column in np.transpose(means))
    return Trial(
        f"vacuum at 5e3 e/Å², RMS of {_DRAWS} draws",
        Measure("mean phase of vacuum", "mrad"),
        before,
        after,
    )


def _spoilt(true: Any, vacuum: Any) -> Trial:
    """Let one pixel of an atom decide where the phase is zero."""
    seen = true.copy()
    seen.flat[np.argmax(true)] = -0.5
    after = arraycon.objp_postiv(scenes.single(seen), mode="subtract_min")
    before, after = (1e3 * abs(float(np.mean((a - true)[vacuum]))) for a in (seen, after))
    return Trial(
        "one pixel at -0.5 rad: shifts the whole phase by 0.5 rad",
        Measure("error of the mean phase of vacuum", "mrad"),
        before,
        after,
        {"mode": "subtract_min"},
    )


def _compared(when: str, true: Any, seen: Any, after: Any, **options: Any) -> Trial:
    before, after = (100 * scenes.rms(a - true) for a in (seen, after))
    return Trial(when, _AMPLITUDE, before, after, options)
