"""Fields: the state as constraints see it during one `Constraints.apply`."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import array_api_compat
import numpy as np

from arraycon.kernels import polar
from arraycon.kernels.common import arrays, check, elsewhere, memory
from arraycon.pipeline.lending import Lent
from arraycon.state import ARRAYS, State

_PARTS = ("object_amplitude", "object_phase")
PARTS = frozenset(_PARTS)
"""What a complex object is seen as."""
OBJECTS = ("object", *_PARTS)
"""What a state may hold its object as."""


class Fields(Mapping[str, Any]):
    """The state's fields by name, with an object seen as complex and as amplitude and phase.

    Each part of a complex object is made when it is first asked for, and what has changed is
    written into the object when that itself is asked for or at the end: an iteration without object
    constraints does not touch the object, and one that needs the amplitude alone takes neither
    angles nor sines. The parts are the only memory that a complex object costs. The other way
    round, the complex object of a state that holds parts lasts for one constraint, after which both
    parts are written, the phase on the branch that it was on.

    Parameters
    ----------
    state : State
    loan : Lent, optional
        Of the state's arrays, if they are lent; told which of them change.
    keep : bool
        Whether what is made stays in the same memory, for use over several iterations.
    """

    def __init__(self, state: State, loan: Lent | None = None, *, keep: bool = False) -> None:
        self._state = state
        self._loan = loan
        self._keep = keep
        self._parts: dict[str, Any] = {}
        self._whole: Any = None
        self._memory: dict[str, Any] = {}
        self._changed: set[str] = set()
        self._shown = False
        self._expected: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Any:
        if name in _PARTS and self._state.object is not None:
            self.split(self._expected | {name})
            return self._parts[name]
        if name == "object":
            return self.whole()
        return getattr(self._state, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._state.present)

    def __len__(self) -> int:
        return len(self._state.present)

    def writable(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Arrays that results may be written into directly; JAX's are not among them."""
        if not PARTS.isdisjoint(names):
            self._whole = None  # which they were
        arrays = {name: self[name] for name in names}
        return {name: array for name, array in arrays.items() if _is_writable(array)}

    def validate(self, name: str, updates: Mapping[str, Any], writes: tuple[str, ...]) -> None:
        """Check that all of what constraint `name` returned can take its fields' places."""
        for field, new in updates.items():
            if field not in writes:
                raise ValueError(
                    f"{name}: expected new arrays for {' and '.join(writes)} only, got {field}"
                )
            current = self[field]
            if new is current:
                continue
            arrays.namespace(**{f"{name}'s {field}": new, f"state.{field}": current})
            check.same(f"{name}'s {field}", new, f"state.{field}", current)

    def commit(self, updates: Mapping[str, Any]) -> None:
        """Take over new arrays; views of fields are copied before the first one is written."""
        targets = {field: self[field] for field in updates}
        own = {
            field: arrays.copy(new, xp=arrays.namespace(array=new))
            if new is not targets[field]
            and any(memory.shared(new, target) for target in targets.values())
            else new
            for field, new in updates.items()
        }
        for field, new in own.items():
            self._write(field, new)

    def returned(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """By-products of a constraint as arrays of the library that the state's owner uses."""
        if self._loan is None:
            return values
        return {name: self._loan.back(value) for name, value in values.items()}

    def expect(self, names: Collection[str]) -> None:
        """Take note of what is asked for next: both parts together cost less than one by one."""
        self._expected = PARTS.intersection(names)

    def split(self, names: Collection[str]) -> None:
        """Make those of the parts of the complex object that are not there yet."""
        missing = [part for part in _PARTS if part in names and part not in self._parts]
        if not missing:
            return
        obj, memory = self._state.object, [self._memory.get(part) for part in missing]
        if len(missing) == len(_PARTS):
            made: tuple[Any, ...] = polar.split(obj, out=memory)
        else:
            one = polar.amplitude if missing == ["object_amplitude"] else polar.phase
            made = (one(obj, out=memory[0]),)
        self._parts.update(zip(missing, made, strict=True))
        if self._keep:
            self._memory.update(self._parts)

    def reserve(self, names: Collection[str]) -> None:
        """Have memory for parts, until they are made with whatever is in it."""
        for name in PARTS.intersection(names) - self._memory.keys():
            obj = self._state.object
            xp = arrays.namespace(object=obj)
            self._memory[name] = arrays.new(obj, arrays.real_dtype(obj, xp=xp), xp=xp)
        self._parts = dict(self._memory)

    def whole(self) -> Any:
        """Return the complex object as it is now, None where the state has too little for one."""
        if self._changed or self._shown:
            self.join()
            # of a negative or vanished amplitude the object says something else than its parts
            self.renew()
        parts = [getattr(self._state, part) for part in _PARTS]
        if self._state.object is not None or any(part is None for part in parts):
            return self._state.object
        if self._whole is None:
            self._whole = polar.join(*parts, out=self._memory.get("object"))
            if self._keep:
                self._memory = {"object": self._whole}
        return self._whole

    def renew(self) -> None:
        """Let what is made of the state's values be made anew when it is asked for next."""
        self._parts, self._whole, self._changed, self._shown = {}, None, set(), False

    def parts_changed(self, names: Collection[str]) -> None:
        """Take note that parts were worked on in place."""
        self._changed.update(names)

    def whole_changed(self) -> None:
        """Take note that the complex object was worked on in place."""
        if self._state.object is not None:
            self.renew()
        else:
            self._commit_whole(self._whole)

    def changed(self, names: tuple[str, ...]) -> None:
        """Take note that fields of the state were worked on in place."""
        self._whole = None
        if self._loan is not None:
            self._loan.changed.update(names)

    def held(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the fields of the state that hold what is seen under these names."""
        apart = self._state.object is None
        fields = (_PARTS if apart and name == "object" else (name,) for name in names)
        return tuple(itertools.chain.from_iterable(fields))

    def join(self) -> None:
        """Write changed parts back into the complex object's own memory."""
        if not self._changed:
            return
        obj, parts = self._state.object, self._parts
        out = None if _replaced(obj) else obj
        # what has been shown has lost the phase where the amplitude was 0 or negative meanwhile
        if self._changed == {"object_amplitude"} and not self._shown:
            new = polar.with_amplitude(obj, parts["object_amplitude"], out=out)
        elif "object_amplitude" not in parts:
            new = polar.with_phase(obj, parts["object_phase"], out=out)
        else:
            new = polar.join(*(parts[part] for part in _PARTS), out=out)
        self._assign("object", new)
        self._changed.clear()

    def show(self) -> dict[str, Any]:
        """Write what has changed so far into the state and its owner's arrays, and go on.

        Returns
        -------
        dict of str to array
            The object, complex or in its parts, as far as the state has one.
        """
        if self._changed:
            self.split(_PARTS)
            self.join()
            self._shown = True
        if self._loan is not None:
            self._loan.show()
        return self.objects()

    def objects(self) -> dict[str, Any]:
        """Return the object as the state holds it: complex or in its parts, by name."""
        held = {name: getattr(self._state, name) for name in OBJECTS}
        return {name: array for name, array in held.items() if array is not None}

    def _write(self, field: str, new: Any) -> None:
        if field in _PARTS and self._state.object is not None:
            self._changed.add(field)
            if not self._keep:
                self._parts[field] = new
                return
            self._parts[field] = self._memory[field]
            if new is not self._memory[field]:
                self._memory[field][...] = new
            return
        if field == "object" and self._state.object is None:
            self._commit_whole(new)
            return
        if field == "object":
            self.renew()
        self._whole = None
        self._assign(field, new)

    def _commit_whole(self, obj: Any) -> None:
        amplitude, phase = (getattr(self._state, name) for name in _PARTS)
        outs = tuple(None if _replaced(part) else part for part in (amplitude, phase))
        new = polar.follow(amplitude, phase, obj, out=outs)
        self._whole = None
        for name, part in zip(_PARTS, new, strict=True):
            self._assign(name, part)

    def _assign(self, field: str, new: Any) -> None:
        if self._loan is not None:
            self._loan.changed.add(field)
        target = getattr(self._state, field)
        if _replaced(target):
            setattr(self._state, field, new)
        elif new is not target:
            target[...] = new


def read_only(state: State) -> frozenset[str]:
    """Array fields that can neither be written to nor, as JAX's, be replaced."""
    contents = state.__dict__
    names = {name for name in ARRAYS if (array := contents[name]) is not None and _is_fixed(array)}
    return _seen_as(names)


def _is_fixed(array: Any) -> bool:
    if elsewhere.kind(array):
        return elsewhere.is_read_only(array)
    return not (_is_writable(array) or _replaced(array))


def _is_writable(array: Any) -> bool:
    # array-api-compat goes through all libraries, which takes ten times as long
    if type(array) is np.ndarray:
        return array.flags.writeable
    return bool(array_api_compat.is_writeable_array(array))


def repeated(state: State) -> frozenset[str]:
    """Array fields in which elements share memory."""
    arrays = {name: getattr(state, name) for name in ARRAYS}
    names = {name for name, x in arrays.items() if x is not None and memory.repeats(x)}
    return _seen_as(names)


def _seen_as(names: Collection[str]) -> frozenset[str]:
    """Add what else an object is seen as."""
    others = {"object": PARTS, **dict.fromkeys(_PARTS, ("object",))}
    return frozenset(names).union(*(others.get(name, ()) for name in names))


def _replaced(array: Any) -> bool:
    """Whether new values come in a new array: JAX's cannot be written to."""
    return type(array) is not np.ndarray and array_api_compat.is_jax_array(array)
