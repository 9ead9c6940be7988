"""Filters of single slices by a mask on their spectra, periodic or mirrored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.fft import slices
from arraycon.kernels.cpu.tools.sums import as_real, squares
from arraycon.kernels.cpu.tools.volume import spectra

Work = Callable[[Any, Array, Any], None]
"""Filters a slice in place with an engine, and with memory of its own."""


def by_mask(obj: Array, mask: Array, sums: Array | None) -> Iterator[None]:
    """Multiply the periodic spectra of slices by a mask that is even in ky and kx.

    Parameters
    ----------
    obj : array, shape (..., ny, nx)
        Real or complex; changed in place.
    mask : array, shape (ny//2 + 1, nx//2 + 1)
        In the object's precision.
    sums : array, shape (1, 2), or None
        Where the sums of the change go.
    """
    planes = obj.reshape(-1, *obj.shape[-2:])
    if planes.dtype.kind == "c":
        # the rest of the frequencies kx, in the order that they have
        whole = np.concatenate([mask, mask[:, (planes.shape[2] - 1) // 2 : 0 : -1]], axis=1)
        yield from each(planes, lambda engine, x, _: engine.filter_complex(x, whole), sums)
        return
    memory, changes = spectra(planes), np.empty((len(planes), 2))

    def work(engine: Any, start: int, stop: int, spectrum: Array) -> None:
        for x in planes[start:stop]:
            engine.filter_real(x, mask, spectrum)

    def measure(engine: Any, start: int, stop: int, spectrum: Array) -> None:
        for i in range(start, stop):
            changes[i] = engine.filter_real_measured(planes[i], mask, spectrum)

    yield
    slices.run(work if sums is None else measure, planes, memory)
    if sums is not None:
        np.sum(changes, axis=0, out=sums[0])


def by_cosines(obj: Array, mask: Array, sums: Array | None) -> Iterator[None]:
    """Multiply the cosine spectra of slices by a mask (ny, nx): nothing wraps round."""
    planes = obj.reshape(-1, *obj.shape[-2:])

    def filter_real(engine: Any, x: Array, _: Any) -> None:
        engine.dct2_inplace(x)
        x *= mask
        engine.dct2_inplace(x, inverse=True)

    def filter_parts(engine: Any, x: Array, memory: Array) -> None:
        for part in (x.real, x.imag):
            memory[...] = part
            filter_real(engine, memory, None)
            part[...] = memory

    if planes.dtype.kind == "c":
        yield from each(planes, filter_parts, sums, lambda _: np.empty_like(planes[0].real))
    else:
        yield from each(planes, filter_real, sums)


def each(
    planes: Array,
    work: Work,
    sums: Array | None,
    memory: Callable[[Any], Any] = lambda _: None,
) -> Iterator[None]:
    """Call ``work(engine, x, memory)`` on each slice; where asked, compare it with its old values.

    Parameters
    ----------
    planes : array, shape (n, ny, nx)
    work : callable
    sums : array, shape (1, 2), or None
    memory : callable
        Makes, for an engine, the memory of one thread.
    """
    measured = sums is not None
    scratch = slices.memory(
        lambda engine: (memory(engine), np.empty_like(planes[0]) if measured else None), planes
    )
    changes = np.empty((len(planes), 2))

    def several(engine: Any, start: int, stop: int, own: tuple[Any, Array | None]) -> None:
        for i in range(start, stop):
            if own[1] is not None:
                own[1][...] = planes[i]
            work(engine, planes[i], own[0])
            if own[1] is not None:
                changes[i] = squares(as_real(planes[i]), as_real(own[1]))

    yield
    slices.run(several, planes, scratch)
    if sums is not None:
        np.sum(changes, axis=0, out=sums[0])
