"""Passes: what the planner hands over to whoever runs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from arraycon.blocks import Block
from arraycon.constraints import Constraint
from arraycon.kernels.common.steps import Region, Step

Cut: TypeAlias = Literal["slices", "columns"]
"""How a pass cuts its arrays; what may be cut anywhere is cut as its neighbours are."""


@dataclass(frozen=True)
class Owner:
    """A constraint that steps belong to, which share what they conclude.

    Parameters
    ----------
    constraint : Constraint
    block : Block
        Its parameters, fitted to the state.
    targets : tuple of str
        Fields of the state that it changes, for its record.
    note : str
        Where less is done than the parameters ask for: what is done.
    """

    constraint: Constraint
    block: Block
    targets: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Bound:
    """A step whose names are those of the state's fields, and of temporary arrays.

    Parameters
    ----------
    owner : int
        Its place among the plan's owners; -1 for the plan's own, as of a complex object's parts.
    step : Step
    """

    owner: int
    step: Step


@dataclass(frozen=True)
class Pass:
    """Steps that one reading of some arrays serves, region by region.

    Parameters
    ----------
    cut : {"slices", "columns"}
    steps : tuple of Bound
        In order.
    size : int
        Slices or rows of one region, its halo not counted.
    shape : tuple of int
        The whole arrays' nz, ny, nx.
    reads, writes : tuple of str
        Arrays that are read from the store and written to it: those that a step writes and a later
        one in another pass, or the state, is to have.
    drops : tuple of str
        Temporary arrays that nobody reads behind it.
    """

    cut: Cut
    steps: tuple[Bound, ...]
    size: int
    shape: tuple[int, int, int]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    drops: tuple[str, ...] = ()

    @property
    def halo(self) -> int:
        """Rows on either side that regions have beside those that they write."""
        return max((bound.step.halo for bound in self.steps), default=0)

    def regions(self) -> Iterator[Region]:
        """Regions that together cover the arrays, in order."""
        nz, ny, _ = self.shape
        if self.cut == "slices":
            for start in range(0, nz, self.size):
                yield Region(self.shape, slice(start, min(start + self.size, nz)), slice(0, ny))
            return
        for start in range(0, ny, self.size):
            stop = min(start + self.size, ny)
            first, last = max(start - self.halo, 0), min(stop + self.halo, ny)
            inner = slice(start - first, stop - first)
            yield Region(self.shape, slice(0, nz), slice(first, last), inner)

    def __len__(self) -> int:
        """Return the number of regions."""
        nz, ny, _ = self.shape
        return -(-(nz if self.cut == "slices" else ny) // self.size)


@dataclass(frozen=True)
class Small:
    """A constraint that has small arrays alone, which runs as ever in one place."""

    owner: int
