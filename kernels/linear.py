"""Linear filters of the object: lateral and depth blurs, bands, wedge, notches, equal slices."""

from __future__ import annotations

from typing import Any

from arraycon.kernels.agnostic import linear as agnostic
from arraycon.kernels.agnostic.tools import notch
from arraycon.kernels.common import arrays, check, dispatch
from arraycon.kernels.common.arrays import Array

__all__ = [
    "grid_notch",
    "identical_slices",
    "obj_bandpass",
    "obj_gaussian",
    "obj_smooth",
    "obj_wedge",
]

_BOUNDARIES = ("mirror", "periodic")
# More harmonics than this are no grid: with a window of one bin they cover 316² of them.
_HARMONICS = 1e5


def obj_gaussian(
    obj: Array,
    *,
    dx: float,
    sigma: float = 0.2,
    sigma_z: float = 0.0,
    slice_thickness: float | None = None,
    boundary: str = "mirror",
    relax: float = 0.0,
    out: Array | None = None,
) -> Array:
    r"""Blur the object with a Gaussian of a width in Å, laterally and, if asked for, in depth.

    .. math::

        x' = r x + (1 - r)\, F^{-1}[F[x]\, T], \quad
        T = \exp(-2π^2 (σ^2 (q_y^2 + q_x^2) + σ_z^2 q_z^2))

    with spatial frequencies q in 1/Å. The Gaussian is not cut off, and the mean is kept.

    Parameters
    ----------
    obj : array, shape (..., ny, nx), float32, float64, complex64 or complex128
        With `sigma_z`, shape (..., nz, ny, nx). Real and imaginary part of a complex one are
        filtered alike.
    dx : float
        Pixel size in Å.
    sigma : float
        Lateral standard deviation σ in Å, ≥ 0; 0: none.
    sigma_z : float
        Standard deviation in depth in Å, ≥ 0; 0: none.
    slice_thickness : float, optional
        Distance between slices in Å, needed with `sigma_z`.
    boundary : {"mirror", "periodic"}
        ``mirror`` continues the object by its half-sample even extension (DCT), so that nothing
        wraps round; ``periodic`` joins opposite edges (FFT).
    relax : float
        Share r of the old values kept, in [0, 1]; 0: full effect.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    array, shape of `obj`

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    See Also
    --------
    obj_rblur, obj_zblur : with truncated taps, in pixels and slices.

    Notes
    -----
    phaser's ``obj_gaussian`` is ``periodic`` with ``relax = 1 - weight``; py4DSTEM's
    ``gaussian_filter_sigma`` (Å) and quantem's ``gaussian_sigma`` (px) are ``mirror``.

    References
    ----------
    phaser 0.3.1: C. Gilgenbach, M. Zhu and J. M. LeBeau, arXiv:2505.14372 (2025). py4DSTEM 0.14.18:
    G. Varnavides et al., arXiv:2309.05250 (2023). quantem 0.1.10.

    Examples
    --------
    >>> import arraycon, numpy
    >>> point = numpy.zeros((1, 9, 9))
    >>> point[0, 4, 4] = 1
    >>> blurred = arraycon.obj_gaussian(point, dx=0.1, sigma=0.1)
    >>> float(blurred.max().round(3)), float(blurred.sum().round(6))
    (0.159, 1.0)
    """
    xp = arrays.namespace(obj=obj)
    sigma_z = check.number("sigma_z", sigma_z, low=0)
    check.array("obj", obj, kind="floating", ndim=3 if sigma_z > 0 else 2)
    options: dict[str, Any] = {
        "dx": check.number("dx", dx, above=0),
        "sigma": check.number("sigma", sigma, low=0),
        "sigma_z": sigma_z,
        "slice_thickness": _thickness(slice_thickness, "sigma_z > 0" if sigma_z > 0 else ""),
        "boundary": check.choice("boundary", boundary, _BOUNDARIES),
        "relax": check.number("relax", relax, low=0, high=1),
    }
    check.output(out, "obj", obj)
    if options["relax"] == 1 or options["sigma"] == sigma_z == 0:
        return dispatch.unchanged((obj,), (out,), xp=xp)[0]
    return dispatch.run(agnostic.obj_gaussian, obj, out=out, xp=xp, **options)


