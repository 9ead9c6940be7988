"""A complex object as amplitude and phase, and back, in steps."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from arraycon.kernels import polar
from arraycon.kernels.agnostic import polar as agnostic
from arraycon.kernels.blocks.tools import placed
from arraycon.kernels.common import arrays
from arraycon.kernels.common.steps import Blocks, Like, Region, Shared, Step


def split(obj: Like, parts: Collection[str]) -> list[Step]:
    """Make the amplitude, the phase or both of a complex object.

    The phase is about the mean of each slice, for which all slices are read once before.
    """
    makes = dict.fromkeys(parts, obj.real)
    if "phase" not in parts:
        return [Step("any", ("obj",), tuple(makes), makes, work=_amplitude, scratch=0.5)]
    return [
        Step("slices", ("obj",), part=_sums, conclude=_references, scratch=0.1),
        Step("any", ("obj",), tuple(makes), makes, work=_Split("amplitude" in parts), scratch=0.5),
    ]


def _amplitude(blocks: Blocks, shared: Shared, region: Region) -> Blocks:
    return {"amplitude": polar.amplitude(blocks["obj"])}


def _sums(blocks: Blocks, shared: Shared, region: Region) -> np.ndarray:
    obj = blocks["obj"]
    xp = arrays.namespace(obj=obj)
    return placed.by_plane(lambda x: xp.stack(agnostic.plane_sums(x, xp=xp)), obj, region)


def _references(total: np.ndarray, shared: Shared) -> dict[str, np.ndarray]:
    xp = arrays.namespace(total=total)
    return {"reference": agnostic.reference_phases(total[..., 0], total[..., 1], xp=xp)}


class _Split:
    def __init__(self, amplitude: bool) -> None:
        self.amplitude = amplitude

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        obj = blocks["obj"]
        xp = arrays.namespace(obj=obj)
        reference = placed.there(shared["reference"][..., region.z], obj, xp=xp)
        phase = arrays.new(obj, arrays.real_dtype(obj, xp=xp), xp=xp)
        planes = zip(placed.planes(phase), placed.planes(obj), strict=True)
        for (new, plane), about in zip(planes, xp.reshape(reference, (-1,)), strict=True):
            new[...] = agnostic.phase_about(plane, about, xp=xp)
        made = {"phase": phase}
        return {"amplitude": polar.amplitude(obj), **made} if self.amplitude else made


def join(amplitude: Like, phase: Like, *, made: bool = True) -> list[Step]:
    """Make a complex object of both parts, a new one or in the place of the one that is there."""
    makes = {"obj": amplitude.complex} if made else {}
    return [Step("any", ("amplitude", "phase"), ("obj",), makes, work=_join, scratch=0.5)]


def _join(blocks: Blocks, shared: Shared, region: Region) -> Blocks:
    return {"obj": polar.join(blocks["amplitude"], blocks["phase"])}


def with_amplitude(obj: Like) -> list[Step]:
    """Give a complex object another amplitude."""
    return [Step("any", ("obj", "amplitude"), ("obj",), work=_with_amplitude)]


def _with_amplitude(blocks: Blocks, shared: Shared, region: Region) -> Blocks:
    obj = blocks["obj"]
    return {"obj": polar.with_amplitude(obj, blocks["amplitude"], out=obj)}


def with_phase(obj: Like) -> list[Step]:
    """Give a complex object another phase."""
    return [Step("any", ("obj", "phase"), ("obj",), work=_with_phase)]


def _with_phase(blocks: Blocks, shared: Shared, region: Region) -> Blocks:
    obj = blocks["obj"]
    return {"obj": polar.with_phase(obj, blocks["phase"], out=obj)}


def follow(amplitude: Like, phase: Like) -> list[Step]:
    """Write the complex object back into its parts, each phase on the branch nearest to the old."""
    return [Step("any", ("amplitude", "phase", "obj"), ("amplitude", "phase"), work=_follow)]


def _follow(blocks: Blocks, shared: Shared, region: Region) -> Blocks:
    parts = blocks["amplitude"], blocks["phase"]
    new = polar.follow(*parts, blocks["obj"], out=parts)
    return dict(zip(("amplitude", "phase"), new, strict=True))
