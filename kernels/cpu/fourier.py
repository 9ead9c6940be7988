"""Filters of the object in reciprocal space, laterally and in depth."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import array_api_compat.numpy as xp
import numpy as np

from arraycon.kernels.agnostic.tools import optics as agnostic
from arraycon.kernels.common import fft, threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.fft import slices
from arraycon.kernels.cpu.tools import elementary, optics
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.matrix import product

# Keeps the depth filter finite on the axis kx = ky = 0, in (cycles per pixel)².
_AXIS = 1e-3
# The arctangent is saturated long before; larger values would overflow when squared.
_LARGEST_RATIO = 1e15

# Up to this depth the transform along z is a product with a small matrix, beyond it an FFT. One
# thread, AVX-512, nz×512×512 float32, ms by matrix, ducc0 and SciPy: 2.8, 6.3 and 7.5 at nz = 6;
# 11, 19 and 21 at 20; 31, 38 and 50 at 40; 45, 49 and 71 at 50.
_DENSE = 48
# Bytes in a block of that FFT; from a quarter to twice of it the time is the same.
_BLOCK = 1 << 20
# Fewer voxels than this are filtered in depth before a second thread has woken up: two of 64² px
# took twice as long with two threads.
_GRAIN = 1 << 16


def kr_filter(obj: Array, *, radius: float, width: float) -> None:
    """Soft circular low-pass filter of each slice."""
    planes = obj.reshape(-1, *obj.shape[-2:])
    mask = _mask(planes, radius=radius, width=width)
    if planes.dtype.kind == "c":
        # the rest of the frequencies kx, in the order that they have
        mask = np.concatenate([mask, mask[:, (planes.shape[2] - 1) // 2 : 0 : -1]], axis=1)

    def filter_complex(engine: Any, start: int, stop: int) -> None:
        for x in planes[start:stop]:
            engine.filter_complex(x, mask)

    def work(engine: Any, start: int, stop: int) -> None:
        spectrum = engine.spectrum_buffer(*planes.shape[1:], planes.dtype)
        for x in planes[start:stop]:
            engine.filter_real(x, mask, spectrum)

    slices.run(filter_complex if planes.dtype.kind == "c" else work, planes)


def kz_filter(obj: Array, *, beta: float, alpha: float, obj_type: str, boundary: str) -> None:
    """Missing-wedge filter over the last three axes.

    The lateral spectrum takes the place of the object, but for one frequency that does not fit.
    Real and imaginary parts lie side by side there; along z they are filtered independently.
    """
    nz, ny, nx = obj.shape[-3:]
    volumes = obj.reshape(-1, nz, ny, nx)
    mirror, scale = boundary == "mirror", 0.9 if obj_type == "amplitude" else 1.0
    wedge = _wedge(volumes[0], beta=beta, alpha=alpha, scale=scale, mirror=mirror)
    # the highest frequency along x: ky takes the place of kx
    last = np.zeros((nz, 1, 2 * ny), obj.dtype)
    last_wedge = wedge._replace(ky2=wedge.kx2[-1:], kx2=wedge.ky2)
    for volume in volumes:
        _transform(volume, last.reshape(nz, ny, 2))
        _filter_depth(volume, wedge, mirror)
        _filter_depth(last, last_wedge, mirror)
        volume[:, 0, 0] += (1 - scale) * ny * nx  # 1 + 0.9 (F - 1) of an amplitude
        _transform(volume, last.reshape(nz, ny, 2), inverse=True)


def _transform(volume: Array, last: Array, *, inverse: bool = False) -> None:
    """Replace slices by their spectra, or back.

    By way of a buffer that stays in the cache: 34 ms for 20×512×512 on one thread, there and back.
    Straight into an array of the spectra, and out of it, 44.
    """
    _, ny, nx = volume.shape
    rest = 2 - nx % 2

    def work(engine: Any, start: int, stop: int) -> None:
        spectrum = engine.spectrum_buffer(ny, nx, volume.dtype)
        pairs = spectrum.view(volume.dtype)
        fitting, remaining = pairs[:, :nx], pairs[:, nx : nx + rest]
        for x, remainder in zip(volume[start:stop], last[start:stop], strict=True):
            if inverse:
                fitting[...], remaining[...] = x, remainder[:, :rest]
                engine.irfft2_into(spectrum, x)
            else:
                engine.rfft2_into(x, spectrum)
                x[...], remainder[:, :rest] = fitting, remaining
                remainder[:, rest:] = 0  # an odd nx leaves what the last volume's depth FFT wrote

    slices.run(work, volume)


def _mask(planes: Array, *, radius: float, width: float) -> Array:
    """M(f) for the non-negative frequencies."""
    _, ny, nx = planes.shape
    ky, kx = _frequencies(ny)[: ny // 2 + 1], _frequencies(nx)[: nx // 2 + 1]
    mask = np.empty((ky.size, kx.size), planes.real.dtype)
    for i in range(0, ky.size, 32):  # all at once, the float64 temporaries would be two slices
        rows = agnostic.low_pass(ky[i : i + 32], kx, radius=radius, width=width, xp=xp)
        mask[i : i + 32] = optics.without_tail(rows, mask.dtype)
    return mask


def _frequencies(n: int) -> Array:
    """Moduli of the frequencies of an FFT, in cycles per pixel."""
    index = np.arange(n)
    return np.minimum(index, n - index) / n


class _Wedge(NamedTuple):
    """What Wa is computed from, row by row: all of it would take half as much as the object."""

    ky2: Array  # (ny,)
    kx2: Array  # (nx//2 + 1,)
    kz2: Array  # without repetition, in the object's precision
    alpha: float
    beta: float
    scale: float
    tables: elementary.Tables


def _wedge(volume: Array, *, beta: float, alpha: float, scale: float, mirror: bool) -> _Wedge:
    nz, ny, nx = volume.shape
    # the even extension has 2·nz slices, and its spectrum is real and even
    kz = np.arange(nz) / (2 * nz) if mirror else np.arange(nz // 2 + 1) / nz
    ky, kx = _frequencies(ny), _frequencies(nx)[: nx // 2 + 1]
    tables = elementary.tables(volume.dtype)
    return _Wedge(ky**2, kx**2, (kz**2).astype(volume.dtype), alpha, beta, scale, tables)


def _filter_depth(x: Array, wedge: _Wedge, mirror: bool) -> None:
    """Transform along z, multiply by Wa and transform back, in blocks that stay in the cache."""
    nz, ny, nx = x.shape
    if nz <= _DENSE:
        basis = _basis(nz, mirror, x.dtype)
        # ky and -ky have the same weights
        grain = max(1, _GRAIN // (2 * nz * nx))
        threads.run(lambda i, j: _filter_rows(x, i, j, basis, wedge), ny // 2 + 1, grain=grain)
        return
    which = np.arange(nz) if mirror else np.minimum(np.arange(nz), nz - np.arange(nz))
    rows = max(1, _BLOCK // x[:, 0].nbytes)

    def work(first: int, last: int) -> None:
        for i in range(first, last, rows):
            part = x[:, i : min(i + rows, last)]
            block = np.zeros((*part.shape[:2], nx + nx % 2), x.dtype)
            block[..., :nx] = part
            _along_z(block, mirror)
            _weigh(block, i, which, wedge)
            _along_z(block, mirror, inverse=True)
            part[...] = block[..., :nx]

    threads.run(work, ny, grain=max(1, _GRAIN // (nz * nx)))


def _along_z(block: Array, mirror: bool, *, inverse: bool = False) -> None:
    if mirror:
        fft.dct_inplace(block, axes=(0,), inverse=inverse)
    else:
        pairs = block.view(np.result_type(block.dtype, np.complex64))
        fft.fft_inplace(pairs, axis=0, inverse=inverse)


class _Basis(NamedTuple):
    """Orthonormal cosines, even over pairs of slices, and sines, odd: half of each is enough."""

    partner: Array  # of each of the first slices, maybe itself
    which: Array  # (nz,): index of the frequency of each vector, cosines first
    cosines: Array  # (number of cosines, of pairs)
    sines: Array  # (number of sines, of pairs of two slices)
    cosines_back: Array  # the transposes
    sines_back: Array


def _basis(nz: int, mirror: bool, dtype: Any) -> _Basis:
    n = np.arange(nz)
    if mirror:  # cosines about the middle of the even extension, of even and of odd order
        partner = nz - 1 - n
        which = np.concatenate([n[::2], n[1::2]])
        vectors = np.cos(np.outer(which, 2 * n + 1) * (math.pi / (2 * nz)))
    else:
        partner = -n % nz
        which = np.concatenate([n[: nz // 2 + 1], n[1 : (nz + 1) // 2]])
        angle = np.outer(which, n) * (2 * math.pi / nz)
        vectors = np.where(n[:, None] <= nz // 2, np.cos(angle), np.sin(angle))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(dtype)
    pairs = np.count_nonzero(n <= partner)
    cosines, sines = vectors[:pairs, :pairs], vectors[pairs:, partner[pairs:]]
    matrices = (cosines, sines, cosines.T, sines.T)
    return _Basis(partner[:pairs], which, *(matrix.copy() for matrix in matrices))


@kernel
def _filter_rows(x: Array, first: int, last: int, basis: _Basis, wedge: _Wedge) -> None:
    """Filter the rows ky and -ky of x (nz, ny, nx), first <= ky < last."""
    nz, ny, width = x.shape
    pairs = basis.partner.size
    slice_rows = np.empty((nz, 1, width), x.dtype)  # 41 kB at 20 slices of 512 pixels
    slices = slice_rows.reshape((nz, width))
    vectors = np.empty((nz, width), x.dtype)
    weights = np.empty((wedge.kz2.size, wedge.kx2.size), x.dtype)
    for ky in range(first, last):
        _weights(weights, ky, wedge)
        for row in (ky, (ny - ky) % ny):
            _fold(x, row, slice_rows, 0, basis.partner)
            product(basis.cosines, slices[:pairs], vectors[:pairs])
            product(basis.sines, slices[pairs:], vectors[pairs:])
            for i in range(nz):
                _multiply(vectors[i], weights[basis.which[i]])
            product(basis.cosines_back, vectors[:pairs], slices[:pairs])
            product(basis.sines_back, vectors[pairs:], slices[pairs:])
            _fold(slice_rows, 0, x, row, basis.partner)
            if (ny - ky) % ny == ky:
                break


@kernel
def _weigh(block: Array, first: int, which: Array, wedge: _Wedge) -> None:
    """Multiply a spectrum along z by Wa; its rows begin with ky = first."""
    weights = np.empty((wedge.kz2.size, wedge.kx2.size), block.dtype)
    for row in range(block.shape[1]):
        _weights(weights, first + row, wedge)
        for i in range(which.size):
            _multiply(block[i, row], weights[which[i]])


@kernel
def _weights(weights: Array, ky: int, wedge: _Wedge) -> None:
    """Wa of one row (kz, kx): 1 - (2/π)·arctan(t) is (2/π)·arctan(1/t), with digits for large t."""
    one = wedge.tables.one
    ratio2 = np.empty(wedge.kx2.size, weights.dtype)
    falloff = np.empty(wedge.kx2.size, weights.dtype)
    for j in range(ratio2.size):
        lateral = wedge.ky2[ky] + wedge.kx2[j]
        ratio2[j] = min(wedge.beta / math.sqrt(lateral + _AXIS), _LARGEST_RATIO) ** 2
        falloff[j] = wedge.scale * math.exp(-wedge.alpha * lateral) * 2 / math.pi
    for z in range(wedge.kz2.size):
        kz2, line = wedge.kz2[z], weights[z]
        for j in range(ratio2.size):
            line[j] = falloff[j] * elementary.arctangent(one, kz2 * ratio2[j], wedge.tables)


@kernel
def _fold(source: Array, row: int, target: Array, place: int, partner: Array) -> None:
    """Form sums and differences of pairs of slices: even and odd parts from values, and back."""
    for n in range(partner.size):
        upper, lower = source[n, row], source[partner[n], row]
        total, difference = target[n, place], target[partner[n], place]
        if partner[n] == n:
            total[:] = upper
            continue
        for j in range(upper.size):
            total[j] = upper[j] + lower[j]
        for j in range(upper.size):
            difference[j] = upper[j] - lower[j]


@kernel
def _multiply(x: Array, weights: Array) -> None:
    """Multiply real and imaginary parts in turn; the last one may be alone."""
    for j in range(x.size // 2):
        x[2 * j] *= weights[j]
        x[2 * j + 1] *= weights[j]
    if x.size % 2:
        x[x.size - 1] *= weights[x.size // 2]
