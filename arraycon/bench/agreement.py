"""Whether the results that are timed are the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arraycon.bench.cases import Case
from arraycon.bench.peers import AGNOSTIC, FAST, FLOOR, PTYRAD, Contender

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Agreement:
    """Outcome of one application by each contender.

    Parameters
    ----------
    contenders : tuple of Contender
        Those that did not fail, the fast path first.
    differences : dict of str to float
        Relative difference of each peer's result from the fast path's.
    change : float
        Relative change that the fast path made to its inputs.
    absent : dict of str to str
        Why others failed.
    """

    contenders: tuple[Contender, ...]
    differences: dict[str, float]
    change: float
    absent: dict[str, str]


def compare(case: Case, contenders: Sequence[Contender]) -> Agreement:
    """Apply every contender once and hold its result against the fast path's.

    This is also what compiles kernels and plans transforms before anything is timed. A failure of
    PtyRAD excludes it from this case; any other one is an error of this package.
    """
    by_name = {one.name: one for one in contenders}
    fast = by_name[FAST]
    fast.restore()
    before = {name: array.copy() for name, array in fast.result().items()}
    fast.run()
    reference = {name: array.copy() for name, array in fast.result().items()}
    change = difference(before, reference)
    del before
    kept, differences, absent = [fast], {}, {}
    for one in contenders:
        if one.name in (FAST, FLOOR):
            kept += [one] if one.name == FLOOR else []
            continue
        one.restore()
        try:
            one.run()
        except Exception as error:
            if one.name != PTYRAD:
                raise
            absent[one.name] = f"{case.name} fails: {type(error).__name__}: {error}"
            continue
        kept.append(one)
        differences[one.name] = difference(reference, one.result(), phasors=one.name != AGNOSTIC)
    return Agreement(tuple(kept), differences, change, absent)


def difference(one: dict[str, Any], other: dict[str, Any], *, phasors: bool = False) -> float:
    """Relative Frobenius difference of results, the largest over their fields.

    Parameters
    ----------
    one, other : dict of str to array
        Results by field.
    phasors : bool
        Whether probe modes count as equal up to a unit phasor each, where an eigensolver or a
        propagator leaves the phase free.
    """
    found = []
    for name, array in one.items():
        against = other[name]
        if phasors and name == "probe":
            against = np.stack([_turned(b, a) for a, b in zip(array, against, strict=True)])
        found.append(_relative(array.reshape(-1), against.reshape(-1)))
    return max(found)


def _turned(mode: NDArray[Any], towards: NDArray[Any]) -> NDArray[Any]:
    overlap = np.vdot(mode, towards)
    return mode * (overlap / abs(overlap)) if abs(overlap) > 0 else mode


def _relative(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Difference over the norm of `one`, in float64 without a float64 copy of the whole."""
    wide = np.result_type(one, np.float64)
    above = below = 0.0
    for start in range(0, one.size, _CHUNK):
        a = one[start : start + _CHUNK].astype(wide)
        b = other[start : start + _CHUNK].astype(wide)
        above += float(np.sum(np.abs(b - a) ** 2))
        below += float(np.sum(np.abs(a) ** 2))
    if below == 0:
        return 0.0 if above == 0 else math.inf
    return math.sqrt(above / below)