def obj_bandpass(
    obj: Array,
    *,
    dx: float,
    q_lowpass: float | None = None,
    q_highpass: float | None = None,
    shape: str = "butterworth",
    order: float = 2.0,
    dims: str = "lateral",
    slice_thickness: float | None = None,
    boundary: str = "periodic",
    relax: float = 0.0,
    out: Array | None = None,
) -> Array:
    r"""Keep a band of spatial frequencies.

    .. math::

        x' = r x + (1 - r)\, F^{-1}[F[x]\, T], \quad
        T(q) = L(q; q_\mathrm{low})\, (1 - L(q; q_\mathrm{high})), \quad T(0) = 1

    where L is :math:`1/(1 + (q/q_c)^{2n})` (butterworth: ½ at the cut-off),
    :math:`\exp(-(q/q_c)^2/2)` (gaussian), or 1 up to and including :math:`q_c` and 0 beyond (hard);
    a part without a cut-off is 1. The mean is kept.

    Parameters
    ----------
    obj : array, shape (..., ny, nx), float32, float64, complex64 or complex128
        Over the volume, shape (..., nz, ny, nx). Real and imaginary part of a complex one are
        filtered alike.
    dx : float
        Pixel size in Å.
    q_lowpass, q_highpass : float, optional
        Cut-offs in 1/Å, > 0.
    shape : {"butterworth", "gaussian", "hard"}
        Shape of the edges.
    order : float
        Order n of a butterworth, in (0, 10⁶].
    dims : {"lateral", "volume"}
        Each slice by itself, or :math:`q^2 = q_z^2 + q_y^2 + q_x^2` over the last three axes, where
        only the mean of the volume is kept.
    slice_thickness : float, optional
        Distance between slices in Å, needed over the volume.
    boundary : {"periodic", "mirror"}
        ``periodic`` joins opposite edges (FFT); ``mirror`` continues the object by its half-sample
        even extension (DCT).
    relax : float
        Share r of the old values kept, in [0, 1]; 0: full effect.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    array, shape of `obj`

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    Notes
    -----
    py4DSTEM's and quantem's ``butterworth_order`` (2, and 4) is `order`. phaser's ``obj_low_pass``
    is ``hard`` with ``q_lowpass = max_freq/dx``.

    References
    ----------
    py4DSTEM 0.14.18: G. Varnavides et al., arXiv:2309.05250 (2023). quantem 0.1.10. phaser 0.3.1:
    C. Gilgenbach, M. Zhu and J. M. LeBeau, arXiv:2505.14372 (2025).

    Examples
    --------
    A wave of 0.5/Å, which is the cut-off:

    >>> import arraycon, numpy
    >>> wave = numpy.cos(2 * numpy.pi * 0.25 * numpy.arange(8)) * numpy.ones((1, 8, 1))
    >>> half = arraycon.obj_bandpass(wave, dx=0.5, q_lowpass=0.5)
    >>> float(wave.max()), float(half.max().round(6))
    (1.0, 0.5)
    """
    xp = arrays.namespace(obj=obj)
    dims = check.choice("dims", dims, ("lateral", "volume"))
    volume = dims == "volume"
    check.array("obj", obj, kind="floating", ndim=3 if volume else 2)
    options: dict[str, Any] = {
        "dx": check.number("dx", dx, above=0),
        "q_lowpass": check.optional_number("q_lowpass", q_lowpass, above=0),
        "q_highpass": check.optional_number("q_highpass", q_highpass, above=0),
        "shape": check.choice("shape", shape, ("butterworth", "gaussian", "hard")),
        "order": check.number("order", order, above=0, high=1e6),
        "dims": dims,
        "slice_thickness": _thickness(slice_thickness, "dims is volume" if volume else ""),
        "boundary": check.choice("boundary", boundary, _BOUNDARIES),
        "relax": check.number("relax", relax, low=0, high=1),
    }
    check.output(out, "obj", obj)
    none = options["q_lowpass"] is None and options["q_highpass"] is None
    if options["relax"] == 1 or none:
        return dispatch.unchanged((obj,), (out,), xp=xp)[0]
    return dispatch.run(agnostic.obj_bandpass, obj, out=out, xp=xp, **options)


