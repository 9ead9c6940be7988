"""Gaussian blurs of the object, laterally and in depth, and of the tilts over the scan."""

from __future__ import annotations

import math
from typing import Any

from arraycon.kernels.agnostic import blur as agnostic
from arraycon.kernels.common import arrays, check, dispatch, limits
from arraycon.kernels.common.arrays import Array, Namespace

__all__ = ["obj_rblur", "obj_zblur", "tilt_smooth"]


# Half the smallest number of each precision: what is not larger is rounded to 0.
_NOTHING = {"float32": 2.0**-150, "float64": 0.0}
# exp(-½ 40²) is 0 in float64.
_REACH = 40


def gaussian_taps(kernel_size: int, std: float, precision: str = "float64") -> tuple[float, ...]:
    """Return taps ∝ exp(-j²/(2 std²)) that sum to 1; a single tap where `std` is 0.

    Those at the ends that are 0 in the precision are left out: 5001 taps of std 0.4 took 88 times
    as long as 33, for the same result.
    """
    half = kernel_size // 2
    if half > _REACH * std:
        half = int(_REACH * std)
    taps = [math.exp(-0.5 * (j / std) ** 2) for j in range(1, half + 1)]
    total = 1 + 2 * math.fsum(taps)
    beside = [tap / total for tap in taps if tap / total > _NOTHING[precision]]
    return (*reversed(beside), 1 / total, *beside)


def _taps(obj: Array, kernel_size: object, std: object, xp: Namespace) -> tuple[float, ...]:
    size = check.odd("kernel_size", kernel_size, high=limits.TAPS)
    width = check.number("std", std, low=0)
    single = obj.dtype == xp.float32 or obj.dtype == xp.complex64
    return gaussian_taps(size, width, "float32" if single else "float64")


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
        Number of taps, odd, ≤ 4095; those that are 0 in the array's precision are left out.
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

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): PtyRAD, of which version 1.0.0 does the same.

    Examples
    --------
    The middle row of a blurred point; its taps are 0.274, 0.452 and 0.274:

    >>> import arraycon, numpy
    >>> point = numpy.zeros((1, 5, 5))
    >>> point[0, 2, 2] = 1
    >>> blurred = arraycon.obj_rblur(point, kernel_size=3, std=1.0)
    >>> blurred[0, 2].round(3).tolist(), float(blurred.sum().round(6))
    ([0.0, 0.124, 0.204, 0.124, 0.0], 1.0)
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="floating", ndim=2)
    taps = _taps(obj, kernel_size, std, xp)
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
        Number of taps, odd, ≤ 4095; those that are 0 in the array's precision are left out.
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

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): depth regularisation in real space, in PtyRAD, of
    which version 1.0.0 does the same with an odd `kernel_size`.

    Examples
    --------
    >>> import arraycon, numpy
    >>> slices = numpy.zeros((5, 1, 1))
    >>> slices[2] = 1
    >>> arraycon.obj_zblur(slices, kernel_size=3, std=1.0).ravel().round(3).tolist()
    [0.0, 0.274, 0.452, 0.274, 0.0]
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="floating", ndim=3)
    taps = _taps(obj, kernel_size, std, xp)
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
        Number of taps, odd, ≤ 4095; those that are 0 in the array's precision are left out.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `tilts`.

    Returns
    -------
    array, shape (n, 2) or (1, 2)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range, or n is not slow·fast.

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): PtyRAD, of which version 1.0.0 does the same.

    Examples
    --------
    One tilt of 1 mrad among 25 that are 0; the middle line of the scan afterwards:

    >>> import arraycon, numpy
    >>> tilts = numpy.zeros((25, 2))
    >>> tilts[12, 0] = 1
    >>> smooth = arraycon.tilt_smooth(tilts, scan_shape=(5, 5), std=1.0, kernel_size=3)
    >>> smooth[:, 0].reshape(5, 5)[2].round(3).tolist()
    [0.0, 0.124, 0.204, 0.124, 0.0]
    """
    xp = arrays.namespace(tilts=tilts)
    check.pairs("tilts", tilts)
    scan_shape = check.scan_shape("scan_shape", scan_shape)
    taps = _taps(tilts, kernel_size, std, xp)
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
