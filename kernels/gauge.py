"""Freedoms of the model that the intensities do not fix: phase ramps, object modes, scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

from arraycon.kernels.agnostic import gauge as agnostic
from arraycon.kernels.common import arrays, check, dispatch
from arraycon.kernels.common.arrays import Array

__all__ = ["obj_probe_scale", "ortho_omode", "phase_ramp"]


@overload
def ortho_omode(
    obj: Array, *, return_rotation: Literal[False] = ..., out: Array | None = ...
) -> Array: ...
@overload
def ortho_omode(
    obj: Array, *, return_rotation: Literal[True], out: Array | None = ...
) -> tuple[Array, Array]: ...
def ortho_omode(
    obj: Array, *, return_rotation: bool = False, out: Array | None = None
) -> Array | tuple[Array, Array]:
    r"""Make the object modes orthogonal by a unitary mix, strongest first.

    :math:`O' = U O` with the unitary of `ortho_pmode`, its phases fixed as there. The sum of
    intensities over object modes is kept.

    Parameters
    ----------
    obj : array, shape (omode, 1, ny, nx), complex64 or complex128
        Object modes of one slice.
    return_rotation : bool
        Also return the unitary, so that an optimiser's moments can follow.
    out : array, optional
        Array for the result, of the same shape and dtype; may be `obj`.

    Returns
    -------
    obj : array, shape (omode, 1, ny, nx)
    rotation : array, shape (omode, omode)
        Only with `return_rotation`: the unitary U with ``O' = U O``.

    Raises
    ------
    TypeError, ValueError
        `obj` is not a complex array of that shape, or `out` does not match it. With several slices
        a mix is no freedom of the model: the intensities would change.

    Notes
    -----
    PtyLab 0.3.7 (``nosm`` > 1) mixes slice by slice; with six slices that changed the intensities
    29-fold.

    References
    ----------
    P. Thibault and A. Menzel, Nature 494, 68 (2013). PtyLab: L. Loetgering et al., Opt. Express 31,
    13763 (2023).

    Examples
    --------
    Two modes that differ by a factor only are one:

    >>> import arraycon, numpy
    >>> modes = numpy.array([[[[1, 1j]]], [[[2, 2j]]]])
    >>> new = arraycon.ortho_omode(modes)
    >>> (abs(new) ** 2).sum(axis=(1, 2, 3)).round(6).tolist()
    [10.0, 0.0]
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="complex")
    if obj.ndim != 4 or obj.shape[1] != 1:
        shape = tuple(obj.shape)
        raise ValueError(f"obj: expected shape (omode, 1, ny, nx), got shape {shape}")
    check.output(out, "obj", obj)
    if arrays.is_empty(obj):
        rotation = xp.eye(obj.shape[0], dtype=obj.dtype, device=arrays.device(obj))
        result = dispatch.unchanged((obj,), (out,), xp=xp)[0]
    else:
        result, rotation = dispatch.run_several(agnostic.ortho_omode, (obj,), outs=(out,), xp=xp)
    return (result, rotation) if return_rotation else result


def obj_probe_scale(
    amplitude: Array,
    probe: Array,
    weight: Array | None = None,
    *,
    target: float = 1.0,
    relax: float = 0.0,
    out: Sequence[Array | None] | None = None,
) -> tuple[Array, Array, Array]:
    r"""Fix the scale that object and probe share.

    Each slice is divided by a factor, and the probe multiplied by the product of all:

    .. math::

        n_z = \sqrt{\overline{\sum W A_z^2 / \sum W}}, \quad f_z = (n_z/t)^{1-r}, \quad
        A_z' = A_z/f_z, \quad P' = P \prod_z f_z

    with the mean over object modes, and sums in float64; :math:`f_z = 1` where :math:`n_z` or the
    sum of weights is 0. Exit waves, and so the intensities, are unchanged.

    Parameters
    ----------
    amplitude : array, shape (..., nz, ny, nx), float32 or float64
        Modulus of the object.
    probe : array, shape (pmode, ny, nx), complex64 or complex128
    weight : array, bool, float32 or float64, optional
        Weights W ≥ 0 that fit (nz, ny, nx), such as the illumination; by default 1 everywhere.
    target : float
        Root mean square t > 0 that each slice gets.
    relax : float
        Exponent r of the old scale that is kept, in [0, 1]; 0: full effect.
    out : tuple of two arrays, optional
        Arrays for amplitude and probe; may be the inputs.

    Returns
    -------
    amplitude, probe : array
    factor : array, shape (nz,), float64
        What each slice was divided by. It stays on the device.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    Notes
    -----
    fold_slice's and pty-chi's ``remove_object_probe_ambiguity``; tike's with `target` 0.5. pty-chi
    divides its weights by their rms, which turns an amplitude of 1 into 1.225.

    References
    ----------
    fold_slice: K. Wakonig et al., J. Appl. Cryst. 53, 574 (2020), as extended by Y. Jiang. pty-chi
    2.2.0: M. Du et al., arXiv:2510.20929 (2025). tike 0.26.0.

    Examples
    --------
    >>> import arraycon, numpy
    >>> amplitude, probe = numpy.full((1, 2, 4, 4), 2.0), numpy.ones((1, 3, 3), complex)
    >>> amplitude, probe, factor = arraycon.obj_probe_scale(amplitude, probe)
    >>> float(amplitude[0, 0, 0, 0]), complex(probe[0, 0, 0]), factor.tolist()
    (1.0, (4+0j), [2.0, 2.0])
    """
    named = {"amplitude": amplitude, "probe": probe}
    weights = {} if weight is None else {"weight": weight}
    xp = arrays.namespace(**named, **weights)
    check.array("amplitude", amplitude, kind="real", ndim=3)
    check.modes("probe", probe)
    check.weights("weight", weight, amplitude, ndim=3)
    target = check.number("target", target, above=0)
    relax = check.number("relax", relax, low=0, high=1)
    changed, outs = tuple(named.values()), check.outputs(out, named)
    if any(map(arrays.is_empty, changed)):
        dtype = arrays.wide(amplitude, xp=xp)
        factor = xp.ones(amplitude.shape[-3], dtype=dtype, device=arrays.device(amplitude))
        results = (*dispatch.unchanged(changed, outs, xp=xp), factor)
    else:
        options: dict[str, Any] = {"target": target, "relax": relax}
        results = dispatch.run_several(
            agnostic.obj_probe_scale, changed, *weights.values(), outs=outs, xp=xp, **options
        )
    return results[0], results[1], results[2]


