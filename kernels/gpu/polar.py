"""A complex object as amplitude and phase, and back."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import cupy

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools.launch import blocks, launch, on_device
from arraycon.kernels.gpu.tools.source import THREADS

# Values of a thread where sums are taken, and blocks in all.
_VALUES = 16
_BLOCKS = 2048


@on_device
def split(obj: Array, amplitude: Array, phase: Array) -> None:
    """Write modulus and phase, the latter within π of its slice's reference phase."""
    obj = arrays.contiguous(obj)
    pixels = obj.shape[-2] * obj.shape[-1]
    reference = _reference_phases(obj)
    with _contiguous(amplitude, phase) as parts:
        grid = blocks(obj.size)
        launch("polar", "to_parts", obj, grid, obj, obj.size, pixels, reference, *parts)


@on_device
def amplitude(obj: Array, amplitude: Array) -> None:
    """Write the modulus."""
    obj = arrays.contiguous(obj)
    with _contiguous(amplitude) as (target,):
        launch("polar", "to_amplitude", obj, blocks(obj.size), obj, obj.size, target)


@on_device
def phase(obj: Array, phase: Array) -> None:
    """Write the phase, within π of its slice's reference phase."""
    obj = arrays.contiguous(obj)
    pixels = obj.shape[-2] * obj.shape[-1]
    reference = _reference_phases(obj)
    with _contiguous(phase) as (target,):
        grid = blocks(obj.size)
        launch("polar", "to_phase", obj, grid, obj, obj.size, pixels, reference, target)


@on_device
def with_amplitude(obj: Array, amplitude: Array, target: Array) -> None:
    """Write A·exp(i arg O): O times A/|O|, which takes neither angles nor their sines."""
    _replace("replace_amplitude", obj, amplitude, target)


@on_device
def with_phase(obj: Array, phase: Array, target: Array) -> None:
    """Write |O|·exp(iφ)."""
    _replace("replace_phase", obj, phase, target)


def _replace(name: str, obj: Array, part: Array, target: Array) -> None:
    part = arrays.contiguous(part)
    with _contiguous(target) as (work,):
        # in place: one more than a copy, where the memory has gaps, would be one too many
        if work is not obj:
            work[...] = obj
        launch("polar", name, work, blocks(work.size), part, work.size, work)


@on_device
def join(amplitude: Array, phase: Array, obj: Array) -> None:
    """Write A·exp(iφ)."""
    parts = map(arrays.contiguous, (amplitude, phase))
    with _contiguous(obj) as (target,):
        launch("polar", "to_object", obj, blocks(obj.size), *parts, obj.size, target)


def _reference_phases(obj: Array) -> Array:
    """Return the slices' reference phases, in float64; the host does not wait for them."""
    nz, pixels = obj.shape[-3], obj.shape[-2] * obj.shape[-1]
    volumes = math.prod(obj.shape[:-3])
    slices = volumes * nz
    parts = min(-(-pixels // (THREADS * _VALUES)), max(1, _BLOCKS // slices))
    sums, phases = cupy.empty((slices, parts, 2), "float64"), cupy.empty(slices, "float64")
    grid = blocks(slices * parts, threads=1)
    launch("polar", "sum_slices", obj, grid, obj, slices, pixels, parts, sums)
    grid = blocks(volumes, threads=1)
    launch("polar", "chain_phases", obj, grid, sums, volumes, nz, parts, phases)
    return phases


@contextlib.contextmanager
def _contiguous(*targets: Array) -> Iterator[list[Array]]:
    """Give memory without gaps to write to in place of arrays that have some."""
    work = [x if x.flags.c_contiguous else cupy.empty(x.shape, x.dtype) for x in targets]
    yield work
    for array, target in zip(work, targets, strict=True):
        if array is not target:
            target[...] = array
