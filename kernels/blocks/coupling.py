"""Constraints that couple the object's amplitude to its phase, in steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from arraycon.kernels.agnostic import coupling as agnostic
from arraycon.kernels.blocks.tools import placed
from arraycon.kernels.common import arrays, dispatch
from arraycon.kernels.common.arrays import Namespace
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
    if own := _own(xp):
        planes = iter(placed.planes(blocks["phase"]))
        found = placed.by_plane(
            lambda x: own.moduli(arrays.contiguous(x), arrays.contiguous(next(planes))),
            blocks["amplitude"],
            region,
        )
        return np.moveaxis(found, -1, 0)
    absorbed = placed.by_plane(
        lambda x: agnostic.moduli(agnostic.log_amplitude(x, xp=xp), xp=xp),
        blocks["amplitude"],
        region,
    )
    shifted = placed.by_plane(lambda x: agnostic.moduli(x, xp=xp), blocks["phase"], region)
    return np.stack([absorbed, shifted])


def _own(xp: Namespace) -> Any:
    """Return the kernels for NumPy, None where others serve."""
    return dispatch.fast("coupling", xp) if array_api_compat.is_numpy_namespace(xp) else None


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
        if own := _own(xp):
            amplitude, phase = arrays.contiguous(amplitude), arrays.contiguous(phase)
            given = {"alpha1": self.alpha1, "alpha2": self.alpha2}
            for a, p in zip(placed.planes(amplitude), placed.planes(phase), strict=True):
                own.mix(a, p, shared["ratio"], **given)
            return {"amplitude": amplitude, "phase": phase}
        ratio = xp.asarray(shared["ratio"], device=arrays.device(amplitude))
        options = {"alpha1": self.alpha1, "alpha2": self.alpha2, "xp": xp}
        pairs = zip(placed.planes(amplitude), placed.planes(phase), strict=True)
        for a, p in pairs:  # the logarithms of a plane stay in the cache
            logs = agnostic.log_amplitude(a, xp=xp)
            a[...], p[...] = agnostic.mixed(logs, p, ratio, **options)
        return {"amplitude": amplitude, "phase": phase}
