"""Removal of drifts that the diffraction patterns cannot fix: depth and scan origin."""

from __future__ import annotations

import math

import cupy

from arraycon.kernels.agnostic import recenter as agnostic
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools import optics
from arraycon.kernels.gpu.tools.launch import blocks, largest_shared, launch, on_device
from arraycon.kernels.gpu.tools.selection import kth_smallest
from arraycon.kernels.gpu.tools.source import THREADS

# Rows that a thread computes at a time, as in recenter.cu.
_TILE = 4
# Columns of a block: as many as THREADS while several blocks fit a multiprocessor, so many in any
# case, and no fewer than make up the 32 bytes that the memory delivers at a time.
_USUAL_SHARED = 32 << 10
_USUAL_COLUMNS = 32
_FEWEST_COLUMNS = 8
# Voxels in scratch memory at a time where they do not fit.
_BATCH = 1 << 20
# Values of a thread where sums are taken, and blocks in all.
_VALUES = 16
_BLOCKS = 2048
_BLOCKS_OF_PAIRS = 32


@on_device
def obj_z_recenter(
    amplitude: Array,
    phase: Array,
    probe: Array,
    *,
    dx: float,
    wavelength: float,
    slice_thickness: float,
    thresh: float | None,
    scale: float,
    max_shift: float | None,
) -> Array:
    """Move the object's centre of mass to the middle slice and refocus the probe; return the shift.

    The shift is a 0-d array; where it is 0 nothing is written.
    """
    nz = phase.shape[-3]
    padded = _padded(nz)
    shift, distance = cupy.empty((), "float64"), cupy.empty(1, "float64")
    weights = cupy.empty(2 * padded + 1, phase.dtype)
    limit = (nz - 1) / 2 if max_shift is None else min(max_shift, (nz - 1) / 2)
    numbers = nz / phase.size, agnostic.GUARD, agnostic.SMALLEST_SHIFT, scale, limit
    sums = _slice_sums(phase, thresh)
    launch(
        "recenter", "depth_shift", phase, 1, sums, *sums.shape, nz, padded,
        *numbers, slice_thickness, shift, distance, weights,
    )  # fmt: skip
    # what the probe needs is had before the object is written to
    moved = optics.propagated(probe, distance, dx=dx, wavelength=wavelength)
    _move(amplitude, phase, shift, weights)
    optics.take(moved, distance, probe)
    return shift


@on_device
def pos_recenter(shifts: Array, *, relax: float) -> None:
    """Subtract the mean shift."""
    grid = blocks(shifts.size, threads=THREADS * _VALUES, most=_BLOCKS_OF_PAIRS)
    sums = cupy.empty((grid, 2), "float64")
    launch("recenter", "sum_pairs", shifts, grid, shifts, shifts.size, sums)
    share = (1 - relax) / len(shifts)
    grid_of_all = blocks(shifts.size)
    launch("recenter", "subtract_mean", shifts, grid_of_all, shifts, shifts.size, sums, grid, share)


def _slice_sums(phase: Array, thresh: float | None) -> Array:
    """Return the sums of the values above the percentile, (slices, parts)."""
    slices = math.prod(phase.shape[:-2])
    pixels = phase.size // slices
    parts = min(-(-pixels // (THREADS * _VALUES)), max(1, _BLOCKS // slices))
    sums = cupy.empty((slices, parts), "float64")
    percentile = cupy.zeros(1, phase.dtype) if thresh is None else _percentile(phase, thresh)
    grid = blocks(sums.size, threads=1)
    launch("recenter", "slice_sums", phase, grid, phase, slices, pixels, parts, percentile, sums)
    return sums


def _percentile(phase: Array, thresh: float) -> Array:
    """Smallest value that is not below the percentile.

    As in `agnostic` the upper one of the two order statistics next to it, exactly; what is below 0
    remains to be raised.
    """
    position = thresh * (phase.size - 1) / 100
    rank = max(math.ceil(position - 4 * math.ulp(position)), 0)
    return kth_smallest(phase, rank)


def _move(amplitude: Array, phase: Array, shift: Array, weights: Array) -> None:
    """Move A·exp(iφ) and φ along z by the product with a circulant matrix.

    An FFT along z would take fewer operations beyond some hundred slices, but passes over complex
    copies and, twice, a transposition.
    """
    nz, padded, pixels = phase.shape[-3], len(weights) // 2, phase.shape[-2] * phase.shape[-1]
    if why_not_shared(phase):
        _move_by_memory(amplitude, phase, shift, weights)
        return
    volumes, width = phase.size // (nz * pixels), _columns(phase)
    grid = blocks(volumes * -(-pixels // width), threads=1)
    shared = _shared(nz, width, phase.dtype.itemsize)
    sizes = volumes, nz, padded, pixels, width
    launch("recenter", "move", phase, grid, amplitude, phase, *sizes, shift, weights, shared=shared)


def _move_by_memory(amplitude: Array, phase: Array, shift: Array, weights: Array) -> None:
    """`_move` in two steps, with some pixels' columns in scratch memory."""
    nz, padded, pixels = phase.shape[-3], len(weights) // 2, phase.shape[-2] * phase.shape[-1]
    # half of the pixels at most, so that A·cos(φ), A·sin(φ) and φ take less than two arrays
    width = max(1, min(-(-pixels // 2), _BATCH // nz))
    rows = cupy.empty((3, padded, width), phase.dtype)
    volume = -1, nz, pixels
    for a, p in zip(amplitude.reshape(volume), phase.reshape(volume), strict=True):
        for first in range(0, pixels, width):
            sizes = nz, padded, pixels, first, min(width, pixels - first)
            grid = blocks(padded * width)
            launch("recenter", "to_rows", phase, grid, a, p, *sizes, shift, rows)
            grid = blocks(padded // _TILE * width)
            launch("recenter", "move_rows", phase, grid, a, p, *sizes, shift, weights, rows)


def why_not_shared(phase: Array) -> str:
    """Why the columns of an object are not moved in shared memory, or nothing."""
    if _columns(phase):
        return ""
    nz, there = phase.shape[-3], largest_shared()
    needed = _shared(nz, _FEWEST_COLUMNS, phase.dtype.itemsize)
    return (
        f"{_FEWEST_COLUMNS} columns of {nz} slices need {needed} bytes of shared memory, of which "
        f"a block has {there}"
    )


def _columns(phase: Array) -> int:
    """Columns of a block, 0 if they are too long for its shared memory."""
    width = THREADS
    while width >= _FEWEST_COLUMNS:
        usual = width > _USUAL_COLUMNS
        most = _USUAL_SHARED if usual else largest_shared()
        if _shared(phase.shape[-3], width, phase.dtype.itemsize) <= most:
            return width
        width //= 2
    return 0


def _shared(nz: int, width: int, itemsize: int) -> int:
    padded = _padded(nz)
    return (2 * padded + 1 + 3 * padded * width) * itemsize


def _padded(nz: int) -> int:
    return -(-nz // _TILE) * _TILE
