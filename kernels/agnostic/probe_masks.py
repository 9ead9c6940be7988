"""Probe masks in reciprocal and in real space."""

from __future__ import annotations

import math

from arraycon.kernels.agnostic import modes
from arraycon.kernels.agnostic.tools import optics
from arraycon.kernels.common import arrays, fft
from arraycon.kernels.common.arrays import Array, Namespace

# Symmetric defoci of a real probe focus equally well but for rounding: the first of them counts.
TIE = 1e-12
# exp(-½ exp(7.5)) is 0 in float64; larger exponents would only overflow.
_LARGEST_EXPONENT = 7.5


def probe_mask_k(
    probe: Array, *, radius: float, width: float, power_thresh: float, xp: Namespace
) -> Array:
    """Soft aperture on the strongest modes, in reciprocal space."""
    probe, chosen = _select(probe, power_thresh, xp)
    ny, nx = probe.shape[-2:]
    mask = optics.low_pass(
        arrays.frequencies(ny, probe, xp=xp),
        arrays.frequencies(nx, probe, xp=xp),
        radius=radius,
        width=width,
        xp=xp,
    )
    spectrum = fft.fftn(probe, axes=fft.LATERAL, xp=xp)
    spectrum = spectrum * xp.astype(mask, arrays.real_dtype(probe, xp=xp))
    masked = fft.ifftn(spectrum, axes=fft.LATERAL, xp=xp)
    return _by_power(xp.where(chosen, masked, probe), xp)


def probe_mask_r(
    probe: Array,
    *,
    dx: float,
    wavelength: float,
    radius: float,
    order: int,
    power_thresh: float,
    z_range: tuple[float, float],
    z_steps: int,
    xp: Namespace,
) -> Array:
    """Super-Gaussian window on the strongest modes, at their focus."""
    probe, chosen = _select(probe, power_thresh, xp)
    ramp = optics.propagation_rate(probe, dx=dx, wavelength=wavelength, xp=xp)
    defocus = _focus(probe[0, ...], ramp, z_range=z_range, z_steps=z_steps, xp=xp)
    window = super_gaussian(probe, radius=radius, order=order, xp=xp)
    window = xp.astype(window, arrays.real_dtype(probe, xp=xp))
    focused = optics.propagate(probe, ramp * defocus, xp=xp)
    masked = optics.propagate(focused * window, -ramp * defocus, xp=xp)
    return _by_power(xp.where(chosen, masked, probe), xp)


def _by_power(probe: Array, xp: Namespace) -> Array:
    power = modes.mode_powers(probe, xp=xp)
    return xp.take(probe, xp.argsort(power, descending=True, stable=True), axis=0)


def _select(probe: Array, power_thresh: float, xp: Namespace) -> tuple[Array, Array]:
    """Modes sorted by power, and which of them are masked, as (pmode, 1, 1)."""
    power = modes.mode_powers(probe, xp=xp)
    order = xp.argsort(power, descending=True, stable=True)
    power = xp.take(power, order)
    total = xp.sum(power)
    fraction = xp.cumulative_sum(power) / xp.where(total > 0, total, 1.0)
    # A mode is masked unless a stronger one has already passed the threshold. Rounding must not
    # carry the sum past 1, or power_thresh = 1 would leave weak modes out.
    before = xp.concat([xp.zeros_like(fraction[:1]), xp.minimum(fraction, xp.ones_like(fraction))])
    return xp.take(probe, order, axis=0), (before[:-1] <= power_thresh)[:, None, None]


def _focus(
    mode: Array, ramp: Array, *, z_range: tuple[float, float], z_steps: int, xp: Namespace
) -> Array:
    """Defocus (0-d array) at which Σ|P|⁴ is largest."""
    # in double precision: neighbouring planes may differ by less than float32 resolves
    mode = _of_order_one(xp.astype(mode, arrays.wide_complex(mode, xp=xp)), xp)
    spectrum = fft.fftn(mode, axes=fft.LATERAL, xp=xp)
    step = (z_range[1] - z_range[0]) / max(z_steps - 1, 1)
    planes = [z_range[0] + i * step for i in range(z_steps)]
    sharpness = xp.stack(
        [
            xp.sum(
                arrays.abs2(
                    fft.ifftn(
                        spectrum * optics.phasor(ramp * z, mode.dtype, xp=xp),
                        axes=fft.LATERAL,
                        xp=xp,
                    ),
                    xp=xp,
                )
                ** 2
            )
            for z in planes
        ]
    )
    sharpest = sharpness >= (1 - TIE) * xp.max(sharpness)
    first = xp.argmax(xp.astype(sharpest, xp.int32))
    return z_range[0] + xp.astype(first, ramp.dtype) * step


def _of_order_one(mode: Array, xp: Namespace) -> Array:
    """Scale a mode so that no fourth power overflows or vanishes; not one of zeros or NaN."""
    largest = xp.max(xp.abs(mode))
    least = math.sqrt(float(xp.finfo(largest.dtype).smallest_normal))
    # by steps: the reciprocal of the smallest numbers would overflow
    lift = xp.where(largest < least, xp.full_like(largest, 1 / least), xp.ones_like(largest))
    mode, largest = mode * lift, largest * lift
    usable = (largest > 0) & xp.isfinite(largest)
    return mode * (1 / xp.where(usable, largest, xp.ones_like(largest)))


def super_gaussian(probe: Array, *, radius: float, order: int, xp: Namespace) -> Array:
    """exp(-½ (R/radius)^(2·order)), R in half-widths from pixel (ny//2, nx//2)."""
    ny, nx = probe.shape[-2:]
    y = arrays.coordinates(ny, probe, xp=xp)[:, None] / (ny / 2)
    x = arrays.coordinates(nx, probe, xp=xp)[None, :] / (nx / 2)
    # By logarithms, so that no power overflows; the floor stands for R = 0 and for radius = 0.
    tiny = 1e-300 if y.dtype == xp.float64 else 1e-30
    log_ratio = 0.5 * xp.log(xp.clip(y**2 + x**2, min=tiny**2 or tiny)) - math.log(
        max(radius, tiny)
    )
    return xp.exp(-0.5 * xp.exp(xp.clip(2 * order * log_ratio, max=_LARGEST_EXPONENT)))
