"""A complex object as amplitude and phase, and back; no constraint, but what they work on."""

from __future__ import annotations

from collections.abc import Sequence

from arraycon.kernels.agnostic import polar as agnostic
from arraycon.kernels.common import arrays, check, dispatch
from arraycon.kernels.common.arrays import Array

__all__ = ["amplitude", "follow", "join", "phase", "split", "with_amplitude", "with_phase"]


def split(obj: Array, *, out: Sequence[Array | None] | None = None) -> tuple[Array, Array]:
    r"""Return modulus and phase of a complex object, each slice's phase about its own mean.

    .. math::

        A = |O|, \quad φ = φ_z + \arg(O e^{-iφ_z}), \quad φ_z = \arg \sum_{y,x} O

    with one reference phase :math:`φ_z` for each slice and each leading index, its sum accumulated
    in float64: the first slice's in (-π, π], each further one on the branch nearest to the one
    before. So a global phase, or one that drifts with depth, puts no cut through a slice. A
    reference phase is 0, on the nearest branch, where the sum is 0 or not finite; NaN in one pixel
    does not reach another one.

    Parameters
    ----------
    obj : array, shape (..., nz, ny, nx), complex64 or complex128
    out : tuple of two arrays, optional
        Arrays for amplitude and phase, real of the same precision.

    Returns
    -------
    amplitude, phase : array, shape (..., nz, ny, nx), float32 or float64
        Modulus, and phase in rad within π of the slice's reference phase.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or shape; the message names it.

    Examples
    --------
    >>> import numpy
    >>> from arraycon.kernels import polar
    >>> obj = numpy.exp(1j * numpy.linspace(2, 4, 8).reshape(1, 2, 4))
    >>> amplitude, phase = polar.split(obj)
    >>> float(phase.max().round(6))  # numpy.angle would wrap it to -2.283185
    4.0
    """
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="complex", ndim=3)
    dtype = arrays.real_dtype(obj, xp=xp)
    outs = check.outputs(out, {"amplitude": obj, "phase": obj}, dtype=dtype)
    parts = dispatch.run_into(agnostic.split, obj, dtypes=(dtype, dtype), outs=outs, xp=xp)
    return parts[0], parts[1]


def amplitude(obj: Array, *, out: Array | None = None) -> Array:
    r"""Return the modulus of a complex object, as `split` does, without its phase.

    .. math:: A = |O|

    Parameters
    ----------
    obj : array, shape (..., nz, ny, nx), complex64 or complex128
    out : array, optional
        Array for the result, real of the same precision.

    Returns
    -------
    array, shape (..., nz, ny, nx), float32 or float64

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or shape; the message names it.
    """
    return _part(agnostic.amplitude, obj, out)


def phase(obj: Array, *, out: Array | None = None) -> Array:
    r"""Return the phase of a complex object, as `split` does, without its modulus.

    .. math:: φ = φ_z + \arg(O e^{-iφ_z}), \quad φ_z = \arg \sum_{y,x} O

    Parameters
    ----------
    obj : array, shape (..., nz, ny, nx), complex64 or complex128
    out : array, optional
        Array for the result, real of the same precision.

    Returns
    -------
    array, shape (..., nz, ny, nx), float32 or float64
        Phase in rad within π of the slice's reference phase.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or shape; the message names it.
    """
    return _part(agnostic.phase, obj, out)


def join(amplitude: Array, phase: Array, *, out: Array | None = None) -> Array:
    r"""Return the complex object of an amplitude and a phase.

    .. math:: O = A e^{iφ}

    Parameters
    ----------
    amplitude, phase : array, shape (..., nz, ny, nx), float32 or float64
        Modulus and phase (rad).
    out : array, optional
        Array for the object, complex of the same precision.

    Returns
    -------
    array, shape (..., nz, ny, nx), complex64 or complex128

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or shape; the message names it.
    """
    xp = arrays.namespace(amplitude=amplitude, phase=phase)
    check.array("amplitude", amplitude, kind="real", ndim=3)
    check.same("phase", phase, "amplitude", amplitude)
    dtype = arrays.complex_dtype(amplitude, xp=xp)
    check.output(out, "amplitude", amplitude, dtype=dtype)
    parts = amplitude, phase
    return dispatch.run_into(agnostic.join, *parts, dtypes=(dtype,), outs=(out,), xp=xp)[0]


