"""Real filters of complex arrays."""

from __future__ import annotations

from collections.abc import Callable

from arraycon.kernels.common.arrays import Array, Namespace


def each(work: Callable[[Array], Array], obj: Array, *, xp: Namespace) -> Array:
    """Apply a function of a real array; to real and imaginary part of a complex one."""
    if not xp.isdtype(obj.dtype, "complex floating"):
        return work(obj)
    real, imag = (xp.astype(work(part), obj.dtype) for part in (xp.real(obj), xp.imag(obj)))
    return real + 1j * imag
