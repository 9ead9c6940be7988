"""Sparsity of the object in the discrete cosine transform."""

from __future__ import annotations

from arraycon.kernels.agnostic import dct as agnostic
from arraycon.kernels.common import arrays, check, dispatch
from arraycon.kernels.common.arrays import Array

__all__ = ["kr_thresh"]


def kr_thresh(
    obj: Array, *, thresh: float = 0.05, scope: str = "global", out: Array | None = None
) -> Array:
    r"""Keep the strongest cosine coefficients of each slice.

    Of the unnormalised DCT-II coefficients over the last two axes the
    :math:`\max(1, \lfloor \text{thresh}\cdot n \rfloor)` of largest modulus are kept, ties with
    them, the others set to 0, and the transform inverted exactly. The selection is exact, not
    sampled.

    Parameters
    ----------
    obj : array, shape (..., ny, nx), float32, float64, complex64 or complex128
        Real and imaginary part of a complex one are transformed alike, and a coefficient has their
        common modulus, so that a global phase makes no difference.
    thresh : float
        Fraction of the coefficients to keep, in (0, 1]; 1 changes nothing beyond rounding.
    scope : {"global", "slice"}
        Whether n counts the whole array or each slice by itself.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    array, shape (..., ny, nx)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    Notes
    -----
    The inverse transform of PtyRAD 1.0.0 does not invert its forward one.

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): PtyRAD, version 1.0.0. DCT by one FFT of the same
    length: J. Makhoul, IEEE Trans. Acoust. Speech Signal Process. 28, 27 (1980).

    Examples
    --------
    The strongest of four coefficients is the mean:

    >>> import arraycon, numpy
    >>> noisy = numpy.array([[1.0, 1.2], [0.7, 1.1]])
    >>> arraycon.kr_thresh(noisy, thresh=0.25).round(6).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="floating", ndim=2)
    thresh = check.number("thresh", thresh, above=0, high=1)
    scope = check.choice("scope", scope, ("global", "slice"))
    check.output(out, "obj", obj)
    return dispatch.run(agnostic.kr_thresh, obj, out=out, xp=xp, thresh=thresh, scope=scope)
