"""The constraints as one writes them in NumPy and SciPy without a thought for speed.

Whole arrays, temporaries, `numpy.fft`, and the formulas read from top to bottom. Filters are cast
to the object's precision, so that the port is not slow merely because a mask was float64. Each
function takes the fields by name, and the options, and changes the arrays in place as the package
does.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from arraycon.bench.cases import OBJECT, Fields
from arraycon.constraints import declared

Array = NDArray[Any]

LATERAL, VOLUME = (-2, -1), (-3, -2, -1)


def ortho_pmode(fields: Fields) -> None:
    """Singular value decomposition of the modes."""
    probe = fields["probe"]
    pixels = probe.reshape(len(probe), -1)
    left, sizes, rows = np.linalg.svd(pixels, full_matrices=False)
    new = sizes[:, None] * rows
    # each mode gets the phase of the input mode that it overlaps most
    overlap = left * sizes
    strongest = overlap[np.argmax(np.abs(overlap), axis=0), np.arange(len(sizes))]
    new *= (strongest / np.abs(strongest))[:, None]
    probe[...] = new.reshape(probe.shape)


def probe_mask_k(fields: Fields, *, radius: float, width: float, power_thresh: float) -> None:
    """Mask on the full complex transform."""
    probe = _sorted(fields["probe"])
    n = _masked(probe, power_thresh)
    mask = _sigmoid(probe, radius, width)
    probe[:n] = np.fft.ifft2(np.fft.fft2(probe[:n]) * mask)
    fields["probe"][...] = _sorted(probe)


def probe_mask_r(
    fields: Fields,
    *,
    radius: float,
    order: int,
    power_thresh: float,
    z_range: tuple[float, float],
    z_steps: int,
) -> None:
    """One propagation per plane of the focus search."""
    probe = _sorted(fields["probe"])
    n = _masked(probe, power_thresh)
    planes = np.linspace(*z_range, z_steps)
    sharpness = [np.sum(np.abs(_propagated(probe[0], dz, fields)) ** 4) for dz in planes]
    focus = planes[np.argmax(np.array(sharpness))]
    ny, nx = probe.shape[-2:]
    y, x = np.arange(ny)[:, None] - ny // 2, np.arange(nx)[None, :] - nx // 2
    distance = np.hypot(y / (ny / 2), x / (nx / 2))
    mask = np.exp(-0.5 * (distance / radius) ** (2 * order)).astype(probe.real.dtype)
    focused = _propagated(probe, focus, fields)
    focused[:n] *= mask
    fields["probe"][...] = _sorted(_propagated(focused, -focus, fields))


def fix_probe_int(fields: Fields) -> None:
    """Rescale by the total intensity."""
    probe = fields["probe"]
    probe *= np.sqrt(fields["probe_intensity"] / np.sum(np.abs(probe) ** 2))


def obj_rblur(fields: Fields, *, obj_type: str, kernel_size: int, std: float) -> None:
    """Two correlations of the whole array."""
    weights = _taps(kernel_size, std)
    for obj in _targets(fields, obj_type):
        blurred = scipy.ndimage.correlate1d(obj, weights, axis=-2, mode="mirror")
        obj[...] = scipy.ndimage.correlate1d(blurred, weights, axis=-1, mode="mirror")


def obj_zblur(fields: Fields, *, obj_type: str, kernel_size: int, std: float) -> None:
    """One correlation of the whole array."""
    for obj in _targets(fields, obj_type):
        weights = _taps(kernel_size, std)
        obj[...] = scipy.ndimage.correlate1d(obj, weights, axis=-3, mode="nearest")


def obj_gaussian(
    fields: Fields, *, obj_type: str, sigma: float, sigma_z: float, boundary: str, relax: float
) -> None:
    """Cosine transform of every slice."""
    if boundary != "mirror" or relax or sigma_z:
        raise NotImplementedError(boundary)
    for obj in _targets(fields, obj_type):
        qy, qx = (np.arange(n) / (2 * n * fields["dx"]) for n in obj.shape[-2:])
        mask = np.exp(-2 * (np.pi * sigma) ** 2 * (qy[:, None] ** 2 + qx**2)).astype(obj.dtype)
        obj[...] = scipy.fft.idctn(scipy.fft.dctn(obj, axes=LATERAL) * mask, axes=LATERAL)


def obj_smooth(fields: Fields, *, obj_type: str, alpha: float, relax: float) -> None:
    """One correlation of the whole array by nine taps."""
    kernel = np.full((3, 3), (1 - relax) * alpha)
    kernel[1, 1] = 1 - 8 * (1 - relax) * alpha
    for obj in _targets(fields, obj_type):
        weights = kernel.reshape((1,) * (obj.ndim - 2) + (3, 3))
        obj[...] = scipy.ndimage.correlate(obj, weights, mode="nearest")


def obj_bandpass(
    fields: Fields,
    *,
    obj_type: str,
    q_lowpass: float | None,
    q_highpass: float | None,
    shape: str,
    order: float,
    dims: str,
    boundary: str,
    relax: float,
) -> None:
    """Full complex transform of every slice."""
    if (shape, dims, boundary, relax) != ("butterworth", "lateral", "periodic", 0):
        raise NotImplementedError((shape, dims, boundary))
    for obj in _targets(fields, obj_type):
        qy, qx = (np.fft.fftfreq(n, fields["dx"]) for n in obj.shape[-2:])
        q = np.hypot(qy[:, None], qx[None, :])
        mask = np.ones_like(q)
        if q_lowpass is not None:
            mask *= 1 / (1 + (q / q_lowpass) ** (2 * order))
        if q_highpass is not None:
            mask *= 1 - 1 / (1 + (q / q_highpass) ** (2 * order))
        mask[0, 0] = 1
        obj[...] = np.fft.ifft2(np.fft.fft2(obj) * mask.astype(obj.dtype)).real


def grid_notch(
    fields: Fields,
    *,
    obj_type: str,
    period: float,
    window: float,
    direction: str,
    rotation: float,
    relax: float,
) -> None:
    """Full complex transform of every slice; windows along each axis by themselves."""
    if (direction, rotation, relax) != ("xy", 0, 0):
        raise NotImplementedError(direction)
    for obj in _targets(fields, obj_type):
        near = []
        for n in obj.shape[-2:]:
            orders = np.arange(-int(period / (2 * fields["dx"]) + 1e-9), n)
            orders = orders[orders <= -orders[0]]
            away = np.arange(n)[:, None] - n * fields["dx"] / period * orders
            inside = np.abs(away - n * np.round(away / n)) <= window + 1e-9
            near.append((inside.any(axis=1), inside[:, orders != 0].any(axis=1)))
        (rows, upper), (columns, right) = near
        mask = ~((rows[:, None] & right) | (upper[:, None] & columns))
        mask[0, 0] = True
        obj[...] = np.fft.ifft2(np.fft.fft2(obj) * mask).real


def obj_wedge(
    fields: Fields,
    *,
    obj_type: str,
    semiangle: float,
    q_floor: float,
    boundary: str,
    relax: float,
) -> None:
    """Full complex transform of the even extension, the filter on its full grid."""
    if boundary != "mirror" or relax:
        raise NotImplementedError(boundary)
    spacing = fields["slice_thickness"], fields["dx"], fields["dx"]
    for obj in _targets(fields, obj_type):
        extended = np.concatenate([obj, obj[..., ::-1, :, :]], axis=-3)
        axes = (np.fft.fftfreq(n, d) for n, d in zip(extended.shape[-3:], spacing, strict=True))
        qz, qy, qx = np.meshgrid(*axes, indexing="ij")
        reached = np.tan(semiangle / 1000) ** 2 * (qy**2 + qx**2 + q_floor**2)
        weights = (2 / np.pi * np.arctan2(reached, qz**2)).astype(obj.dtype)
        weights[0] = 1
        new = np.fft.ifftn(np.fft.fftn(extended, axes=VOLUME) * weights, axes=VOLUME).real
        obj[...] = new[..., : obj.shape[-3], :, :]


def identical_slices(fields: Fields, *, obj_type: str, relax: float) -> None:
    """Mean in double precision."""
    for obj in _targets(fields, obj_type):
        mean = np.mean(obj, axis=-3, keepdims=True, dtype=np.float64)
        obj[...] = relax * obj + (1 - relax) * mean


def objp_thresh(fields: Fields, *, relax: float, thresh: tuple[float, float]) -> None:
    """Limits of the whole array."""
    phase = fields["object_phase"]
    phase[...] = relax * phase + (1 - relax) * np.clip(phase, *thresh)


def obj_shrink(
    fields: Fields,
    *,
    obj_type: str,
    amount: float,
    rule: str,
    target: float | None,
    relax: float,
) -> None:
    """Soft threshold of the whole array."""
    if rule != "soft" or target is not None:
        raise NotImplementedError(rule)
    for part, obj in zip(_parts(obj_type), _targets(fields, obj_type), strict=True):
        vacuum = float(part == "amplitude")
        distance = obj - vacuum
        new = vacuum + np.sign(distance) * np.maximum(np.abs(distance) - amount, 0)
        obj[...] = relax * obj + (1 - relax) * new


def _parts(obj_type: str) -> tuple[str, ...]:
    return ("amplitude", "phase") if obj_type == "both" else (obj_type,)


def obj_fill(
    fields: Fields,
    *,
    obj_type: str,
    amplitude: float,
    phase: float,
    region: str,
    threshold: float,
    slices: tuple[int, ...] | None,
    relax: float,
) -> None:
    """Mix of the whole array with a value."""
    if region != "vacuum" or slices is not None:  # for which alone there is a threshold
        raise NotImplementedError((region, threshold))
    weight = (1 - relax) * fields["vacuum_mask"]
    values = {"amplitude": amplitude, "phase": phase}
    for part, obj in zip(_parts(obj_type), _targets(fields, obj_type), strict=True):
        obj += weight * (values[part] - obj)


def obj_baseline(
    fields: Fields,
    *,
    obj_type: str,
    statistic: str,
    percentile: float,
    scope: str,
    factor: float,
    region: str,
    threshold: float,
    relax: float,
) -> None:
    """Weighted mean of each slice."""
    if (obj_type, statistic, scope, region) != ("phase", "mean", "slice", "vacuum"):
        raise NotImplementedError((obj_type, statistic, percentile, scope, region, threshold))
    phase, mask = fields["object_phase"], fields["vacuum_mask"]
    total = np.sum(mask, dtype=np.float64)
    level = np.sum(mask * phase, axis=LATERAL, dtype=np.float64, keepdims=True) / total
    phase -= ((1 - relax) * factor * level).astype(phase.dtype)


def ortho_omode(fields: Fields) -> None:
    """Singular value decomposition of the modes of one slice."""
    obj = fields["object"]
    ortho_pmode({"probe": obj[:, 0]})


def phase_ramp(
    fields: Fields,
    *,
    terms: str,
    method: str,
    region: str,
    threshold: float,
    counter_probe: bool,
    relax: float,
) -> None:
    """Dense least squares of each slice, the coordinates of each pixel written out."""
    if (terms, method, region) != ("ramp", "plane", "inside") or not counter_probe:
        raise NotImplementedError((terms, method, region))
    phase, probe, light = fields["object_phase"], fields["probe"], fields["illumination"]
    inside = light >= threshold * light.max()
    y, x = (index - n // 2 for index, n in _axes(phase))
    columns = np.stack([np.ones_like(y), y, x], axis=-1).astype(np.float64)
    gy = gx = 0.0
    for z in range(phase.shape[-3]):
        mean = phase[..., z, :, :].reshape(-1, *inside.shape).mean(axis=0)
        found = np.linalg.lstsq(columns[inside], mean[inside], rcond=None)[0]
        phase[..., z, :, :] -= ((1 - relax) * (columns @ found)).astype(phase.dtype)
        gy, gx = gy + found[1], gx + found[2]
    y, x = (index - n // 2 for index, n in _axes(probe))
    probe *= np.exp(1j * (1 - relax) * (gy * y + gx * x)).astype(probe.dtype)


def _axes(array: Array) -> list[tuple[Array, int]]:
    return list(zip(np.indices(array.shape[-2:]), array.shape[-2:], strict=True))


def obj_probe_scale(fields: Fields, *, target: float, region: str, relax: float) -> None:
    """Weighted power of the whole array."""
    amplitude, probe, light = (
        fields[name] for name in ("object_amplitude", "probe", "illumination")
    )
    weight = light if region == "illumination" else np.ones_like(light)
    others = tuple(axis for axis in range(amplitude.ndim) if axis != amplitude.ndim - 3)
    modes = amplitude[..., 0, 0, 0].size
    power = np.sum(weight * amplitude**2, axis=others, dtype=np.float64) / modes
    factor = (np.sqrt(power / np.sum(weight, dtype=np.float64)) / target) ** (1 - relax)
    amplitude /= factor[:, None, None].astype(amplitude.dtype)
    probe *= np.prod(factor)


def kr_filter(fields: Fields, *, obj_type: str, radius: float, width: float) -> None:
    """Full complex transform of every slice."""
    for obj in _targets(fields, obj_type):
        mask = _sigmoid(obj, radius, width)
        obj[...] = np.fft.ifft2(np.fft.fft2(obj) * mask).real


def kz_filter(
    fields: Fields, *, obj_type: str, beta: float, alpha: float, boundary: str = "periodic"
) -> None:
    """Full complex transform of the volume, the filter on the full grid."""
    if boundary != "periodic":
        raise NotImplementedError(boundary)
    for name in _names(obj_type):
        obj = fields[name]
        kz, ky, kx = np.meshgrid(*(np.fft.fftfreq(n) for n in obj.shape[-3:]), indexing="ij")
        lateral = kx**2 + ky**2
        wedge = 1 - 2 / np.pi * np.arctan((beta * np.abs(kz)) ** 2 / (lateral + 1e-3))
        weights = (wedge * np.exp(-alpha * lateral)).astype(obj.dtype)
        new = np.fft.ifftn(np.fft.fftn(obj, axes=VOLUME) * weights, axes=VOLUME).real
        obj[...] = 1 + 0.9 * (new - 1) if name == "object_amplitude" else new


def kr_thresh(fields: Fields, *, obj_type: str, thresh: float, scope: str = "global") -> None:
    """Transform, partition, transform back."""
    if scope != "global":
        raise NotImplementedError(scope)
    for obj in _targets(fields, obj_type):
        coefficients = scipy.fft.dctn(obj, axes=LATERAL)
        modulus = np.abs(coefficients)
        n = modulus.size - max(1, int(thresh * modulus.size))
        limit = np.partition(modulus.ravel(), n)[n]
        obj[...] = scipy.fft.idctn(np.where(modulus >= limit, coefficients, 0), axes=LATERAL)


def obj_tv(
    fields: Fields,
    *,
    obj_type: str,
    weight: float,
    axes_weight: tuple[float, float, float],
    norm: str,
    solver: str,
    n_iter: int,
    relax: float,
) -> None:
    """Each line of an update on the whole array."""
    if (axes_weight, norm, solver, relax) != ((0, 1, 1), "isotropic", "fgp", 0):
        raise NotImplementedError((axes_weight, norm, solver))
    for obj in _targets(fields, obj_type):
        p = before = ahead = np.zeros((2, *obj.shape), obj.dtype)
        t = 1.0
        for _ in range(n_iter):
            u = obj - weight * _divergence(ahead)
            steps = np.zeros_like(p)
            steps[0, ..., :-1, :] = np.diff(u, axis=-2)
            steps[1, ..., :-1] = np.diff(u, axis=-1)
            moved = ahead + steps / (8 * weight)
            before, p = p, moved / np.maximum(np.sqrt(np.sum(moved**2, axis=0)), 1)
            following = (1 + float(np.sqrt(1 + 4 * t**2))) / 2
            ahead = p + (t - 1) / following * (p - before)
            t = following
        obj -= weight * _divergence(p)


def complex_ratio(fields: Fields, *, obj_type: str, alpha1: float, alpha2: float) -> None:
    """Expressions on whole arrays."""
    amplitude, phase = (fields[name] for name in OBJECT)
    logarithm = np.log(np.maximum(amplitude, 1e-6))
    ratio = np.sum(np.abs(logarithm)) / (np.sum(np.abs(phase)) + 1e-8)
    new_amplitude = np.exp((1 - alpha1) * logarithm - alpha1 * ratio * phase)
    new_phase = (1 - alpha2) * phase - alpha2 / (ratio + 1e-8) * logarithm
    if obj_type in ("amplitude", "both"):
        amplitude[...] = new_amplitude
    if obj_type in ("phase", "both"):
        phase[...] = new_phase


def mirrored_amp(fields: Fields, *, relax: float, scale: float, power: float) -> None:
    """Expressions on whole arrays."""
    amplitude, phase = (fields[name] for name in OBJECT)
    predicted = np.maximum(1 - scale * np.maximum(phase, 0) ** power, 0)
    amplitude[...] = relax * amplitude + (1 - relax) * predicted


def obj_z_recenter(
    fields: Fields, *, thresh: float | None, scale: float, max_shift: float | None
) -> None:
    """Percentile, complex object, transform along the depth."""
    amplitude, phase = (fields[name] for name in OBJECT)
    nz = phase.shape[-3]
    values = np.maximum(phase, 0)
    if thresh is not None:
        values[values < np.percentile(values, thresh)] = 0
    mass = values.mean(axis=(0, 2, 3))
    centre = np.sum(np.arange(nz) * mass) / (mass.sum() + 1e-8)
    limit = (nz - 1) / 2 if max_shift is None else min(max_shift, (nz - 1) / 2)
    shift = np.clip(scale * ((nz - 1) / 2 - centre), -limit, limit)
    if abs(shift) < 1e-3:
        return
    ramp = np.exp(-2j * np.pi * np.fft.fftfreq(nz) * shift)[:, None, None]
    ramp = ramp.astype(np.result_type(phase, np.complex64))
    moved = np.fft.ifft(np.fft.fft(amplitude * np.exp(1j * phase), axis=-3) * ramp, axis=-3)
    expected = np.fft.ifft(np.fft.fft(phase, axis=-3) * ramp, axis=-3).real
    angle = np.angle(moved)
    amplitude[...] = np.abs(moved)
    phase[...] = angle + 2 * np.pi * np.round((expected - angle) / (2 * np.pi))
    dz = -shift * fields["slice_thickness"]
    fields["probe"][...] = _propagated(fields["probe"], dz, fields)


def obja_thresh(fields: Fields, *, relax: float, thresh: tuple[float, float]) -> None:
    """Expression on the whole array."""
    amplitude = fields["object_amplitude"]
    amplitude[...] = relax * amplitude + (1 - relax) * np.clip(amplitude, *thresh)


def objp_postiv(fields: Fields, *, relax: float, mode: str) -> None:
    """Expression on the whole array."""
    phase = fields["object_phase"]
    positive = np.maximum(phase, 0) if mode == "clip_neg" else phase - phase.min()
    phase[...] = relax * phase + (1 - relax) * positive


def pos_recenter(fields: Fields, *, relax: float) -> None:
    """Subtract the mean."""
    shifts = fields["position_shifts"]
    shifts -= ((1 - relax) * shifts.mean(axis=0)).astype(shifts.dtype)


def tilt_smooth(fields: Fields, *, std: float) -> None:
    """Two correlations over the scan."""
    tilts = fields["tilts"]
    grid = tilts.reshape(*fields["scan_shape"], 2)
    for axis in (0, 1):
        grid = scipy.ndimage.correlate1d(grid, _taps(5, std), axis=axis, mode="mirror")
    tilts[...] = grid.reshape(-1, 2)


def on_complex(port: Callable[..., None]) -> Callable[..., None]:
    """Let a function that takes amplitude and phase work on a complex object."""

    def run(fields: Fields, **options: Any) -> None:
        obj = fields["object"]
        parts = {**fields, "object_amplitude": np.abs(obj), "object_phase": np.angle(obj)}
        port(parts, **options)
        obj[...] = parts["object_amplitude"] * np.exp(1j * parts["object_phase"])

    return run


def ports(place: str, form: str = "parts") -> dict[str, Callable[..., None]]:
    """Return the constraints that are written here by name, for arrays on the CPU or on the GPU.

    There CuPy takes NumPy's place in the same lines, which is how such code is ported.
    """
    module: Any = importlib.import_module(__name__) if place == "cpu" else _on_gpu()
    found = {name: getattr(module, name) for name in declared() if hasattr(module, name)}
    if form == "parts":
        return found
    return {name: module.on_complex(port) for name, port in found.items()}


@functools.cache
def _on_gpu() -> Any:
    spec = importlib.util.find_spec(__name__)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("fft", "ndimage"):
        importlib.import_module(f"cupyx.scipy.{name}")
    module.np = importlib.import_module("cupy")
    module.scipy = importlib.import_module("cupyx.scipy")
    return module


def _names(obj_type: str) -> tuple[str, ...]:
    return OBJECT if obj_type == "both" else (f"object_{obj_type}",)


def _targets(fields: Fields, obj_type: str) -> tuple[Array, ...]:
    return tuple(fields[name] for name in _names(obj_type))


def _taps(kernel_size: int, std: float) -> Array:
    j = np.arange(kernel_size) - kernel_size // 2
    weights: Array = np.exp(-(j**2) / (2 * std**2))
    weights /= weights.sum()
    return weights


def _divergence(p: Array) -> Array:
    """Return what is subtracted from an image for its dual variable."""
    divergence: Array = -np.diff(p[0], axis=-2, prepend=0) - np.diff(p[1], axis=-1, prepend=0)
    return divergence


def _sigmoid(like: Array, radius: float, width: float) -> Array:
    """Return the soft disc of radius and width in fractions of Nyquist, DC first."""
    ky, kx = (np.fft.fftfreq(n) / 0.5 for n in like.shape[-2:])
    distance = np.hypot(ky[:, None], kx[None, :])
    mask: Array = 1 / (1 + np.exp(5 * (distance - radius) / width))
    return mask.astype(like.real.dtype)


def _power(probe: Array) -> Array:
    power: Array = np.sum(np.abs(probe) ** 2, axis=(1, 2))
    return power


def _sorted(probe: Array) -> Array:
    return probe[np.argsort(-_power(probe), kind="stable")]


def _masked(probe: Array, power_thresh: float) -> int:
    """Count the modes, sorted by power, that a mask applies to."""
    power = _power(probe)
    above = np.cumsum(power) / power.sum() > power_thresh
    return int(np.argmax(above)) + 1 if above.any() else len(probe)


def _propagated(probe: Array, dz: float, fields: Fields) -> Array:
    k = 2 * np.pi / fields["wavelength"]
    ky, kx = (2 * np.pi * np.fft.fftfreq(n, fields["dx"]) for n in probe.shape[-2:])
    along = np.sqrt(np.maximum(k**2 - ky[:, None] ** 2 - kx[None, :] ** 2, 0))
    propagator = np.exp(1j * dz * (along - k)).astype(probe.dtype)
    propagated: Array = np.fft.ifft2(np.fft.fft2(probe) * propagator)
    return propagated