def obj_wedge(
    obj: Array,
    *,
    dx: float,
    slice_thickness: float,
    semiangle: float = 25.0,
    q_floor: float = 0.0,
    boundary: str = "mirror",
    relax: float = 0.0,
    out: Array | None = None,
) -> Array:
    r"""Damp depth frequencies outside the cone that the data reach.

    .. math::

        x' = r x + (1 - r)\, F^{-1}[F[x]\, T], \quad T = \frac{2}{π} \arctan
        \frac{\tan^2 α\, (q_y^2 + q_x^2 + q_f^2)}{q_z^2}, \quad T(0) = 1

    over the last three axes: ½ where :math:`q_z = \tan α\, q_r`. With the probe's convergence
    semi-angle α this is the cone of the missing wedge. The total mean is kept, and without a floor
    all slices get the same mean. A single slice is not changed.

    Parameters
    ----------
    obj : array, shape (..., nz, ny, nx), float32, float64, complex64 or complex128
        Real and imaginary part of a complex one are filtered alike.
    dx, slice_thickness : float
        Pixel size and distance between slices in Å.
    semiangle : float
        α in mrad, in (0, 1570).
    q_floor : float
        Lateral frequency :math:`q_f` in 1/Å, ≥ 0, below which depth frequencies are no longer
        damped more.
    boundary : {"mirror", "periodic"}
        Of depth: ``mirror`` filters the half-sample even extension, so that top and bottom do not
        mix; laterally it is always periodic.
    relax : float
        Share r of the old values kept, in [0, 1]; 0: full effect.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    array, shape (..., nz, ny, nx)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    See Also
    --------
    kz_filter : the same in pixels, followed by a lateral Gaussian.

    Notes
    -----
    ``kz_filter(beta, alpha)`` is this filter with :math:`\tan α = dx/(\mathrm{beta}\, dz)` and
    :math:`q_f = \sqrt{10^{-3}}/dx`, then `obj_gaussian`, periodic, with
    :math:`σ = dx \sqrt{\mathrm{alpha}/2}/π`. py4DSTEM's ``kz_regularization_gamma`` has
    :math:`\tan α = dx/(γ\, dz)`.

    References
    ----------
    Z. Chen et al., Science 372, 826 (2021), and its code by way of fold_slice: K. Wakonig et al.,
    J. Appl. Cryst. 53, 574 (2020). py4DSTEM 0.14.18: G. Varnavides et al., arXiv:2309.05250 (2023).

    Examples
    --------
    What varies in depth alone is outside of the cone:

    >>> import arraycon, numpy
    >>> slices = numpy.zeros((2, 4, 4))
    >>> slices[0] = 1
    >>> means = arraycon.obj_wedge(slices, dx=0.2, slice_thickness=8).mean(axis=(1, 2))
    >>> means.round(6).tolist()
    [0.5, 0.5]
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="floating", ndim=3)
    options: dict[str, Any] = {
        "dx": check.number("dx", dx, above=0),
        "slice_thickness": check.number("slice_thickness", slice_thickness, above=0),
        "semiangle": check.number("semiangle", semiangle, above=0, below=1570),
        "q_floor": check.number("q_floor", q_floor, low=0),
        "boundary": check.choice("boundary", boundary, _BOUNDARIES),
        "relax": check.number("relax", relax, low=0, high=1),
    }
    check.output(out, "obj", obj)
    if options["relax"] == 1 or obj.shape[-3] == 1:
        return dispatch.unchanged((obj,), (out,), xp=xp)[0]
    return dispatch.run(agnostic.obj_wedge, obj, out=out, xp=xp, **options)


def grid_notch(
    obj: Array,
    *,
    dx: float,
    period: float | tuple[float, float],
    window: float = 2.0,
    direction: str = "xy",
    rotation: float = 0.0,
    relax: float = 0.0,
    out: Array | None = None,
) -> Array:
    r"""Remove the harmonics of a grid, such as that of the scan positions, from each slice.

    .. math:: x' = r x + (1 - r)\, F^{-1}[F[x]\, (1 - B)]

    B is 1 on the bins (i, j) within `window` of a harmonic (m, n) ≠ (0, 0) in either direction,

    .. math::

        h_y = n_y dx \left(\frac{m}{p_y} \cos θ - \frac{n}{p_x} \sin θ\right), \quad
        h_x = n_x dx \left(\frac{m}{p_y} \sin θ + \frac{n}{p_x} \cos θ\right)

    up to half the sampling frequency, distances taken round the end of the spectrum; the mean is
    never touched. The phase must not be wrapped.

    Parameters
    ----------
    obj : array, shape (..., ny, nx), float32, float64, complex64 or complex128
        Real and imaginary part of a complex one are filtered alike.
    dx : float
        Pixel size in Å.
    period : float or tuple of two floats
        Period p in Å, > 0; a pair is (y, x). It may have up to 10⁵ harmonics.
    window : float
        Half-width of the windows in bins of the spectrum, ≥ 0.
    direction : {"xy", "x", "y", "axes"}
        Harmonics removed: all; m = 0 (what repeats along x); n = 0; those with m·n = 0.
    rotation : float
        Angle θ of the grid in degrees.
    relax : float
        Share r of the old values kept, in [0, 1]; 0: full effect.
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
    pty-chi's ``remove_grid_artifacts`` and fold_slice's ``remove_grid_artifact``; their windows
    have one bin more on one side, and miss the last positive harmonic.

    References
    ----------
    Why grids leave traces: P. Thibault et al., Ultramicroscopy 109, 338 (2009). pty-chi 2.2.0: M.
    Du et al., arXiv:2510.20929 (2025). fold_slice: K. Wakonig et al., J. Appl. Cryst. 53, 574
    (2020).

    Examples
    --------
    Waves of four pixels, and nothing else but their mean:

    >>> import arraycon, numpy
    >>> grid = 1 + numpy.cos(2 * numpy.pi * numpy.arange(16) / 4) * numpy.ones((1, 16, 1))
    >>> clean = arraycon.grid_notch(grid, dx=0.1, period=0.4)
    >>> grid[0, 0, :4].round(6).tolist(), abs(clean[0, 0, :4]).round(6).tolist()
    ([2.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0])
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="floating", ndim=2)
    options: dict[str, Any] = {
        "dx": check.number("dx", dx, above=0),
        "period": check.per_axis("period", period, above=0),
        "window": check.number("window", window, low=0),
        "direction": check.choice("direction", direction, ("xy", "x", "y", "axes")),
        "rotation": check.number("rotation", rotation),
        "relax": check.number("relax", relax, low=0, high=1),
    }
    found = notch.harmonics(options["period"], options["dx"], options["direction"])
    if not found <= _HARMONICS:
        raise ValueError(
            f"period: expected at most {_HARMONICS:g} harmonics, got {found:g} for {period} Å"
        )
    check.output(out, "obj", obj)
    if options["relax"] == 1:
        return dispatch.unchanged((obj,), (out,), xp=xp)[0]
    return dispatch.run(agnostic.grid_notch, obj, out=out, xp=xp, **options)


