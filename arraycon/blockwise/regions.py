"""Regions: how large blocks may be in a limit of memory, and where they lie."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from arraycon.kernels.common.steps import Layout, Like, Region, Step

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)


def parse_memory(value: Any) -> int:
    """Return a number of bytes, given as one or as text such as ``"2GB"``.

    Raises
    ------
    TypeError, ValueError
        It is neither, or not positive.
    """
    expected = 'memory: expected a number of bytes or a text such as "2GB"'
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
        raise TypeError(f"{expected}, got {type(value).__name__}")
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match is None:
            raise ValueError(f"{expected}, got {value!r}")
        number, unit, binary = match.groups()
        power = "_kmgt".index(unit.lower()) if unit else 0
        size = float(number) * (1024**power if binary else _UNITS[unit.lower()])
    else:
        size = float(value)
    if not (math.isfinite(size) and size >= 1):
        raise ValueError(f"{expected}, got {value!r}")
    return int(size)


def nbytes(like: Like) -> int:
    """Size of an array in bytes."""
    return math.prod(like.shape) * np.dtype(like.dtype).itemsize


def is_read(name: str, steps: Sequence[Step], *, at_end: bool = False) -> bool:
    """Whether steps read an array as it is in front of them, or leave it for what comes then.

    Parameters
    ----------
    name : str
    steps : sequence of Step
    at_end : bool
        Whether it is of use behind the last of them.
    """
    for step in steps:
        if name in step.reads:
            return True
        if name in step.writes:
            return False
    return at_end


def working_set(
    layout: Layout, steps: Sequence[Step], writes: Sequence[str], likes: Mapping[str, Like]
) -> int:
    """Return the memory that a pass takes on a region that is everything.

    Parameters
    ----------
    layout : {"any", "slices", "columns"}
        A plane counts as often as there are slices where these are cut apart.
    steps : sequence of Step
        Of the pass, in order.
    writes : sequence of str
        Arrays whose blocks are kept to its end.
    likes : mapping of str to Like
    """
    names = {name for step in steps for name in (*step.reads, *step.writes)}
    nz = max(likes[name].shape[-3] for name in names if len(likes[name].shape) > 2)
    planes = 1 if layout == "columns" else nz
    size = {
        name: nbytes(likes[name]) * (1 if len(likes[name].shape) > 2 else planes) for name in names
    }
    held: set[str] = set()
    most = 0
    for i, step in enumerate(steps):
        own = {*step.reads, *step.writes}
        held |= own
        work = int(step.scratch * max((size[name] for name in own), default=0))
        most = max(most, sum(size[name] for name in held) + work)
        held = {name for name in held if is_read(name, steps[i + 1 :], at_end=name in writes)}
    return most


class Cut(NamedTuple):
    """Regions of a pass.

    Parameters
    ----------
    regions : tuple of Region
    memory : int
        Bytes that work on the largest of them takes, with what a worker holds beside it.
    overlap : float
        How often each row is read.
    """

    regions: tuple[Region, ...]
    memory: int
    overlap: float = 1.0


def cut(
    layout: Layout,
    shape: Sequence[int],
    whole: int,
    limit: int,
    *,
    halo: int = 0,
    held: int = 0,
    least: int = 1,
    what: str = "",
) -> Cut:
    """Cut arrays into regions.

    Parameters
    ----------
    layout : {"any", "slices", "columns"}
    shape : sequence of int
        nz, ny, nx.
    whole : int
        Bytes that work on everything at once would take.
    limit : int
        Bytes that there are.
    halo : int
        Rows on either side that are needed beside those that count.
    held : int
        Bytes of them that are taken already.
    least : int
        How many regions there are at least, as far as there are as many slices or rows.
    what : str
        Whose pass it is, for the error.

    Raises
    ------
    ValueError
        Not even one slice or one row fits; says what would.
    """
    nz, ny, nx = shape
    free = limit - held
    if layout == "columns":
        row = -(-whole // ny)
        needed = min(row * (1 + 2 * halo), whole)
        _require(free >= needed, held + needed, limit, "one row of all slices", what)
        many = ny if least == 1 and free >= whole else max(free // row - 2 * halo, 1)
        found = _rows((nz, ny, nx), slice(0, nz), min(many, -(-ny // least)), halo)
        rows = [region.y.stop - region.y.start for region in found]
        return Cut(tuple(found), held + row * max(rows), sum(rows) / ny)
    plane = -(-whole // nz)
    many = _even(nz, min(max(free, 0) // plane, -(-nz // least)))
    if many >= 1 and (layout == "slices" or least <= nz):
        cuts = (slice(z, min(z + many, nz)) for z in range(0, nz, many))
        found = [Region((nz, ny, nx), z, slice(0, ny)) for z in cuts]
        return Cut(tuple(found), held + plane * many)
    _require(layout == "any", held + plane, limit, "one slice", what)
    row = -(-plane // ny)
    many = min(free // row, -(-ny * nz // least), ny)
    _require(many >= 1, held + row, limit, "one row", what)
    cuts = (slice(z, z + 1) for z in range(nz))
    found = [region for z in cuts for region in _rows((nz, ny, nx), z, many, 0)]
    return Cut(tuple(found), held + row * many)


def _even(n: int, most: int) -> int:
    """Return how many of n to take at a time, so that the last time is no leftover."""
    return -(-n // -(-n // most)) if most else 0


def _rows(shape: tuple[int, int, int], z: slice, rows: int, halo: int) -> list[Region]:
    ny, found = shape[1], []
    rows = _even(ny, rows)
    for start in range(0, ny, rows):
        stop = min(start + rows, ny)
        first, last = max(start - halo, 0), min(stop + halo, ny)
        inner = slice(start - first, stop - first) if halo else slice(None)
        found.append(Region(shape, z, slice(first, last), inner))
    return found


def _require(fits: bool, needed: int, limit: int, unit: str, what: str) -> None:
    if not fits:
        raise ValueError(
            f"memory: expected at least {_ceiling(needed)} for each worker, which {unit} takes in "
            f"{what or 'a pass'}, got {limit / 1e6:.3g} MB"
        )


def _ceiling(size: int) -> str:
    """Write a size that is enough: rounded up."""
    step = 10 ** max(len(str(size)) - 3, 0)
    return f"{-(-size // step) * step / 1e6:.3g} MB"
