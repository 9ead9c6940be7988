"""Gaussian blurs of the object, laterally and in depth, and of the tilts over the scan."""

from __future__ import annotations

import math
from typing import Any

from arraycon.kernels.agnostic import blur as agnostic
from arraycon.kernels.common import arrays, check, dispatch
from arraycon.kernels.common.arrays import Array

__all__ = ["obj_rblur", "obj_zblur", "tilt_smooth"]


def gaussian_taps(kernel_size: int, std: float) -> tuple[float, ...]:
    """Return taps ∝ exp(-j²/(2 std²)) that sum to 1; a single tap where `std` is 0."""
    if std == 0:
        return (1.0,)
    half = kernel_size // 2
    # beyond 40 standard deviations the tap is 0; the square of a larger ratio could overflow
    taps = [math.exp(-0.5 * min(abs(j) / std, 40.0) ** 2) for j in range(-half, half + 1)]
    total = math.fsum(taps)
    return tuple(tap / total for tap in taps)


def obj_rblur(
    obj: Array, *, kernel_size: int = 5, std: float = 0.4, out: Array | None = None
) -> Array:
    r"""Blur the object laterally with a truncated Gaussian.

    Separable correlation along the last two axes with taps
    :math:`w_j \propto \exp(-j^2 / 2σ^2)`, :math:`\sum w_j = 1`. At the edges the array is reflected
    without repeating the edge pixel.

    Parameters
    ----------
    obj : array, shape (..., ny, nx), float32, float64, complex64 or complex128
    kernel_size : int
        Number of taps, odd.
    std : float
        Standard deviation σ in px, ≥ 0; 0 changes nothing.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    array, shape (..., ny, nx)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="floating", ndim=2)
    taps = gaussian_taps(check.odd("kernel_size", kernel_size), check.number("std", std, low=0))
    check.output(out, "obj", obj)
    return dispatch.run(agnostic.obj_rblur, obj, out=out, xp=xp, taps=taps)


def obj_zblur(
    obj: Array, *, kernel_size: int = 5, std: float = 1.0, out: Array | None = None
) -> Array:
    r"""Blur the object in depth with a truncated Gaussian.

    The taps of `obj_rblur` along axis -3; beyond the object its first and last slices are repeated.

    Parameters
    ----------
    obj : array, shape (..., nz, ny, nx), float32, float64, complex64 or complex128
    kernel_size : int
        Number of taps, odd.
    std : float
        Standard deviation in slices, ≥ 0; 0 changes nothing.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    array, shape (..., nz, ny, nx)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it. An even `kernel_size`,
        which shifts the object by half a slice in PtyRAD 1.0.0, is such an error.
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="floating", ndim=3)
    taps = gaussian_taps(check.odd("kernel_size", kernel_size), check.number("std", std, low=0))
    check.output(out, "obj", obj)
    return dispatch.run(agnostic.obj_zblur, obj, out=out, xp=xp, taps=taps)


def tilt_smooth(
    tilts: Array,
    *,
    scan_shape: tuple[int, int],
    std: float = 2.0,
    kernel_size: int = 5,
    out: Array | None = None,
) -> Array:
    """Smooth the object tilts over the scan.

    The tilts are laid on the scan grid and blurred over both scan axes as in `obj_rblur`. One tilt
    for the whole scan, shape (1, 2), is returned unchanged.

    Parameters
    ----------
    tilts : array, shape (n, 2) or (1, 2), float32 or float64
        Object tilts (y, x) in mrad, in scan order (the fast axis last).
    scan_shape : tuple of int
        Numbers of scan positions (slow, fast), with slow·fast = n.
    std : float
        Standard deviation in scan steps, ≥ 0; 0 changes nothing.
    kernel_size : int
        Number of taps, odd.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `tilts`.

    Returns
    -------
    array, shape (n, 2) or (1, 2)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range, or n is not slow·fast.
    """
    xp = arrays.namespace(tilts=tilts)
    check.pairs("tilts", tilts)
    scan_shape = check.scan_shape("scan_shape", scan_shape)
    taps = gaussian_taps(check.odd("kernel_size", kernel_size), check.number("std", std, low=0))
    check.output(out, "tilts", tilts)
    if tilts.shape[0] <= 1:
        return dispatch.unchanged((tilts,), (out,), xp=xp)[0]
    if tilts.shape[0] != scan_shape[0] * scan_shape[1]:
        raise ValueError(
            f"tilts: expected {scan_shape[0]}·{scan_shape[1]} = {scan_shape[0] * scan_shape[1]} "
            f"rows for scan_shape {scan_shape}, or one, got {tilts.shape[0]}"
        )
    options: dict[str, Any] = {"scan_shape": scan_shape, "taps": taps}
    return dispatch.run(agnostic.tilt_smooth, tilts, out=out, xp=xp, **options)
