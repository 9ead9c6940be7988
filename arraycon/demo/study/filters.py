"""Experiments with the blurs and filters of the object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import arraycon
from arraycon.demo.study import scenes
from arraycon.demo.study.finding import Finding, Measure, Trial

_ERROR = Measure("RMS error of the phase", "mrad")
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
    kept = Measure("peak in the layer's slice", "%", "higher")
    column = np.tile(scenes.crystal(), (12, 1, 1))
    # what one slice gains its neighbour loses: the sum over depth, which the data fix, stays
    exchanged = np.diff(0.1 * rng.normal(size=11), prepend=0.0, append=0.0)
    uneven = scenes.single(column * (1 + exchanged[:, None, None]))
    layer = scenes.single(scenes.layers(at=(5,)))
    top = scenes.crystal().max()
    return Finding(
        "obj_zblur",
        "neighbouring slices that the data do not tell apart made equal",
        Trial(
            "columns through all slices, 10 % moved to a neighbour",
            _ERROR,
            1e3 * scenes.rms(uneven - column),
            1e3 * scenes.rms(arraycon.obj_zblur(uneven) - column),
        ),
        (
            Trial(
                "one atomic layer in vacuum, as it is on by default",
                kept,
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
        "noise beyond the information limit removed",
        tried("one layer, limit 1.25 1/Å", _LOW_DOSE, radius=0.5),
        (tried("default limit, 0.38 1/Å: the atoms are gone", _DOSE),),
    )


def kz_filter(rng: Any) -> Finding:
    """Filter two layers whose missing wedge holds what no data have corrected."""
    true = scenes.layers()
    unseen = 0.05 * rng.normal(size=true.shape)
    # W is ½ where |kz| = k/β in slices and px: on the wedge's edge
    beta = round(scenes.DX / (scenes.SLICE_THICKNESS * scenes.DETECTOR_ANGLE), 2)
    known = scenes.seen_through_wedge(true)
    filled = scenes.seen_through_wedge(true, unseen=unseen)

    return Finding(
        "kz_filter",
        "artefacts in the missing wedge damped",
        _denoised(
            arraycon.kz_filter,
            "two layers, a random start of 50 mrad left in the wedge; against what data can tell",
            known,
            filled - known,
            beta=beta,
        ),
        (
            _denoised(
                arraycon.kz_filter,
                "the same, much too strong",
                known,
                filled - known,
                beta=10.0,
            ),
            _denoised(
                arraycon.kz_filter,
                "an empty wedge; against the truth: what is missing does not come back",
                true,
                known - true,
                beta=beta,
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

    def tried(when: str, phase: Any, dose: float, **options: Any) -> Trial:
        noise = scenes.shot_noise(rng, phase.shape, dose)
        return _denoised(arraycon.kr_thresh, f"{when}, {_say(dose)}", phase, noise, **options)

    return Finding(
        "kr_thresh",
        "noise of a low dose removed",
        tried("one layer", true, _LOW_DOSE, thresh=0.02),
        (
            tried("keeping too little", true, _DOSE, thresh=0.002),
            tried("as many atoms without order, the same share kept", random, _DOSE, thresh=0.02),
            _dopant(rng),
        ),
    )


def kr_thresh_scope(rng: Any) -> Finding:
    """Keep a light layer beside a heavy one, which takes all coefficients if they share them."""
    measure = Measure("RMS error, light layer", "mrad")
    true = np.stack([scenes.crystal(peak=0.4), scenes.crystal(twist=-11.0, peak=0.05)])
    seen = scenes.single(true + scenes.shot_noise(rng, true.shape, _DOSE))

    def error(layer: int, scope: str) -> float:
        after = arraycon.kr_thresh(seen, thresh=0.02, scope=scope)
        return 1e3 * scenes.rms(after[layer] - true[layer])

    def tried(when: str, measure: Measure, layer: int) -> Trial:
        options = {"scope": "slice", "thresh": 0.02}
        values = error(layer, "global"), error(layer, "slice")
        return Trial(when, measure, *values, options, against="global")

    heavy = Measure("RMS error, heavy layer", "mrad")
    return Finding(
        "kr_thresh",
        "a light layer kept beside a heavy one by a share for each slice",
        tried(f"layers of 0.4 and 0.05 rad, {_say(_DOSE)}", measure, 1),
        (tried("the same", heavy, 0),),
    )


def _dopant(rng: Any) -> Trial:
    """Look for one heavier atom, whose coefficients are weak beside the crystal's."""
    measure = Measure("that atom's additional phase", "%", "higher")
    sites = scenes.lattice(4.0)
    index = len(sites) // 2
    extra = scenes.atoms(sites[index : index + 1], 0.1)
    noise = scenes.shot_noise(rng, extra.shape, _DOSE)
    without, doped = (scenes.single(scenes.crystal() + e + noise) for e in (0 * extra, extra))
    options: dict[str, Any] = {"thresh": 0.02}

    def contrast(one: Any, other: Any) -> float:
        return 100 * float(np.sum((one - other) * extra) / np.sum(extra**2))

    return Trial(
        f"one atom of the layer heavier by 0.1 rad, {_say(_DOSE)}",
        measure,
        contrast(doped, without),
        contrast(arraycon.kr_thresh(doped, **options), arraycon.kr_thresh(without, **options)),
        options,
    )


def _say(dose: float) -> str:
    return f"{dose:.0e} e/Å²".replace("e+0", "e")


def _denoised(
    constraint: Callable[..., Any], when: str, true: Any, error: Any, **options: Any
) -> Trial:
    seen = scenes.single(true + error)
    before, after = (1e3 * scenes.rms(a - true) for a in (seen, constraint(seen, **options)))
    return Trial(when, _ERROR, before, after, options)
