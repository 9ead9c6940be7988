"""Steps: a constraint as work on regions of arrays that are too large to be held at once.

A step looks at one region at a time. What it has to know of all of them it collects first: each
region gives a part, `combine` joins parts, `conclude` makes of them what the next steps share.
Parts are such that their order and number make no difference: counts, extremes, and numbers that
each lie in a place of their own in an array of zeros.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from arraycon.kernels.common.arrays import Array

Layout: TypeAlias = Literal["any", "slices", "columns"]
"""How arrays may be cut: anywhere, into whole slices, or into columns of full depth."""

Blocks: TypeAlias = dict[str, Array]
"""Arrays of one region by name; a step may change those that it writes in place."""

Shared: TypeAlias = Mapping[str, Any]
"""What earlier steps have concluded, by name."""


@dataclass(frozen=True)
class Like:
    """What is known of an array before it is read.

    Parameters
    ----------
    shape : tuple of int
    dtype : str
        Name of its dtype.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def single(self) -> bool:
        """Whether it has single precision."""
        return self.dtype in ("float32", "complex64")

    @property
    def is_complex(self) -> bool:
        """Whether it is complex."""
        return self.dtype.startswith("complex")

    @property
    def real(self) -> Like:
        """What is known of its modulus."""
        return Like(self.shape, "float32" if self.single else "float64")

    @property
    def complex(self) -> Like:
        """What is known of a complex array of its precision."""
        return Like(self.shape, "complex64" if self.single else "complex128")


@dataclass(frozen=True)
class Region:
    """Where a block lies in arrays of shape (..., nz, ny, nx); other axes are whole.

    Parameters
    ----------
    shape : tuple of int
        The whole arrays' nz, ny, nx.
    z, y : slice
        Slices and rows that the block has, its halo included.
    inner : slice
        Rows that count, from the block's first one: all but its halo.
    """

    shape: tuple[int, int, int]
    z: slice
    y: slice
    inner: slice = field(default_factory=lambda: slice(None))

    def of(self, shape: tuple[int, ...]) -> tuple[slice, ...]:
        """Index of its block in an array of a shape, (..., nz, ny, nx) or (ny, nx).

        Axes of size 1 that stand for all slices or rows are whole.
        """
        cuts = {-3: self.z, -2: self.y}
        return tuple(
            cuts[axis] if axis in cuts and shape[axis] == self.shape[axis] else slice(None)
            for axis in range(-len(shape), 0)
        )

    def without_halo(self) -> Region:
        """Return where the rows lie that count."""
        first, last, _ = self.inner.indices(self.y.stop - self.y.start)
        return Region(self.shape, self.z, slice(self.y.start + first, self.y.start + last))


@dataclass(frozen=True)
class Step:
    """One look at each region of some arrays.

    Parameters
    ----------
    layout : {"any", "slices", "columns"}
        How regions may be cut.
    reads, writes : tuple of str
        Arrays that are read and written.
    makes : mapping of str to Like
        Those of them that were not there before; each is kept until the last step that reads it.
    work : callable, optional
        Blocks, what is shared, and where the region lies, to new blocks by name. The blocks are its
        own: it may work in place and return the same arrays. What it returns under other names than
        those in `writes` is for `part` alone.
    part : callable, optional
        Of the blocks behind `work`: what `combine` joins over all regions.
    combine : callable
        Two parts to one, exactly and in any order.
    conclude : callable, optional
        All parts joined, and what is shared so far, to what is shared from now on.
    local : callable, optional
        Runs once behind `conclude`, where the small arrays are: these by name, and what is shared,
        to new small arrays. What it returns under other names than those in `small` is shared.
    small : tuple of str
        Small arrays that `local` reads or writes.
    halo : int
        Rows on either side that it needs beside those that it writes.
    spectrum : mapping of str to str
        Arrays that it replaces by their lateral spectra, with the names of these.
    linear_in_slices : bool
        Whether it is a linear filter of each slice by itself, the same for all of them, so that
        what is linear in depth gives the same in front of it and behind it.
    linear_in_depth : bool
        Whether it is a linear filter of each column by itself, the same for all of them, which
        gives the same behind a lateral transform as in front of it.
    scratch : float
        Memory that it takes beside the blocks, in blocks.
    """

    layout: Layout
    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()
    makes: Mapping[str, Like] = field(default_factory=dict)
    work: Callable[[Blocks, Shared, Region], Blocks] | None = None
    part: Callable[[Blocks, Shared, Region], Any] | None = None
    combine: Callable[[Any, Any], Any] = operator.add
    conclude: Callable[[Any, Shared], Mapping[str, Any]] | None = None
    local: Callable[[Mapping[str, Array], Shared], Mapping[str, Any]] | None = None
    small: tuple[str, ...] = ()
    halo: int = 0
    spectrum: Mapping[str, str] = field(default_factory=dict)
    linear_in_slices: bool = False
    linear_in_depth: bool = False
    scratch: float = 1.0
