"""Tasks: the steps of a pass on one region, from where its arrays are read to where they go."""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from arraycon.blockwise.files import Empty, Index
from arraycon.blockwise.stores import Source
from arraycon.blockwise.working import run_steps
from arraycon.kernels.common import arrays
from arraycon.kernels.common.steps import Blocks, Region, Step

resource: Any
try:
    import resource
except ImportError:  # Windows
    resource = None

Squares: TypeAlias = "tuple[Index, Any]"
"""Where a block lies, and per slice and row Σ|new - old|² and Σ|old|² of it."""


Target: TypeAlias = Any
"""Where a new version of an array goes, with its shape."""


@dataclass(frozen=True)
class Done:
    """What comes back from a region.

    Parameters
    ----------
    parts : list
        One for each step that has one.
    bytes_read, bytes_written : int
    changes : mapping of str to Squares
        Of the arrays that are compared.
    peak : int
        Most bytes that the process which did it has had so far.
    seconds : float
    """

    parts: list[Any]
    bytes_read: int
    bytes_written: int
    changes: Mapping[str, Squares]
    peak: int
    seconds: float


@dataclass(frozen=True)
class Task:
    """A pass, to be called with regions, from any process and as often as one likes.

    Parameters
    ----------
    steps : sequence of Step
    sources : mapping of str to Source
        What is read.
    targets : mapping of str to Numbers or Like
        Where what is written goes, which nobody reads before all of it is there; what is known of
        it where that is in the memory of whoever asks.
    shared : mapping
        What earlier passes have concluded.
    before : mapping of str to Source
        Earlier versions that new blocks are compared with.
    backend : {"numpy", "cupy"}
        Library of the blocks. CuPy's are on the current device: one for each process.
    """

    steps: Sequence[Step]
    sources: Mapping[str, Source]
    targets: Mapping[str, Target]
    shared: Mapping[str, Any]
    before: Mapping[str, Source] = field(default_factory=dict)
    backend: str = "numpy"

    def __call__(self, region: Region) -> Done:
        """Work on one region."""
        place = _PLACES[self.backend]()

        def leave(name: str, index: Index, block: Any) -> Any:
            block = place.here(block)
            self.targets[name].write(index, block)
            return block

        return self._work(region, place, leave)

    def kept(self, region: Region) -> tuple[Done, Blocks]:
        """Work on one region, and return the new blocks instead of writing them anywhere."""
        made: Blocks = {}

        def leave(name: str, _: Index, block: Any) -> Any:
            # a view would keep all that it was taken from
            made[name] = arrays.contiguous(block)
            return block

        return self._work(region, _PLACES[self.backend](), leave), made

    def _work(self, region: Region, place: Any, leave: Callable[[str, Index, Any], Any]) -> Done:
        start, moved, written = time.perf_counter(), 0, 0

        def read(name: str) -> Any:
            nonlocal moved
            block = _read(self.sources[name], region, place.empty)
            moved += block.nbytes
            return place.there(block)

        blocks, parts = run_steps(self.steps, tuple(self.targets), read, self.shared, region)
        own, changes = region.without_halo(), {}
        for name, target in self.targets.items():
            index = own.of(target.shape)
            block = leave(name, index, blocks.pop(name))
            written += block.nbytes
            if name in self.before:
                old = place.here(_read(self.before[name], own, place.empty))
                moved += old.nbytes
                changes[name] = (index[-3:-1], squares(place.here(block), old))
        return Done(parts, moved, written, changes, peak(), time.perf_counter() - start)


def _read(found: Source, region: Region, empty: Empty) -> Any:
    return found.read(region.of(found.shape), empty=empty)


def squares(new: Any, old: Any) -> Any:
    """Return Σ|new - old|² and Σ|old|² of each row of each slice, (2, z, y).

    Each row by itself, so that the sum of all is the same for all sizes of blocks.
    """
    leading = tuple(range(new.ndim - 3))
    found = np.empty((2, *new.shape[-3:-1]))
    for z in range(new.shape[-3]):  # a slice at a time: never a float64 block
        before = old[..., z, :, :]
        for i, each in enumerate((new[..., z, :, :] - before, before)):
            wide = np.abs(each) if each.dtype.kind == "c" else each
            found[i, z] = np.sum(np.square(wide, dtype=float), axis=(*leading, -1))
    return found


def peak() -> int:
    """Return the most bytes that this process has had in memory; 0 where that is not known."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # what `getrusage` gives begins with what the parent had when it made this process
        text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return 1024 * int(text.partition("VmHWM:")[2].split()[0])
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


class _Host:
    """Blocks as NumPy arrays."""

    empty = staticmethod(np.empty)

    def there(self, block: Any) -> Any:
        return block

    def here(self, block: Any) -> Any:
        return block


class _Device:
    """Blocks as CuPy arrays, by way of pinned host memory, which is copied at full speed."""

    def __init__(self) -> None:
        self._cupy = importlib.import_module("cupy")
        self.empty = importlib.import_module("cupyx").empty_pinned

    def there(self, block: Any) -> Any:
        return self._cupy.asarray(block)

    def here(self, block: Any) -> Any:
        if isinstance(block, np.ndarray):
            return block
        out = self.empty(block.shape, block.dtype)
        self._cupy.asnumpy(block, out=out)
        return out


_PLACES: dict[str, Any] = {"numpy": _Host, "cupy": _Device}
