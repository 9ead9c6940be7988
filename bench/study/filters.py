"""Experiments with the blurs and filters of the object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import arraycon
from study import scenes
from study.finding import Finding, Measure, Trial

_ERROR = Measure("RMS error of the phase", "mrad")
_PEAK = Measure("peak in the layer's slice", "%", "higher")
_LOW_DOSE, _DOSE, _HIGH_DOSE = 5e3, 1e5, 1e6  # e/Å²


def obj_rblur(rng: Any) -> Finding:
    """Blur shot noise, which differs from pixel to pixel."""
    true = scenes.crystal()

    def tried(when: str, dose: float, **options: Any) -> Trial:
        noise = scenes.shot_noise(rng, true.shape, dose)
        return _denoised(arraycon.obj_rblur, f"{when}, {_say(dose)}", true, noise, **options)

    return Finding(
        "obj_rblur",
        "noise from pixel to pixel averaged",
        tried("one layer", _LOW_DOSE, std=1.0, kernel_size=7),
        (
            tried("blurred as wide as the atoms", _DOSE, std=2.0, kernel_size=13),
            tried("default width", _HIGH_DOSE),
        ),
    )


def obj_zblur(rng: Any) -> Finding:
    """Blur slices that the data hardly tell apart, and slices that they do."""
    column = np.tile(scenes.crystal()[:32, :32], (12, 1, 1))
    moved = rng.normal(size=(100, 11))  # in 100 draws, from each slice to the next
    moved *= 0.1 / scenes.rms(moved)
    # what one slice gains its neighbour loses: the sum over depth, which the data fix, stays
    exchanged = np.diff(moved, prepend=0.0, append=0.0)
    uneven = scenes.single(column * (1 + exchanged[..., None, None]))
    layer = scenes.single(scenes.layers(at=(5,)))
    top = scenes.crystal().max()
    return Finding(
        "obj_zblur",
        "neighbouring slices that the data do not tell apart made equal",
        Trial(
            "columns through all slices, 10 % (RMS) moved to a neighbour, 100 draws",
            _ERROR,
            1e3 * scenes.rms(uneven - column),
            1e3 * scenes.rms(arraycon.obj_zblur(uneven) - column),
        ),
        (
            Trial(
                "one atomic layer in vacuum, as it is on by default",
                _PEAK,
                100 * float(layer[5].max() / top),
                100 * float(arraycon.obj_zblur(layer)[5].max() / top),
            ),
        ),
    )


def kr_filter(rng: Any) -> Finding:
    """Filter noise at frequencies that no atom has."""
    true = scenes.crystal()

    def tried(when: str, dose: float, **options: Any) -> Trial:
        noise = scenes.shot_noise(rng, true.shape, dose)
        return _denoised(arraycon.kr_filter, f"{when}, {_say(dose)}", true, noise, **options)

    return Finding(
        "kr_filter",
        "noise at frequencies that the atoms do not have removed",
        tried("one layer, cut at 1.25 1/Å", _LOW_DOSE, radius=0.5),
        (tried("default cut, 0.38 1/Å: most of the atoms' contrast is lost", _DOSE),),
    )


def kz_filter(rng: Any) -> Finding:
    """Filter two layers whose missing wedge holds what no data have corrected."""
    true = scenes.layers()
    unseen = 0.05 * rng.normal(size=true.shape)
    # W is ½ where |kz| = k/β in slices and px: on the wedge's edge
    beta = round(scenes.DX / (scenes.SLICE_THICKNESS * scenes.DETECTOR_ANGLE), 2)
    known = scenes.seen_through_wedge(true)
    filled = scenes.seen_through_wedge(true, unseen=unseen)

    def tried(when: str, truth: Any, **options: Any) -> Trial:
        return _denoised(arraycon.kz_filter, when, truth, filled - truth, **options)

    fitting = tried(
        "two layers, an idealised wedge filled by a random start of 50 mrad; against what data can "
        "tell",
        known,
        beta=beta,
    )
    blurred = 1e3 * scenes.rms(arraycon.obj_zblur(scenes.single(filled)) - known)
    damped = arraycon.kz_filter(scenes.single(known), beta=beta)
    return Finding(
        "kz_filter",
        "artefacts in the missing wedge damped",
        fitting,
        (
            tried("the same; against the truth", true, beta=beta),
            Trial(
                "the same; against what data can tell",
                _ERROR,
                blurred,
                fitting.after,
                {"beta": beta},
                against="obj_zblur",
            ),
            tried("the same, much too strong", known, beta=10.0),
            Trial(
                "an empty wedge: what is missing does not come back",
                _PEAK,
                100 * float(known[3].max() / true[3].max()),
                100 * float(damped[3].max() / true[3].max()),
                {"beta": beta},
            ),
        ),
    )


def kz_filter_boundary(rng: Any) -> Finding:
    """Compare what the periodic and the mirrored filter do at the two surfaces."""
    options = {"boundary": "mirror", "alpha": 0.0}
    leak = Measure("leak into the last slice", "%")
    surface = scenes.single(scenes.layers(at=(0,)))
    ends = Measure("RMS error, end slices", "mrad")
    column = np.tile(scenes.crystal(), (12, 1, 1))
    noisy = scenes.single(column + scenes.shot_noise(rng, column.shape, _LOW_DOSE))

    def leaked(boundary: str) -> float:
        after = arraycon.kz_filter(surface, alpha=0.0, boundary=boundary)
        return 100 * float(after[-1].max() / surface[0].max())

    def error(boundary: str) -> float:
        after = arraycon.kz_filter(noisy, alpha=0.0, boundary=boundary)
        return 1e3 * scenes.rms((after - column)[[0, -1]])

    def tried(when: str, measure: Measure, judge: Callable[[str], float]) -> Trial:
        values = judge("periodic"), judge("mirror")
        return Trial(when, measure, *values, options, against="periodic")

    return Finding(
        "kz_filter",
        "wrap-around from the first slice into the last stopped by the mirror boundary",
        tried("a layer in the first of 12 slices", leak, leaked),
        (
            # the mirror shows the last slices their own noise again, the wrap-around other noise
            tried(f"columns through all slices, {_say(_LOW_DOSE)}", ends, error),
        ),
    )


def kr_thresh(rng: Any) -> Finding:
    """Remove shot noise from a crystal, which few cosines describe, and from what is none."""
    true = scenes.crystal()
    sites = scenes.lattice(4.0)
    random = scenes.atoms(rng.uniform(0, scenes.SIZE * scenes.DX, sites.shape), 0.2)

    def tried(when: str, phase: Any, dose: float, thresh: float) -> Trial:
        noise = scenes.shot_noise(rng, phase.shape, dose)
        when = f"{when}, {_say(dose)}"
        return _denoised(arraycon.kr_thresh, when, phase, noise, thresh=thresh)

    return Finding(
        "kr_thresh",
        "noise of a low dose removed",
        tried("one layer", true, _LOW_DOSE, 0.02),
        (
            tried("the same share: too little for this dose", true, _DOSE, 0.02),
            tried("a larger share", true, _DOSE, 0.05),
            tried("as many atoms without order need more than that", random, _DOSE, 0.05),
            _dopant(rng, "too little kept", 0.02),
            _dopant(rng, "the share that fits the crystal best", 0.08),
        ),
    )


def _dopant(rng: Any, when: str, thresh: float) -> Trial:
    """Look for one heavier atom, whose coefficients are weak beside the crystal's."""
    sites = scenes.lattice(4.0)
    index = len(sites) // 2
    extra = scenes.atoms(sites[index : index + 1], 0.1)
    layer = scenes.crystal()
    kept = []
    for _ in range(20):
        noisy = layer + scenes.shot_noise(rng, extra.shape, _DOSE)
        pair = (scenes.single(noisy + e) for e in (extra, 0 * extra))
        doped, without = (arraycon.kr_thresh(p, thresh=thresh) for p in pair)
        kept.append(_slope(doped - without, extra))
    return Trial(
        f"one atom of the layer heavier by 0.1 rad, {_say(_DOSE)}; {when}",
        Measure("that atom's additional phase", "%", "higher"),
        100.0,
        float(np.mean(kept)),
        {"thresh": thresh},
    )