def follow(
    amplitude: Array, phase: Array, obj: Array, *, out: Sequence[Array | None] | None = None
) -> tuple[Array, Array]:
    r"""Return modulus and phase of an object that amplitude and phase have become.

    .. math:: A' = |O'|, \quad φ' = φ + \arg(O' e^{-iφ})

    So each pixel's phase is on the branch nearest to the one it was on: 3.5 rad stays 3.5 rad.
    Where the object is 0 the phase stays.

    Parameters
    ----------
    amplitude, phase : array, shape (..., nz, ny, nx), float32 or float64
        Modulus (which only says what array the new one goes to) and phase (rad) before.
    obj : array, shape (..., nz, ny, nx), complex of the same precision
        The object now.
    out : tuple of two arrays, optional
        Arrays for amplitude and phase; may be those of before.

    Returns
    -------
    amplitude, phase : array, shape (..., nz, ny, nx), float32 or float64

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or shape; the message names it.

    Examples
    --------
    >>> import numpy
    >>> from arraycon.kernels import polar
    >>> phase = numpy.full((1, 1, 2), 3.5)
    >>> new = polar.follow(numpy.ones_like(phase), phase, 2 * numpy.exp(1j * phase))
    >>> float(new[0].max().round(6)), float(new[1].max().round(6))
    (2.0, 3.5)
    """
    xp = arrays.namespace(amplitude=amplitude, phase=phase, obj=obj)
    check.array("amplitude", amplitude, kind="real", ndim=3)
    check.same("phase", phase, "amplitude", amplitude)
    check.same("obj", obj, "amplitude", amplitude, dtype=arrays.complex_dtype(amplitude, xp=xp))
    parts = {"amplitude": amplitude, "phase": phase}
    outs = check.outputs(out, parts)
    changed = (amplitude, phase)
    new = dispatch.run_several(agnostic.follow, changed, obj, outs=outs, xp=xp, elementwise=True)
    return new[0], new[1]


def with_amplitude(obj: Array, amplitude: Array, *, out: Array | None = None) -> Array:
    r"""Return a complex object with another modulus: what `join` makes of it and the old phase.

    .. math:: O' = A e^{i \arg O}

    Parameters
    ----------
    obj : array, shape (..., nz, ny, nx), complex64 or complex128
        Where it is 0 its phase is 0.
    amplitude : array, shape (..., nz, ny, nx), float32 or float64
        Modulus, real of the same precision.
    out : array, optional
        Array for the object; may be `obj`.

    Returns
    -------
    array, shape (..., nz, ny, nx), complex64 or complex128

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or shape; the message names it.
    """
    return _with_part(agnostic.with_amplitude, obj, "amplitude", amplitude, out)


def with_phase(obj: Array, phase: Array, *, out: Array | None = None) -> Array:
    r"""Return a complex object with another phase: what `join` makes of it and the old modulus.

    .. math:: O' = |O| e^{iφ}

    Parameters
    ----------
    obj : array, shape (..., nz, ny, nx), complex64 or complex128
    phase : array, shape (..., nz, ny, nx), float32 or float64
        Phase in rad, real of the same precision.
    out : array, optional
        Array for the object; may be `obj`.

    Returns
    -------
    array, shape (..., nz, ny, nx), complex64 or complex128

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or shape; the message names it.
    """
    return _with_part(agnostic.with_phase, obj, "phase", phase, out)


def _part(reference: dispatch.Reference, obj: Array, out: Array | None) -> Array:
    xp = arrays.namespace(obj=obj)
    check.array("obj", obj, kind="complex", ndim=3)
    dtype = arrays.real_dtype(obj, xp=xp)
    check.output(out, "obj", obj, dtype=dtype)
    return dispatch.run_into(reference, obj, dtypes=(dtype,), outs=(out,), xp=xp)[0]


def _with_part(
    reference: dispatch.Reference, obj: Array, name: str, part: Array, out: Array | None
) -> Array:
    xp = arrays.namespace(obj=obj, **{name: part})
    check.array("obj", obj, kind="complex", ndim=3)
    check.same(name, part, "obj", obj, dtype=arrays.real_dtype(obj, xp=xp))
    check.output(out, "obj", obj)
    read = obj, part
    outs, dtypes = (out,), (obj.dtype,)
    return dispatch.run_into(reference, *read, dtypes=dtypes, outs=outs, xp=xp, elementwise=True)[0]