def phase_ramp(
    phase: Array,
    weight: Array | None = None,
    probe: Array | None = None,
    *,
    terms: str = "ramp",
    method: str = "plane",
    relax: float = 0.0,
    out: Sequence[Array | None] | None = None,
) -> tuple[Array, Array | None, Array]:
    r"""Remove a plane from the phase of each slice.

    One plane :math:`c + g_y y + g_x x` for all object modes, measured from pixel
    (ny//2, nx//2), is subtracted everywhere, and the probe turned the other way:

    .. math::

        φ_z' = φ_z - (1-r)(c_z + g_{z} \cdot r), \qquad P' = P\, e^{i (1-r) \sum_z g_z \cdot r}

    so that intensities are unchanged with one slice, and to first order with several. ``plane`` is
    the weighted least-squares fit; ``gradient``, for phases that may be wrapped, takes

    .. math:: g_y = \arg \sum w(y)\, w(y+1)\, e^{i (φ(y+1) - φ(y))}, \quad
              c = \arg \sum w\, e^{i (φ - g \cdot r)}

    Parameters
    ----------
    phase : array, shape (..., nz, ny, nx), float32 or float64
        Phase in rad.
    weight : array, bool, float32 or float64, optional
        Weights w ≥ 0 that fit (nz, ny, nx), such as the illuminated region; by default 1
        everywhere. A slice without weight is unchanged.
    probe : array, shape (pmode, ny, nx), complex64 or complex128, optional
    terms : {"ramp", "offset"}
        ``offset`` removes the constant alone.
    method : {"plane", "gradient"}
        First or second way to fit.
    relax : float
        Share r of the plane that is kept, in [0, 1]; 0: full effect.
    out : tuple of two arrays, optional
        Arrays for phase and probe; may be the inputs.

    Returns
    -------
    phase : array
    probe : array or None
        None without a probe.
    slope : array, shape (nz, 3), float64
        What was fitted: c in rad, and g_y and g_x in rad/px. It stays on the device.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind, shape or range; the message names it.

    Notes
    -----
    phaser 0.3.1's ``remove_phase_ramp`` is ``plane`` without the probe.

    References
    ----------
    M. Guizar-Sicairos et al., Opt. Express 19, 21345 (2011). phaser: C. Gilgenbach, M. Zhu and J.
    M. LeBeau, arXiv:2505.14372 (2025).

    Examples
    --------
    >>> import arraycon, numpy
    >>> ramp = 0.1 + 0.02 * numpy.arange(-2, 2.0)[None, :] * numpy.ones((1, 4, 1))
    >>> flat, _, slope = arraycon.phase_ramp(ramp)
    >>> (slope.round(12) + 0.0).tolist()
    [[0.1, 0.0, 0.02]]
    """
    others = {"probe": probe, "weight": weight}
    named = {"phase": phase} | {name: x for name, x in others.items() if x is not None}
    xp = arrays.namespace(**named)
    check.array("phase", phase, kind="real", ndim=3)
    if probe is not None:
        check.modes("probe", probe)
    check.weights("weight", weight, phase, ndim=3)
    options: dict[str, Any] = {
        "terms": check.choice("terms", terms, ("ramp", "offset")),
        "method": check.choice("method", method, ("plane", "gradient")),
        "relax": check.number("relax", relax, low=0, high=1),
        "counter_probe": probe is not None,
    }
    read = [] if weight is None else [named.pop("weight")]
    if probe is None:
        outs = check.outputs(out, {"phase": phase, "probe": phase})[:1]
    else:
        outs = check.outputs(out, named)
    changed = tuple(named.values())
    if any(map(arrays.is_empty, changed)):
        dtype = arrays.wide(phase, xp=xp)
        slope = xp.zeros((phase.shape[-3], 3), dtype=dtype, device=arrays.device(phase))
        results = (*dispatch.unchanged(changed, outs, xp=xp), slope)
    else:
        results = dispatch.run_several(
            agnostic.phase_ramp, changed, *read, outs=outs, xp=xp, **options
        )
    return results[0], None if probe is None else results[1], results[-1]
