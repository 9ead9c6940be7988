"""Binding: from the names that a step has for its arrays to those of the arrays themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from arraycon.kernels.common import arrays
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.steps import Blocks, Region, Shared, Step


@dataclass(frozen=True)
class Names:
    """Names inside a step and outside.

    Parameters
    ----------
    outside : mapping of str to str
        By the step's own names, those of the arrays.
    prefix : str
        In front of what it shares.
    kept : frozenset of str
        Its own names of arrays that it would change, and that are to stay as they are.
    """

    outside: Mapping[str, str]
    prefix: str = ""
    kept: frozenset[str] = frozenset()

    def blocks(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """Return arrays by the step's own names; copies of those that are to stay.

        What its work has made for its part alone has no name outside but this one with the prefix.
        """
        named = self.shared(given) if self.prefix else {}
        named.update({own: given[name] for own, name in self.outside.items() if name in given})
        return {
            own: arrays.copy(x, xp=arrays.namespace(array=x)) if own in self.kept else x
            for own, x in named.items()
        }

    def shared(self, given: Shared) -> dict[str, Any]:
        """Return what steps with the same prefix have shared."""
        return {
            name.removeprefix(self.prefix): value
            for name, value in given.items()
            if name.startswith(self.prefix)
        }

    def arrays(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the arrays' names of some of the step's, those that stay left out."""
        return tuple(self.outside[own] for own in names if own not in self.kept)

    def new(self, made: Mapping[str, Array]) -> dict[str, Array]:
        """Return what a step has made by the arrays' names."""
        return {
            self.outside.get(own, f"{self.prefix}{own}"): x
            for own, x in made.items()
            if own not in self.kept
        }


@dataclass(frozen=True)
class _Work:
    step: Step
    names: Names

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Blocks:
        assert self.step.work is not None
        own = self.step.work(self.names.blocks(blocks), self.names.shared(shared), region)
        return self.names.new(own)


@dataclass(frozen=True)
class _Part:
    step: Step
    names: Names

    def __call__(self, blocks: Blocks, shared: Shared, region: Region) -> Any:
        assert self.step.part is not None
        return self.step.part(self.names.blocks(blocks), self.names.shared(shared), region)


@dataclass(frozen=True)
class _Conclude:
    step: Step
    names: Names

    def __call__(self, total: Any, shared: Shared) -> Mapping[str, Any]:
        assert self.step.conclude is not None
        found = self.step.conclude(total, self.names.shared(shared))
        return {f"{self.names.prefix}{name}": value for name, value in found.items()}


@dataclass(frozen=True)
class _Local:
    step: Step
    names: Names

    def __call__(self, small: Mapping[str, Array], shared: Shared) -> Mapping[str, Any]:
        assert self.step.local is not None
        made = self.step.local(self.names.blocks(small), self.names.shared(shared))
        own = set(self.step.small)
        return {
            self.names.outside[name] if name in own else f"{self.names.prefix}{name}": value
            for name, value in made.items()
        }


def bind(step: Step, names: Names) -> Step:
    """Return a step on the arrays themselves.

    Parameters
    ----------
    step : Step
    names : Names
        With an array for each name that the step reads, writes or makes.
    """
    outside = names.outside
    return dataclasses.replace(
        step,
        reads=tuple(outside[name] for name in step.reads),
        writes=names.arrays(step.writes),
        makes={outside[name]: like for name, like in step.makes.items()},
        work=step.work and _Work(step, names),
        part=step.part and _Part(step, names),
        conclude=step.conclude and _Conclude(step, names),
        local=step.local and _Local(step, names),
        small=tuple(outside[name] for name in step.small),
        spectrum={outside[a]: outside[b] for a, b in step.spectrum.items()},
    )
