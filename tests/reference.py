"""SPEC.md evaluated in float64 the plain way, independently of the package.

Full complex transforms, `numpy.pad`, `numpy.percentile` and dense matrices: slow, and written
without looking for anything but the formulas.
"""

from __future__ import annotations

import numpy as np
import scipy.fft


def taps(kernel_size, std):
    j = np.arange(kernel_size) - kernel_size // 2
    weights = np.exp(-(j**2) / (2 * std**2)) if std > 0 else (j == 0).astype(float)
    return weights / weights.sum()


def correlate(x, weights, axis, mode):
    half = len(weights) // 2
    if mode == "reflect" and x.shape[axis] == 1:
        mode = "edge"  # nothing to reflect
    pad = [(half, half) if i == axis % x.ndim else (0, 0) for i in range(x.ndim)]
    padded = np.pad(x, pad, mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(weights), axis=axis)
    return windows @ weights


def ortho_pmode(probe):
    """Modes up to a unit phasor each, by singular value decomposition."""
    pixels = probe.reshape(len(probe), -1).astype(np.complex128)
    _, sizes, rows = np.linalg.svd(pixels, full_matrices=False)
    return (sizes[:, None] * rows).reshape(probe.shape)


def fix_probe_int(probe, *, intensity):
    wide = probe.astype(np.complex128)
    return wide * np.sqrt(intensity / np.sum(np.abs(wide) ** 2))


def sigmoid(ny, nx, radius, width):
    ky, kx = np.meshgrid(np.fft.fftfreq(ny) / 0.5, np.fft.fftfreq(nx) / 0.5, indexing="ij")
    distance = np.sqrt(ky**2 + kx**2) - radius
    if width == 0:
        on_edge = np.isclose(distance, 0, atol=1e-12)
        return np.where(on_edge, 0.5, distance < 0)
    return 1 / (1 + np.exp(np.minimum(5 * distance / width, 700)))


def sort_by_power(probe):
    power = np.sum(np.abs(probe) ** 2, axis=(1, 2))
    return probe[np.argsort(-power, kind="stable")]


def masked_modes(probe, power_thresh):
    """Number of modes, sorted by power, that a probe mask applies to."""
    power = np.sum(np.abs(probe) ** 2, axis=(1, 2))
    fraction = np.cumsum(power) / power.sum()
    for i, value in enumerate(fraction):
        if value > power_thresh:
            return i + 1
    return len(probe)


def probe_mask_k(probe, *, radius, width, power_thresh):
    probe = sort_by_power(probe.astype(np.complex128))
    n = masked_modes(probe, power_thresh)
    mask = sigmoid(*probe.shape[1:], radius, width)
    result = probe.copy()
    result[:n] = np.fft.ifft2(np.fft.fft2(probe[:n]) * mask)
    return sort_by_power(result)


def propagate(probe, dz, dx, wavelength):
    ny, nx = probe.shape[-2:]
    k = 2 * np.pi / wavelength
    ky, kx = np.meshgrid(
        2 * np.pi * np.fft.fftfreq(ny, dx), 2 * np.pi * np.fft.fftfreq(nx, dx), indexing="ij"
    )
    along = np.sqrt(np.maximum(k**2 - ky**2 - kx**2, 0))
    return np.fft.ifft2(np.fft.fft2(probe) * np.exp(1j * dz * (along - k)))