def kr_thresh_scope(rng: Any) -> Finding:
    """Keep a light layer beside a heavy one, which takes most coefficients if they share them."""
    true = np.stack([scenes.crystal(peak=0.4), scenes.crystal(twist=-11.0, peak=0.05)])
    seen = scenes.single(true + scenes.shot_noise(rng, true.shape, _DOSE))
    contrast = Measure("contrast of the light layer", "%", "higher")
    light, heavy = (Measure(f"RMS error, {layer} layer", "mrad") for layer in ("light", "heavy"))

    def judged(phase: Any, measure: Measure) -> float:
        if measure is contrast:
            return _slope(phase[1], true[1] - true[1].mean())
        return 1e3 * scenes.rms((phase - true)[0 if measure is heavy else 1])

    def tried(
        when: str, measure: Measure, *, thresh: float = 0.05, against: str = "global"
    ) -> Trial:
        first = arraycon.kr_thresh(seen, thresh=thresh) if against else seen
        after = arraycon.kr_thresh(seen, thresh=thresh, scope="slice")
        values = judged(first, measure), judged(after, measure)
        return Trial(when, measure, *values, {"scope": "slice", "thresh": thresh}, against)

    return Finding(
        "kr_thresh",
        "a light layer kept beside a heavy one by a share for each slice",
        tried(f"layers of 0.4 and 0.05 rad, {_say(_DOSE)}; unconstrained: 100 %", contrast),
        (
            tried("the same; against no constraint", light, against=""),
            tried("the same", heavy),
            tried("the same; against no constraint", heavy, against=""),
            tried("the same, a larger share: enough for both layers", light, thresh=0.08),
        ),
    )


def _slope(phase: Any, true: Any) -> float:
    """Share of `true` that is in a phase, in %; by least squares."""
    return 100 * float(np.sum(phase * true) / np.sum(true**2))


def _say(dose: float) -> str:
    return f"{dose:.0e} e/Å²".replace("e+0", "e")


def _denoised(
    constraint: Callable[..., Any], when: str, true: Any, error: Any, **options: Any
) -> Trial:
    seen = scenes.single(true + error)
    before, after = (1e3 * scenes.rms(a - true) for a in (seen, constraint(seen, **options)))
    return Trial(when, _ERROR, before, after, options)
