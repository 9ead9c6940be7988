"""Linear filters of the object, in steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.kernels import linear as doors
from arraycon.kernels.agnostic import linear as agnostic
from arraycon.kernels.agnostic.tools.transfer import Filter
from arraycon.kernels.blocks.tools import volume, whole
from arraycon.kernels.blocks.tools.lateral import Kind
from arraycon.kernels.common.arrays import Array, Namespace
from arraycon.kernels.common.steps import Like, Step


def obj_gaussian(
    obj: Like, *, sigma: float = 0.2, sigma_z: float = 0.0, **others: Any
) -> list[Step]:
    """Blur slices, columns or the volume."""
    options = {"sigma": sigma, "sigma_z": sigma_z, **others}
    if sigma_z == 0:
        return [whole.lateral(doors.obj_gaussian, options)]
    if sigma == 0:
        return [whole.depth(doors.obj_gaussian, options)]
    given = {"boundary": "mirror", "relax": 0.0, **options}
    return _volume(obj, agnostic.gaussian, given, all_mirrored=given["boundary"] == "mirror")


def obj_bandpass(obj: Like, *, dims: str = "lateral", **others: Any) -> list[Step]:
    """Filter slices or the volume."""
    options = {"dims": dims, **others}
    if dims == "lateral":
        return [whole.lateral(doors.obj_bandpass, options)]
    given = {
        "q_lowpass": None,
        "q_highpass": None,
        "shape": "butterworth",
        "order": 2.0,
        "boundary": "periodic",
        "relax": 0.0,
        **options,
    }
    if given["q_lowpass"] is given["q_highpass"] is None:
        return []
    return _volume(obj, agnostic.band, given, all_mirrored=given["boundary"] == "mirror")


def obj_wedge(obj: Like, **options: Any) -> list[Step]:
    """Filter the volume; nothing where it is one slice."""
    if obj.shape[-3] == 1:
        return []
    given = {"q_floor": 0.0, "boundary": "mirror", "relax": 0.0, **options}
    return _volume(obj, agnostic.wedge, given, all_mirrored=False)


def grid_notch(obj: Like, **options: Any) -> list[Step]:
    """Filter each slice."""
    return [whole.lateral(doors.grid_notch, options)]


def identical_slices(obj: Like, **options: Any) -> list[Step]:
    """Average each column."""
    return [whole.depth(doors.identical_slices, options)]


def obj_smooth(obj: Like, **options: Any) -> list[Step]:
    """Smooth each slice."""
    return [whole.lateral(doors.obj_smooth, options)]


def _volume(
    obj: Like, make: Callable[..., Filter], options: Mapping[str, Any], *, all_mirrored: bool
) -> list[Step]:
    if options["relax"] == 1:
        return []
    periodic: Kind = "full" if obj.is_complex else "half"
    kind: Kind = "cosine" if all_mirrored else periodic
    factors = _Factors(make, dict(options), obj, kind == "half")
    return volume.steps(obj, kind, factors, mirror=options["boundary"] == "mirror")


@dataclass(frozen=True)
class _Factors:
    make: Callable[..., Filter]
    options: Mapping[str, Any]
    obj: Like
    half: bool

    def __call__(self, like: Array, rows: slice, *, xp: Namespace) -> Array:
        made = self.make(**self.options, xp=xp)
        return made.factors(self.obj.shape, like, half=self.half, rows=rows, xp=xp)

    def table(self) -> Any:
        from arraycon.kernels.cpu import linear

        # what the table is made for is not looked into: it takes no memory
        like = np.broadcast_to(np.zeros((), self.obj.dtype), self.obj.shape)
        return getattr(linear, self.make.__name__)(like, **self.options)
