"""Parts: a complex object seen as amplitude and phase, and the other way round, in steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from arraycon.kernels.blocks import polar
from arraycon.kernels.common.steps import Like, Step

PARTS = ("object_amplitude", "object_phase")
OBJECTS = ("object", *PARTS)
_OWN = {name: name.removeprefix("object_") for name in PARTS} | {"object": "obj"}
NAMES = {own: name for name, own in _OWN.items()}
"""Fields by the names that the steps of this module have for them."""


class Parts:
    """What is there of the object, while steps are put one behind the other.

    It makes what a constraint needs and the state has not, and at the end writes what the state
    has, as `Fields` does while constraints run.

    Parameters
    ----------
    held : mapping of str to Like
        The state's own arrays.
    """

    def __init__(self, held: Mapping[str, Like]) -> None:
        self._complex = "object" in held
        self.likes = dict(held)
        if self._complex:
            self.likes.update(dict.fromkeys(PARTS, held["object"].real))
        elif all(part in held for part in PARTS):
            self.likes["object"] = held[PARTS[0]].complex
        self._made: set[str] = set()
        self._changed: set[str] = set()

    def needed(self, names: Collection[str]) -> Sequence[Step]:
        """Return steps that make of what is there what is needed."""
        wanted = [name for name in OBJECTS if name in names]
        if "object" in wanted and self._complex:
            return self.joined()
        if "object" in wanted and "object" not in self._made:
            self._made.add("object")
            return polar.join(*(self.likes[part] for part in PARTS))
        missing = [name for name in wanted if self._complex and name not in self._made]
        self._made.update(missing)
        return (
            polar.split(self.likes["object"], [_OWN[name] for name in missing]) if missing else ()
        )

    def written(self, names: Collection[str]) -> Sequence[Step]:
        """Return steps that follow a change of some fields."""
        if "object" in names:
            self._made.clear()
            return () if self._complex else polar.follow(*(self.likes[part] for part in PARTS))
        changed = set(PARTS).intersection(names)
        if self._complex:
            self._changed |= changed
        elif changed:
            self._made.clear()
        return ()

    def joined(self) -> Sequence[Step]:
        """Return steps that write changed parts into the complex object."""
        changed, made = self._changed, self._made
        self._changed, self._made = set(), set()
        if not changed:
            self._made = made
            return ()
        obj = self.likes["object"]
        if changed == {"object_amplitude"}:
            return polar.with_amplitude(obj)
        if "object_amplitude" not in made:
            return polar.with_phase(obj)
        return polar.join(*(self.likes[part] for part in PARTS), made=False)
