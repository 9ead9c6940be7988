"""Freedoms of the model that the intensities do not fix, in steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.kernels import gauge as doors
from arraycon.kernels.agnostic import gauge as agnostic
from arraycon.kernels.agnostic import modes
from arraycon.kernels.blocks.tools import placed
from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.steps import Blocks, Like, Region, Shared, Step


def ortho_omode(obj: Like, *, return_rotation: bool = False) -> list[Step]:
    """Take the Gram matrix row by row, then mix."""
    return [
        Step("any", ("obj",), part=_grams, conclude=_Rotation(obj)),
        Step("any", ("obj",), ("obj",), work=_rotate, scratch=1.0),
    ]


def _grams(blocks: Blocks, shared: Shared, region: Region) -> np.ndarray:
    rows = _rows(blocks["obj"])
    xp = arrays.namespace(rows=rows)
    wide = xp.astype(rows, arrays.wide_complex(rows, xp=xp))
    found = placed.here(xp.matmul(wide, xp.conj(xp.matrix_transpose(wide))))
    total = np.zeros((region.shape[1], *found.shape[1:]), found.dtype)
    total[region.y] = found
    return total


def _rows(obj: Array) -> Array:
    """Return an object of one slice as rows of modes, (ny, omode, nx)."""
    xp = arrays.namespace(obj=obj)
    return xp.permute_dims(obj[:, 0, ...], (1, 0, 2))


@dataclass(frozen=True)
class _Rotation:
    obj: Like

    def __call__(self, total: np.ndarray, shared: Shared) -> dict[str, Any]:
        xp = arrays.namespace(total=total)
        like = np.broadcast_to(np.zeros((), self.obj.dtype), self.obj.shape)  # takes no memory
        noise = modes.rounding_noise(like, xp)
        rotation = modes.unitary(np.sum(total, axis=0), noise=noise, xp=xp)
        return {"rotation": rotation.astype(self.obj.dtype)}


def _rotate(blocks: Blocks, shared: Shared, region: Region) -> Blocks:
    obj = blocks["obj"]
    xp = arrays.namespace(obj=obj)
    rotation = xp.asarray(shared["rotation"], device=arrays.device(obj))
    mixed = xp.matmul(rotation, _rows(obj))
    return {"obj": xp.permute_dims(mixed, (1, 0, 2))[:, None, ...]}


def obj_probe_scale(
    amplitude: Like, probe: Like, weight: Like | None = None, **options: Any
) -> list[Step]:
    """Scale slices, then the probe by what they have lost."""
    reads = ("amplitude",) if weight is None else ("amplitude", "weight")
    return [
        Step(
            "slices",
            reads,
            ("amplitude",),
            work=_Scale(probe, options),
            part=_Placed("factor"),
            conclude=_Found("factor"),
            local=_scale_probe,
            small=("probe",),
        )
    ]


@dataclass(frozen=True)
class _Scale:
    probe: Like
    options: Mapping[str, Any]

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        amplitude, weight = blocks["amplitude"], blocks.get("weight")
        xp = arrays.namespace(amplitude=amplitude)
        one = xp.ones((1, 1, 1), dtype=arrays.complex_dtype(amplitude, xp=xp))  # nobody's probe
        new, _, factor = doors.obj_probe_scale(
            amplitude, one, weight, **self.options, out=(amplitude, None)
        )
        return {"amplitude": new, "factor": factor}


def _scale_probe(small: Mapping[str, Array], shared: Shared) -> dict[str, Array]:
    probe = small["probe"]
    xp = arrays.namespace(probe=probe)
    factor = xp.asarray(shared["factor"], device=arrays.device(probe))
    return {"probe": agnostic.scaled_up(probe, factor, xp=xp)}


def phase_ramp(
    phase: Like,
    weight: Like | None = None,
    probe: Like | None = None,
    *,
    relax: float = 0.0,
    **others: Any,
) -> list[Step]:
    """Flatten slices, then turn the probe by what they have lost."""
    reads = ("phase",) if weight is None else ("phase", "weight")
    return [
        Step(
            "slices",
            reads,
            ("phase",),
            work=_Flatten({"relax": relax, **others}),
            part=_Placed("slope"),
            conclude=_Found("slope"),
            scratch=2.5,
            local=None if probe is None else _Turn(relax),
            small=() if probe is None else ("probe",),
        )
    ]


@dataclass(frozen=True)
class _Flatten:
    options: Mapping[str, Any]

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        phase, weight = blocks["phase"], blocks.get("weight")
        new, _, slope = doors.phase_ramp(phase, weight, **self.options, out=(phase, None))
        return {"phase": new, "slope": slope}


@dataclass(frozen=True)
class _Turn:
    relax: float

    def __call__(self, small: Mapping[str, Array], shared: Shared) -> dict[str, Array]:
        probe = small["probe"]
        xp = arrays.namespace(probe=probe)
        slopes = xp.asarray(shared["slope"], device=arrays.device(probe))
        return {"probe": agnostic.turned(probe, slopes, self.relax, xp=xp)}


@dataclass(frozen=True)
class _Placed:
    """By-products of a door for each slice of a block, among those of all slices."""

    name: str

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> np.ndarray:
        found = placed.here(blocks[self.name])
        total = np.zeros((region.shape[0], *found.shape[1:]), found.dtype)
        total[region.z] = found
        return total


@dataclass(frozen=True)
class _Found:
    name: str

    def __call__(self, total: np.ndarray, shared: Shared) -> dict[str, np.ndarray]:
        return {self.name: total}
