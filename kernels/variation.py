"""Total variation of the object."""

from __future__ import annotations

from typing import Any

from arraycon.kernels.agnostic import variation as agnostic
from arraycon.kernels.agnostic.tools.gradient import NORMS
from arraycon.kernels.common import arrays, check, dispatch, limits
from arraycon.kernels.common.arrays import Array

__all__ = ["obj_tv"]


def obj_tv(
    obj: Array,
    *,
    weight: float = 0.005,
    axes_weight: tuple[float, float, float] = (0.0, 1.0, 1.0),
    norm: str = "isotropic",
    solver: str = "fgp",
    n_iter: int = 50,
    relax: float = 0.0,
    out: Array | None = None,
) -> Array:
    r"""Reduce the total variation: flatten noise and keep edges.

    .. math::

        x' = r x + (1 - r)\, \arg\min_u \tfrac12 \sum |u - x|^2 + λ \sum R(D u), \quad
        D_a u = w_a (u_{i+1} - u_i)

    with 0 at the last index, over the axes a with :math:`w_a > 0`, and

    .. math::

        R = \sqrt{\textstyle\sum_a |D_a u|^2}, \quad
        R = \sqrt{|D_y u|^2 + |D_x u|^2} + |D_z u|, \quad
        R = \textstyle\sum_a |D_a u|

    for ``isotropic``, ``layered`` and ``anisotropic``. Moduli are those of complex numbers, so that
    the result of an object times :math:`\exp(iθ)` is the result times :math:`\exp(iθ)`. The minimum
    is approached by `n_iter` updates of the dual variable, which begins at 0; nothing stops them
    earlier, so that the result is the same everywhere. The sum of the object is kept.

    Parameters
    ----------
    obj : array, shape (..., ny, nx), float32, float64, complex64 or complex128
        With a weight of z, shape (..., nz, ny, nx).
    weight : float
        Weight λ ≥ 0, in units of the object: rad for a phase. 0 changes nothing.
    axes_weight : tuple of three floats
        Weights w ≥ 0 of the differences along (z, y, x). Without z each slice is treated by itself.
        With the distance between slices and the pixel size in the same unit, dx/slice_thickness for
        z is the gradient in space.
    norm : {"isotropic", "layered", "anisotropic"}
        What is summed up, R.
    solver : {"fgp", "chambolle"}
        Fast gradient projection, or Chambolle's fixed point as in py4DSTEM and scikit-image. After
        50 updates they are some 3·10⁻⁴ and 4·10⁻³ from the minimum.
    n_iter : int
        Number of updates, in [0, 10⁴]; 0 changes nothing.
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
    The kernels need memory for the dual variable beside the object: two arrays for each axis with a
    weight in ``fgp``, one in ``chambolle``. By slices that is four planes (two) for each thread;
    over the volume it is six times one object mode (three times), and some rows. With CuPy it is
    three arrays for each axis (two), of as many slices as make up 32 MB or a tenth of the object,
    or over the volume nine times one object mode (six times).

    py4DSTEM's ``tv_denoise_chambolle`` with ``eps = 0`` and ``max_num_iter = n_iter + 1`` is
    ``chambolle`` with `axes_weight` (1, 0, 0), or (1, 1, 1) in 3-D, and scikit-image's
    ``denoise_tv_chambolle`` likewise. A weight of the total variation in a loss function times the
    step of its optimizer is `weight`.

    References
    ----------
    L. Rudin, S. Osher, E. Fatemi, Physica D 60, 259 (1992). A. Chambolle, J. Math. Imaging Vis. 20,
    89 (2004). A. Beck, M. Teboulle, IEEE Trans. Image Process. 18, 2419 (2009). py4DSTEM 0.14.18:
    G. Varnavides et al., arXiv:2309.05250 (2023).

    Examples
    --------
    Of two plateaus each gives way by λ, divided by its width:

    >>> import arraycon, numpy
    >>> step = numpy.array([[0.0, 0, 0, 0, 1, 1, 1, 1]])
    >>> arraycon.obj_tv(step, weight=0.2).round(3).tolist()
    [[0.05, 0.05, 0.05, 0.05, 0.95, 0.95, 0.95, 0.95]]
    """
    xp = arrays.namespace(obj=obj)
    axes_weight = check.per_volume_axis("axes_weight", axes_weight, low=0)
    check.array("obj", obj, kind="floating", ndim=3 if axes_weight[0] > 0 else 2)
    options: dict[str, Any] = {
        "weight": check.number("weight", weight, low=0),
        "axes_weight": axes_weight,
        "norm": check.choice("norm", norm, NORMS),
        "solver": check.choice("solver", solver, ("fgp", "chambolle")),
        "n_iter": check.integer("n_iter", n_iter, low=0, high=limits.UPDATES),
        "relax": check.number("relax", relax, low=0, high=1),
    }
    check.output(out, "obj", obj)
    sizes = (1,) * (3 - obj.ndim) + tuple(obj.shape[-3:])
    varies = any(w > 0 and n > 1 for w, n in zip(axes_weight, sizes, strict=True))
    if not (varies and weight > 0 and n_iter > 0 and relax < 1):
        return dispatch.unchanged((obj,), (out,), xp=xp)[0]
    return dispatch.run(agnostic.obj_tv, obj, out=out, xp=xp, **options)
