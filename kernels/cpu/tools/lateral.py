"""Filters of single slices by a mask on their spectra, periodic or mirrored."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.scratch import scratch_memory
from arraycon.kernels.cpu.fft import slices
from arraycon.kernels.cpu.tools import alone, transfer
from arraycon.kernels.cpu.tools.compiled import kernel
from arraycon.kernels.cpu.tools.sums import as_real, keep_values, squares
from arraycon.kernels.cpu.tools.transfer import Transfer
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
    if (one_by_one := alone.filter_of(planes, mask)) is not None:
        yield from in_place(one_by_one, planes, sums)
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


def in_place(work: alone.Alone, planes: Array, sums: Array | None) -> Iterator[None]:
    """Filter slices one by one, in their own memory."""
    changes = np.zeros((len(planes), 2))
    yield
    for x, change in zip(planes, changes, strict=True):
        work(x, None if sums is None else change)
    if sums is not None:
        np.sum(changes, axis=0, out=sums[0])


def by_cosines(obj: Array, table: Transfer, sums: Array | None) -> Iterator[None]:
    """Multiply the cosine spectra of slices by a transfer function: nothing wraps round.

    For a single slice its rows are made when they are needed: a mask would be as large as that.
    """
    planes = obj.reshape(-1, *obj.shape[-2:])
    dtype = obj.real.dtype
    mask = transfer.mask(table, dtype) if len(planes) > 1 else np.empty((0, 0), dtype)
    by_parts, measured = planes.dtype.kind == "c", sums is not None
    # room for the real or the imaginary part
    memory = slices.memory(
        lambda _: scratch_memory(np.empty, planes.shape[1:] if by_parts else (0,), dtype),
        planes,
    )
    changes = np.zeros((len(planes), 2))

    def work(engine: Any, start: int, stop: int, part: Array) -> None:
        for i in range(start, stop):
            x = planes[i]
            for target in (x.real, x.imag) if by_parts else (x,):
                if by_parts:
                    part[...] = target
                values = part if by_parts else target
                engine.dct2_inplace(values)
                changes[i] += _multiply(values, mask, table, measured)
                engine.dct2_inplace(values, inverse=True)
                if by_parts:
                    target[...] = part

    yield
    slices.run(work, planes, memory)
    if sums is not None:
        # of a coefficient's square y² on this scale, the slice has y²/(4·ny·nx), and half of that
        # where a frequency is 0
        sums[0] = np.sum(changes, axis=0) / (4 * planes[0].size)


@kernel
def _multiply(x, mask, table, measured):
    """Multiply coefficients (ny, nx) by a mask, or by the rows of a table where it is empty.

    Return the sums of the change, zero frequencies half.
    """
    changed = before = 0.0
    old, made = np.empty(x.shape[1], x.dtype), np.empty((1, x.shape[1]), x.dtype)
    for y in range(x.shape[0]):
        row, factors = x[y], made[0]
        if mask.size:
            factors = mask[y]
        else:
            transfer.weights(made, y, table)
        if measured:
            keep_values(row, old)
        for i in range(row.size):
            row[i] *= factors[i]
        if measured:
            share = 0.5 if y == 0 else 1.0
            more, size = squares(row[1:], old[1:])
            first_more, first_size = squares(row[:1], old[:1])
            changed += share * (more + 0.5 * first_more)
            before += share * (size + 0.5 * first_size)
    return changed, before


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
    old_slice = functools.partial(scratch_memory, np.empty, planes.shape[1:], planes.dtype)
    memories = slices.memory(
        lambda engine: (memory(engine), old_slice() if measured else None), planes
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
    slices.run(several, planes, memories)
    if sums is not None:
        np.sum(changes, axis=0, out=sums[0])
