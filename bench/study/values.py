"""Experiments with limits on values, total variation, and what intensities leave open."""

from __future__ import annotations

from typing import Any

import numpy as np

import arraycon
from study import scenes
from study.finding import Finding, Measure, Trial

_ERROR = Measure("RMS error of the phase", "mrad")
_AMPLITUDE = Measure("RMS error of the amplitude", "%")
_PEAK = Measure("mean peak of the atoms", "%", "higher")
_OVERLAP = Measure("mean overlap with the true states", "", "higher")
_LOW_DOSE, _DOSE = 5e3, 1e5  # e/Å²


def obj_tv(rng: Any) -> Finding:
    """Flatten noise, where flat areas are what there is, and where they are not."""
    flake, layer = scenes.single(_flake()), scenes.single(scenes.crystal())

    def tried(when: str, true: Any, dose: float, **options: Any) -> Trial:
        seen = scenes.single(true + scenes.shot_noise(rng, true.shape, dose))
        after = arraycon.obj_tv(seen[None], **options)[0]
        return _phases(when, true, seen, after, **options)

    return Finding(
        "obj_tv",
        "noise removed from areas of one height each, edges kept",
        tried("terraces of 0.1 rad, 5e3 e/Å²", flake, _LOW_DOSE, weight=0.05),
        (
            tried("one layer of atoms, 5e3 e/Å²", layer, _LOW_DOSE, weight=0.05),
            tried("the same, 1e5 e/Å²: peaks are cut", layer, _DOSE, weight=0.05),
            tried("the same, default", layer, _DOSE),
        ),
    )


def obj_baseline(_: Any) -> Finding:
    """Count the phase from vacuum, where there is some, and where there is none."""
    true, vacuum = _edge()
    full = scenes.crystal()

    def tried(when: str, phase: Any, offset: float, mask: Any, **options: Any) -> Trial:
        seen = scenes.single(phase + offset)
        after = arraycon.obj_baseline(seen[None], mask, **options)[0]
        return _phases(when, phase, seen, after, **options)

    return Finding(
        "obj_baseline",
        "the constant of the phase taken from vacuum",
        tried("half of a layer, 50 mrad too much", true, 0.05, vacuum),
        (
            tried("no vacuum, nothing to correct, by the mean of all", full, 0.0, None),
            tried("no vacuum, by what is lowest", full, 0.05, None, statistic="percentile"),
        ),
    )


def obj_shrink(rng: Any) -> Finding:
    """Drop noise between atoms, and what the atoms lose by it."""
    true = scenes.atoms(rng.uniform(0, scenes.SIZE * scenes.DX, (12, 2)), 0.2)
    layer = scenes.crystal()

    def tried(when: str, phase: Any, **options: Any) -> Trial:
        seen = scenes.single(phase + scenes.shot_noise(rng, true.shape, _DOSE))
        return _phases(when, phase, seen, arraycon.obj_shrink(seen, **options), **options)

    def peaks(when: str, **options: Any) -> Trial:
        tops = true > 0.95 * true.max()
        after = arraycon.obj_shrink(scenes.single(true), **options)
        share = 100 * float(np.mean(after[tops] / true[tops]))
        return Trial(when, _PEAK, 100.0, share, options)

    return Finding(
        "obj_shrink",
        "noise between atoms dropped",
        tried("twelve atoms in vacuum, 1e5 e/Å²", true, amount=0.02, rule="hard"),
        (
            tried("the same, soft: what is left is lowered, too", true, amount=0.02),
            peaks("the same without noise", amount=0.02),
            tried("a layer, which has no vacuum", layer, amount=0.02, rule="hard"),
            tried("the same atoms, half of their phase taken for noise", true, amount=0.1),
        ),
    )


