"""Experiments with what the diffraction patterns do not fix: depth, scan origin, local tilts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import arraycon
from study import scenes
from study.finding import Finding, Measure, Trial

_OPTICS: dict[str, Any] = {
    "dx": scenes.DX,
    "wavelength": scenes.WAVELENGTH,
    "slice_thickness": scenes.SLICE_THICKNESS,
}
_SCAN = (24, 24)


def obj_z_recenter(_: Any) -> Finding:
    """Stop a drift of object and defocus together, under which patterns stay as they are."""
    layer = scenes.layers(slices=16, at=(3,))
    slab = np.tile(scenes.crystal(), (16, 1, 1)) * np.linspace(1.5, 0.5, 16)[:, None, None]

    def defocused(when: str, before: _Model, after: _Model) -> Trial:
        return Trial(when, Measure("error of the defocus", "Å"), before.defocus, after.defocus)

    def repeated(when: str, model: _Model) -> Trial:
        old, new = model.pattern(), model.recentred().pattern()
        before, after = (100 * scenes.rms(p - old) / scenes.rms(old) for p in (old, new))
        return Trial(when, Measure("change of the pattern", "%"), before, after)

    free = held = _Model.of(scenes.layers(slices=16, at=(7, 8)))
    for _ in range(20):
        free, held = free.drifted(0.15), held.drifted(0.15).recentred()
    off = _Model.of(layer)
    return Finding(
        "obj_z_recenter",
        "the drift of depth against defocus stopped",
        defocused("two layers; 20 iterations, each moves them and the focus by 1.2 Å", free, held),
        (
            defocused("one layer that really lies 36 Å above the middle", off, off.recentred()),
            repeated("the same: what a layer shifted by half a slice costs", off),
            repeated("a crystal that fills all slices: it is wrapped around", _Model.of(slab)),
        ),
    )


@dataclass(frozen=True)
class _Model:
    """Amplitude, phase and probe of a reconstruction; the true defocus is 80 Å."""

    amplitude: Any
    phase: Any
    probe: Any

    @classmethod
    def of(cls, phase: Any) -> _Model:
        probe = scenes.single(scenes.probe(defocus=80.0))
        return cls(scenes.single(np.ones_like(phase)), scenes.single(phase), probe)

    def drifted(self, slices: float) -> _Model:
        """Move the object down and the focus with it."""
        return _Model(
            scenes.single(scenes.moved_in_depth(self.amplitude, slices)),
            scenes.single(scenes.moved_in_depth(self.phase, slices)),
            scenes.single(scenes.propagate(self.probe, -slices * scenes.SLICE_THICKNESS)),
        )

    def recentred(self) -> _Model:
        arrays = (self.amplitude, self.phase, self.probe)
        return _Model(*arraycon.obj_z_recenter(*arrays, **_OPTICS)[:3])

    def pattern(self) -> Any:
        return scenes.diffraction(self.amplitude, self.phase, self.probe)

    @property
    def defocus(self) -> float:
        """By how much the focus is off in Å: slope of the phase, weighted by the intensity."""
        true, seen = (np.fft.fft2(p[0]) for p in (scenes.probe(defocus=80.0), self.probe))
        product, rate = seen * true.conj(), scenes.rate()
        weights = np.abs(product)
        fit = np.sum(weights * rate * np.angle(product)) / np.sum(weights * rate**2)
        return abs(float(fit))


def pos_recenter(rng: Any) -> Finding:
    """Stop positions that wander all together, and the object with them."""
    measure = Measure("RMS error of the positions", "px")
    others = Measure("RMS error of the others", "px")
    true = rng.normal(0, 0.3, (256, 2))
    true -= true.mean(axis=0)
    found = kept = start = scenes.single(true + rng.normal(0, 0.05, true.shape))
    for _ in range(40):
        # what each iteration finds is right up to a step that all positions share
        step = rng.normal(0.02, 0.05, 2)
        found, kept = (scenes.single(s + step) for s in (found, kept))
        kept = arraycon.pos_recenter(kept)
    lost = start.copy()
    lost[0] += 60.0

    def once(when: str, measure: Measure, shifts: Any, truth: Any) -> Trial:
        centred = arraycon.pos_recenter(shifts)
        before, after = (scenes.rms((s - truth)[1:]) for s in (shifts, centred))
        return Trial(when, measure, before, after)

    return Finding(
        "pos_recenter",
        "the drift of the scan's origin removed",
        Trial(
            "40 iterations that each move all positions a little",
            measure,
            scenes.rms(found - true),
            scenes.rms(kept - true),
        ),
        (
            once("one of 256 positions lost by 60 px", others, lost, true),
            once("a scan that really is offset by 0.35 px", measure, start + 0.35, true + 0.35),
        ),
    )


def tilt_smooth(rng: Any) -> Finding:
    """Smooth the tilts of a bent crystal, and across a grain boundary."""
    measure = Measure("RMS error of the tilts", "mrad")
    slow, fast = np.meshgrid(*(np.linspace(-1, 1, n) for n in _SCAN), indexing="ij")
    bent = np.stack([4 * slow * fast, 3 * fast**2], axis=-1)
    grains = np.stack([np.where(fast < 0, -4.0, 4.0), np.zeros(_SCAN)], axis=-1)

    def tried(when: str, field: Any, noise: float) -> Trial:
        true = field.reshape(-1, 2)
        seen = scenes.single(true + rng.normal(0, noise, true.shape))
        after = arraycon.tilt_smooth(seen, scan_shape=_SCAN)
        return Trial(when, measure, scenes.rms(seen - true), scenes.rms(after - true))

    return Finding(
        "tilt_smooth",
        "noise in local tilts averaged over the scan",
        tried("a bent crystal, noise of 1 mrad", bent, 1.0),
        (tried("two grains tilted by 8 mrad against each other, noise of 0.5 mrad", grains, 0.5),),
    )
