"""Fields: the state as constraints see it during one `Constraints.apply`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import array_api_compat

from arraycon.kernels import polar
from arraycon.kernels.common import arrays, check
from arraycon.pipeline.lending import Loan
from arraycon.state import ARRAYS, State

_PARTS = ("object_amplitude", "object_phase")
PARTS = frozenset(_PARTS)
"""What a complex object is seen as."""


class Fields(Mapping[str, Any]):
    """The state's fields by name, with an object seen as complex and as amplitude and phase.

    The parts of a complex object are made when they are first asked for, and joined when the object
    itself is asked for or at the end, if one of them was changed: an iteration without object
    constraints does not touch the object. They are the only memory that a complex object costs.
    The other way round, the complex object of a state that holds parts lasts for one constraint,
    after which both parts are written, the phase on the branch that it was on.

    Parameters
    ----------
    state : State
    loan : Loan, optional
        Of the state's arrays, if they are lent; told which of them change.
    keep : bool
        Whether what is made stays in the same memory, for use over several iterations.
    """

    def __init__(self, state: State, loan: Loan | None = None, *, keep: bool = False) -> None:
        self._state = state
        self._loan = loan
        self._keep = keep
        self._parts: dict[str, Any] = {}
        self._whole: Any = None
        self._memory: dict[str, Any] = {}
        self._joined = True

    def __getitem__(self, name: str) -> Any:
        if name in _PARTS and self._state.object is not None:
            return self.split()[name]
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
        return {
            name: array
            for name, array in arrays.items()
            if array_api_compat.is_writeable_array(array)
        }

    def validate(self, name: str, updates: Mapping[str, Any], writes: tuple[str, ...]) -> None:
        """Check that all of what constraint `name` returned can take its fields' places."""
        for field, new in updates.items():
            if field not in writes:
                raise ValueError(
                    f"{name}: expected new arrays for {' and '.join(writes)} only, got {field}"
                )
            current = self[field]
            arrays.namespace(**{f"{name}'s {field}": new, f"state.{field}": current})
            check.same(f"{name}'s {field}", new, f"state.{field}", current)

    def commit(self, updates: Mapping[str, Any]) -> None:
        """Take over new arrays."""
        for field, new in updates.items():
            self._write(field, new)

    def returned(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """By-products of a constraint as arrays of the library that the state's owner uses."""
        if self._loan is None:
            return values
        return {name: self._loan.back(value) for name, value in values.items()}

    def split(self) -> Mapping[str, Any]:
        """Parts of the complex object as it is now."""
        if not self._parts:
            memory = tuple(self._memory.get(part) for part in _PARTS)
            parts = polar.split(self._state.object, out=memory)
            self._parts = dict(zip(_PARTS, parts, strict=True))
            if self._keep:
                self._memory = self._parts
        return self._parts

    def whole(self) -> Any:
        """Return the complex object as it is now, None where the state has too little for one."""
        self.join()
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
        self._parts, self._whole, self._joined = {}, None, True

    def parts_changed(self) -> None:
        """Take note that the parts were worked on in place."""
        self._joined, self._whole = self._state.object is None, None

    def whole_changed(self) -> None:
        """Take note that the complex object was worked on in place."""
        if self._state.object is not None:
            self.renew()
        else:
            self._commit_whole(self._whole)

    def join(self) -> None:
        """Write changed parts back into the complex object's own memory."""
        if self._joined:
            return
        parts, obj = [self._parts[part] for part in _PARTS], self._state.object
        self._assign("object", polar.join(*parts, out=None if _replaced(obj) else obj))
        self._joined = True

    def _write(self, field: str, new: Any) -> None:
        if field in _PARTS and self._state.object is not None:
            self._joined = False
            if not self._keep:
                self._parts[field] = new
            elif new is not self._parts[field]:
                self._parts[field][...] = new
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
    arrays = {name: getattr(state, name) for name in ARRAYS}
    names = {
        name
        for name, array in arrays.items()
        if array is not None
        and not array_api_compat.is_writeable_array(array)
        and not _replaced(array)
    }
    seen_as = {"object": PARTS, **dict.fromkeys(_PARTS, ("object",))}
    return frozenset(names.union(*(seen_as.get(name, ()) for name in names)))


def _replaced(array: Any) -> bool:
    """Whether new values come in a new array: JAX's cannot be written to."""
    return array_api_compat.is_jax_array(array)
