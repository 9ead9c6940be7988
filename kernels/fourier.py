"""Filters of the object in reciprocal space, laterally and in depth."""

from __future__ import annotations

from typing import Any

from arraycon.kernels.agnostic import fourier as agnostic
from arraycon.kernels.common import arrays, check, dispatch
from arraycon.kernels.common.arrays import Array

__all__ = ["kr_filter", "kz_filter"]


def kr_filter(
    obj: Array, *, radius: float = 0.15, width: float = 0.05, out: Array | None = None
) -> Array:
    r"""Low-pass filter each slice with a soft circular edge.

    .. math:: x' = \mathrm{Re}\,F^{-1}[F[x]\, M(f)], \quad M(f) = \frac{1}{1 + \exp(5 (f - r)/w)}

    where :math:`f` is the lateral spatial frequency in fractions of Nyquist, each axis in its own.

    Parameters
    ----------
    obj : array, shape (..., ny, nx), float32, float64, complex64 or complex128
        Real and imaginary part of a complex one are filtered alike.
    radius : float
        Radius r, ≥ 0, in fractions of Nyquist.
    width : float
        Width w of the edge, ≥ 0, in fractions of Nyquist; 0 is a hard edge with ½ on it.
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
    On non-square objects PtyRAD 1.0.0 stretches a square mask by nearest neighbour, which is not
    symmetric under inversion; here the mask is evaluated on the object's own grid.

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): PtyRAD, version 1.0.0.

    Examples
    --------
    Stripes of two pixels have the Nyquist frequency, and their mean has none:

    >>> import arraycon, numpy
    >>> stripes = 1 + numpy.array([0.5, -0.5, 0.5, -0.5]) * numpy.ones((1, 4, 1))
    >>> arraycon.kr_filter(stripes, radius=0.5, width=0)[0, 0].round(6).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="floating", ndim=2)
    radius = check.number("radius", radius, low=0)
    width = check.number("width", width, low=0)
    check.output(out, "obj", obj)
    return dispatch.run(agnostic.kr_filter, obj, out=out, xp=xp, radius=radius, width=width)


def kz_filter(
    obj: Array,
    *,
    beta: float = 1.0,
    alpha: float = 1.0,
    obj_type: str = "phase",
    boundary: str = "periodic",
    out: Array | None = None,
) -> Array:
    r"""Filter the missing wedge: damp what varies faster in depth than laterally.

    .. math::

        x' = \mathrm{Re}\,F^{-1}[F[x]\, W], \quad
        W = \left[1 - \frac{2}{π} \arctan\left(\frac{β |k_z|}
        {\sqrt{k_x^2 + k_y^2 + 10^{-3}}}\right)^2\right] e^{-α (k_x^2 + k_y^2)}

    over the last three axes, with :math:`k` in cycles per pixel (per slice in depth). The square
    belongs to the arctangent's argument. For an amplitude the result F becomes
    :math:`1 + 0.9\,(F - 1)`.

    Parameters
    ----------
    obj : array, shape (..., nz, ny, nx), float32 or float64
    beta : float
        Strength of the depth filter, ≥ 0.
    alpha : float
        Strength of the lateral Gaussian, ≥ 0.
    obj_type : {"phase", "amplitude"}
        What `obj` is.
    boundary : {"periodic", "mirror"}
        ``periodic`` joins the last slice to the first, as everybody else does; ``mirror`` filters
        the even extension in depth, so that top and bottom do not leak into each other.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    array, shape (..., nz, ny, nx)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    References
    ----------
    Z. Chen et al., Science 372, 826 (2021), in the form of PtyRAD 1.0.0: C.-H. Lee et al.,
    arXiv:2505.07814 (2025).

    Examples
    --------
    What varies in depth alone is in the missing wedge and vanishes; what varies laterally as fast
    as in depth stays in part:

    >>> import arraycon, numpy
    >>> slab = numpy.array([1.0, 0.0]).reshape(2, 1, 1) * numpy.ones((2, 4, 4))
    >>> arraycon.kz_filter(slab, alpha=0).mean(axis=(1, 2)).round(3).tolist()
    [0.501, 0.499]
    >>> y, x = numpy.indices((4, 4))
    >>> atoms = numpy.stack([(-1.0) ** (y + x), -((-1.0) ** (y + x))])
    >>> float(arraycon.kz_filter(atoms, alpha=0)[0, 0, 0].round(3))
    0.705
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="real", ndim=3)
    options: dict[str, Any] = {
        "beta": check.number("beta", beta, low=0),
        "alpha": check.number("alpha", alpha, low=0),
        "obj_type": check.choice("obj_type", obj_type, ("phase", "amplitude")),
        "boundary": check.choice("boundary", boundary, ("periodic", "mirror")),
    }
    check.output(out, "obj", obj)
    return dispatch.run(agnostic.kz_filter, obj, out=out, xp=xp, **options)
