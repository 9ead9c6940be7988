"""Masks and propagators in reciprocal space that several families share."""

from __future__ import annotations

import math

from arraycon.kernels.common import arrays, fft
from arraycon.kernels.common.arrays import Array, Namespace

# The exponentials of these are finite; beyond, the sigmoid is 0 or 1 anyway.
_LARGEST_EXPONENT = 700.0
_LARGEST_EXPONENT_SINGLE = 80.0


def low_pass(ky: Array, kx: Array, *, radius: float, width: float, xp: Namespace) -> Array:
    """M(f) = 1/(1 + exp(5 (f - radius)/width)) on axes in cycles per pixel, ½ on a hard edge."""
    # Nyquist is ½ cycle per pixel on either axis
    distance = xp.sqrt((2 * ky[:, None]) ** 2 + (2 * kx[None, :]) ** 2) - radius
    single = distance.dtype == xp.float32
    if width == 0:
        # frequencies that miss the edge by rounding alone are on it, whatever the backend rounds to
        on_edge = xp.abs(distance) <= (1e-6 if single else 1e-12)
        return xp.where(on_edge, xp.full_like(distance, 0.5), 0.5 * (1.0 - xp.sign(distance)))
    limit = (_LARGEST_EXPONENT_SINGLE if single else _LARGEST_EXPONENT) * width
    # clipped before the division, which could overflow for a tiny width
    return 1.0 / (1.0 + xp.exp(xp.clip(5 * distance, min=-limit, max=limit) / width))


def propagation_rate(probe: Array, *, dx: float, wavelength: float, xp: Namespace) -> Array:
    """√(k² - K²) - k in rad/Å on the FFT grid of `probe`, evanescent waves clamped to -k."""
    ny, nx = probe.shape[-2:]
    k = 2 * math.pi / wavelength
    ky = arrays.frequencies(ny, probe, xp=xp)[:, None] * (2 * math.pi / dx)
    kx = arrays.frequencies(nx, probe, xp=xp)[None, :] * (2 * math.pi / dx)
    lateral = xp.clip(ky**2 + kx**2, max=k**2)
    # the difference of the two square roots, written without cancellation
    return -lateral / (xp.sqrt(k**2 - lateral) + k)


def phasor(phase: Array, dtype: object, *, xp: Namespace) -> Array:
    """exp(i·phase) as `dtype`, computed in the precision of `phase`."""
    return xp.astype(xp.cos(phase), dtype) + 1j * xp.astype(xp.sin(phase), dtype)


def propagate(probe: Array, phase: Array, *, xp: Namespace) -> Array:
    """ifft2(fft2(probe)·exp(i·phase))."""
    spectrum = fft.fftn(probe, axes=fft.LATERAL, xp=xp) * phasor(phase, probe.dtype, xp=xp)
    return fft.ifftn(spectrum, axes=fft.LATERAL, xp=xp)
