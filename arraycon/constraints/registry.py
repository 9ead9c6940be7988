"""Registry: what is known of each constraint, and which there are."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from arraycon.blocks import Block
from arraycon.constraints.order import ORDER, arrange
from arraycon.constraints.wiring import OBJECT, Calls, Kernel, Memory, Names, Prepare, RunInto

Advice: TypeAlias = Callable[[str, Mapping[str, Block], frozenset[str]], list[str]]
"""From a constraint's name, all blocks, and the names of those that were given, to warnings."""

Layout: TypeAlias = Literal["any", "slices", "columns", "whole"]
"""How an object may be cut: anywhere, into groups of whole slices, into columns of full depth, or
not at all. Object modes stay together."""

Layouts: TypeAlias = Callable[[Any], tuple[Layout, ...]]
"""From a block to how each pass over the object may cut it."""

Smooths: TypeAlias = Callable[[Any], tuple[Literal["laterally", "z"], ...]]
"""Where a block is a low-pass: two of them one after the other are hardly ever meant."""

_HERE = __name__.rpartition(".")[0]
_reserved = {name for name in dir(BaseModel) if not name.startswith("_")}


@dataclass(frozen=True)
class Constraint:
    """What one constraint is.

    Parameters
    ----------
    name : str
        Key in parameter files.
    model : type of Block
        Its parameters.
    run : callable
        Inputs, block and arrays to write into, to an `Outcome`.
    needs, writes : callable
        From a block to the fields of the state that it reads, and to those that it changes.
    prepare : callable or None
        As `run`, for many calls on the same arrays; see `Wired`.
    calls : callable or None
        From a block to the calls of the kernel; see `Wired`.
    kernel : callable or None
        Function of arrays behind it; None for a user's function of fields.
    in_place : bool
        Whether `run` writes into arrays that it is given.
    after : str or None
        Constraint that it runs after, where `order` does not name it.
    centre : bool or None
        Whether it needs the probe in the middle of its array; None where nobody has said so.
    memory : bool
        Whether it keeps something from one iteration to the next, which its `run` then takes.
    returns : tuple of str
        By-products of the kernel, which the record keeps.
    layout : callable
        From a block to how each of its passes may cut the object. One pass that reduces nothing
        gives each piece what the whole object gives there. Empty where it takes no object, or
        where nobody has said how.
    reduces : callable
        From a block to whether it needs something of the whole object first, however it is cut.
    advice : callable or None
        Warnings about parameters that are valid but probably not meant so.
    by_parts : bool
        Whether it works on amplitude and phase each by itself.
    typical : mapping
        Values of parameters without which it does nothing or cannot run, for whoever tries it out.
    smooths : callable or None
        From a block to where it takes the high frequencies away.
    idle : callable or None
        Whether a block's parameters make it change nothing.
    without : mapping
        By a field of the state that it can do without: what fields of its block are then.
    flat : bool
        Whether it takes objects of one slice only.
    """

    name: str
    model: type[Block]
    run: RunInto
    needs: Names
    writes: Names
    prepare: Prepare | None = None
    calls: Calls | None = None
    kernel: Kernel | None = None
    in_place: bool = True
    after: str | None = None
    centre: bool | None = None
    memory: bool = False
    returns: tuple[str, ...] = ()
    layout: Layouts = lambda _: ()
    reduces: Callable[[Any], bool] = lambda _: False
    advice: Advice | None = None
    by_parts: bool = False
    typical: Mapping[str, Any] = field(default_factory=dict)
    smooths: Smooths | None = None
    idle: Callable[[Any], bool] | None = None
    without: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    flat: bool = False

    def fitted(self, block: Any, present: frozenset[str]) -> tuple[Block, str]:
        """Return the block as a state's fields allow it, and a note where that is less than asked.

        ``obj_type: both`` means what there is where a state has only one part of the object.
        """
        absent = [name for name in self.without if name not in present]
        if asked := [name for name in absent if name in self.needs(block)]:
            update = {key: each for name in asked for key, each in self.without[name].items()}
            named = ", ".join(f"{key}: {each}".lower() for key, each in update.items())
            note = f"{named}, for there is no {' or '.join(asked)}"
            return block.model_copy(update=update), note
        there = [name for name in OBJECT if name in present]
        if not self.by_parts or len(there) != 1 or getattr(block, "obj_type", None) != "both":
            return block, ""
        part = there[0].removeprefix("object_")
        return block.model_copy(update={"obj_type": part}), f"{part} only, which is all there is"

    def remembering(self, memories: dict[str, Memory]) -> Constraint:
        """Return it with its own one of some memories by name, a new one where there is none."""
        if not self.memory:
            return self
        own = memories.setdefault(self.name, {})
        return replace(self, run=functools.partial(self.run, memory=own))

    @property
    def built_in(self) -> bool:
        """Whether it is one of this package's own."""
        return self.model.__module__.startswith(f"{_HERE}.")

    @property
    def centred(self) -> bool:
        """Whether it needs the probe in the middle; one of a user's may do anything with it."""
        if self.centre is not None:
            return self.centre
        return not self.built_in and "probe" in self.needs(self.model())

    @property
    def default_on(self) -> bool:
        """Whether it runs although nothing is said of it, where files have their defaults."""
        return self.model().enabled

    @property
    def meaning(self) -> str:
        """What it does, in one line."""
        return (inspect.getdoc(self.model) or "").partition("\n")[0]


_declared: dict[str, Constraint] = {}


def add(one: Constraint) -> None:
    """Take up a constraint, or replace the one of its name that the same code has declared."""
    name, old = one.name, _declared.get(one.name)
    if not (isinstance(name, str) and name.isidentifier()):
        raise ValueError(f"name must be an identifier, got {name!r}")
    if name in _reserved or (old is not None and old.built_in):
        raise ValueError(f"name {name!r} is taken")
    # a notebook cell that is run again makes the class anew
    if old is not None and _origin(old.model) != _origin(one.model):
        raise ValueError(f"name {name!r} is registered already; unregister({name!r}) frees it")
    if one.built_in and name not in ORDER and one.after is None:
        raise ValueError(f"{name}: expected a place in ORDER, or the constraint that it runs after")
    places = {key: each.after for key, each in (_declared | {name: one}).items()}
    if not one.built_in:  # ours are declared file by file, and may follow what comes later
        arrange(places)
    _declared[name] = one


def unregister(name: str) -> None:
    """Forget a constraint that was registered; this package's own stay.

    Raises
    ------
    KeyError
        No constraint of a user has this name.
    ValueError
        Another one was declared to run after it.
    """
    if name not in _declared or _declared[name].built_in:
        raise KeyError(f"no constraint is registered as {name!r}")
    arrange({key: one.after for key, one in _declared.items() if key != name})
    del _declared[name]


def declared() -> dict[str, Constraint]:
    """Return every constraint by name, in order of execution."""
    order = arrange({name: one.after for name, one in _declared.items()})
    return {name: _declared[name] for name in order}


def reserve(names: Iterable[str]) -> None:
    """Keep names from being given to constraints; whoever holds all blocks has other uses."""
    _reserved.update(names)


def _origin(model: type[Block]) -> tuple[str, str]:
    return model.__module__, model.__qualname__