def obj_fill(rng: Any) -> Finding:
    """Fill known vacuum, and more than that."""
    true, vacuum = _edge()
    wide = np.ones_like(vacuum)
    wide[:, : scenes.SIZE // 4] = 0.0
    seen = scenes.single(true + scenes.shot_noise(rng, true.shape, _DOSE))

    def tried(when: str, mask: Any) -> Trial:
        return _phases(when, true, seen, arraycon.obj_fill(seen[None], mask)[0])

    return Finding(
        "obj_fill",
        "vacuum kept empty where it is known",
        tried("half of a layer, 1e5 e/Å²", vacuum),
        (tried("a mask that takes half of the specimen for vacuum", wide),),
    )


def objp_thresh(rng: Any) -> Finding:
    """Clip what left for another branch of the phase, and what is high by itself."""
    true = scenes.crystal()
    spots = np.where(rng.random(true.shape) < 0.01, np.pi, 0.0)

    def tried(when: str, error: Any, thresh: tuple[float, float]) -> Trial:
        seen = scenes.single(true + error)
        after = arraycon.objp_thresh(seen, thresh=thresh)
        return _phases(when, true, seen, after, thresh=thresh)

    return Finding(
        "objp_thresh",
        "outliers of the phase clipped",
        tried("one pixel in a hundred π too high", spots, (0.0, 0.3)),
        (tried("a limit below the atoms' phase", 0.0, (0.0, 0.1)),),
    )


def phase_ramp(rng: Any) -> Finding:
    """Take a ramp away, and a specimen's own slope with it."""
    layer = scenes.crystal()
    noise = scenes.shot_noise(rng, layer.shape, _DOSE)
    axis = np.arange(scenes.SIZE) - scenes.SIZE // 2
    ramp = 0.004 * axis[:, None] - 0.002 * axis
    wedge = layer * (1 + axis / scenes.SIZE)

    def tried(when: str, true: Any, error: Any) -> Trial:
        seen = scenes.single((true + error)[None])
        after = arraycon.phase_ramp(seen)[0]
        before, after = (1e3 * float(np.std(a[0] - true)) for a in (seen, after))
        return Trial(when, Measure("RMS error apart from a constant", "mrad"), before, after)

    return Finding(
        "phase_ramp",
        "a ramp removed that a probe out of place has left",
        tried("one layer, 4 and 2 mrad per pixel, 1e5 e/Å²", layer, ramp + noise),
        (tried("no ramp, a specimen that becomes thicker", wedge, noise),),
    )


def ortho_omode(rng: Any) -> Finding:
    """Take mixed states of the object apart, and states that are not orthogonal."""
    layer = scenes.crystal()
    y = (np.arange(scenes.SIZE) - scenes.SIZE // 2) / scenes.SIZE
    apart = [np.exp(1j * layer), 0.4 * np.sin(2 * np.pi * y) * np.exp(1j * layer)]
    alike = [np.exp(1j * layer), 0.8 * np.exp(4j * layer)]

    def tried(when: str, states: Any) -> Trial:
        states = np.stack(states)[:, None]
        mix, _ = np.linalg.qr(rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2)))
        seen = scenes.single(np.einsum("ij,jzyx->izyx", mix, states))
        values = (_overlap(x, states) for x in (seen, arraycon.ortho_omode(seen)))
        return Trial(when, _OVERLAP, *values)

    return Finding(
        "ortho_omode",
        "mixing of the object's states undone",
        tried("two orthogonal states, mixed by a random unitary", apart),
        (tried("two phases of one lattice, which are not orthogonal", alike),),
    )


def obj_probe_scale(rng: Any) -> Finding:
    """Share a factor between object and probe by vacuum, and without."""
    phase, vacuum = _edge()
    true = np.exp(-0.2 * phase) + rng.normal(0, 0.01, phase.shape)
    film = 0.8 * np.exp(-0.2 * scenes.crystal())
    probe = scenes.single(scenes.probe())

    def tried(when: str, amplitude: Any, factor: float, weight: Any) -> Trial:
        seen = scenes.single(factor * amplitude[None])
        after = arraycon.obj_probe_scale(seen, probe, weight)[0]
        before, after = (100 * scenes.rms(a[0] - amplitude) for a in (seen, after))
        return Trial(when, _AMPLITUDE, before, after)

    return Finding(
        "obj_probe_scale",
        "the factor between object and probe fixed",
        tried("half of a layer, 20 % too large, by its vacuum", true, 1.2, vacuum),
        (
            tried("the same, by all of it", true, 1.2, None),
            tried("a film that lets 0.8 through, no vacuum", film, 1.0, None),
        ),
    )


def _edge() -> tuple[Any, Any]:
    """Return a layer that ends in the middle (SIZE, SIZE), and where the vacuum is."""
    vacuum = np.zeros((scenes.SIZE, scenes.SIZE))
    vacuum[:, scenes.SIZE // 2 :] = 1.0
    return scenes.crystal() * (1 - vacuum), vacuum


def _flake() -> Any:
    """Return terraces of one, two and three steps of 0.1 rad."""
    y, x = np.indices((scenes.SIZE, scenes.SIZE)) / scenes.SIZE
    steps = ((y + 0.3 * x > level) for level in (0.3, 0.6, 0.9))
    return 0.1 * sum(step.astype(float) for step in steps)


def _overlap(seen: Any, states: Any) -> float:
    """Mean over states of the best |<seen, state>| of any mode, both normalised."""
    rows = (x.reshape(len(x), -1) for x in (seen, states))
    rows = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rows)
    first, second = rows
    return float(np.mean(np.max(np.abs(first.conj() @ second.T), axis=0)))


def _phases(when: str, true: Any, seen: Any, after: Any, **options: Any) -> Trial:
    before, after = (1e3 * scenes.rms(a - true) for a in (seen, after))
    return Trial(when, _ERROR, before, after, options)
