"""Masks of the probe."""

from __future__ import annotations

import numpy as np

import arraycon
from gallery.cases import Case, Example, rms
from gallery.probes import DX, MIDDLE, SIZE, WAVELENGTH, Image, probe


def probe_mask_k() -> Example:
    """Show noise outside of the aperture, and a mask smaller than the aperture."""
    truth = probe()[None]
    before = truth + _noise(0.05)
    # 22 mrad are 0.35 of the Nyquist frequency at 0.2 Å
    masked, cut = (
        arraycon.probe_mask_k(given, radius=radius, width=0.02)
        for given, radius in ((before, 0.4), (truth, 0.22))
    )
    return Example(
        _probes("noise of 0.05 everywhere; radius 0.4, a little wider than the aperture's 0.35",
                truth, before, masked, MIDDLE),
        _probes("the default radius of 0.22 cuts the aperture: the probe becomes wider",
                truth, truth, cut, MIDDLE),
    )  # fmt: skip


def probe_mask_r() -> Example:
    """Show a ghost far from the probe, and a focus that is not among those searched."""
    options = {"dx": DX, "wavelength": WAVELENGTH, "radius": 0.35, "z_steps": 51}
    truth = probe(defocus=150)[None]
    before = truth + 0.3 * np.roll(probe(), SIZE // 2 - 6, axis=1) + _noise(0.02)
    near = {"z_range": (-300.0, 300.0)}
    far = {"z_range": (-20.0, 20.0), "radius": 0.15}
    return Example(
        _probes("defocus 150 Å, a ghost at the edge of the window and noise; radius 0.35",
                truth, before, arraycon.probe_mask_r(before, **options, **near)),
        _probes("the same probe, focus outside of z_range: it is cut where it is wide",
                truth, truth, arraycon.probe_mask_r(truth, **{**options, **far})),
    )  # fmt: skip


def _noise(sigma: float) -> Image:
    rng = np.random.default_rng(0)
    parts = rng.normal(0, sigma / np.sqrt(2), (2, 1, SIZE, SIZE))
    return parts[0] + 1j * parts[1]


def _probes(story: str, truth: Image, before: Image, after: Image, show: tuple = ()) -> Case:
    """Return a case of one mode, whose error is that of the complex probe."""
    error = rms(before - truth), rms(after - truth)
    shown = (abs(x[(0, *show)]) for x in (truth, before, after))
    return Case(story, *shown, error, "rms error of P")
