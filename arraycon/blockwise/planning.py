"""Planning: from steps to as few passes over the arrays as they need."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from arraycon.blockwise import ordering, regions
from arraycon.blockwise.lowering import Lowered, Placed
from arraycon.kernels.common.steps import Layout, Like, Region, Step


@dataclass(frozen=True)
class Pass:
    """What is done in one look at each region.

    Parameters
    ----------
    layout : {"any", "slices", "columns"}
        How arrays are cut.
    steps : tuple of Placed
        Steps on regions, in order; those with a halo are the first ones.
    locals : tuple of Placed
        Steps whose `local` runs once behind all regions, in order.
    reads, writes : tuple of str
        Arrays that are read from the store, and written to it.
    drops : tuple of str
        Arrays that were made on the way and that nobody reads any more.
    regions : tuple of Region
        Empty where there is nothing on regions to do.
    bytes_read, bytes_written : int
    memory : int
        Bytes that each worker takes for the largest region.
    """

    layout: Layout
    steps: tuple[Placed, ...]
    locals: tuple[Placed, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    drops: tuple[str, ...]
    regions: tuple[Region, ...]
    bytes_read: int
    bytes_written: int
    memory: int

    @property
    def titles(self) -> tuple[str, ...]:
        """Names of the constraints, and ``object`` where it changes how it is held."""
        return tuple(dict.fromkeys(each.title for each in (*self.steps, *self.locals)))


@dataclass(frozen=True)
class Plan:
    """What an iteration does with arrays that do not fit.

    Parameters
    ----------
    lowered : Lowered
        Constraints, arrays, and steps in the schedule's order.
    passes : tuple of Pass
    limit : int
        Bytes that each worker may take.
    workers : int
    resident : bool
        Whether arrays stay in the memory of the workers between passes.
    """

    lowered: Lowered
    passes: tuple[Pass, ...]
    limit: int
    workers: int = 1
    resident: bool = False

    @property
    def bytes_read(self) -> int:
        """Bytes that all passes read."""
        return sum(each.bytes_read for each in self.passes)

    @property
    def bytes_written(self) -> int:
        """Bytes that all passes write."""
        return sum(each.bytes_written for each in self.passes)

    @property
    def memory(self) -> int:
        """Bytes that a worker takes for its blocks at most."""
        return max((each.memory for each in self.passes), default=0)

    @property
    def transposes(self) -> int:
        """How often the arrays are cut the other way: from slices to columns, or back."""
        cuts = [each.layout for each in self.passes if each.layout != "any" and each.regions]
        return sum(a != b for a, b in itertools.pairwise(cuts))

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [
            ("pass", "cut into", "blocks", "read", "written", "memory", "what")
        ]
        for i, each in enumerate(self.passes, 1):
            cut = each.layout if each.regions else "-"
            sizes = (each.bytes_read, each.bytes_written, each.memory)
            titles = ", ".join(each.titles)
            rows.append((str(i), cut, _blocks(each), *map(_megabytes, sizes), titles))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        where = ", in the workers' memory" if self.resident else ""
        lines.append(
            f"{_megabytes(self.bytes_read)} read, {_megabytes(self.bytes_written)} written{where}, "
            f"{self.transposes} transpose{'' if self.transposes == 1 else 's'}; "
            f"{workers} of {_megabytes(self.limit)}, {_megabytes(self.memory)} needed"
        )
        return "\n".join(lines)


def plan(
    lowered: Lowered,
    *,
    memory: int,
    workers: int = 1,
    apart: bool = False,
    resident: Collection[str] | None = None,
) -> Plan:
    """Arrange steps into passes, and cut each.

    Parameters
    ----------
    lowered : Lowered
    memory : int
        Bytes for the blocks of all workers together.
    workers : int
        How many have them.
    apart : bool
        Whether no two constraints share a pass, so that what each of them changes can be told.
    resident : collection of str, optional
        Arrays stay in the workers' memory between passes, and these are there at the beginning and
        to the end; by default all lie in files.

    Raises
    ------
    ValueError
        The memory is too small for some pass; says how much is needed.
    """
    steps = list(lowered.steps) if apart else ordering.behind_transforms(lowered.steps)
    groups, limit = _groups(steps, apart), memory // workers
    made = {name for placed in steps for name in placed.step.makes}
    kept = None if resident is None else _Kept(lowered.likes, resident)
    passes = []
    for i, group in enumerate(groups):
        later = [each.step for others in groups[i + 1 :] for each in others.steps]
        passes.append(_pass(group, later, made, lowered, workers, limit, kept))
    return Plan(lowered, tuple(passes), limit, workers, resident is not None)


class _Kept:
    """What arrays that stay in memory take of it, pass by pass.

    Parameters
    ----------
    likes : mapping of str to Like
    there : collection of str
        Those that are there at the beginning, and stay, as nothing of theirs may be lost.
    """

    def __init__(self, likes: Mapping[str, Like], there: Collection[str]) -> None:
        self._likes = likes
        self._before = frozenset(there)
        self._made: dict[str, Layout] = {}

    def take(
        self, layout: Layout, reads: Sequence[str], writes: Sequence[str], drops: Sequence[str]
    ) -> int:
        """Return how many bytes all workers together have beside the blocks of a pass."""
        given = [name for name in reads if name in self._before or name in self._made]
        # dask's chunks are cut as the user likes it
        moved = [name for name in given if _across(self._made.get(name, ""), layout)]
        found = self._size([*self._before, *self._made, *writes, *moved])
        self._made.update(dict.fromkeys(writes, layout))
        for name in drops:
            del self._made[name]
        return found

    def _size(self, names: Iterable[str]) -> int:
        return sum(regions.nbytes(self._likes[name]) for name in names)


def _across(before: str, now: Layout) -> bool:
    """Whether arrays that were cut in one way have to be exchanged to be cut in the other."""
    return (before == "columns") != (now == "columns") or not before


@dataclass
class _Group:
    layout: Layout
    steps: list[Placed]
    locals: list[Placed]


def _groups(steps: Sequence[Placed], apart: bool) -> list[_Group]:
    """Take what can run in one pass together, until nothing is left."""
    before = ordering.dependencies(steps)
    done: set[int] = set()
    groups = []
    while len(done) < len(steps):
        group, taken = _group(steps, before, done, apart)
        groups.append(group)
        done |= taken
    return groups


def _group(
    steps: Sequence[Placed], before: Sequence[set[int]], done: set[int], apart: bool
) -> tuple[_Group, set[int]]:
    """Take what one pass can do, and which steps these are."""
    group = _Group("any", [], [])
    taken: set[int] = set()
    for i, placed in enumerate(steps):
        if i in done or not before[i] <= done | taken:
            continue
        if apart and taken and placed.title != steps[min(taken)].title:
            break
        step = placed.step
        if step.work is None and step.part is None:
            group.locals.append(placed)
        elif not _fits(group, step) or _waits(i, steps, before, taken):
            continue
        else:
            group.steps.append(placed)
            group.layout = step.layout if group.layout == "any" else group.layout
            if step.local is not None:
                group.locals.append(placed)
        taken.add(i)
    return group, taken


def _waits(i: int, steps: Sequence[Placed], before: Sequence[set[int]], taken: set[int]) -> bool:
    """Whether a step needs what is concluded in the same pass, which is known behind it only."""
    own = (steps[j] for j in before[i] & taken if steps[j].owner == steps[i].owner)
    return any(each.step.conclude is not None or each.step.local is not None for each in own)


def _fits(group: _Group, step: Step) -> bool:
    """Whether a step can run on the blocks of a pass."""
    if step.layout != group.layout and "any" not in (step.layout, group.layout):
        return False
    # rows of a halo are right in front of what needs them, and only there
    return not step.halo or all(each.step.halo for each in group.steps)


def _pass(
    group: _Group,
    later: Sequence[Step],
    made: set[str],
    lowered: Lowered,
    workers: int,
    limit: int,
    kept: _Kept | None,
) -> Pass:
    if not group.steps:
        return Pass(group.layout, (), tuple(group.locals), (), (), (), (), 0, 0, 0)
    steps, likes = [each.step for each in group.steps], lowered.likes
    touched = dict.fromkeys(name for step in steps for name in (*step.reads, *step.writes))
    written = {name for step in steps for name in step.writes}
    reads = tuple(name for name in touched if regions.is_read(name, steps))
    live = {name for name in touched if regions.is_read(name, later, at_end=name not in made)}
    writes = tuple(name for name in touched if name in written & live)
    drops = tuple(name for name in reads if name in made - live)
    held = 0 if kept is None else kept.take(group.layout, reads, writes, drops)
    cut = regions.cut(
        group.layout,
        next(likes[name].shape[-3:] for name in touched if len(likes[name].shape) > 2),
        regions.working_set(group.layout, steps, writes, likes),
        limit,
        halo=max(step.halo for step in steps),
        held=-(-held // workers),
        # two for each of several workers, so that none waits long for the others
        least=1 if workers == 1 else workers if kept is not None else 2 * workers,
        what=" and ".join(dict.fromkeys(each.title for each in group.steps)),
    )
    return Pass(
        group.layout,
        tuple(group.steps),
        tuple(group.locals),
        reads,
        writes,
        drops,
        cut.regions,
        int(cut.overlap * sum(regions.nbytes(likes[name]) for name in reads)),
        sum(regions.nbytes(likes[name]) for name in writes),
        cut.memory,
    )


def _blocks(each: Pass) -> str:
    """Return the number of blocks and the size of the first one, in slices and rows."""
    if not each.regions:
        return "-"
    first = each.regions[0]
    nz, ny = first.z.stop - first.z.start, first.y.stop - first.y.start
    return f"{len(each.regions)} of {nz}x{ny}"


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.2f} MB"
