"""Probe modes: orthogonalisation and total intensity."""

from __future__ import annotations

import math

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array, Namespace

# Pixels that are converted to complex128 at a time, times the number of modes.
_BLOCK = 1 << 18
# Overlaps whose moduli differ by less than this count as equal, so that rounding does not decide
# which one fixes the phase.
TIE = 1e-6
# Power of a mode, relative to the strongest, below which float32 modes hold nothing but rounding.
EMPTY = 1e-7


def mode_powers(probe: Array, *, xp: Namespace) -> Array:
    """Σ|P|² of each mode, accumulated in float64."""
    dtype = arrays.wide_complex(probe, xp=xp)
    return xp.stack(
        [xp.sum(arrays.abs2(xp.astype(probe[i, ...], dtype), xp=xp)) for i in range(probe.shape[0])]
    )


def fix_probe_int(probe: Array, *, intensity: float, xp: Namespace) -> Array:
    """Scale to a total intensity."""
    total = xp.sum(mode_powers(probe, xp=xp))
    has_power = total != 0  # NaN has, so that it stays visible
    # two roots: of a total below 1e-308 the quotient would overflow
    factor = xp.where(
        has_power, math.sqrt(intensity) / xp.sqrt(xp.where(has_power, total, 1.0)), 1.0
    )
    # an overflowed total must not turn into a silent zero
    factor = xp.where(xp.isinf(total), math.nan, factor)
    # a probe of 1e-40 times its factor fits into float32, the factor does not
    wide = xp.astype(probe, arrays.wide_complex(probe, xp=xp))
    return xp.astype(wide * factor, probe.dtype)


def ortho_pmode(probe: Array, *, xp: Namespace) -> tuple[Array, Array]:
    """Orthogonal modes, strongest first, and the unitary that makes them."""
    rotation = unitary(_gram(probe, xp), noise=rounding_noise(probe, xp), xp=xp)
    rotation = xp.astype(rotation, probe.dtype)
    pixels = xp.reshape(probe, (probe.shape[0], -1))
    return xp.reshape(rotation @ pixels, probe.shape), rotation


def _gram(probe: Array, xp: Namespace) -> Array:
    modes = probe.shape[0]
    pixels = xp.reshape(probe, (modes, -1))
    dtype = arrays.wide_complex(probe, xp=xp)
    step = max(1, _BLOCK // modes)
    gram = xp.zeros((modes, modes), dtype=dtype, device=arrays.device(probe))
    size = pixels.shape[1]
    for start in range(0, size, step):
        block = xp.astype(pixels[:, start : min(start + step, size)], dtype)
        gram = gram + block @ xp.matrix_transpose(xp.conj(block))
    return gram


def rounding_noise(probe: Array, xp: Namespace) -> float:
    """Relative size of an overlap that rounding alone leaves between orthogonal modes."""
    precision = 2 * float(xp.finfo(probe.dtype).eps)
    accumulation = float(xp.finfo(arrays.wide(probe, xp=xp)).eps)
    return max(precision, accumulation * math.sqrt(probe.shape[-1] * probe.shape[-2]))


def unitary(gram: Array, *, noise: float, xp: Namespace) -> Array:
    """Rows are the eigenvectors of the Gram matrix, sorted and with their phases fixed."""
    power = xp.real(xp.linalg.diagonal(gram))
    total = xp.sum(power)
    finite = xp.isfinite(total)
    identity = xp.eye(gram.shape[0], dtype=gram.dtype, device=arrays.device(gram))
    # Overlaps below the noise are none: equally strong modes would be mixed at random by them.
    expected = noise * xp.sqrt(power)[:, None] * xp.sqrt(power)[None, :]
    gram = xp.where(xp.abs(gram) <= expected, gram * identity, gram)
    # An eigensolver may hang or fail on NaN, and gives NaN for zeros on some GPUs.
    usable = finite & (total > 0)
    # 1 / total would overflow below 1e-308
    least = math.sqrt(float(xp.finfo(power.dtype).smallest_normal))
    lift = xp.where(total < least, xp.full_like(total, 1 / least), xp.ones_like(total))
    gram, total = gram * xp.astype(lift, gram.dtype), total * lift
    gram = xp.where(usable, gram / xp.astype(xp.where(usable, total, 1.0), gram.dtype), identity)
    eigenvalues, eigenvectors = xp.linalg.eigh(gram)
    rows = xp.conj(xp.matrix_transpose(eigenvectors))
    dominant = _dominant(rows, xp)
    order = _by_power(eigenvalues, xp.argmax(xp.astype(dominant, xp.int32), axis=1), noise, xp)
    leading = xp.sum(xp.where(dominant, rows, xp.zeros_like(rows)), axis=1)
    rows = rows * (xp.conj(leading) / xp.astype(xp.abs(leading), rows.dtype))[:, None]
    rows = xp.take(rows, order, axis=0)
    return xp.where(finite, rows, xp.asarray(math.nan, dtype=rows.dtype))


def _dominant(rows: Array, xp: Namespace) -> Array:
    """Mask of the one entry in each row that belongs to the input mode it overlaps most."""
    weight = arrays.abs2(rows, xp=xp)
    largest = weight >= (1 - TIE) * xp.max(weight, axis=1, keepdims=True)
    count = xp.cumulative_sum(xp.astype(largest, xp.int32), axis=1)
    return largest & (count == 1)


def _by_power(power: Array, dominant: Array, noise: float, xp: Namespace) -> Array:
    """Order of falling power; modes of equal power keep the order of their input modes."""
    order = xp.argsort(power, descending=True, stable=True)
    ranked = xp.take(power, order)
    # the second term lets the empty modes' eigenvalues, which are pure rounding, count as equal
    gap = ranked[:-1] - ranked[1:] > noise * (ranked[:-1] + EMPTY * ranked[:1])
    group = xp.cumulative_sum(xp.astype(gap, xp.int32), include_initial=True)
    key = group * power.shape[0] + xp.astype(xp.take(dominant, order), xp.int32)
    return xp.take(order, xp.argsort(key, stable=True))
