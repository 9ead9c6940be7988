"""Lateral spectra of blocks of whole slices.

Where NumPy's blocks are transformed, it is slice by slice and by the transforms that the doors
take: so blocks of other sizes have the same spectra, and what is selected among coefficients is
what the door selects.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, TypeAlias

import array_api_compat

from arraycon.kernels.agnostic.tools import parts
from arraycon.kernels.common import arrays, dispatch, fft
from arraycon.kernels.common.arrays import Array, Namespace
from arraycon.kernels.common.steps import Like

Kind: TypeAlias = Literal["half", "full", "cosine"]
"""Of a real array periodic frequencies, half of them along x; of a complex one all; or cosines."""


def like(obj: Like, kind: Kind) -> Like:
    """Return what is known of the spectrum of an array."""
    if kind != "half":
        return obj
    return Like((*obj.shape[:-1], obj.shape[-1] // 2 + 1), obj.complex.dtype)


def forward(x: Array, kind: Kind, *, xp: Namespace) -> Array:
    """Return the spectra of slices; what was given may be overwritten."""
    fast = own(xp)
    if kind == "cosine":
        return _cosines(x, fast, xp, inverse=False)
    if kind == "half":
        return fast.rfft2(x) if fast else fft.rfftn(x, axes=fft.LATERAL, xp=xp)
    if fast is None:
        return fft.fftn(x, axes=fft.LATERAL, xp=xp)
    fast.fft2(x := arrays.contiguous(x))
    return x


def inverse(spectrum: Array, kind: Kind, nx: int, *, xp: Namespace) -> Array:
    """Return the slices, `nx` wide, of what `forward` gave, which may be overwritten."""
    fast = own(xp)
    if kind == "cosine":
        return _cosines(spectrum, fast, xp, inverse=True)
    if kind == "half":
        shape = spectrum.shape[-2], nx
        return (
            fast.irfft2(spectrum, nx)
            if fast
            else fft.irfftn(spectrum, shape=shape, axes=fft.LATERAL, xp=xp)
        )
    if fast is None:
        return fft.ifftn(spectrum, axes=fft.LATERAL, xp=xp)
    fast.fft2(spectrum := arrays.contiguous(spectrum), inverse=True)
    return spectrum


def _cosines(x: Array, fast: Any, xp: Namespace, *, inverse: bool) -> Array:
    """Transform; real and imaginary part by themselves."""
    if fast is None:
        work = functools.partial(fft.idctn if inverse else fft.dctn, xp=xp)
        return parts.each(work, x, xp=xp)
    x = arrays.contiguous(x)
    if x.dtype.kind != "c":
        fast.dct2(x, inverse=inverse)
        return x
    for view in (x.real, x.imag):
        part = arrays.contiguous_copy(view)
        fast.dct2(part, inverse=inverse)
        view[...] = part
    return x


def own(xp: Namespace) -> Any:
    """Return the transforms of the kernels for NumPy, None where others serve."""
    if not array_api_compat.is_numpy_namespace(xp) or dispatch.fast("fourier", xp) is None:
        return None
    from arraycon.kernels.cpu.tools import spectra  # Numba may be missing

    return spectra
