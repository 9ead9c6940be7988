"""Removal of the object's drift in depth, in steps."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from arraycon.kernels.agnostic import recenter as agnostic
from arraycon.kernels.blocks.tools import placed, selection
from arraycon.kernels.common import arrays, dispatch
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.steps import Blocks, Like, Region, Shared, Step

_BOTH = ("amplitude", "phase")


def obj_z_recenter(
    amplitude: Like,
    phase: Like,
    probe: Like,
    *,
    dx: float,
    wavelength: float,
    slice_thickness: float,
    thresh: float | None = 95.0,
    scale: float = 1.0,
    max_shift: float | None = 10.0,
) -> list[Step]:
    """Select the percentile, sum up each slice, then move columns and refocus the probe."""
    if phase.shape[-3] == 1:
        return [Step("any", (), local=_unmoved, small=("probe",))]
    size = math.prod(phase.shape)
    select = []
    if thresh is not None:
        ranks = functools.partial(_ranks, thresh)
        select = selection.steps(("phase",), _positive, ranks, single=phase.single)
    optics = {"dx": dx, "wavelength": wavelength, "slice_thickness": slice_thickness}
    conclude = _Shift(size / phase.shape[-3], scale, max_shift)
    return [
        *select,
        Step(
            "slices",
            ("phase",),
            part=_masses,
            conclude=conclude,
            local=_Refocus(optics),
            small=("probe",),
            scratch=0.2,
        ),
        Step("columns", _BOTH, _BOTH, work=_move, scratch=2.0),
    ]


def _unmoved(small: Mapping[str, Array], shared: Shared) -> dict[str, Any]:
    return {"shift": np.zeros(())}


def _ranks(thresh: float, size: int) -> tuple[int]:
    return (agnostic.rank(thresh, size),)


def _positive(blocks: Blocks, region: Region) -> Iterator[Array]:
    xp = arrays.namespace(phase=blocks["phase"])
    for plane in placed.planes(blocks["phase"]):
        yield xp.reshape(xp.clip(plane, min=0.0), (-1,))


def _masses(blocks: Blocks, shared: Shared, region: Region) -> np.ndarray:
    xp = arrays.namespace(phase=blocks["phase"])
    smallest = shared["selected"][0] if "selected" in shared else None
    return placed.by_plane(
        lambda x: agnostic.positive_sum(x, smallest, axis=None, xp=xp), blocks["phase"], region
    )


@dataclass(frozen=True)
class _Shift:
    pixels: float
    scale: float
    max_shift: float | None

    def __call__(self, total: np.ndarray, shared: Shared) -> dict[str, Any]:
        xp = arrays.namespace(total=total)
        mass = np.sum(total.reshape(-1, total.shape[-1]), axis=0) / self.pixels
        shift = agnostic.depth_shift(mass, scale=self.scale, max_shift=self.max_shift, xp=xp)
        still = abs(shift) < agnostic.SMALLEST_SHIFT
        return {"shift": np.zeros(()) if still else np.asarray(shift)}


@dataclass(frozen=True)
class _Refocus:
    optics: Mapping[str, float]

    def __call__(self, small: Mapping[str, Array], shared: Shared) -> Mapping[str, Array]:
        shift, probe = float(shared["shift"]), small["probe"]
        if shift == 0:
            return {}
        xp = arrays.namespace(probe=probe)
        return {"probe": agnostic.refocus(probe, shift, **self.optics, xp=xp)}


def _move(blocks: Blocks, shared: Shared, region: Region) -> Blocks:
    amplitude, phase = (blocks[name] for name in _BOTH)
    shift = float(shared["shift"])
    if shift == 0:
        return {"amplitude": amplitude, "phase": phase}
    xp = arrays.namespace(amplitude=amplitude, phase=phase)
    own = array_api_compat.is_numpy_namespace(xp) and dispatch.fast("recenter", xp)
    if own:
        amplitude, phase = arrays.contiguous(amplitude), arrays.contiguous(phase)
        own.move(amplitude, phase, shift)
    else:
        amplitude, phase = agnostic.shift_object(amplitude, phase, shift, xp)
    return {"amplitude": amplitude, "phase": phase}
