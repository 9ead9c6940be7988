"""Probe modes: orthogonalisation and total intensity."""

from __future__ import annotations

import array_api_compat.cupy as xp
import array_api_compat.numpy
import cupy
import numpy as np

from arraycon.kernels.agnostic import modes as agnostic
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.gpu.tools.launch import blocks, largest_shared, launch, on_device
from arraycon.kernels.gpu.tools.source import THREADS

# Most modes that kernels make orthogonal, and threads of the block that finds their unitary; as in
# ``modes.cu``.
_MOST_MODES = 64
_SOLVER_THREADS = 512
# Shared memory of that block beside its matrices, with a margin.
_SOLVER_TABLES = 4 << 10
# Blocks whose sums a last kernel adds up: of powers, with all modes together, and of overlaps.
_POWERS = 1024
_OVERLAPS = 256
# Part of the probe's size that the overlaps of the blocks may take.
_SCRATCH = 0.05
# Most blocks that mix modes: each first reads the whole matrix.
_MIXING = 2048
# Largest grid in its second dimension.
_LARGEST_GRID = 65535


@on_device
def mode_powers(probe: Array) -> Array:
    """Σ|P|² of each mode, accumulated in float64."""
    parts = _block_powers(probe)
    powers = cupy.empty(len(parts), np.float64)
    grid = blocks(32 * powers.size)
    launch("modes", "add_powers", probe, grid, parts, powers.size, parts.shape[1], powers)
    return powers


@on_device
def fix_probe_int(probe: Array, *, intensity: float) -> None:
    """Scale to a total intensity."""
    parts = _block_powers(probe)
    scale = cupy.empty(1, np.float64)
    launch("modes", "find_scale", probe, 1, parts, parts.size, intensity, scale)
    launch("modes", "scale_modes", probe, blocks(probe.size), probe, probe.size, scale)


@on_device
def ortho_pmode(probe: Array) -> Array:
    """Make the modes orthogonal, strongest first; return the unitary that does it."""
    number = probe.shape[0]
    if number > _MOST_MODES:  # where matrix products and cuSOLVER are efficient
        probe[...], rotation = agnostic.ortho_pmode(probe, xp=xp)
        return rotation
    gram, noise = _gram(probe), agnostic.rounding_noise(probe, array_api_compat.numpy)
    if why_not_jacobi(number):
        rotation = agnostic.unitary(gram, noise=noise, xp=xp).astype(probe.dtype)
    else:
        rotation = _unitary(gram, noise, probe)
    _mix(probe, rotation)
    return rotation


def why_not_jacobi(modes: int) -> str:
    """Why the current device has cuSOLVER diagonalise the Gram matrix, or nothing."""
    if modes > _MOST_MODES:
        return f"{modes} modes are more than the {_MOST_MODES} that one block diagonalises"
    needed, there = _solver_memory(modes) + _SOLVER_TABLES, largest_shared()
    if needed > there:
        return f"{modes} modes need {needed} bytes of shared memory, of which a block has {there}"
    return ""


def _block_powers(probe: Array) -> Array:
    modes, pixels = len(probe), probe[0].size
    grid = blocks(pixels, most=max(1, _POWERS // modes)), min(modes, _LARGEST_GRID)
    parts = cupy.empty((modes, grid[0]), np.float64)
    launch("modes", "block_powers", probe, grid, probe, modes, pixels, parts)
    return parts


def _gram(probe: Array) -> Array:
    modes, pixels = len(probe), probe[0].size
    halves = (modes + 1) // 2
    tiles = halves * (halves + 1) // 2
    parts_nbytes = tiles * 4 * 16
    width = _width(2 * halves * 16)
    most = max(1, min(_OVERLAPS, int(_SCRATCH * probe.nbytes) // parts_nbytes))
    grid = blocks(pixels, threads=width, most=most), -(-tiles // THREADS)
    parts = cupy.empty((grid[0], tiles, 4), np.complex128)
    shared = max((2 * halves + 1) * width, 4 * THREADS) * 16
    launch(
        "modes", "block_overlaps", probe, grid, probe, modes, pixels, width, parts, shared=shared
    )
    gram = cupy.empty((modes, modes), np.complex128)
    launch("modes", "add_overlaps", probe, blocks(32 * 4 * tiles), parts, modes, grid[0], gram)
    return gram


def _unitary(gram: Array, noise: float, probe: Array) -> Array:
    modes = len(gram)
    pairs = (modes + 1) // 2
    # a thread for each block of two by two in the matrix, and for each pair in the eigenvectors
    threads = min(_SOLVER_THREADS, -(-3 * pairs**2 // 32) * 32)
    numbers = noise, agnostic.TIE, agnostic.EMPTY
    rotation = cupy.empty((modes, modes), probe.dtype)
    launch(
        "modes",
        "find_unitary",
        probe,
        1,
        *(gram, modes, *numbers, rotation),
        threads=threads,
        shared=_solver_memory(modes),
    )
    return rotation


def _solver_memory(modes: int) -> int:
    even = modes + modes % 2
    return 2 * even**2 * 16


def _mix(probe: Array, weights: Array) -> None:
    modes, pixels = len(probe), probe[0].size
    width = _width(modes * probe.itemsize)
    grid = blocks(pixels, threads=width, most=_MIXING)
    shared = modes * width * probe.itemsize
    launch("modes", "mix_modes", probe, grid, probe, modes, pixels, width, weights, shared=shared)


def _width(nbytes: int) -> int:
    """Pixels of a tile, of all modes of which `nbytes` are held: 32 kB in all, if that is enough.

    A power of two up to the threads of a block; with 32 a warp still reads from adjacent addresses.
    """
    width = THREADS
    while width > 32 and width * nbytes > 32 << 10:
        width //= 2
    return width
