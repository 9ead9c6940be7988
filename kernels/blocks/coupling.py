"""Constraints that couple the object's amplitude to its phase, in steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arraycon.kernels.agnostic import coupling as agnostic
from arraycon.kernels.blocks.tools import placed
from arraycon.kernels.common import arrays
from arraycon.kernels.common.steps import Blocks, Like, Region, Shared, Step

_BOTH = ("amplitude", "phase")


def complex_ratio(
    amplitude: Like, phase: Like, *, alpha1: float = 1.0, alpha2: float = 0.0
) -> list[Step]:
    """Sum both up slice by slice, then mix them."""
    return [
        Step("slices", _BOTH, part=_sums, conclude=_ratio, scratch=0.5),
        Step("any", _BOTH, _BOTH, work=_Mix(alpha1, alpha2)),
    ]


def _sums(blocks: Blocks, shared: Shared, region: Region) -> np.ndarray:
    xp = arrays.namespace(amplitude=blocks["amplitude"])
    absorbed = placed.by_plane(
        lambda x: agnostic.moduli(agnostic.log_amplitude(x, xp=xp), xp=xp),
        blocks["amplitude"],
        region,
    )
    shifted = placed.by_plane(lambda x: agnostic.moduli(x, xp=xp), blocks["phase"], region)
    return np.stack([absorbed, shifted])


def _ratio(total: np.ndarray, shared: Shared) -> dict[str, float]:
    absorbed, shifted = (float(np.sum(each)) for each in total)
    return {"ratio": absorbed / (shifted + agnostic.GUARD)}


@dataclass(frozen=True)
class _Mix:
    alpha1: float
    alpha2: float

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        amplitude, phase = (blocks[name] for name in _BOTH)
        xp = arrays.namespace(amplitude=amplitude, phase=phase)
        ratio = xp.asarray(shared["ratio"], device=arrays.device(amplitude))
        given = {"alpha1": self.alpha1, "alpha2": self.alpha2, "xp": xp}
        pairs = zip(placed.planes(amplitude), placed.planes(phase), strict=True)
        for a, p in pairs:  # the logarithms of a plane stay in the cache
            logs = agnostic.log_amplitude(a, xp=xp)
            a[...], p[...] = agnostic.mixed(logs, p, ratio, **given)
        return {"amplitude": amplitude, "phase": phase}