def identical_slices(obj: Array, *, relax: float = 0.0, out: Array | None = None) -> Array:
    r"""Make all slices equal to their mean.

    .. math:: x'_z = r x_z + (1 - r) \frac{1}{n_z} \sum_{z'} x_{z'}

    The sum over slices, such as the projected phase, is kept.

    Parameters
    ----------
    obj : array, shape (..., nz, ny, nx), float32, float64, complex64 or complex128
    relax : float
        Share r of the old values kept, in [0, 1]; 0: full effect.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    array, shape (..., nz, ny, nx)

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    Notes
    -----
    py4DSTEM's and quantem's ``identical_slices``.

    References
    ----------
    py4DSTEM 0.14.18: G. Varnavides et al., arXiv:2309.05250 (2023). quantem 0.1.10.

    Examples
    --------
    >>> import arraycon, numpy
    >>> slices = numpy.array([1.0, 3.0]).reshape(2, 1, 1)
    >>> arraycon.identical_slices(slices).ravel().tolist()
    [2.0, 2.0]
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="floating", ndim=3)
    relax = check.number("relax", relax, low=0, high=1)
    check.output(out, "obj", obj)
    if relax == 1:
        return dispatch.unchanged((obj,), (out,), xp=xp)[0]
    return dispatch.run(agnostic.identical_slices, obj, out=out, xp=xp, relax=relax)


def obj_smooth(
    obj: Array, *, alpha: float = 0.02, relax: float = 0.0, out: Array | None = None
) -> Array:
    r"""Mix each pixel with its eight lateral neighbours.

    .. math::

        x' = r x + (1 - r) \left[(1 - 8α)\, x + α \sum_{\text{8 neighbours}} x\right]

    with edges replicated.

    Parameters
    ----------
    obj : array, shape (..., ny, nx), float32, float64, complex64 or complex128
    alpha : float
        Weight α of each neighbour, in [0, 1/8]; 0 changes nothing.
    relax : float
        Share r of the old values kept, in [0, 1]; 0: full effect.
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
    tike's and pty-chi's ``smoothness_constraint`` and fold_slice's ``reg_mu``, on the complex
    object. pty-chi has the middle of the kernel one pixel off, fold_slice pads with zeros.

    References
    ----------
    tike 0.26.0. pty-chi 2.2.0: M. Du et al., arXiv:2510.20929 (2025). fold_slice: K. Wakonig et
    al., J. Appl. Cryst. 53, 574 (2020).

    Examples
    --------
    >>> import arraycon, numpy
    >>> point = numpy.zeros((3, 3))
    >>> point[1, 1] = 1
    >>> arraycon.obj_smooth(point, alpha=0.1)[1].round(3).tolist()
    [0.1, 0.2, 0.1]
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="floating", ndim=2)
    alpha = check.number("alpha", alpha, low=0, high=1 / 8)
    relax = check.number("relax", relax, low=0, high=1)
    check.output(out, "obj", obj)
    if relax == 1 or alpha == 0:
        return dispatch.unchanged((obj,), (out,), xp=xp)[0]
    return dispatch.run(agnostic.obj_smooth, obj, out=out, xp=xp, alpha=alpha, relax=relax)


def _thickness(value: Any, why: str) -> float:
    """Return a distance between slices; where nothing needs it, any."""
    if value is None and why:
        raise ValueError(f"slice_thickness: expected a number > 0, because {why}, got None")
    return 1.0 if value is None else check.number("slice_thickness", value, above=0)