def probe_mask_r(probe, *, dx, wavelength, radius, order, power_thresh, z_range, z_steps):
    probe = sort_by_power(probe.astype(np.complex128))
    n = masked_modes(probe, power_thresh)
    planes = np.linspace(*z_range, z_steps)
    sharpness = [np.sum(np.abs(propagate(probe[0], z, dx, wavelength)) ** 4) for z in planes]
    z = planes[int(np.argmax(sharpness))]
    ny, nx = probe.shape[-2:]
    y = (np.arange(ny) - ny // 2)[:, None] / (ny / 2)
    x = (np.arange(nx) - nx // 2)[None, :] / (nx / 2)
    window = np.exp(-0.5 * (np.sqrt(y**2 + x**2) / radius) ** (2 * order))
    focused = propagate(probe, z, dx, wavelength)
    focused[:n] *= window
    return sort_by_power(propagate(focused, -z, dx, wavelength))


def wide(x):
    return x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)


def obj_rblur(obj, *, kernel_size, std):
    weights = taps(kernel_size, std)
    return correlate(correlate(wide(obj), weights, -2, "reflect"), weights, -1, "reflect")


def obj_zblur(obj, *, kernel_size, std):
    return correlate(wide(obj), taps(kernel_size, std), -3, "edge")


def kr_filter(obj, *, radius, width):
    mask = sigmoid(*obj.shape[-2:], radius, width)
    return np.fft.ifft2(np.fft.fft2(wide(obj)) * mask).real


def wedge(shape, beta, alpha):
    kz, ky, kx = np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")
    lateral = kx**2 + ky**2
    angle = np.arctan((beta * np.abs(kz) / np.sqrt(lateral + 1e-3)) ** 2)
    return (1 - 2 / np.pi * angle) * np.exp(-alpha * lateral)


def kz_filter(obj, *, beta, alpha, obj_type="phase", boundary="periodic"):
    nz = obj.shape[-3]
    x = wide(obj)
    if boundary == "mirror":
        x = np.concatenate([x, x[..., ::-1, :, :]], axis=-3)
    axes = (-3, -2, -1)
    weights = wedge(x.shape[-3:], beta, alpha)
    filtered = np.fft.ifftn(np.fft.fftn(x, axes=axes) * weights, axes=axes).real[..., :nz, :, :]
    return 1 + 0.9 * (filtered - 1) if obj_type == "amplitude" else filtered


def kr_thresh(obj, *, thresh, scope="global"):
    def keep(coefficients):
        n_keep = max(1, int(np.floor(thresh * coefficients.size)))
        modulus = np.sort(np.abs(coefficients).ravel())[::-1]
        return np.where(np.abs(coefficients) >= modulus[n_keep - 1], coefficients, 0)

    coefficients = scipy.fft.dctn(wide(obj), axes=(-2, -1))
    if scope == "global":
        kept = keep(coefficients)
    else:
        flat = coefficients.reshape(-1, *obj.shape[-2:])
        kept = np.stack([keep(one) for one in flat]).reshape(obj.shape)
    return scipy.fft.idctn(kept, axes=(-2, -1))


def complex_ratio(amplitude, phase, *, alpha1, alpha2):
    logarithm = np.log(np.maximum(wide(amplitude), 1e-6))
    phase = wide(phase)
    ratio = np.sum(np.abs(logarithm)) / (np.sum(np.abs(phase)) + 1e-8)
    return (
        np.exp((1 - alpha1) * logarithm - alpha1 * ratio * phase),
        (1 - alpha2) * phase - alpha2 / (ratio + 1e-8) * logarithm,
    )


def mirrored_amp(amplitude, phase, *, relax, scale, power):
    predicted = np.maximum(1 - scale * np.maximum(wide(phase), 0) ** power, 0)
    return relax * wide(amplitude) + (1 - relax) * predicted


def z_shift(phase, *, thresh, scale, max_shift):
    nz = phase.shape[-3]
    v = np.maximum(wide(phase), 0)
    if thresh is not None:
        v[v < np.percentile(v, thresh)] = 0
    axes = tuple(i for i in range(v.ndim) if i != v.ndim - 3)
    mass = v.mean(axis=axes)
    centre = np.sum(np.arange(nz) * mass) / (mass.sum() + 1e-8)
    limit = (nz - 1) / 2 if max_shift is None else min(max_shift, (nz - 1) / 2)
    return np.clip(scale * ((nz - 1) / 2 - centre), -limit, limit)


def obj_z_recenter(
    amplitude, phase, probe, *, dx, wavelength, slice_thickness, thresh, scale, max_shift
):
    shift = z_shift(phase, thresh=thresh, scale=scale, max_shift=max_shift)
    if abs(shift) < 1e-3:
        return wide(amplitude), wide(phase), wide(probe), 0.0
    kz = np.fft.fftfreq(phase.shape[-3])[:, None, None]
    ramp = np.exp(-2j * np.pi * kz * shift)

    def move(x):
        return np.fft.ifft(np.fft.fft(x, axis=-3) * ramp, axis=-3)

    moved = move(wide(amplitude) * np.exp(1j * wide(phase)))
    expected = move(wide(phase)).real
    turns = np.round((expected - np.angle(moved)) / (2 * np.pi))
    refocused = propagate(wide(probe), -shift * slice_thickness, dx, wavelength)
    return np.abs(moved), np.angle(moved) + 2 * np.pi * turns, refocused, shift


def obja_thresh(amplitude, *, relax, thresh):
    return relax * wide(amplitude) + (1 - relax) * np.clip(wide(amplitude), *thresh)


def objp_postiv(phase, *, relax, mode):
    phase = wide(phase)
    target = np.maximum(phase, 0) if mode == "clip_neg" else phase - phase.min()
    return relax * phase + (1 - relax) * target


def pos_recenter(shifts, *, relax):
    return wide(shifts) - (1 - relax) * wide(shifts).mean(axis=0)


def tilt_smooth(tilts, *, scan_shape, std, kernel_size=5):
    if len(tilts) == 1:
        return wide(tilts)
    weights = taps(kernel_size, std)
    grid = wide(tilts).reshape(*scan_shape, 2)
    return correlate(correlate(grid, weights, 0, "reflect"), weights, 1, "reflect").reshape(-1, 2)
