"""Probe masks in reciprocal and in real space."""

from __future__ import annotations

from typing import Any

from arraycon.kernels.agnostic import probe_masks as agnostic
from arraycon.kernels.common import arrays, check, dispatch, limits
from arraycon.kernels.common.arrays import Array

__all__ = ["probe_mask_k", "probe_mask_r"]


def probe_mask_k(
    probe: Array,
    *,
    radius: float = 0.22,
    width: float = 0.05,
    power_thresh: float = 0.95,
    out: Array | None = None,
) -> Array:
    r"""Mask the strongest probe modes with a soft aperture in reciprocal space.

    The modes are sorted by power. With :math:`c` the cumulative fraction of the power, the modes up
    to and including the first with :math:`c >` `power_thresh` are masked, all if there is none:

    .. math:: P' = F^{-1}[F[P]\, M(f)], \quad M(f) = \frac{1}{1 + \exp(5 (f - r)/w)}

    where :math:`f` is the spatial frequency in fractions of Nyquist, each axis in its own. The
    modes are sorted by power again.

    Parameters
    ----------
    probe : array, shape (pmode, ny, nx), complex64 or complex128
    radius : float
        Radius r of the aperture, ≥ 0, in fractions of Nyquist.
    width : float
        Width w of its edge, ≥ 0, in fractions of Nyquist; 0 is a hard edge with ½ on it.
    power_thresh : float
        Fraction of the power, in [0, 1], that the masked modes hold at least.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `probe`.

    Returns
    -------
    array, shape (pmode, ny, nx)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    Notes
    -----
    As PtyRAD 1.0.0, which however raises for non-square probes and where no mode passes the
    threshold.

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): PtyRAD, version 1.0.0.

    Examples
    --------
    Stripes of two pixels have the Nyquist frequency, beyond the aperture:

    >>> import arraycon, numpy
    >>> probe = (1 + numpy.array([1, -1, 1, -1])) * numpy.ones((1, 4, 1), complex)
    >>> arraycon.probe_mask_k(probe, radius=0.5, width=0)[0, 0].real.round(6).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    xp = arrays.namespace(probe=probe)
    check.modes("probe", probe)
    options: dict[str, Any] = {
        "radius": check.number("radius", radius, low=0),
        "width": check.number("width", width, low=0),
        "power_thresh": check.number("power_thresh", power_thresh, low=0, high=1),
    }
    check.output(out, "probe", probe)
    return dispatch.run(agnostic.probe_mask_k, probe, out=out, xp=xp, **options)


def probe_mask_r(
    probe: Array,
    *,
    dx: float,
    wavelength: float,
    radius: float = 0.95,
    order: int = 6,
    power_thresh: float = 0.95,
    z_range: tuple[float, float] = (-500.0, 500.0),
    z_steps: int = 101,
    out: Array | None = None,
) -> Array:
    r"""Mask the strongest probe modes with a super-Gaussian window at their focus.

    The modes are chosen as in `probe_mask_k`. The focus is the plane of `z_range` where
    :math:`\sum |P_{dz}|^4` of the strongest mode is largest (the first, if several are), with

    .. math::

        P_{dz} = F^{-1}[F[P]\, H(dz)], \quad
        H(dz) = \exp\left(i\, dz\, (\sqrt{k^2 - K^2} - k)\right)

    :math:`k = 2π/λ`, :math:`K` the lateral angular frequency and evanescent waves clamped to
    :math:`\sqrt{\cdot} = 0`. There the chosen modes are multiplied by
    :math:`\exp(-\tfrac12 (R/\text{radius})^{2\,\text{order}})`, with R measured from pixel
    (ny//2, nx//2), and all are brought back and sorted by power.

    Parameters
    ----------
    probe : array, shape (pmode, ny, nx), complex64 or complex128
    dx, wavelength : float
        Pixel size and wavelength in Å, > 0.
    radius : float
        Radius of the window in half-widths of the array, ≥ 0.
    order : int
        Order of the super-Gaussian, in [1, 10⁶]; high orders have sharp edges.
    power_thresh : float
        Fraction of the power, in [0, 1], that the masked modes hold at least.
    z_range : tuple of float
        First and last plane of the focus search in Å, ascending.
    z_steps : int
        Number of planes, in [1, 100 000], both ends included; with 1 only the first.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `probe`.

    Returns
    -------
    array, shape (pmode, ny, nx)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    Notes
    -----
    PtyRAD 1.0.0 centres the window half a pixel off the probe, and keeps the constant phase
    exp(i k dz) in its propagator, which costs float32 accuracy.

    References
    ----------
    C.-H. Lee et al., arXiv:2505.07814 (2025): PtyRAD, version 1.0.0.

    Examples
    --------
    A probe that is in focus, and a speck in the corner of its array:

    >>> import arraycon, numpy
    >>> y, x = numpy.indices((16, 16)) - 8
    >>> probe = numpy.exp(-(y**2 + x**2) / 4).astype(complex)[None]
    >>> probe[0, 0, 0] = 0.1
    >>> new = arraycon.probe_mask_r(probe, dx=0.2, wavelength=0.025, radius=0.8, z_steps=11)
    >>> abs(new[0, 8, 8]).round(3).item(), abs(new[0, 0, 0]).round(3).item()
    (1.0, 0.0)
    """
    xp = arrays.namespace(probe=probe)
    check.modes("probe", probe)
    options: dict[str, Any] = {
        "dx": check.number("dx", dx, above=0, unit="Å"),
        "wavelength": check.number("wavelength", wavelength, above=0, unit="Å"),
        "radius": check.number("radius", radius, low=0),
        "order": check.integer("order", order, low=1, high=limits.ORDER),
        "power_thresh": check.number("power_thresh", power_thresh, low=0, high=1),
        "z_range": check.ascending("z_range", z_range),
        "z_steps": check.integer("z_steps", z_steps, low=1, high=limits.PLANES),
    }
    check.output(out, "probe", probe)
    return dispatch.run(agnostic.probe_mask_r, probe, out=out, xp=xp, **options)
