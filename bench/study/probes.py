"""Experiments with the constraints on the probe."""

from __future__ import annotations

from typing import Any

import numpy as np

import arraycon
from study import scenes
from study.finding import Finding, Measure, Trial

_ERROR = Measure("squared error of the probe", "%")
_OPTICS: dict[str, Any] = {"dx": scenes.DX, "wavelength": scenes.WAVELENGTH}


def probe_mask_k(rng: Any) -> Finding:
    """Mask noise of all frequencies in a probe that has passed an aperture."""
    true = scenes.probe(defocus=80.0)
    seen = scenes.single(true + _noise(rng, true.shape, 0.1))

    def tried(when: str, **options: Any) -> Trial:
        masked = arraycon.probe_mask_k(seen, **options)
        return Trial(
            when, _ERROR, _squared_error(seen, true), _squared_error(masked, true), options
        )

    wide = round(1.3 * scenes.APERTURE, 2)
    return Finding(
        "probe_mask_k",
        "noise outside the aperture removed",
        tried("10 % of white noise, mask a little wider than the aperture", radius=wide),
        (
            tried(f"the same, default mask: cuts an aperture of {scenes.APERTURE:.2f} of Nyquist"),
            _weak_mode(rng, wide),
        ),
    )


def _weak_mode(rng: Any, radius: float) -> Trial:
    """Put noise where it is not masked: in a mode weaker than what `power_thresh` leaves over."""
    true = scenes.probe(defocus=80.0, modes=2) * np.sqrt([0.97, 0.03])[:, None, None]
    noise = _noise(rng, true.shape, 0.1)
    noise[0] = 0
    seen = scenes.single(true + noise * np.sqrt(0.03))
    masked = arraycon.probe_mask_k(seen, radius=radius)
    return Trial(
        "noise in a mode of 3 % of the power, below power_thresh",
        Measure("squared error of that mode", "%"),
        _squared_error(seen[1:], true[1:]),
        _squared_error(masked[1:], true[1:]),
        {"radius": radius},
    )


def probe_mask_r(rng: Any) -> Finding:
    """Mask noise and a ghost that lie far from a defocused probe in its window."""
    true = scenes.probe(defocus=250.0)
    ghost = 0.2 * np.roll(true, (0, scenes.SIZE // 2 - 4), axis=(-2, -1))
    seen = scenes.single(true + ghost + _noise(rng, true.shape, 0.03))

    def tried(when: str, **options: Any) -> Trial:
        masked = arraycon.probe_mask_r(seen, **_OPTICS, **options)
        return Trial(
            when, _ERROR, _squared_error(seen, true), _squared_error(masked, true), options
        )

    return Finding(
        "probe_mask_r",
        "what lies outside the focused probe removed",
        tried("defocus 250 Å, a ghost of 4 % half a window away, 3 % of noise", radius=0.3),
        (tried("the same, focus outside z_range", radius=0.3, z_range=(-50.0, 50.0)),),
    )


def ortho_pmode(rng: Any) -> Finding:
    """Take apart the modes of a partially coherent probe, mixed as a reconstruction leaves them."""
    fidelity = Measure("mean overlap with the true modes", "", "higher")
    powers = np.sqrt([0.70, 0.16, 0.09, 0.05])[:, None, None]
    # small, so that many mixtures can be tried
    modes = scenes.probe(modes=4, size=32)
    jumping = np.stack([np.roll(modes[0], shift, axis=-1) * 0.5**0.5 for shift in (-1, 1)])

    def tried(when: str, true: Any, draws: int) -> Trial:
        overlaps = []
        for _ in range(draws):
            # the patterns fix modes up to a unitary mixture, so any may be found
            seen = np.tensordot(_unitary(rng, len(true)), true, axes=1)
            seen = scenes.single(seen + _noise(rng, true.shape, 5e-4))
            overlaps.append([_overlap(p, true) for p in (seen, arraycon.ortho_pmode(seen))])
        before, after = np.mean(overlaps, axis=0).tolist()
        return Trial(when, fidelity, before, after)

    return Finding(
        "ortho_pmode",
        "mixing of the modes undone",
        tried("powers 70, 16, 9, 5 %, mixed by random unitaries", modes * powers, 300),
        (
            tried("a probe that jumps by 2 px: overlapping states", jumping, 600),
            # the mean of fewer scatters by more than counts as a difference
            tried("four modes of equal power: every mixture is as good", modes * 0.5, 3000),
        ),
    )


def fix_probe_int(rng: Any) -> Finding:
    """Hold the scale that probe and object can exchange without a change of the patterns."""
    measure = Measure("RMS error of the amplitude", "%")
    wide = scenes.single(scenes.propagate(scenes.probe(), 600.0))
    steps = rng.integers(0, scenes.SIZE, (60, 2))
    specimen = np.exp(1j * scenes.crystal())

    def placed(arrays: Any, at: Any) -> Any:
        pairs = zip(arrays, at, strict=True)
        return np.stack([np.roll(array, shift, axis=(0, 1)) for array, shift in pairs])

    waves = wide * placed(np.broadcast_to(specimen, (len(steps), *specimen.shape)), steps)
    waves += _noise(rng, waves.shape, 0.001)

    def error(start: float, intensity: float | None) -> float:
        """Alternate the updates of object and probe; exit waves are known, their factors not."""
        guess = wide * np.float32(start**0.5)
        for _ in range(6):
            seen = placed(guess[0].conj() * waves, -steps)
            weight = placed(np.broadcast_to(np.abs(guess[0]) ** 2, waves.shape), -steps)
            found = np.sum(seen, axis=0) / np.sum(weight, axis=0)
            views = placed(np.broadcast_to(found, waves.shape), steps)
            update = np.sum(views.conj() * waves, axis=0) / np.sum(np.abs(views) ** 2, axis=0)
            guess = scenes.single(update[None])
            if intensity is not None:
                guess = arraycon.fix_probe_int(guess, intensity=intensity)
        return 100 * scenes.rms(np.abs(found) - 1)

    true = float(np.sum(np.abs(wide) ** 2))
    return Finding(
        "fix_probe_int",
        "the scale between probe and object held",
        Trial(
            "pure phase object, first probe 20 % too strong, 6 iterations",
            measure,
            error(1.2, None),
            error(1.2, true),
            {"intensity": round(true, 4)},
        ),
        (
            Trial(
                "background of the detector counted as 10 % more intensity",
                measure,
                error(1.0, None),
                error(1.0, 1.1 * true),
                {"intensity": round(1.1 * true, 4)},
            ),
        ),
    )


def _noise(rng: Any, shape: tuple[int, ...], power: float) -> Any:
    """White complex noise; `power` is that of each mode."""
    noise = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return noise * np.sqrt(power / (2 * shape[-2] * shape[-1]))


def _unitary(rng: Any, size: int) -> Any:
    return np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))[0]


def _squared_error(probe: Any, true: Any) -> float:
    return 100 * (scenes.rms(probe - true) / scenes.rms(true)) ** 2


def _overlap(probe: Any, true: Any) -> float:
    """Mean modulus of the normalised scalar product of modes of equal rank."""
    one, other = (a.reshape(len(a), -1) for a in (probe.astype(complex), true))
    products = np.abs(np.sum(one * other.conj(), axis=1))
    return float(np.mean(products / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)))
